//! The engine against a plain evaluation in double precision, and against itself bit for bit.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::{ConvLayer, MapId, MapShape, Passes, Program, ProgramBuilder, Purpose, Workspace};
use crate::conv::{ConvShape, Convolution, Tiles, reference};
use crate::isa::Isa;

/// A layer of a network under test, with what it reads.
#[derive(Clone)]
enum Step {
    Conv { x: usize, outputs: usize, kernel: [usize; 2], stride: usize, addend: Option<usize>, relu: bool },
    Affine { x: usize, addend: Option<usize>, relu: bool },
    MaxPool { x: usize, kernel: usize, stride: usize, padding: usize },
    MeanPool { x: usize, kernel: usize, stride: usize, padding: usize },
    Join { first: usize, second: usize },
    Subsample { x: usize, stride: usize, padding: usize },
    Mean { x: usize },
    Linear { x: usize, outputs: usize },
}

fn conv(x: usize, outputs: usize, kernel: usize, stride: usize) -> Step {
    Step::Conv { x, outputs, kernel: [kernel; 2], stride, addend: None, relu: true }
}

fn residual(x: usize, outputs: usize, addend: usize) -> Step {
    Step::Conv { x, outputs, kernel: [3, 3], stride: 1, addend: Some(addend), relu: true }
}

/// The networks of the tests: between them, every operation, stride and way to fuse.
fn networks() -> Vec<(&'static str, MapShape, Vec<Step>)> {
    let shape = |height, width, channels| MapShape { height, width, channels };
    vec![
        (
            "plain",
            shape(9, 11, 1),
            vec![
                conv(0, 8, 3, 1),
                conv(1, 16, 3, 2),
                Step::Conv { x: 2, outputs: 10, kernel: [1, 5], stride: 1, addend: None, relu: true },
                Step::Mean { x: 3 },
                Step::Linear { x: 4, outputs: 3 },
            ],
        ),
        (
            "shortcut without parameters",
            shape(12, 12, 3),
            vec![
                conv(0, 16, 3, 1),
                conv(1, 16, 3, 1),
                residual(2, 16, 1),
                conv(3, 32, 3, 2),
                Step::Subsample { x: 3, stride: 2, padding: 8 },
                residual(4, 32, 5),
                conv(6, 32, 3, 1),
                residual(7, 32, 6),
                Step::Mean { x: 8 },
                Step::Linear { x: 9, outputs: 10 },
            ],
        ),
        (
            "shortcut with 1x1 convolution",
            shape(10, 10, 3),
            vec![
                conv(0, 16, 3, 1),
                conv(1, 24, 3, 2),
                Step::Conv { x: 1, outputs: 24, kernel: [1, 1], stride: 2, addend: None, relu: false },
                residual(2, 24, 3),
                Step::Mean { x: 4 },
                Step::Linear { x: 5, outputs: 10 },
            ],
        ),
        (
            "pooled",
            shape(16, 16, 3),
            vec![
                conv(0, 16, 3, 1),
                Step::MaxPool { x: 1, kernel: 2, stride: 2, padding: 0 },
                conv(2, 32, 3, 1),
                Step::MaxPool { x: 3, kernel: 3, stride: 2, padding: 1 },
                conv(4, 32, 3, 1),
                Step::MaxPool { x: 5, kernel: 4, stride: 4, padding: 0 },
                Step::Linear { x: 6, outputs: 5 },
            ],
        ),
        (
            "normalised before activation",
            shape(8, 8, 3),
            vec![
                Step::Conv { x: 0, outputs: 16, kernel: [3, 3], stride: 1, addend: None, relu: false },
                Step::Affine { x: 1, addend: None, relu: true },
                conv(2, 16, 3, 1),
                Step::Conv { x: 3, outputs: 16, kernel: [3, 3], stride: 1, addend: Some(1), relu: false },
                Step::Affine { x: 4, addend: Some(1), relu: true },
                conv(5, 32, 3, 2),
                Step::Conv { x: 5, outputs: 32, kernel: [1, 1], stride: 2, addend: None, relu: false },
                Step::Conv { x: 6, outputs: 32, kernel: [3, 3], stride: 1, addend: Some(7), relu: false },
                Step::Affine { x: 8, addend: None, relu: true },
                Step::Mean { x: 9 },
                Step::Linear { x: 10, outputs: 10 },
            ],
        ),
        (
            "branches side by side",
            shape(13, 11, 3),
            vec![
                conv(0, 8, 3, 2),
                conv(1, 16, 1, 1),
                Step::Conv { x: 2, outputs: 8, kernel: [1, 7], stride: 1, addend: None, relu: true },
                Step::Conv { x: 3, outputs: 24, kernel: [7, 1], stride: 1, addend: None, relu: true },
                Step::MeanPool { x: 1, kernel: 3, stride: 1, padding: 1 },
                conv(5, 5, 1, 1),
                Step::Join { first: 2, second: 4 },
                Step::Join { first: 7, second: 6 },
                Step::MaxPool { x: 8, kernel: 3, stride: 2, padding: 0 },
                Step::MeanPool { x: 8, kernel: 3, stride: 2, padding: 0 },
                conv(9, 16, 3, 1),
                Step::Join { first: 10, second: 11 },
                Step::Join { first: 12, second: 12 },
                Step::Mean { x: 13 },
                Step::Linear { x: 14, outputs: 10 },
            ],
        ),
        (
            "down to 2x2",
            shape(8, 8, 3),
            vec![
                conv(0, 64, 3, 1),
                Step::MaxPool { x: 1, kernel: 2, stride: 2, padding: 0 },
                conv(2, 64, 3, 2),
                conv(3, 64, 3, 1),
                residual(4, 64, 3),
                Step::MaxPool { x: 5, kernel: 2, stride: 2, padding: 0 },
                Step::Linear { x: 6, outputs: 10 },
            ],
        ),
    ]
}

