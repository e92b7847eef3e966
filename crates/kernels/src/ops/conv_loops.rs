//! Convolution and its input gradient over a batch: images are divided among threads.

use rayon::prelude::*;

use super::shape::{ConvShape, MapShape};
use crate::conv::{Algorithm, Convolution, Finish, InputGradient, Job, Layout};
use crate::isa::Isa;

/// Pixels of a task, so that small maps share a pass over the weights.
const PIXELS: usize = 256;

/// The convolution of `x`, plus the bias.
pub(super) fn forward(
    isa: Isa,
    algorithm: Algorithm,
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let ConvShape { input, output, .. } = *shape;
    let conv = Convolution::new(isa, shape.one_image(), weight, bias, algorithm);
    let mut out = vec![0.0; output.values()];
    let images = images_per_task(output);
    out.par_chunks_mut(images * output.image()).zip(x.par_chunks(images * input.image())).for_each(|(out, x)| {
        let whole = Job::whole(conv.shape());
        let at = |layout: Layout, image: usize, map: MapShape| Layout {
            origin: (image * map.image()).cast_signed(),
            ..layout
        };
        let jobs: Vec<Job> = (0..out.len() / output.image())
            .map(|image| Job { input: at(whole.input, image, input), output: at(whole.output, image, output), ..whole })
            .collect();
        conv.apply(x, out, None, Finish::Linear, &jobs);
    });
    out
}

/// The gradient with respect to the input.
pub(super) fn input_gradient(
    isa: Isa,
    algorithm: Algorithm,
    shape: &ConvShape,
    gradient: &[f32],
    weight: &[f32],
) -> Vec<f32> {
    let ConvShape { input, output, .. } = *shape;
    let transpose = InputGradient::new(isa, shape.one_image(), weight, algorithm);
    let mut out = vec![0.0; input.values()];
    let images = images_per_task(output);
    out.par_chunks_mut(images * input.image()).zip(gradient.par_chunks(images * output.image())).for_each(
        |(out, gradient)| {
            transpose.apply_to_images(out.len() / input.image(), gradient, out, None, Finish::Linear);
        },
    );
    out
}

fn images_per_task(map: MapShape) -> usize {
    (PIXELS / map.pixels()).clamp(1, map.batch.div_ceil(4).max(1))
}
