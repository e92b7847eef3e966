//! Every op on a GPU against the CPU. Where there is no GPU these tests say so and check nothing.

use std::io::Write;

use candle_core::{Device, Result, Tensor, Var};

use crate::gpu;
use crate::ops::testing::{Operand, assert_close, values};
use crate::ops::{
    Activation, FrozenConvolution, Pace, affine_channels, avg_pool2d, batch_norm, blend, conv2d, cross_entropy,
    global_mean, linear, max_pool2d, relu, subsample,
};

/// The output, and the gradients of all operands.
fn answers(device: &Device, operands: &[Operand], op: impl Fn(&[Var]) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let on_device = |operand: &Operand| Var::from_tensor(&operand.frozen().to_device(device)?);
    let variables: Vec<Var> = operands.iter().map(on_device).collect::<Result<_>>()?;
    let output = op(&variables)?;
    let weights = Operand::random(output.dims(), 77).frozen().to_device(device)?;
    let mut gradients = (&output * weights)?.sum_all()?.backward()?;
    let found = variables.iter().map(|variable| gradients.remove(variable).expect("tracked"));
    Ok(std::iter::once(output).chain(found).collect())
}

/// The first GPU; where there is none, says that something was not compared.
fn gpu_for(what: &str) -> Option<Device> {
    let gpu = gpu::open(0).ok();
    if gpu.is_none() {
        let _ = writeln!(std::io::stderr(), "there is no GPU: {what} was not compared");
    }
    gpu
}

fn compare(what: &str, shapes: &[&[usize]], op: impl Fn(&[Var]) -> Result<Tensor>) {
    compare_within(1e-4, what, shapes, op);
}

fn compare_within(tolerance: f64, what: &str, shapes: &[&[usize]], op: impl Fn(&[Var]) -> Result<Tensor>) {
    let Some(gpu) = gpu_for(what) else { return };
    let operands: Vec<Operand> = (1..).zip(shapes).map(|(seed, dims)| Operand::random(dims, seed)).collect();
    let expected = answers(&Device::Cpu, &operands, &op).expect("the CPU takes these operands");
    let first = answers(&gpu, &operands, &op).expect("the GPU takes these operands");
    let again = answers(&gpu, &operands, &op).expect("and does again");
    for (place, ((first, again), expected)) in first.iter().zip(&again).zip(&expected).enumerate() {
        let wanted: Vec<f64> = values(expected).into_iter().map(f64::from).collect();
        assert_close(&values(first), &wanted, tolerance, &format!("{what}, tensor {place}"));
        assert_eq!(values(first), values(again), "{what}, tensor {place}: the same bytes each time");
    }
}

#[test]
fn convolution_agrees_with_the_cpu() {
    for (input, weights, stride, padding) in [
        ([2, 32, 32, 3], [16, 3, 3, 3], 1, [1, 1]),
        ([2, 32, 32, 16], [16, 16, 3, 3], 1, [1, 1]),
        ([2, 16, 16, 32], [64, 32, 3, 3], 2, [1, 1]),
        ([2, 8, 8, 64], [128, 64, 1, 1], 2, [0, 0]),
        ([1, 33, 31, 3], [16, 3, 7, 7], 2, [3, 3]),
        ([1, 7, 8, 16], [16, 16, 1, 7], 1, [0, 3]),
        ([2, 5, 4, 2], [3, 2, 2, 3], 3, [1, 2]),
    ] {
        compare("convolution", &[&input, &weights], |x| conv2d(&x[0], &x[1], None, stride, padding));
        compare("convolution with bias", &[&input, &weights, &weights[..1]], |x| {
            conv2d(&x[0], &x[1], Some(&x[2]), stride, padding)
        });
    }
}

#[test]
fn convolution_of_many_channels_agrees_with_the_cpu() {
    // By cuDNN, where it is: all but the gradient for weights, and that, too. Winograd's algorithm rounds intermediate sums
    // that are larger than what it yields.
    for (input, weights) in [([3, 32, 32, 64], [64, 64, 3, 3]), ([2, 8, 8, 128], [128, 128, 3, 3])] {
        compare_within(1e-3, "convolution", &[&input, &weights], |x| conv2d(&x[0], &x[1], None, 1, [1, 1]));
    }
}

