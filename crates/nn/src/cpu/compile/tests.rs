//! Compiled networks against a plain walk of their graphs in double precision, and the scorers on top.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CompileError, compile};
use crate::arch;
use crate::cpu::compiled_model::ModelWorkspace;
use crate::cpu::group_scorer::{GroupScorer, ImageGroup};
use crate::cpu::model_passes::{Group, ModelPasses};
use crate::cpu::scorer::{NetworkScorer, argmax, predict, probability};
use crate::graph::{Graph, Init, Op, Window};
use crate::init::initial_tensors;
use crate::input_dropout::Use;
use overinterp_artifacts::ParameterTensor;
use overinterp_kernels::conv::{ConvShape, reference};
use overinterp_kernels::engine::{Program, Purpose};
use overinterp_kernels::isa::Isa;
use overinterp_sis::{CurveScorer, GradientScorer, Scorer};
use overinterp_spec::{Arch, ImageShape, Seed};

type Tensors = BTreeMap<String, ParameterTensor>;

/// Values from -1 to 1 without order: the fractional parts of multiples of an irrational number.
fn spread(count: usize, offset: usize) -> impl Iterator<Item = f32> {
    (offset..offset + count).map(|index| ((index as f64 * 0.754_877_666).fract() * 2.0 - 1.0) as f32)
}

/// Fresh tensors with batch norms and biases moved away from where they start.
fn tensors(graph: &Graph) -> Tensors {
    let mut tensors = initial_tensors(graph, Seed(1));
    for (offset, parameter) in graph.parameters().iter().enumerate() {
        let tensor = tensors.get_mut(&parameter.name).unwrap();
        let spread = spread(tensor.data.len(), offset);
        match parameter.init {
            Init::Ones => tensor.data.iter_mut().zip(spread).for_each(|(value, x)| *value = 1.0 + 0.4 * x),
            Init::Zeros => tensor.data.iter_mut().zip(spread).for_each(|(value, x)| *value = 0.2 * x),
            Init::Normal(_) | Init::Uniform(_) => {}
        }
    }
    tensors
}

fn image(shape: ImageShape) -> Vec<f32> {
    spread(shape.bytes(), 5).collect()
}

fn build(arch: Arch, height: usize, width: usize, channels: usize) -> (Graph, Tensors) {
    let graph = arch::build(arch, ImageShape { height, width, channels }, 10).unwrap();
    let tensors = tensors(&graph);
    (graph, tensors)
}

fn program(graph: &Graph, tensors: &Tensors, purpose: Purpose) -> Arc<Program> {
    Arc::new(compile(graph, tensors, Isa::detect(), purpose).unwrap())
}