/// A network with weights: as a program, and as its definition.
struct Net {
    shape: MapShape,
    steps: Vec<(Step, Vec<f32>, Vec<f32>)>,
}

impl Net {
    fn new(shape: MapShape, steps: Vec<Step>, seed: u64) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let mut channels = vec![shape.channels];
        let steps = steps.into_iter().map(|step| {
            let (outputs, per_output) = match &step {
                Step::Conv { x, outputs, kernel, .. } => (*outputs, kernel[0] * kernel[1] * channels[*x]),
                Step::Linear { x, outputs } => (*outputs, channels[*x]),
                Step::Affine { x, .. } => (channels[*x], 1),
                Step::MaxPool { x, .. } | Step::MeanPool { x, .. } | Step::Mean { x } => (channels[*x], 0),
                Step::Join { first, second } => (channels[*first] + channels[*second], 0),
                Step::Subsample { x, padding, .. } => (channels[*x] + 2 * padding, 0),
            };
            channels.push(outputs);
            let scale = 2.0 / (per_output.max(1) as f32).sqrt();
            let weights = random(&mut stream, outputs * per_output).iter().map(|w| w * scale).collect();
            (step, weights, random(&mut stream, outputs))
        });
        let steps = steps.collect();
        Self { shape, steps }
    }

    fn program(&self, isa: Isa, purpose: Purpose) -> Arc<Program> {
        let mut builder = ProgramBuilder::new(isa, purpose, self.shape);
        for (step, weights, bias) in &self.steps {
            let map = MapId;
            match step {
                Step::Conv { x, kernel, stride, addend, relu, .. } => {
                    let padding = kernel.map(|size| size / 2);
                    let conv = ConvLayer { weights, bias, kernel: *kernel, stride: *stride, padding };
                    builder.conv(map(*x), &conv, addend.map(map), *relu)
                }
                Step::Affine { x, addend, relu } => {
                    builder.affine(map(*x), weights.clone(), bias.clone(), addend.map(map), *relu)
                }
                Step::MaxPool { x, kernel, stride, padding } => builder.max_pool(map(*x), *kernel, *stride, *padding),
                Step::MeanPool { x, kernel, stride, padding } => builder.mean_pool(map(*x), *kernel, *stride, *padding),
                Step::Join { first, second } => builder.join(map(*first), map(*second)),
                Step::Subsample { x, stride, padding } => builder.subsample(map(*x), *stride, *padding),
                Step::Mean { x } => builder.mean(map(*x)),
                Step::Linear { x, .. } => builder.linear(map(*x), weights, bias),
            };
        }
        Arc::new(builder.finish())
    }

    /// Every map in double precision, by the definitions.
    fn evaluate(&self, image: &[f64]) -> Vec<Vec<f64>> {
        let mut maps = vec![(self.shape, image.to_vec())];
        for (step, weights, bias) in &self.steps {
            let map = match step {
                Step::Conv { x, outputs, kernel, stride, addend, relu } => {
                    let shape = maps[*x].0;
                    let padding = kernel.map(|size| size / 2);
                    let shape = ConvShape::layer(shape.size(), shape.channels, *outputs, *kernel, *stride, padding);
                    let mut sums = convolve(&shape, &maps[*x].1, weights, bias);
                    finish(&mut sums, addend.map(|addend| maps[addend].1.as_slice()), *relu);
                    (MapShape { height: shape.output[0], width: shape.output[1], channels: *outputs }, sums)
                }
                Step::Affine { x, addend, relu } => {
                    let channels = bias.len();
                    let scale = |(place, value): (usize, &f64)| {
                        value * f64::from(weights[place % channels]) + f64::from(bias[place % channels])
                    };
                    let mut values: Vec<f64> = maps[*x].1.iter().enumerate().map(scale).collect();
                    finish(&mut values, addend.map(|addend| maps[addend].1.as_slice()), *relu);
                    (maps[*x].0, values)
                }
                Step::MaxPool { x, kernel, stride, padding } => {
                    pool(maps[*x].0, &maps[*x].1, [*kernel, *stride, *padding], f64::NEG_INFINITY, f64::max)
                }
                Step::MeanPool { x, kernel, stride, padding } => {
                    let window = [*kernel, *stride, *padding];
                    let (shape, mut sums) = pool(maps[*x].0, &maps[*x].1, window, 0.0, |a, b| a + b);
                    for sum in &mut sums {
                        *sum /= (kernel * kernel) as f64;
                    }
                    (shape, sums)
                }
                Step::Join { first, second } => {
                    let [(shape, front), (behind, back)] = [&maps[*first], &maps[*second]];
                    let pixels = front.chunks(shape.channels).zip(back.chunks(behind.channels));
                    let joined = pixels.flat_map(|(front, back)| front.iter().chain(back).copied()).collect();
                    (MapShape { channels: shape.channels + behind.channels, ..*shape }, joined)
                }
                Step::Subsample { x, stride, padding } => {
                    let (shape, values) = &maps[*x];
                    let channels = shape.channels + 2 * padding;
                    let size = shape.size().map(|size| size.div_ceil(*stride));
                    let mut output = vec![0.0; size[0] * size[1] * channels];
                    for (place, value) in output.iter_mut().enumerate() {
                        let (pixel, channel) = (place / channels, place % channels);
                        if (*padding..padding + shape.channels).contains(&channel) {
                            let (y, x) = (pixel / size[1] * stride, pixel % size[1] * stride);
                            *value = values[(y * shape.width + x) * shape.channels + channel - padding];
                        }
                    }
                    (MapShape { height: size[0], width: size[1], channels }, output)
                }
                Step::Mean { x } => {
                    let (shape, values) = &maps[*x];
                    let pixels = shape.height * shape.width;
                    let mean =
                        |channel| values.iter().skip(channel).step_by(shape.channels).sum::<f64>() / pixels as f64;
                    (MapShape { height: 1, width: 1, ..*shape }, (0..shape.channels).map(mean).collect())
                }
                Step::Linear { x, outputs } => {
                    let inputs = maps[*x].0.channels;
                    let shape = ConvShape::layer([1, 1], inputs, *outputs, [1, 1], 1, [0, 0]);
                    (MapShape { height: 1, width: 1, channels: *outputs }, convolve(&shape, &maps[*x].1, weights, bias))
                }
            };
            maps.push(map);
        }
        maps.into_iter().map(|(_, values)| values).collect()
    }
}

