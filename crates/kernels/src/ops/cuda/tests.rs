//! Every kernel, run by the host, against the loops for the CPU; and their text against what is called.

use candle_core::{CpuStorage, Result, Tensor, Var};

use super::host::{Host, assert_near, assert_within, storage, whole};
use super::{SOURCE, Then, batch_norm, conv, linear, loss, pointwise, pool, sums, update};
use crate::ops::batch_norm::{Activation, batch_norm as batch_norm_on_cpu};
use crate::ops::pool::{Pooling, PoolingKind};
use crate::ops::shape::{ConvShape, MapShape, Window};
use crate::ops::testing::{CONV_CASES, ConvCase, Operand, conv_operands};
use crate::ops::{self, LinearLoops, Pace};

const ACTIVATIONS: [Activation; 2] = [Activation::Identity, Activation::Relu];

/// An op's output on the CPU, a gradient for it, and the gradients of its operands.
struct Answer {
    output: Tensor,
    gradient: Tensor,
    gradients: Vec<Tensor>,
}

fn on_cpu(operands: &[Operand], op: impl Fn(&[Var]) -> Result<Tensor>) -> Answer {
    let variables: Vec<Var> = operands.iter().map(Operand::variable).collect();
    let output = op(&variables).expect("shapes agree");
    let gradient = Operand::random(output.dims(), 77).frozen();
    let loss = (&output * &gradient).and_then(|product| product.sum_all()).expect("equal shapes");
    let mut found = loss.backward().expect("a gradient");
    let gradients = variables.iter().map(|variable| found.remove(variable).expect("tracked").contiguous());
    Answer { output, gradient, gradients: gradients.collect::<Result<_>>().expect("tensors") }
}

/// The operands as storages.
fn stored(operands: &[Operand]) -> Vec<CpuStorage> {
    operands.iter().map(|operand| storage(&operand.frozen())).collect()
}

#[test]
fn relu_and_its_gradient() -> Result<()> {
    let mut operand = Operand::random(&[2, 3, 5, 7], 1);
    operand.values[3] = 0.0;
    let answer = on_cpu(&[operand.clone()], |x| ops::relu(&x[0]));
    let x = storage(&operand.frozen());
    let output = pointwise::rectify(&Host, whole(&x))?;
    assert_near(&output, &answer.output, "output");
    let gradient = storage(&answer.gradient);
    assert_near(&pointwise::gate(&Host, whole(&output), whole(&gradient))?, &answer.gradients[0], "gradient");
    Ok(())
}

#[test]
fn affine_and_its_gradients() -> Result<()> {
    let operands = [Operand::random(&[2, 3, 4, 5], 1), Operand::random(&[2, 3, 4, 5], 2)];
    let line = [Operand::random(&[5], 3), Operand::random(&[5], 4)];
    for activation in ACTIVATIONS {
        for count in [1, 2] {
            let answer = on_cpu(&operands[..count], |x| {
                let residual = x.get(1).map(Var::as_tensor);
                ops::affine_channels(&x[0], &line[0].frozen(), &line[1].frozen(), residual, activation)
            });
            let (inputs, lines) = (stored(&operands), stored(&line));
            let residual = (count == 2).then(|| whole(&inputs[1]));
            let line = [whole(&lines[0]), whole(&lines[1])];
            let output = pointwise::affine(&Host, whole(&inputs[0]), line, residual, activation)?;
            assert_near(&output, &answer.output, "output");
            let gradient = storage(&answer.gradient);
            let gated = match activation {
                Activation::Identity => gradient,
                Activation::Relu => pointwise::gate(&Host, whole(&output), whole(&gradient))?,
            };
            assert_near(&pointwise::scale(&Host, whole(&gated), line[0])?, &answer.gradients[0], "x");
            if count == 2 {
                assert_near(&gated, &answer.gradients[1], "residual");
            }
        }
    }
    Ok(())
}