/// The logits in double precision, operation by operation.
fn walk(graph: &Graph, tensors: &Tensors, image: &[f32]) -> Vec<f64> {
    let tensor = |name: &str, tensor: &str| -> Vec<f64> {
        tensors[&format!("{name}.{tensor}")].data.iter().map(|value| f64::from(*value)).collect()
    };
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in graph.nodes() {
        let input = |index: usize| &values[node.inputs[index].0];
        let from = node.inputs.first().map_or(node.shape, |input| graph.node(*input).shape);
        let per_channel = |apply: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            input(0).iter().enumerate().map(|(place, value)| apply(place % from.channels, *value)).collect()
        };
        let value = match &node.op {
            Op::Input => image.iter().map(|value| f64::from(*value)).collect(),
            Op::Conv { name, bias, kernel, stride, padding, spread } => {
                let (size, outputs) = ([from.height, from.width], node.shape.channels);
                let window = spread.window(*kernel, *stride, *padding);
                let shape = ConvShape::layer(size, from.channels, outputs, window.kernel, *stride, *padding);
                let sizes = [outputs, from.channels / spread.groups, kernel[0], kernel[1]];
                let weights = &tensors[&format!("{name}.weight")].data;
                let weights: Vec<f64> = spread.spread(weights, sizes).into_iter().map(f64::from).collect();
                let bias = if *bias { tensor(name, "bias") } else { vec![0.0; outputs] };
                let mut sums: Vec<f64> = (0..node.shape.pixels()).flat_map(|_| bias.clone()).collect();
                reference::for_each_product(&shape, |i, w, o| sums[o] += input(0)[i] * weights[w]);
                sums
            }
            Op::BatchNorm { name, epsilon } => {
                let [weight, bias, mean, variance] =
                    ["weight", "bias", "running_mean", "running_var"].map(|part| tensor(name, part));
                per_channel(&|c, x| (x - mean[c]) / (variance[c] + epsilon).sqrt() * weight[c] + bias[c])
            }
            Op::Relu => input(0).iter().map(|x| x.max(0.0)).collect(),
            Op::Add => input(0).iter().zip(input(1)).map(|(a, b)| a + b).collect(),
            Op::MaxPool { kernel, stride, padding } | Op::MeanPool { kernel, stride, padding } => {
                let is_max = matches!(node.op, Op::MaxPool { .. });
                let value = |place: usize| {
                    let (pixel, channel) = (place / from.channels, place % from.channels);
                    let (y, x) = (pixel / node.shape.width * stride, pixel % node.shape.width * stride);
                    let taps = (0..kernel * kernel).filter_map(|tap| {
                        let (y, x) =
                            ((y + tap / kernel).checked_sub(*padding)?, (x + tap % kernel).checked_sub(*padding)?);
                        let inside = y < from.height && x < from.width;
                        inside.then(|| input(0)[(y * from.width + x) * from.channels + channel])
                    });
                    if is_max {
                        taps.fold(f64::NEG_INFINITY, f64::max)
                    } else {
                        taps.sum::<f64>() / (kernel * kernel) as f64
                    }
                };
                (0..node.shape.bytes()).map(value).collect()
            }
            Op::Concat => {
                let channels = |part: usize| graph.node(node.inputs[part]).shape.channels;
                let pixel = |pixel: usize| {
                    let part = move |part: usize| &input(part)[pixel * channels(part)..][..channels(part)];
                    (0..node.inputs.len()).flat_map(part)
                };
                (0..node.shape.pixels()).flat_map(pixel).copied().collect()
            }
            Op::Subsample { stride, padding } => {
                let value = |place: usize| {
                    let (pixel, channel) = (place / node.shape.channels, place % node.shape.channels);
                    let (y, x) = (pixel / node.shape.width * stride, pixel % node.shape.width * stride);
                    let inside = (*padding..padding + from.channels).contains(&channel);
                    if inside { input(0)[(y * from.width + x) * from.channels + channel - padding] } else { 0.0 }
                };
                (0..node.shape.bytes()).map(value).collect()
            }
            Op::Dropout { .. } => input(0).clone(),
            Op::GlobalMean => {
                let sum = |channel| input(0).iter().skip(channel).step_by(from.channels).sum::<f64>();
                (0..from.channels).map(|channel| sum(channel) / from.pixels() as f64).collect()
            }
            Op::Linear { name } => {
                let (weights, bias) = (tensor(name, "weight"), tensor(name, "bias"));
                let row = |(row, bias): (&[f64], &f64)| {
                    bias + row.iter().zip(input(0)).map(|(weight, x)| weight * x).sum::<f64>()
                };
                weights.chunks_exact(from.channels).zip(&bias).map(row).collect()
            }
        };
        values.push(value);
    }
    values.pop().unwrap()
}

#[test]
fn every_architecture_gives_the_logits_of_its_graph() {
    // Small images where the architecture allows, as the walk is slow.
    let shapes = [
        (Arch::Cnn, 28, 1),
        (Arch::Resnet20, 16, 3),
        (Arch::Resnet18, 8, 3),
        (Arch::Vgg16, 32, 3),
        (Arch::Wideresnet, 4, 3),
    ];
    for (arch, side, channels) in shapes {
        let (graph, tensors) = build(arch, side, side, channels);
        let image = image(ImageShape { height: side, width: side, channels });
        let expected = walk(&graph, &tensors, &image);
        let mut workspace = ModelWorkspace::new(&program(&graph, &tensors, Purpose::Scores).into());
        let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        for (actual, expected) in predict(&mut workspace, &image).iter().zip(&expected) {
            let error = (f64::from(*actual) - expected).abs();
            assert!(error <= 1e-5 * largest.max(1.0), "{arch}: {actual} for {expected}");
        }
    }
}