fn convolve(shape: &ConvShape, input: &[f64], weights: &[f32], bias: &[f32]) -> Vec<f64> {
    let pixels = shape.output[0] * shape.output[1];
    let mut sums: Vec<f64> = (0..pixels).flat_map(|_| bias.iter().map(|bias| f64::from(*bias))).collect();
    reference::for_each_product(shape, |i, w, o| sums[o] += input[i] * f64::from(weights[w]));
    sums
}

fn finish(values: &mut [f64], addend: Option<&[f64]>, relu: bool) {
    if let Some(addend) = addend {
        values.iter_mut().zip(addend).for_each(|(value, addend)| *value += addend);
    }
    if relu {
        for value in values {
            *value = value.max(0.0);
        }
    }
}

fn pool(
    shape: MapShape,
    values: &[f64],
    [kernel, stride, padding]: [usize; 3],
    start: f64,
    fold: fn(f64, f64) -> f64,
) -> (MapShape, Vec<f64>) {
    let [height, width] = shape.size().map(|size| (size + 2 * padding - kernel) / stride + 1);
    let mut output = vec![start; height * width * shape.channels];
    for (place, folded) in output.iter_mut().enumerate() {
        let (pixel, channel) = (place / shape.channels, place % shape.channels);
        for tap in 0..kernel * kernel {
            let y = (pixel / width * stride + tap / kernel).wrapping_sub(padding);
            let x = (pixel % width * stride + tap % kernel).wrapping_sub(padding);
            if y < shape.height && x < shape.width {
                *folded = fold(*folded, values[(y * shape.width + x) * shape.channels + channel]);
            }
        }
    }
    (MapShape { height, width, ..shape }, output)
}

