//! A model compiled for the CPU, and at work there on whole images, several at a time.
//!
//! The counterpart of [`super::compiled_model::ModelWorkspace`] where no candidates are scored: evaluation. Logits are
//! the same mean, to the bit.

use super::compiled_model::{CompiledModel, mean};
use super::input_dropout::{Use, draw, drop_pixels};
use crate::kernels::engine::Passes;
use crate::spec::SeededDropout;

/// The state of a model on some images, on one thread, with every buffer that it will ever need.
#[derive(Debug)]
pub struct ModelPasses {
    members: Vec<Member>,
    /// The mean over the members, `[images, classes]`.
    logits: Vec<f32>,
    /// The logits of one member.
    part: Vec<f32>,
}

/// One network.
#[derive(Debug)]
struct Member {
    passes: Passes,
    dropout: Option<SeededDropout>,
    /// What one sample sees of the images.
    images: Vec<f32>,
    /// One entry a pixel.
    kept: Vec<bool>,
    /// The logits of one sample.
    part: Vec<f32>,
}

impl ModelPasses {
    /// As many images as it pays to pass together.
    #[must_use]
    pub fn together(model: &CompiledModel) -> usize {
        model.members().map(|(program, _)| Passes::together(program)).min().unwrap_or(1)
    }

    /// Allocates for up to `images` images.
    #[must_use]
    pub fn new(model: &CompiledModel, images: usize) -> Self {
        let members: Vec<Member> = model
            .members()
            .map(|(program, dropout)| {
                let (input, classes) = (program.input(), program.classes());
                let dropped = if dropout.is_some() { images } else { 0 };
                let several = dropout.is_some_and(|dropout| dropout.samples > 1);
                Member {
                    passes: Passes::new(program, images),
                    dropout,
                    images: vec![0.0; dropped * input.values()],
                    kept: vec![true; input.height * input.width],
                    part: vec![0.0; if several { images * classes } else { 0 }],
                }
            })
            .collect();
        let classes = members.first().map_or(0, |member| member.passes.program().classes());
        let part = if members.len() > 1 { images * classes } else { 0 };
        Self { members, logits: vec![0.0; images * classes], part: vec![0.0; part] }
    }

    /// The logits `[images, classes]` of normalised images `[images, height, width, channels]`, looked at for `purpose`;
    /// `numbers` are those of the images in their set, by which input dropout draws what it keeps of each.
    ///
    /// # Panics
    /// When there is not one number an image, or there are more images than it was made for.
    pub fn pass(&mut self, purpose: Use, numbers: &[u32], images: &[f32]) -> &[f32] {
        let Self { members, logits, part } = self;
        let classes = members.first().map_or(0, |member| member.passes.program().classes());
        let logits = &mut logits[..numbers.len() * classes];
        mean(members, logits, part, |member, logits| member.pass(purpose, numbers, images, logits));
        logits
    }
}

impl Member {
    /// The mean over the samples.
    fn pass(&mut self, purpose: Use, numbers: &[u32], images: &[f32], logits: &mut [f32]) {
        let Self { passes, dropout, images: seen, kept, part } = self;
        let Some(dropout) = *dropout else {
            logits.copy_from_slice(passes.pass(images));
            return;
        };
        let seen = &mut seen[..images.len()];
        let values = passes.program().input().values();
        let mut samples: Vec<usize> = (0..dropout.samples.max(1)).collect();
        mean(&mut samples, logits, part, |sample, logits| {
            seen.copy_from_slice(images);
            for (number, image) in numbers.iter().zip(seen.chunks_exact_mut(values)) {
                draw(dropout, purpose, *sample, *number as usize, kept);
                drop_pixels(kept, image);
            }
            logits.copy_from_slice(passes.pass(seen));
        });
    }
}