#[test]
fn sums_that_nothing_can_be_fused_to_are_still_right() {
    // The sum reads one map twice, its result is read twice, and a ReLU follows a ReLU's map that others read.
    let shape = ImageShape { height: 5, width: 5, channels: 3 };
    let mut graph = Graph::new(shape);
    let init = |_, inputs, _| Init::kaiming_normal(inputs);
    let x = graph.conv("a", graph.input(), 8, Window::square(3, 1), init);
    let doubled = graph.add(x, x);
    let rectified = graph.relu(doubled);
    let normalised = graph.batch_norm("b", rectified);
    let sum = graph.add(rectified, normalised);
    let again = graph.add(sum, doubled);
    let mean = graph.global_mean(again);
    graph.linear("c", mean, 4, Init::kaiming_normal(8));
    let tensors = tensors(&graph);
    let image = image(shape);
    let expected = walk(&graph, &tensors, &image);
    let mut workspace = ModelWorkspace::new(&program(&graph, &tensors, Purpose::Scores).into());
    for (actual, expected) in predict(&mut workspace, &image).iter().zip(&expected) {
        assert!((f64::from(*actual) - expected).abs() < 1e-5, "{actual} for {expected}");
    }
}

#[test]
fn pools_and_maps_side_by_side_are_compiled() {
    let mut graph = Graph::new(ImageShape { height: 11, width: 9, channels: 3 });
    let init = |area, inputs, _| Init::kaiming_normal(area * inputs);
    let x = graph.conv("a", graph.input(), 8, Window { kernel: [3, 3], stride: 2, padding: [0, 0] }, init);
    let x = graph.batch_norm_with("b", x, 0.1);
    let x = graph.relu(x);
    let wide = graph.conv("c", x, 6, Window { kernel: [1, 3], stride: 1, padding: [0, 1] }, init);
    let pooled = graph.mean_pool(x, 3, 1, 1);
    let largest = graph.max_pool(x, 3, 1, 1);
    let joined = graph.concat(&[wide, pooled, largest, x]);
    let rectified = graph.relu(joined);
    let sum = graph.add(rectified, joined);
    let mean = graph.global_mean(sum);
    graph.linear("d", mean, 4, Init::kaiming_normal(30));
    let tensors = tensors(&graph);
    let image = image(ImageShape { height: 11, width: 9, channels: 3 });
    let expected = walk(&graph, &tensors, &image);
    let mut workspace = ModelWorkspace::new(&program(&graph, &tensors, Purpose::Scores).into());
    for (actual, expected) in predict(&mut workspace, &image).iter().zip(&expected) {
        assert!((f64::from(*actual) - expected).abs() < 1e-5, "{actual} for {expected}");
    }
}

#[test]
fn a_candidate_of_resnet20_takes_at_most_half_of_the_multiplications() {
    let (graph, tensors) = build(Arch::Resnet20, 32, 32, 3);
    let program = program(&graph, &tensors, Purpose::Scores);
    let pixels = (0..32).flat_map(|y| (0..32).map(move |x| (y, x)));
    let candidates: u64 = pixels.map(|(y, x)| program.candidate_multiplications(y, x)).sum();
    let share = candidates as f64 / 1024.0 / program.multiplications() as f64;
    // Recomputing windows leaves .47; Winograd's tiles leave less than half of that.
    assert!(share <= 0.25, "{share}");
}

/// The network of all layers that an experiment can spell out, among the fixtures by PyTorch.
fn spelled_out() -> Arch {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../../../tests/fixtures/models/training.json")).unwrap();
    serde_json::from_value(cases.last().unwrap()["arch"].clone()).unwrap()
}

#[test]
fn scores_have_the_bits_of_whole_passes() {
    let own = spelled_out();
    assert!(matches!(own, Arch::Own(_)));
    for arch in [Arch::Resnet20, own] {
        scores_as_whole_passes(arch);
    }
}