#[test]
fn a_bias_is_added_to_each_pixel_and_its_gradient_is_a_sum() -> Result<()> {
    // More rows than two levels of the sum take.
    for dims in [[2, 3, 4, 5], [5, 30, 31, 3], [1, 1, 1, 4]] {
        let operands = [Operand::random(&dims, 1), Operand::random(&dims[3..], 2)];
        let answer = on_cpu(&operands, |x| x[0].broadcast_add(&x[1]));
        let inputs = stored(&operands);
        assert_near(
            &pointwise::finish(&Host, whole(&inputs[0]), &Then::bias(whole(&inputs[1])))?,
            &answer.output,
            "output",
        );
        let gradient = storage(&answer.gradient);
        assert_near(&sums::channel_sums(&Host, whole(&gradient), dims[3])?, &answer.gradients[1], "bias");
    }
    Ok(())
}

#[test]
fn subsampling_and_its_gradient() -> Result<()> {
    for (height, width, stride, padding) in [(4, 4, 2, 3), (5, 3, 2, 1), (7, 4, 3, 0)] {
        let operands = [Operand::random(&[2, height, width, 3], 1)];
        let answer = on_cpu(&operands, |x| ops::subsample(&x[0], stride, padding));
        let shapes = [MapShape::of(&operands[0].frozen())?, MapShape::of(&answer.output)?];
        let (x, gradient) = (storage(&operands[0].frozen()), storage(&answer.gradient));
        let output = pointwise::subsample(&Host, whole(&x), shapes, stride, padding)?;
        assert_near(&output, &answer.output, "output");
        let found = pointwise::subsample_gradient(&Host, whole(&gradient), shapes, stride, padding)?;
        assert_near(&found, &answer.gradients[0], "gradient");
    }
    Ok(())
}

#[test]
fn convolution_and_its_gradients() -> Result<()> {
    // Beside the usual ones: rows of outputs in more parts than a thread adds up, of two rows and a last one; channels in eights
    // and in fours on both sides.
    let more: [ConvCase; 4] = [
        (33, 91, 3, 1, 1, [5, 5], 1, [2, 2]),
        (5, 9, 8, 16, 8, [3, 3], 1, [1, 1]),
        (1, 4, 4, 32, 40, [3, 3], 2, [1, 1]),
        (2, 5, 5, 12, 20, [1, 1], 1, [0, 0]),
    ];
    for case in CONV_CASES.iter().chain(&more) {
        let (stride, padding) = (case.6, case.7);
        let operands = conv_operands(case);
        let answer = on_cpu(&operands, |x| ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding));
        let shape = ConvShape::of(&operands[0].frozen(), &operands[1].frozen(), stride, padding)?;
        let stored = stored(&operands);
        let [x, weight, bias] = [whole(&stored[0]), whole(&stored[1]), whole(&stored[2])];
        let then = Then::bias(bias);
        assert_near(&conv::forward(&Host, &shape, x, weight, Some(&then))?, &answer.output, "output");
        let alone = conv::forward(&Host, &shape, x, weight, None)?;
        let then = Then { residual: Some(whole(&alone)), activation: Activation::Relu, ..then };
        let doubled = ops::relu(&(&answer.output * 2.0)?.broadcast_sub(&operands[2].frozen())?)?;
        assert_near(&conv::forward(&Host, &shape, x, weight, Some(&then))?, &doubled, "with all that follows");
        assert_near(&pointwise::finish(&Host, whole(&alone), &then)?, &doubled, "the same afterwards");
        let gradient = storage(&answer.gradient);
        let gradient = whole(&gradient);
        assert_near(&conv::input_gradient(&Host, &shape, gradient, weight)?, &answer.gradients[0], "x");
        // Up to nine thousand products, of which the sum may be small.
        let found = conv::weight_gradient(&Host, &shape, x, gradient)?;
        assert_within(1e-4, &found, &answer.gradients[1], "weight");
    }
    assert_eq!((33 * 91_usize).div_ceil(2).div_ceil(sums::FAN), 24, "the first case has so many sums of parts");
    let shape = ConvShape::new(
        MapShape { batch: 1, height: 20, width: 1, channels: 1 },
        1,
        Window { kernel: [17, 1], stride: 1, padding: [0, 0] },
    )?;
    let values = CpuStorage::F32(vec![0.0; 20]);
    let error = conv::forward(&Host, &shape, whole(&values), whole(&values), None).expect_err("17 taps a side");
    assert!(error.to_string().contains("16 taps a side"), "{error}");
    Ok(())
}

