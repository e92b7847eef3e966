//! The gradient of a convolution with respect to its input, as convolutions.

use super::convolution::{Algorithm, Convolution};
use super::direct::{Finish, Job};
use super::geometry::{ConvShape, Region};
use super::layout::Layout;
use crate::isa::Isa;

/// The gradient of a convolution with respect to its input.
///
/// With stride s, the input's pixels fall into s x s classes by their remainders: the outputs that see a pixel see it
/// through every s-th tap in each direction. So each class is a stride-1 convolution of the output's gradient with
/// the flipped taps of its own, and no zeros are multiplied.
#[derive(Clone, Debug)]
pub struct InputGradient {
    shape: ConvShape,
    classes: Vec<Class>,
}

/// Input pixels with the same remainders.
#[derive(Clone, Debug)]
struct Class {
    remainder: [usize; 2],
    conv: Convolution,
}

impl InputGradient {
    /// Packs the weights `[out, in, height, width]` of the convolution of that `shape`.
    ///
    /// # Panics
    /// When their number contradicts `shape`.
    #[must_use]
    pub fn new(isa: Isa, shape: ConvShape, weights: &[f32], algorithm: Algorithm) -> Self {
        let [height, width] = shape.kernel;
        assert_eq!(weights.len(), shape.outputs * shape.inputs * height * width, "weights must fit the shape");
        let mut classes = Vec::new();
        for y in 0..shape.stride.min(shape.input[0]) {
            for x in 0..shape.stride.min(shape.input[1]) {
                let axes = [Axis::new(&shape, 0, y), Axis::new(&shape, 1, x)];
                let class_shape = ConvShape {
                    input: shape.output,
                    output: axes.map(|axis| axis.pixels),
                    inputs: shape.outputs,
                    outputs: shape.inputs,
                    kernel: axes.map(|axis| axis.taps),
                    stride: 1,
                    before: axes.map(|axis| axis.before),
                };
                let conv = Convolution::from_fn(isa, class_shape, None, algorithm, |input, output, ky, kx| {
                    let (ky, kx) = (axes[0].tap(shape.stride, ky), axes[1].tap(shape.stride, kx));
                    weights[((output * shape.inputs + input) * height + ky) * width + kx]
                });
                classes.push(Class { remainder: [y, x], conv });
            }
        }
        Self { shape, classes }
    }

    /// The sizes of the convolution whose gradient it is.
    #[must_use]
    pub const fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Writes the gradient of every input pixel: `input = finish(weights' * output + addend)`.
    ///
    /// All maps are whole and dense: `output` and its gradient `[height, width, outputs]`, `input`, `addend` and a
    /// gate `[height, width, inputs]`.
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn apply(&self, output: &[f32], input: &mut [f32], addend: Option<&[f32]>, finish: Finish) {
        self.apply_to_images(1, output, input, addend, finish);
    }

    /// As [`InputGradient::apply`] for several images, which share each pass over the weights.
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn apply_to_images(
        &self,
        images: usize,
        output: &[f32],
        input: &mut [f32],
        addend: Option<&[f32]>,
        finish: Finish,
    ) {
        let ConvShape { inputs, outputs, stride, .. } = self.shape;
        let row = self.shape.input[1] * inputs;
        let from = Layout::dense(self.shape.output[1], outputs);
        for Class { remainder: [y, x], conv } in &self.classes {
            let every_nth =
                Layout { origin: (y * row + x * inputs).cast_signed(), row: row * stride, pixel: inputs * stride };
            let after = |layout: Layout, images: usize, values: usize| Layout {
                origin: layout.origin + (images * values).cast_signed(),
                ..layout
            };
            let jobs: Vec<Job> = (0..images)
                .map(|image| {
                    let to = after(every_nth, image, self.shape.input[0] * row);
                    Job {
                        region: Region::whole(conv.shape().output),
                        input: after(from, image, self.shape.output[0] * from.row),
                        output: to,
                        addend: to,
                    }
                })
                .collect();
            conv.apply(output, input, addend, finish, &jobs);
        }
    }
}

/// One direction of a class: input pixels `remainder + stride * j`.
#[derive(Clone, Copy)]
struct Axis {
    /// Pixels in the class.
    pixels: usize,
    /// Taps that see it: `first`, `first + stride`, ...
    taps: usize,
    first: usize,
    before: isize,
}

impl Axis {
    /// Output o sees input i through tap i + before - stride * o.
    fn new(shape: &ConvShape, axis: usize, remainder: usize) -> Self {
        let stride = shape.stride.cast_signed();
        let shifted = remainder.cast_signed() + shape.before[axis];
        let first = shifted.rem_euclid(stride).cast_unsigned();
        let taps = shape.kernel[axis].saturating_sub(first).div_ceil(shape.stride);
        Self {
            pixels: (shape.input[axis] - remainder).div_ceil(shape.stride),
            taps,
            first,
            before: taps.cast_signed() - 1 - shifted.div_euclid(stride),
        }
    }

    /// The original tap behind a flipped one.
    fn tap(&self, stride: usize, flipped: usize) -> usize {
        self.first + stride * (self.taps - 1 - flipped)
    }
}
