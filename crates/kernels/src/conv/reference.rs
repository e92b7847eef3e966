//! Convolution as its definition says, in double precision: the oracle of the tests.

use super::geometry::ConvShape;

/// bias + weights * input: `[height, width, channels]` maps, weights `[out, in, height, width]`.
#[must_use]
pub fn forward(shape: &ConvShape, input: &[f32], weights: &[f32], bias: Option<&[f32]>) -> Vec<f64> {
    let mut output = vec![0.0; shape.output[0] * shape.output[1] * shape.outputs];
    for_each_product(shape, |i, w, o| output[o] += f64::from(input[i]) * f64::from(weights[w]));
    if let Some(bias) = bias {
        for (o, value) in output.iter_mut().enumerate() {
            *value += f64::from(bias[o % shape.outputs]);
        }
    }
    output
}

/// The gradient of the input, given the output's.
#[must_use]
pub fn input_gradient(shape: &ConvShape, output: &[f32], weights: &[f32]) -> Vec<f64> {
    let mut input = vec![0.0; shape.input[0] * shape.input[1] * shape.inputs];
    for_each_product(shape, |i, w, o| input[i] += f64::from(output[o]) * f64::from(weights[w]));
    input
}

/// Calls `product(input, weight, output)` with the places of the factors of every product and of its sum.
pub fn for_each_product(shape: &ConvShape, mut product: impl FnMut(usize, usize, usize)) {
    let source = |output: usize, tap: usize, axis: usize| {
        usize::try_from((output * shape.stride + tap).cast_signed() - shape.before[axis])
            .ok()
            .filter(|place| *place < shape.input[axis])
    };
    for y in 0..shape.output[0] {
        for x in 0..shape.output[1] {
            for ky in 0..shape.kernel[0] {
                for kx in 0..shape.kernel[1] {
                    let (Some(iy), Some(ix)) = (source(y, ky, 0), source(x, kx, 1)) else { continue };
                    for o in 0..shape.outputs {
                        for i in 0..shape.inputs {
                            let weight = ((o * shape.inputs + i) * shape.kernel[0] + ky) * shape.kernel[1] + kx;
                            let input = (iy * shape.input[1] + ix) * shape.inputs + i;
                            product(input, weight, (y * shape.output[1] + x) * shape.outputs + o);
                        }
                    }
                }
            }
        }
    }
}
