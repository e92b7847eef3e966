//! Convolution and its two gradients in plain loops: the oracle of the fast paths.

use rayon::prelude::*;

use super::shape::ConvShape;

/// Writes the convolution of `x` plus the bias into `out`, which starts as zeros.
pub(super) fn forward(shape: &ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    let ConvShape { input, output, .. } = *shape;
    let (inputs, outputs) = (input.channels, output.channels);
    let packed = pack(shape, weight, |tap, i, o| (tap * inputs + i) * outputs + o);
    out.par_chunks_mut(output.image()).zip(x.par_chunks(input.image())).for_each(|(out, x)| {
        for_each_tap(shape, |place, pixel, tap| {
            let (sums, values) = (&mut out[place * outputs..][..outputs], &x[pixel * inputs..][..inputs]);
            let weights = &packed[tap * inputs * outputs..][..inputs * outputs];
            for (&value, weights) in values.iter().zip(weights.chunks_exact(outputs)) {
                add_scaled(sums, value, weights);
            }
        });
        if let Some(bias) = bias {
            for sums in out.chunks_exact_mut(outputs) {
                add_scaled(sums, 1.0, bias);
            }
        }
    });
}

/// Adds the gradient with respect to the input to `out`.
pub(super) fn input_gradient(shape: &ConvShape, gradient: &[f32], weight: &[f32], out: &mut [f32]) {
    let ConvShape { input, output, .. } = *shape;
    let (inputs, outputs) = (input.channels, output.channels);
    let packed = pack(shape, weight, |tap, i, o| (tap * outputs + o) * inputs + i);
    out.par_chunks_mut(input.image()).zip(gradient.par_chunks(output.image())).for_each(|(out, gradient)| {
        for_each_tap(shape, |place, pixel, tap| {
            let (sums, values) = (&mut out[pixel * inputs..][..inputs], &gradient[place * outputs..][..outputs]);
            let weights = &packed[tap * inputs * outputs..][..inputs * outputs];
            for (&value, weights) in values.iter().zip(weights.chunks_exact(inputs)) {
                add_scaled(sums, value, weights);
            }
        });
    });
}

/// The gradient with respect to the weights, `[out, in, height, width]`.
pub(super) fn weight_gradient(shape: &ConvShape, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let ConvShape { input, output, .. } = *shape;
    let (inputs, outputs, taps) = (input.channels, output.channels, shape.taps());
    let mut weights = vec![0.0; shape.weights()];
    weights.par_chunks_mut(inputs * taps).enumerate().for_each(|(o, weights)| {
        let mut sums = vec![0.0; taps * inputs];
        for (x, gradient) in x.chunks_exact(input.image()).zip(gradient.chunks_exact(output.image())) {
            for_each_tap(shape, |place, pixel, tap| {
                let values = &x[pixel * inputs..][..inputs];
                add_scaled(&mut sums[tap * inputs..][..inputs], gradient[place * outputs + o], values);
            });
        }
        for (i, weights) in weights.chunks_exact_mut(taps).enumerate() {
            for (tap, weight) in weights.iter_mut().enumerate() {
                *weight = sums[tap * inputs + i];
            }
        }
    });
    weights
}

/// Calls with output place, input pixel and tap for every pair that a weight joins within one image.
fn for_each_tap(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let ConvShape { input, output, window } = *shape;
    for row in 0..output.height {
        let (rows, top) = window.span(0, row, input.height);
        for column in 0..output.width {
            let (columns, left) = window.span(1, column, input.width);
            for (y, tap_row) in (top..).zip(rows.clone()) {
                for (x, tap_column) in (left..).zip(columns.clone()) {
                    let tap = tap_row * window.kernel[1] + tap_column;
                    visit(row * output.width + column, y * input.width + x, tap);
                }
            }
        }
    }
}

/// Rearranges `[out, in, height, width]` so that `place(tap, input, output)` holds each weight.
fn pack(shape: &ConvShape, weight: &[f32], place: impl Fn(usize, usize, usize) -> usize) -> Vec<f32> {
    let (inputs, taps) = (shape.input.channels, shape.taps());
    let mut packed = vec![0.0; weight.len()];
    for (index, &value) in weight.iter().enumerate() {
        packed[place(index % taps, index / taps % inputs, index / taps / inputs)] = value;
    }
    packed
}

fn add_scaled(sums: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}
