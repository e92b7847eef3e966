//! Every instruction set against the definition, on random shapes; any region against the whole.

use super::{
    Algorithm, ConvShape, Convolution, DirectConv, Finish, InputGradient, Job, Layout, Region, Tiles, reference,
};
use crate::isa::Isa;
use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Values in -1..1 from a seed.
fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (stream.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(3), Just(8), Just(10), Just(16), Just(24), Just(33)]
}

fn shapes() -> impl Strategy<Value = ConvShape> {
    let kernel = || prop_oneof![Just(1_usize), Just(2), Just(3), Just(5), Just(7)];
    ((kernel(), kernel()), (0_usize..4, 0_usize..4), 1_usize..4, (1_usize..14, 1_usize..14), channels(), channels())
        .prop_filter_map("the kernel fits", |((kh, kw), (ph, pw), stride, (h, w), inputs, outputs)| {
            (h + 2 * ph >= kh && w + 2 * pw >= kw)
                .then(|| ConvShape::layer([h, w], inputs, outputs, [kh, kw], stride, [ph, pw]))
        })
}

fn sizes(shape: &ConvShape) -> [usize; 3] {
    let area = |size: [usize; 2]| size[0] * size[1];
    [
        area(shape.input) * shape.inputs,
        area(shape.kernel) * shape.inputs * shape.outputs,
        area(shape.output) * shape.outputs,
    ]
}

/// The largest difference between an output and the oracle's, in units of 2^-23 times the number of summands.
fn worst(actual: &[f32], expected: &[f64], summands: usize) -> f64 {
    let worst = actual.iter().zip(expected).map(|(a, e)| (f64::from(*a) - e).abs()).fold(0.0, f64::max);
    worst / (f64::from(f32::EPSILON) * (summands + 1) as f64)
}