/// Values in -1..1.
fn random(stream: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| (stream.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn image(shape: MapShape, seed: u64) -> Vec<f32> {
    random(&mut ChaCha8Rng::seed_from_u64(seed), shape.values())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Each network on each instruction set: name, definition, program.
fn cases(purpose: Purpose) -> impl Iterator<Item = (String, Net, Arc<Program>)> {
    networks().into_iter().flat_map(move |(name, shape, steps)| {
        Isa::ALL.into_iter().map(move |isa| {
            let net = Net::new(shape, steps.clone(), 7);
            let program = net.program(isa, purpose);
            (format!("{name} on {isa}"), net, program)
        })
    })
}

#[test]
fn every_map_equals_its_definition_within_rounding() {
    let purposes = [Purpose::Candidates, Purpose::Scores, Purpose::WholeImages];
    for (name, net, program) in purposes.into_iter().flat_map(cases) {
        let image = image(net.shape, 1);
        let mut workspace = Workspace::new(&program);
        workspace.set_image(&image);
        let expected = net.evaluate(&image.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
        for (map, expected) in expected.iter().enumerate() {
            let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            let actual = workspace.map(MapId(map));
            assert_eq!(actual.len(), expected.len(), "{name}, map {map}");
            for (actual, expected) in actual.iter().zip(expected) {
                let error = (f64::from(*actual) - expected).abs();
                assert!(error <= 2e-6 * largest, "{name}, map {map}: {actual} for {expected}");
            }
        }
    }
}

#[test]
fn masking_a_pixel_leaves_the_bits_of_a_whole_pass_in_every_map() {
    for (name, net, program) in cases(Purpose::Candidates) {
        let mut image = image(net.shape, 2);
        let mut workspace = Workspace::new(&program);
        let mut whole = Workspace::new(&program);
        workspace.set_image(&image);
        let pixels = net.shape.height * net.shape.width;
        for step in 0..pixels {
            let pixel = step * 7 % pixels;
            image[pixel * net.shape.channels..][..net.shape.channels].fill(0.0);
            workspace.mask(pixel as u32);
            whole.set_image(&image);
            for map in 0..program.maps.len() {
                assert_eq!(bits(workspace.map(MapId(map))), bits(whole.map(MapId(map))), "{name}, map {map}");
            }
        }
    }
}

#[test]
fn candidates_have_the_bits_of_whole_passes_and_leave_the_image_alone() {
    for (name, net, program) in cases(Purpose::Candidates) {
        let image = image(net.shape, 3);
        let mut workspace = Workspace::new(&program);
        let mut whole = Workspace::new(&program);
        workspace.set_image(&image);
        workspace.mask(5);
        let before: Vec<_> = (0..program.maps.len()).map(|map| bits(workspace.map(MapId(map)))).collect();
        let pixels: Vec<u32> = (0..(net.shape.height * net.shape.width) as u32).collect();
        let classes = program.classes();
        let mut logits = vec![f32::NAN; pixels.len() * classes];
        workspace.candidates(&pixels, &mut logits);
        for (pixel, logits) in pixels.iter().zip(logits.chunks_exact(classes)) {
            whole.set_image(&image);
            whole.mask_all(&[5, *pixel]);
            assert_eq!(bits(logits), bits(whole.logits()), "{name}, pixel {pixel}");
        }
        let after: Vec<_> = (0..program.maps.len()).map(|map| bits(workspace.map(MapId(map)))).collect();
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn a_candidates_bits_do_not_depend_on_the_others() {
    for (name, net, program) in cases(Purpose::Candidates) {
        let mut workspace = Workspace::new(&program);
        workspace.set_image(&image(net.shape, 4));
        let classes = program.classes();
        let mut scores = |pixels: &[u32]| {
            let mut logits = vec![f32::NAN; pixels.len() * classes];
            workspace.candidates(pixels, &mut logits);
            logits
        };
        let pixels: Vec<u32> = (0..(net.shape.height * net.shape.width) as u32).collect();
        let together = scores(&pixels);
        let backward: Vec<u32> = pixels.iter().rev().copied().collect();
        let reversed = scores(&backward);
        for (pixel, expected) in pixels.iter().zip(together.chunks_exact(classes)) {
            assert_eq!(bits(&scores(&[*pixel])), bits(expected), "{name}, pixel {pixel} alone");
            let place = (pixels.len() - 1 - *pixel as usize) * classes;
            assert_eq!(bits(&reversed[place..place + classes]), bits(expected), "{name}, pixel {pixel} from behind");
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    for (name, net, program) in cases(Purpose::Gradients) {
        let image = image(net.shape, 5);
        let mut passes = Passes::new(&program, 1);
        passes.pass(&image);
        let slope = random(&mut ChaCha8Rng::seed_from_u64(6), program.classes());
        let gradient = passes.gradient(&slope).to_vec();
        let mut image: Vec<f64> = image.iter().map(|value| f64::from(*value)).collect();
        let value = |image: &[f64]| -> f64 {
            let logits = net.evaluate(image).pop().unwrap();
            logits.iter().zip(&slope).map(|(logit, slope)| logit * f64::from(*slope)).sum()
        };
        let largest = gradient.iter().fold(0.0_f64, |largest, value| largest.max(f64::from(value.abs())));
        assert!(largest > 0.0, "{name}");
        // In double precision a step this small crosses no kink of a ReLU or a maximum but by rare chance.
        let step = 1e-6;
        for place in (0..image.len()).step_by(11) {
            let centre = image[place];
            image[place] = centre + step;
            let above = value(&image);
            image[place] = centre - step;
            let below = value(&image);
            image[place] = centre;
            let expected = (above - below) / (2.0 * step);
            let error = (f64::from(gradient[place]) - expected).abs();
            assert!(error <= 1e-5 * largest, "{name}, value {place}: {} for {expected}", gradient[place]);
        }
    }
}

#[test]
fn an_images_bits_do_not_depend_on_what_passes_with_it() {
    for (name, net, program) in cases(Purpose::Gradients) {
        let (classes, values) = (program.classes(), program.input().values());
        let images: Vec<f32> = (0..5).flat_map(|seed| image(net.shape, seed)).collect();
        let slopes = random(&mut ChaCha8Rng::seed_from_u64(6), 5 * classes);
        let mut workspace = Workspace::new(&program);
        let (mut passes, mut alone) = (Passes::new(&program, 5), Passes::new(&program, 1));
        // As many as there is place for, then fewer, so that maps hold values of images that are gone.
        for together in [5, 1, 3] {
            let logits = passes.pass(&images[..together * values]).to_vec();
            let gradients = passes.gradient(&slopes[..together * classes]);
            for number in 0..together {
                workspace.set_image(&images[number * values..][..values]);
                let of_image = &logits[number * classes..][..classes];
                assert_eq!(bits(of_image), bits(workspace.logits()), "{name}, {number} of {together}");
                alone.pass(&images[number * values..][..values]);
                let gradient = alone.gradient(&slopes[number * classes..][..classes]);
                let of_image = &gradients[number * values..][..values];
                assert_eq!(bits(of_image), bits(gradient), "{name}, gradient, {number} of {together}");
            }
        }
    }
}

#[test]
fn the_region_of_a_pixel_grows_by_the_kernel_and_stops_at_the_border() {
    let (_, shape, steps) = networks().swap_remove(1);
    let program = Net::new(shape, steps, 7).program(Isa::Portable, Purpose::Scores);
    let changed = |map, y, x| program.spans.changed(MapId(map), y, x).map(|w| (w.rows(), w.columns()));
    assert_eq!(changed(1, 5, 0), Some((4..7, 0..2)));
    assert_eq!(changed(3, 5, 0), Some((2..9, 0..4)));
    // Stride 2: output o reads rows 2o - 1 to 2o + 1.
    assert_eq!(changed(4, 5, 0), Some((1..5, 0..3)));
    assert_eq!(changed(10, 5, 0), Some((0..1, 0..1)));
    // 9 of 144 positions after the first convolution, fewer in a corner.
    assert_eq!(changed(1, 11, 11), Some((10..12, 10..12)));
}

/// Two convolutions of 64 channels on 32x32 pixels: a candidate changes a few of them, an image all.
#[test]
fn whole_images_are_convolved_by_the_algorithm_that_suits_whole_maps() {
    let winograd = |purpose| {
        let shape = MapShape { height: 32, width: 32, channels: 64 };
        let mut builder = ProgramBuilder::new(Isa::Portable, purpose, shape);
        let conv = ConvLayer {
            weights: &vec![0.1; 64 * 64 * 9],
            bias: &[0.0; 64],
            kernel: [3, 3],
            stride: 1,
            padding: [1, 1],
        };
        let mut x = builder.input();
        for _ in 0..2 {
            x = builder.conv(x, &conv, None, true);
        }
        builder.mean(x);
        let program = builder.finish();
        program.convolutions().filter(|(_, conv)| matches!(conv, Convolution::Winograd(_))).count()
    };
    // A candidate changes 3x3 pixels of the first map, and then 5x5, for which tiles begin to pay.
    assert_eq!((winograd(Purpose::Scores), winograd(Purpose::WholeImages)), (1, 2));
}

/// A map of 2x2 pixels goes through nine products where the program is for candidates, and through none that is new
/// elsewhere: others' bits rest on theirs.
#[test]
fn maps_of_2x2_are_small_for_candidates_alone() {
    let small = |purpose| {
        let (_, shape, steps) = networks().into_iter().find(|(name, ..)| *name == "down to 2x2").expect("it is there");
        let program = Net::new(shape, steps, 7).program(Isa::Portable, purpose);
        let tiles = |conv: &Convolution| match conv {
            Convolution::Winograd(conv) => Some(conv.tiles()),
            Convolution::Direct(_) => None,
        };
        program.convolutions().filter(|(_, conv)| tiles(conv) == Some(Tiles::WholeMap)).count()
    };
    let all = [Purpose::Candidates, Purpose::Scores, Purpose::Gradients, Purpose::WholeImages];
    assert_eq!(all.map(small), [2, 0, 0, 0]);
}