#[test]
fn maps_that_do_not_begin_where_fours_do_are_convolved_alike() -> Result<()> {
    let (input, weights) = ([2, 5, 6, 8], [8, 8, 3, 3]);
    let [x, weight] = [Operand::random(&input, 1).frozen(), Operand::random(&weights, 2).frozen()];
    let shape = ConvShape::of(&x, &weight, 1, [1, 1])?;
    let weight = storage(&weight);
    let values = storage(&x).as_slice::<f32>()?.to_vec();
    let found = |start: usize| -> Result<Vec<CpuStorage>> {
        let shifted = CpuStorage::F32([vec![f32::NAN; start], values.clone()].concat());
        let map = super::Operand { storage: &shifted, start, length: values.len() };
        Ok(vec![
            conv::forward(&Host, &shape, map, whole(&weight), None)?,
            conv::input_gradient(&Host, &shape, map, whole(&weight))?,
            conv::weight_gradient(&Host, &shape, map, map)?,
        ])
    };
    let expected = found(0)?;
    for start in [1, 4, 8] {
        for (found, expected) in found(start)?.iter().zip(&expected) {
            assert_eq!(found.as_slice::<f32>()?, expected.as_slice::<f32>()?, "from {start} on");
        }
    }
    Ok(())
}

#[test]
fn running_statistics_follow_and_weights_descend() -> Result<()> {
    let operands: Vec<Operand> = (1..4).map(|seed| Operand::random(&[3, 5], seed)).collect();
    let stored = stored(&operands);
    let [a, b, c] = [0, 1, 2].map(|place| operands[place].frozen());
    let blended = update::blend(&Host, whole(&stored[0]), whole(&stored[1]), 0.1)?;
    assert_near(&blended, &ops::blend(&a, &b, 0.1)?, "blended");
    for look_ahead in [false, true] {
        let pace = Pace { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.05, look_ahead };
        let expected = Tensor::stack(&pace.step(&a, &b, &c)?, 0)?;
        let operands = [whole(&stored[0]), whole(&stored[1]), whole(&stored[2])];
        assert_near(&update::descend(&Host, pace, operands)?, &expected, "weights and velocities");
    }
    Ok(())
}