proptest! {
    #[test]
    fn forward_equals_the_definition_within_rounding(shape in shapes(), seed: u64) {
        let [inputs, weights, outputs] = sizes(&shape);
        let (input, weights) = (random(seed, inputs), random(seed ^ 1, weights));
        let bias = random(seed ^ 2, shape.outputs);
        let expected = reference::forward(&shape, &input, &weights, Some(&bias));
        for isa in Isa::ALL {
            let mut output = vec![f32::NAN; outputs];
            let conv = DirectConv::new(isa, shape, &weights, Some(&bias));
            conv.apply(&input, &mut output, None, Finish::Linear, &[Job::whole(&shape)]);
            prop_assert!(worst(&output, &expected, shape.kernel[0] * shape.kernel[1] * shape.inputs) < 1.0, "{isa}");
        }
    }

    #[test]
    fn input_gradient_equals_the_definition_within_rounding(shape in shapes(), seed: u64) {
        let [inputs, weights, outputs] = sizes(&shape);
        let (output, weights) = (random(seed, outputs), random(seed ^ 1, weights));
        let expected = reference::input_gradient(&shape, &output, &weights);
        for isa in Isa::ALL {
            let mut input = vec![f32::NAN; inputs];
            let conv = InputGradient::new(isa, shape, &weights, Algorithm::Direct);
            conv.apply(&output, &mut input, None, Finish::Linear);
            prop_assert!(worst(&input, &expected, shape.kernel[0] * shape.kernel[1] * shape.outputs) < 1.0, "{isa}");
        }
    }

    #[test]
    fn a_region_has_the_bits_of_the_whole(shape in prop_oneof![shapes(), winograd_shapes(), small_shapes()], seed: u64, cut in (0_usize..9, 0_usize..9, 1_usize..9, 1_usize..9)) {
        let [inputs, weights, outputs] = sizes(&shape);
        let (input, weights) = (random(seed, inputs), random(seed ^ 1, weights));
        let addend = random(seed ^ 2, outputs);
        let region = {
            let [height, width] = shape.output;
            let (top, left) = (cut.0 % height, cut.1 % width);
            Region { top, bottom: (top + cut.2).min(height), left, right: (left + cut.3).min(width) }
        };
        let algorithms = [Algorithm::Direct, Algorithm::Winograd, Algorithm::Small];
        for (isa, algorithm) in Isa::ALL.into_iter().flat_map(|isa| algorithms.map(|algorithm| (isa, algorithm))) {
            let conv = Convolution::new(isa, shape, &weights, None, algorithm);
            let apply = |output: &mut [f32], jobs: &[Job]| {
                conv.apply(&input, output, Some(&addend), Finish::Relu, jobs);
            };
            let mut whole = vec![f32::NAN; outputs];
            apply(&mut whole, &[Job::whole(&shape)]);
            // Beside another job, so that tiles mix the two.
            let mut part = vec![f32::NAN; 2 * outputs];
            let elsewhere = Layout { origin: outputs.cast_signed(), ..Job::whole(&shape).output };
            apply(&mut part, &[Job { region, ..Job::whole(&shape) }, Job { output: elsewhere, ..Job::whole(&shape) }]);
            for (place, value) in part[..outputs].iter().enumerate() {
                let (y, x) = (place / shape.outputs / shape.output[1], place / shape.outputs % shape.output[1]);
                let inside = region.rows().contains(&y) && region.columns().contains(&x);
                let expected = if inside { whole[place] } else { f32::NAN };
                prop_assert_eq!(value.to_bits(), expected.to_bits(), "{} {:?} at {}, {}", isa, algorithm, y, x);
            }
            prop_assert_eq!(bits(&part[outputs..]), bits(&whole));
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn addend_relu_and_gate_are_applied_in_that_order() {
    for outputs in [1, 8, 16, 33] {
        let shape = ConvShape::layer([2, 3], 1, outputs, [1, 1], 1, [0, 0]);
        let input = [1.0, -2.0, 3.0, -4.0, 5.0, -6.0];
        let weights = vec![2.0; outputs];
        let addend: Vec<f32> = (0..6 * outputs).map(|place| if place % 2 == 0 { 5.0 } else { -5.0 }).collect();
        for isa in Isa::ALL {
            let conv = DirectConv::new(isa, shape, &weights, None);
            let run = |finish| {
                let mut output = vec![f32::NAN; 6 * outputs];
                conv.apply(&input, &mut output, Some(&addend), finish, &[Job::whole(&shape)]);
                output
            };
            let sum = |place: usize| 2.0 * input[place / outputs] + addend[place];
            let expected: Vec<f32> = (0..6 * outputs).map(sum).collect();
            assert_eq!(run(Finish::Linear), expected, "{isa}");
            assert_eq!(run(Finish::Relu), expected.iter().map(|x| x.max(0.0)).collect::<Vec<_>>(), "{isa}");
            let gated: Vec<f32> =
                expected.iter().zip(&addend).map(|(x, gate)| if *gate > 0.0 { *x } else { 0.0 }).collect();
            assert_eq!(run(Finish::Gate(&addend)), gated, "{isa}");
        }
    }
}

#[test]
fn relu_lets_nan_through() {
    for outputs in [1, 8, 16] {
        let shape = ConvShape::layer([1, 1], 1, outputs, [1, 1], 1, [0, 0]);
        for isa in Isa::ALL {
            let mut output = vec![0.0; outputs];
            let conv = DirectConv::new(isa, shape, &vec![1.0; outputs], None);
            conv.apply(&[f32::NAN], &mut output, None, Finish::Relu, &[Job::whole(&shape)]);
            assert!(output.iter().all(|x| x.is_nan()), "{isa}");
        }
    }
}

/// How much larger its errors may be: the transforms round too.
const WINOGRAD: f64 = 4.0;

fn winograd_shapes() -> impl Strategy<Value = ConvShape> {
    let channels = || prop_oneof![Just(8_usize), Just(16), Just(24), Just(32)];
    ((1_usize..15, 1_usize..15), (0_usize..3, 0_usize..3), channels(), channels()).prop_filter_map(
        "the kernel fits",
        |((h, w), (ph, pw), inputs, outputs)| {
            (h + 2 * ph >= 3 && w + 2 * pw >= 3).then(|| ConvShape::layer([h, w], inputs, outputs, [3, 3], 1, [ph, pw]))
        },
    )
}

/// Maps of 2x2.
fn small_shapes() -> impl Strategy<Value = ConvShape> {
    let channels = || prop_oneof![Just(8_usize), Just(16), Just(24), Just(32)];
    (channels(), channels()).prop_map(|(inputs, outputs)| ConvShape::layer([2, 2], inputs, outputs, [3, 3], 1, [1, 1]))
}

proptest! {
    #[test]
    fn small_maps_equal_the_definition_within_rounding(shape in small_shapes(), seed: u64) {
        let [inputs, weights, outputs] = sizes(&shape);
        let (input, weights) = (random(seed, inputs), random(seed ^ 1, weights));
        let bias = random(seed ^ 2, shape.outputs);
        let expected = reference::forward(&shape, &input, &weights, Some(&bias));
        for isa in Isa::ALL {
            let mut output = vec![f32::NAN; outputs];
            let conv = Convolution::new(isa, shape, &weights, Some(&bias), Algorithm::Small);
            prop_assert_eq!(conv.region_multiplications(Region::whole([2, 2])), (9 * shape.inputs * shape.outputs) as u64);
            conv.apply(&input, &mut output, None, Finish::Linear, &[Job::whole(&shape)]);
            prop_assert!(worst(&output, &expected, 4 * shape.inputs) < WINOGRAD, "{}", isa);
        }
    }

    #[test]
    fn winograd_equals_the_definition_within_rounding(shape in winograd_shapes(), seed: u64) {
        let [inputs, weights, outputs] = sizes(&shape);
        let (input, weights) = (random(seed, inputs), random(seed ^ 1, weights));
        let bias = random(seed ^ 2, shape.outputs);
        let addend = random(seed ^ 3, outputs);
        let expected: Vec<f64> = reference::forward(&shape, &input, &weights, Some(&bias))
            .iter()
            .zip(&addend)
            .map(|(sum, addend)| sum + f64::from(*addend))
            .collect();
        for isa in Isa::ALL {
            let mut output = vec![f32::NAN; outputs];
            let conv = Convolution::new(isa, shape, &weights, Some(&bias), Algorithm::Winograd);
            prop_assert!(matches!(conv, Convolution::Winograd(_)));
            let jobs = [Job::whole(&shape)];
            conv.apply(&input, &mut output, Some(&addend), Finish::Linear, &jobs);
            prop_assert!(worst(&output, &expected, 9 * shape.inputs) < WINOGRAD, "{}", isa);
        }
    }

    #[test]
    fn winograd_transposed_equals_the_definition_within_rounding(shape in winograd_shapes(), seed: u64) {
        let [inputs, weights, outputs] = sizes(&shape);
        let (output, weights) = (random(seed, outputs), random(seed ^ 1, weights));
        let gate = random(seed ^ 2, inputs);
        let expected: Vec<f64> = reference::input_gradient(&shape, &output, &weights)
            .iter()
            .zip(&gate)
            .map(|(sum, gate)| if *gate > 0.0 { *sum } else { 0.0 })
            .collect();
        for isa in Isa::ALL {
            let mut input = vec![f32::NAN; inputs];
            let conv = InputGradient::new(isa, shape, &weights, Algorithm::Winograd);
            conv.apply(&output, &mut input, None, Finish::Gate(&gate));
            prop_assert!(worst(&input, &expected, 9 * shape.outputs) < WINOGRAD, "{}", isa);
        }
    }
}

#[test]
fn algorithms_are_chosen_by_what_they_cost() {
    let shape = ConvShape::layer([8, 8], 64, 64, [3, 3], 1, [1, 1]);
    assert_eq!(Algorithm::faster(&shape), Algorithm::Winograd);
    let strided = ConvShape::layer([8, 8], 64, 64, [3, 3], 2, [1, 1]);
    assert_eq!(Algorithm::faster(&strided), Algorithm::Direct);
    // What is no map of 2x2 with a border of one is computed directly.
    let small = ConvShape::layer([2, 2], 64, 64, [3, 3], 1, [1, 1]);
    let tiles = |shape: &ConvShape| Algorithm::Small.tiles(shape);
    assert_eq!(tiles(&small), Some(Tiles::WholeMap));
    assert_eq!(tiles(&shape), None);
    assert_eq!(tiles(&ConvShape::layer([4, 4], 64, 64, [3, 3], 1, [0, 0])), None);
    // One output of a tile's sixteen: nine products a pair of channels, against thirty-six.
    let span = std::slice::from_ref(&(3..4));
    let cost = |algorithm: Algorithm| algorithm.cost(&shape, span, span);
    assert!(cost(Algorithm::Direct) < cost(Algorithm::Winograd) / 4.0);
}