fn scores_as_whole_passes(arch: Arch) {
    let (graph, tensors) = build(arch, 32, 32, 3);
    let program = program(&graph, &tensors, Purpose::Scores);
    let mut image = image(ImageShape { height: 32, width: 32, channels: 3 });
    let (mut workspace, mut whole) =
        (ModelWorkspace::new(&program.clone().into()), ModelWorkspace::new(&program.into()));
    let shown = image.clone();
    let mut scorer = NetworkScorer::new(&mut workspace, 0, &shown).unwrap();
    assert_eq!(scorer.features(), 1024);
    assert_eq!(scorer.full().to_bits(), scorer.current().unwrap().to_bits());
    scorer.mask(40).unwrap();
    image[3 * 40..][..3].fill(0.0);
    let candidates = [0, 31, 500, 777, 1023, 39];
    let mut scores = [f32::NAN; 6];
    scorer.candidates(&candidates, &mut scores).unwrap();
    for (pixel, score) in candidates.into_iter().zip(scores) {
        let mut masked = image.clone();
        masked[3 * pixel as usize..][..3].fill(0.0);
        let expected = probability(predict(&mut whole, &masked), scorer.class());
        assert_eq!(score.to_bits(), expected.to_bits(), "{arch}: pixel {pixel}");
    }
}

#[test]
fn the_mask_gradient_points_where_masking_moves_the_score() {
    let (graph, tensors) = build(Arch::Cnn, 28, 28, 1);
    let image = image(ImageShape { height: 28, width: 28, channels: 1 });
    let mut passes = ModelPasses::new(&program(&graph, &tensors, Purpose::Gradients).into(), 1);
    let group = Group { purpose: Use::Selection, numbers: &[0] };
    let mut scorer = GroupScorer::new(&mut passes, group, image.clone()).unwrap();
    scorer.mask(0, &[3, 100]);
    let (mut score, mut gradient) = ([f32::NAN], vec![f32::NAN; 784]);
    scorer.gradients(&mut score, &mut gradient).unwrap();
    // With input (1 - m) x, df/dm is minus x df/dinput.
    gradient.iter_mut().zip(&image).for_each(|(slope, value)| *slope *= -value);
    let ([score], class) = (score, scorer.predicted()[0]);
    assert_eq!([gradient[3], gradient[100]].map(f32::is_finite), [true; 2]);
    // A hundredth of a pixel masked: its value times .99. The walk in double precision gives the difference.
    let value = |pixel: usize, masked: f32| {
        let mut image = image.clone();
        image[3] = 0.0;
        image[100] = 0.0;
        image[pixel] *= 1.0 - masked;
        let logits = walk(&graph, &tensors, &image);
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (logits[class] - largest).exp() / logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>()
    };
    let largest = gradient.iter().fold(0.0_f32, |largest, slope| largest.max(slope.abs()));
    for pixel in [0, 27, 200, 411, 783] {
        let expected = (value(pixel, 0.01) - value(pixel, -0.01)) / 0.02;
        let error = (f64::from(gradient[pixel]) - expected).abs();
        assert!(error < 0.02 * f64::from(largest), "pixel {pixel}: {} for {expected}", gradient[pixel]);
    }
    assert!((f64::from(score) - value(0, 0.0)).abs() < 1e-5);
}

#[test]
fn a_missing_and_a_misshapen_tensor_are_named() {
    let (graph, mut tensors) = build(Arch::Cnn, 28, 28, 1);
    let compiled = |tensors: &Tensors| compile(&graph, tensors, Isa::Portable, Purpose::Scores).map(drop).unwrap_err();
    let bias = tensors.get_mut("linear.bias").unwrap();
    bias.shape = vec![7];
    bias.data.truncate(7);
    let expected = CompileError::Shape { name: "linear.bias".to_owned(), found: vec![7], expected: vec![10] };
    assert_eq!(compiled(&tensors), expected);
    tensors.remove("conv3.weight");
    assert_eq!(
        compiled(&tensors).to_string(),
        "compile the network: it has no tensor conv3.weight: check that the model is of this architecture"
    );
}

#[test]
fn the_lowest_class_wins_a_tie_and_probabilities_add_up() {
    assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    let logits = [1000.0, 999.0, -1000.0];
    let total: f32 = (0..3).map(|class| probability(&logits, class)).sum();
    assert!((total - 1.0).abs() < 1e-6);
    // e / (e + 1).
    assert!((probability(&logits, 0) - 0.731_058_6).abs() < 1e-6);
}
