//! Every kernel, run by the host, against the loops for the CPU; and their text against what is called.

use candle_core::{CpuStorage, Result, Tensor, Var};

use super::host::{Host, assert_near, storage, whole};
use super::{SOURCE, batch_norm, linear, loss, pointwise, pool, sums};
use crate::kernels::ops::batch_norm::{Activation, batch_norm as batch_norm_on_cpu};
use crate::kernels::ops::pool::{Pooling, PoolingKind};
use crate::kernels::ops::shape::MapShape;
use crate::kernels::ops::testing::Operand;
use crate::kernels::ops::{self, LinearLoops};

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
        assert_near(&pointwise::shift(&Host, whole(&inputs[0]), whole(&inputs[1]))?, &answer.output, "output");
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
fn weights_are_rearranged_as_candle_does() -> Result<()> {
    let weights = Operand::random(&[4, 3, 2, 5], 1).frozen();
    let swapped = pointwise::swap(&Host, whole(&storage(&weights)), [4, 3, 10])?;
    assert_near(&swapped, &weights.permute((0, 2, 3, 1))?.contiguous()?, "[out, height, width, in]");
    assert_near(&pointwise::swap(&Host, whole(&swapped), [4, 10, 3])?, &weights, "and back");
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
fn no_kernel_shares_memory_or_adds_atomically() {
    let code: Vec<&str> = SOURCE.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    for forbidden in ["__shared__", "__syncthreads", "atomic"] {
        assert!(!code.iter().any(|line| line.contains(forbidden)), "{forbidden}");
    }
}