#[test]
fn batch_norm_its_statistics_and_its_gradients() -> Result<()> {
    const EPSILON: f64 = 1e-5;
    for dims in [[2, 3, 3, 16], [9, 2, 2, 8], [3, 4, 5, 3], [6, 28, 27, 2]] {
        let mut operands = vec![
            Operand::random(&dims, 1),
            Operand::random(&dims[3..], 2),
            Operand::random(&dims[3..], 3),
            Operand::random(&dims, 4),
        ];
        // A mean that is large beside the deviation.
        operands[0].values.iter_mut().step_by(dims[3]).for_each(|value| *value += 100.0);
        for activation in ACTIVATIONS {
            for count in [3, 4] {
                let normalise = |x: &[Var]| {
                    batch_norm_on_cpu(&x[0], &x[1], &x[2], EPSILON, x.get(3).map(Var::as_tensor), activation)
                };
                let answer = on_cpu(&operands[..count], |x| Ok(normalise(x)?.output));
                let expected = normalise(&operands.iter().map(Operand::variable).collect::<Vec<_>>())?;
                let inputs = stored(&operands);
                let line = storage(&Tensor::cat(&[operands[1].frozen(), operands[2].frozen()], 0)?);
                let (x, line) = (whole(&inputs[0]), whole(&line));
                let statistics = batch_norm::statistics(&Host, x, dims[3], EPSILON)?;
                let CpuStorage::F32(found) = &statistics else { panic!("statistics are f32") };
                let mean_and_variance = CpuStorage::F32(found[..2 * dims[3]].to_vec());
                let both = Tensor::cat(&[expected.mean, expected.variance], 0)?;
                assert_near(&mean_and_variance, &both, "mean and variance");

                let statistics = whole(&statistics);
                let residual = (count == 4).then(|| whole(&inputs[3]));
                let output = batch_norm::normalise(&Host, x, statistics, line, residual, activation)?;
                assert_near(&output, &answer.output, "output");
                let gradient = storage(&answer.gradient);
                let gated = match activation {
                    Activation::Identity => gradient,
                    Activation::Relu => pointwise::gate(&Host, whole(&output), whole(&gradient))?,
                };
                let gated = whole(&gated);
                let sums = batch_norm::gradient_sums(&Host, gated, x, statistics)?;
                let sums = whole(&sums);
                let for_x = batch_norm::input_gradient(&Host, [gated, x, sums, statistics, line])?;
                assert_near(&for_x, &answer.gradients[0], "x");
                let for_line = batch_norm::line_gradient(&Host, sums, statistics)?;
                let both = Tensor::cat(&[&answer.gradients[1], &answer.gradients[2]], 0)?;
                assert_near(&for_line, &both, "weights and biases");
            }
        }
    }
    Ok(())
}

#[test]
fn pooling_and_its_gradients() -> Result<()> {
    let shapes = [
        ([2, 4, 4, 5], 2, 2, 0),
        ([1, 7, 6, 3], 3, 2, 1),
        ([2, 6, 6, 4], 3, 1, 1),
        ([2, 5, 5, 2], 3, 3, 0),
        ([1, 8, 8, 4], 8, 8, 0),
        ([1, 7, 7, 3], 2, 2, 0),
        ([1, 5, 6, 2], 2, 1, 1),
    ];
    for (dims, kernel, stride, padding) in shapes {
        let mut operand = Operand::random(&dims, 5);
        // Equal values: the first must win.
        operand.values.iter_mut().for_each(|value| *value = (*value * 4.0).round());
        let operands = [operand];
        let x = storage(&operands[0].frozen());
        for kind in [PoolingKind::Max, PoolingKind::Mean] {
            let answer = on_cpu(&operands, |x| match kind {
                PoolingKind::Max => ops::max_pool2d(&x[0], kernel, stride, padding),
                PoolingKind::Mean => ops::avg_pool2d(&x[0], kernel, stride, padding),
            });
            let pooling = Pooling::new(MapShape::of(&operands[0].frozen())?, kernel, stride, padding, kind)?;
            assert_near(&pool::pool(&Host, &pooling, whole(&x))?, &answer.output, "output");
            let gradient = storage(&answer.gradient);
            let found = pool::pool_gradient(&Host, &pooling, whole(&x), whole(&gradient))?;
            assert_near(&found, &answer.gradients[0], "gradient");
        }
    }
    let nan = CpuStorage::F32(vec![1.0, f32::NAN, 3.0, 2.0]);
    let shape = MapShape { batch: 1, height: 2, width: 2, channels: 1 };
    let pooled = pool::pool(&Host, &Pooling::new(shape, 2, 2, 0, PoolingKind::Max)?, whole(&nan))?;
    assert!(matches!(pooled, CpuStorage::F32(values) if values[0].is_nan()));
    Ok(())
}

#[test]
fn global_mean_and_its_gradient() -> Result<()> {
    let operands = [Operand::random(&[3, 4, 5, 6], 7)];
    let answer = on_cpu(&operands, |x| ops::global_mean(&x[0]));
    let shape = MapShape::of(&operands[0].frozen())?;
    let (x, gradient) = (storage(&operands[0].frozen()), storage(&answer.gradient));
    assert_near(&pool::global_mean(&Host, shape, whole(&x))?, &answer.output, "output");
    let found = pool::global_mean_gradient(&Host, shape, whole(&gradient))?;
    assert_near(&found, &answer.gradients[0], "gradient");
    Ok(())
}

