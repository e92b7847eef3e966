//! Every op on a GPU against the CPU. Where there is no GPU these tests say so and check nothing.

use std::io::Write;

use candle_core::{Device, Result, Tensor, Var};

use crate::kernels::ops::testing::{Operand, assert_close, values};
use crate::kernels::ops::{
    Activation, affine_channels, avg_pool2d, batch_norm, conv2d, cross_entropy, global_mean, linear, max_pool2d, relu,
    subsample,
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

fn compare(what: &str, shapes: &[&[usize]], op: impl Fn(&[Var]) -> Result<Tensor>) {
    let Ok(gpu) = Device::new_cuda(0) else {
        let _ = writeln!(std::io::stderr(), "there is no GPU: {what} was not compared");
        return;
    };
    let operands: Vec<Operand> = (1..).zip(shapes).map(|(seed, dims)| Operand::random(dims, seed)).collect();
    let expected = answers(&Device::Cpu, &operands, &op).expect("the CPU takes these operands");
    let first = answers(&gpu, &operands, &op).expect("the GPU takes these operands");
    let again = answers(&gpu, &operands, &op).expect("and does again");
    for (place, ((first, again), expected)) in first.iter().zip(&again).zip(&expected).enumerate() {
        let wanted: Vec<f64> = values(expected).into_iter().map(f64::from).collect();
        assert_close(&values(first), &wanted, 1e-4, &format!("{what}, tensor {place}"));
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