#[test]
fn a_frozen_convolution_agrees_with_the_cpu() {
    // Behind Winograd's algorithm a ReLU might open for a value that rounding moves across 0.
    let wide = ([1, 32, 32, 64], [1, 32, 32, 64], 1, Activation::Identity);
    for (input, output, stride, activation) in [([2, 9, 8, 16], [2, 5, 4, 24], 2, Activation::Relu), wide] {
        let frozen = |dims: &[usize], seed, x: &Tensor| Operand::random(dims, seed).frozen().to_device(x.device());
        compare_within(1e-3, "frozen convolution", &[&input, &output], |x| {
            let weights = frozen(&[output[3], input[3], 3, 3], 8, &x[0])?;
            let bias = frozen(&output[3..], 9, &x[0])?;
            FrozenConvolution::new(&weights, &bias, stride, [1, 1])?.apply(&x[0], Some(&x[1]), activation)
        });
    }
}

#[test]
fn updates_agree_with_the_cpu() {
    let Some(gpu) = gpu_for("a step of training") else { return };
    let on = |device: &Device, look_ahead| -> Result<Vec<Vec<f32>>> {
        let pace = Pace { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.05, look_ahead };
        let [a, b, c] = [1, 2, 3].map(|seed| Operand::random(&[5, 7, 3], seed).frozen().to_device(device));
        let (a, b, c) = (a?, b?, c?);
        let [weights, velocities] = pace.step(&a, &b, &c)?;
        Ok([weights, velocities, blend(&a, &b, 0.1)?].iter().map(values).collect())
    };
    for look_ahead in [false, true] {
        let (found, again) = (on(&gpu, look_ahead).expect("the GPU"), on(&gpu, look_ahead).expect("the GPU"));
        assert_eq!(found, again, "the same bytes each time");
        for (found, expected) in found.iter().zip(on(&Device::Cpu, look_ahead).expect("the CPU")) {
            let wanted: Vec<f64> = expected.into_iter().map(f64::from).collect();
            assert_close(found, &wanted, 1e-6, "update");
        }
    }
}

#[test]
fn normalisation_agrees_with_the_cpu() {
    for dims in [[2, 3, 3, 16], [64, 32, 32, 3]] {
        let shapes: [&[usize]; 4] = [&dims, &dims[3..], &dims[3..], &dims];
        for activation in [Activation::Identity, Activation::Relu] {
            compare(
                "batch norm",
                &shapes[..3],
                |x| Ok(batch_norm(&x[0], &x[1], &x[2], 1e-5, None, activation)?.output),
            );
            compare("batch norm with residual", &shapes, |x| {
                Ok(batch_norm(&x[0], &x[1], &x[2], 1e-5, Some(&x[3]), activation)?.output)
            });
            let scale = |x: &Tensor| Operand::random(&dims[3..], 8).frozen().to_device(x.device());
            compare("affine", &shapes[..1], |x| {
                affine_channels(&x[0], &scale(&x[0])?, &scale(&x[0])?, None, activation)
            });
            compare("affine with residual", &[&dims, &dims], |x| {
                affine_channels(&x[0], &scale(&x[0])?, &scale(&x[0])?, Some(&x[1]), activation)
            });
        }
    }
}

#[test]
fn all_others_agree_with_the_cpu() {
    let map: &[usize] = &[3, 9, 8, 5];
    compare("relu", &[map], |x| relu(&x[0]));
    compare("subsample", &[map], |x| subsample(&x[0], 2, 3));
    compare("max pool", &[map], |x| max_pool2d(&x[0], 3, 2, 1));
    compare("average pool", &[map], |x| avg_pool2d(&x[0], 3, 2, 1));
    compare("global mean", &[map], |x| global_mean(&x[0]));
    compare("linear", &[&[70, 64], &[10, 64], &[10]], |x| linear(&x[0], &x[1], &x[2]));
    let labels: Vec<u32> = (0..70).map(|row| row * 7 % 10).collect();
    compare("cross-entropy", &[&[70, 10]], |x| cross_entropy(&x[0], &labels));
}