#[test]
fn a_linear_layer_and_its_gradients() -> Result<()> {
    for (batch, inputs, outputs) in [(3, 16, 10), (1, 5, 2), (9, 33, 7)] {
        let operands = [
            Operand::random(&[batch, inputs], 1),
            Operand::random(&[outputs, inputs], 2),
            Operand::random(&[outputs], 3),
        ];
        let answer = on_cpu(&operands, |x| ops::linear(&x[0], &x[1], &x[2]));
        let stored = stored(&operands);
        let layer = LinearLoops { inputs, outputs };
        let [x, weight, bias] = [whole(&stored[0]), whole(&stored[1]), whole(&stored[2])];
        assert_near(&linear::forward(&Host, layer, [x, weight, bias])?, &answer.output, "output");
        let gradient = storage(&answer.gradient);
        let gradient = whole(&gradient);
        assert_near(&linear::input_gradient(&Host, layer, gradient, weight)?, &answer.gradients[0], "x");
        assert_near(&linear::weight_gradient(&Host, layer, x, gradient)?, &answer.gradients[1], "weight");
        assert_near(&sums::channel_sums(&Host, gradient, outputs)?, &answer.gradients[2], "bias");
    }
    Ok(())
}

#[test]
fn cross_entropy_and_its_gradient() -> Result<()> {
    for (rows, classes, size) in [(3, 4, 1.0), (70, 3, 1.0), (2, 10, 1000.0)] {
        let mut operand = Operand::random(&[rows, classes], 1);
        operand.values.iter_mut().for_each(|value| *value *= size);
        let labels: Vec<u32> = (0..rows as u32).map(|row| row * 7 % classes as u32).collect();
        let answer = on_cpu(&[operand.clone()], |x| ops::cross_entropy(&x[0], &labels));
        let (logits, labels) = (storage(&operand.frozen()), CpuStorage::U32(labels));
        let (logits, labels) = (whole(&logits), whole(&labels));
        assert_near(&loss::cross_entropy(&Host, logits, labels)?, &answer.output, "loss");
        let gradient = storage(&answer.gradient);
        let found = loss::cross_entropy_gradient(&Host, logits, labels, whole(&gradient))?;
        assert_near(&found, &answer.gradients[0], "gradient");
    }
    let nan = CpuStorage::F32(vec![1.0, f32::NAN]);
    let lost = loss::cross_entropy(&Host, whole(&nan), whole(&CpuStorage::U32(vec![0])))?;
    assert!(matches!(lost, CpuStorage::F32(values) if values[0].is_nan()));
    Ok(())
}

#[test]
fn operands_may_begin_anywhere_in_their_storage() -> Result<()> {
    let all = Operand::random(&[4, 6], 1).frozen();
    let part = all.narrow(0, 1, 2)?;
    let found = pointwise::rectify(&Host, super::Operand::of(&storage(&all), part.layout())?)?;
    assert_near(&found, &ops::relu(&part)?, "a part");
    assert!(super::Operand::of(&storage(&all), all.t()?.layout()).is_err());
    Ok(())
}

#[test]
fn sizes_are_those_of_the_kernels() {
    let sizes = [
        ("FAN", sums::FAN),
        ("PIXELS", conv::PIXELS),
        ("APART", conv::APART),
        ("OUTS", conv::OUTS),
        ("TILE", conv::TILE),
        ("TAPS", conv::TAPS),
    ];
    for (name, size) in sizes {
        assert!(SOURCE.contains(&format!("\n#define {name} {size}\n")), "{name} is {size}");
    }
}

#[test]
fn no_kernel_shares_memory_or_adds_atomically() {
    let code: Vec<&str> = SOURCE.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    for forbidden in ["__shared__", "__syncthreads", "atomic"] {
        assert!(!code.iter().any(|line| line.contains(forbidden)), "{forbidden}");
    }
}
