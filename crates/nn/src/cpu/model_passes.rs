//! A model compiled for the CPU, and at work there on whole images, several at a time.
//!
//! The counterpart of [`crate::cpu::compiled_model::ModelWorkspace`] where no candidates are scored: evaluation, and rankings
//! by gradients. Logits are the same mean, to the bit.

use crate::cpu::compiled_model::{CompiledModel, CompiledNetwork, mean};
use crate::images::views::{View, Views};
use crate::input_dropout::{Use, draw, drop_pixels};
use overinterp_kernels::engine::{MapShape, Passes};
use overinterp_spec::SeededDropout;

/// The state of a model on some images, on one thread, with every buffer that it will ever need.
#[derive(Debug)]
pub struct ModelPasses {
    members: Vec<Member>,
    /// The size of the images that it takes.
    input: MapShape,
    views: Option<Views>,
    /// The mean over the members, `[images, classes]`.
    logits: Vec<f32>,
    /// The logits of one member.
    part: Vec<f32>,
    /// The gradient with respect to the images, summed over all passes; empty until it is asked for.
    gradient: Vec<f32>,
    /// That of one member, where members see different parts of the images.
    part_of_gradient: Vec<f32>,
}

/// Images, and what they are looked at for.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// By which input dropout draws what it keeps.
    pub purpose: Use,
    /// The images' numbers in their set, by which it draws, too.
    pub numbers: &'a [u32],
}

/// What one network of the model works with on a group of images: its state and its buffers.
#[derive(Debug)]
struct Member {
    passes: Passes,
    dropout: Option<SeededDropout>,
    view: View,
    /// Its part of the images, where that is not all of them.
    own: Vec<f32>,
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
        model.members().iter().map(|network| Passes::together(&network.program)).min().unwrap_or(1)
    }

    /// Allocates for up to `images` images.
    #[must_use]
    pub fn new(model: &CompiledModel, images: usize) -> Self {
        let members: Vec<Member> = model
            .members()
            .iter()
            .map(|CompiledNetwork { program, dropout, view }| {
                let (dropout, view) = (*dropout, *view);
                let (input, classes) = (program.input(), program.classes());
                let dropped = if dropout.is_some() { images } else { 0 };
                let several = dropout.is_some_and(|dropout| dropout.samples > 1);
                Member {
                    passes: Passes::new(program, images),
                    dropout,
                    view,
                    own: Vec::new(),
                    images: vec![0.0; dropped * input.values()],
                    kept: vec![true; input.height * input.width],
                    part: vec![0.0; if several { images * classes } else { 0 }],
                }
            })
            .collect();
        let classes = members.first().map_or(0, |member| member.passes.program().classes());
        let part = if members.len() > 1 { images * classes } else { 0 };
        Self {
            members,
            input: model.input(),
            views: model.views().cloned(),
            logits: vec![0.0; images * classes],
            part: vec![0.0; part],
            gradient: Vec::new(),
            part_of_gradient: Vec::new(),
        }
    }

    /// The size of the images it takes, with the channels of every way in which members normalise them.
    #[must_use]
    pub const fn input(&self) -> MapShape {
        self.input
    }

    /// The ways in which members normalise images.
    pub(crate) const fn views(&self) -> Option<&Views> {
        self.views.as_ref()
    }

    /// The number of logits an image.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.members.first().map_or(0, |member| member.passes.program().classes())
    }

    /// The logits `[images, classes]` of normalised images `[images, height, width, channels]`.
    ///
    /// # Panics
    /// When there is not one number an image, or there are more images than it was made for.
    pub fn pass(&mut self, group: Group<'_>, images: &[f32]) -> &[f32] {
        let count = group.numbers.len() * self.classes();
        let Self { members, logits, part, .. } = self;
        let logits = &mut logits[..count];
        mean(members, logits, part, |member, logits| member.pass(group, images, logits));
        logits
    }

    /// The gradients `[images, height, width, channels]` of a function of the logits with respect to the images that passed
    /// last, which are given again, given its gradient `[images, classes]` with respect to the logits. A pixel that every
    /// sample has dropped has none.
    ///
    /// # Panics
    /// When the model was not compiled for gradients, or there is not one value per logit.
    pub fn gradient(&mut self, group: Group<'_>, images: &[f32], logits: &[f32]) -> &[f32] {
        let Self { members, gradient, part_of_gradient, .. } = self;
        let count = members.len() as f32;
        gradient.clear();
        for member in members {
            // Each pass has its share in the mean.
            let share = count * member.samples() as f32;
            let slopes: Vec<f32> = logits.iter().map(|logit| logit / share).collect();
            if member.view.is_whole() {
                member.add_gradient(group, images, &slopes, gradient);
            } else {
                gradient.resize(images.len(), 0.0);
                part_of_gradient.clear();
                member.add_gradient(group, images, &slopes, part_of_gradient);
                member.view.add(part_of_gradient, gradient);
            }
        }
        gradient
    }
}

impl Member {
    fn samples(&self) -> usize {
        self.dropout.map_or(1, |dropout| dropout.samples.max(1))
    }

    /// The mean over the samples.
    fn pass(&mut self, group: Group<'_>, images: &[f32], logits: &mut [f32]) {
        let mut samples: Vec<usize> = (0..self.samples()).collect();
        let mut part = std::mem::take(&mut self.part);
        mean(&mut samples, logits, &mut part, |sample, logits| {
            self.pass_sample(group, *sample, images);
            logits.copy_from_slice(self.passes.logits());
        });
        self.part = part;
    }

    /// Passes what a sample sees of the images.
    fn pass_sample(&mut self, group: Group<'_>, sample: usize, images: &[f32]) {
        let Self { passes, dropout, view, own, images: seen, kept, .. } = self;
        let images = view.take(images, own);
        let Some(dropout) = *dropout else {
            passes.pass(images);
            return;
        };
        let seen = &mut seen[..images.len()];
        let values = passes.program().input().values();
        seen.copy_from_slice(images);
        for (number, image) in group.numbers.iter().zip(seen.chunks_exact_mut(values)) {
            draw(dropout, group.purpose, sample, *number as usize, kept);
            drop_pixels(kept, image);
        }
        passes.pass(seen);
    }

    /// Adds the gradients of all samples to `sum`, which is empty if there are none yet.
    fn add_gradient(&mut self, group: Group<'_>, images: &[f32], logits: &[f32], sum: &mut Vec<f32>) {
        let samples = self.samples();
        let values = self.passes.program().input().values();
        for sample in 0..samples {
            // The maps are those of the sample that passed last.
            if samples > 1 {
                self.pass_sample(group, sample, images);
            }
            let slopes = self.passes.gradient(logits);
            let first = sum.is_empty();
            if first {
                sum.extend_from_slice(slopes);
            }
            for ((number, slopes), sum) in
                group.numbers.iter().zip(slopes.chunks_exact(values)).zip(sum.chunks_exact_mut(values))
            {
                match self.dropout {
                    Some(dropout) => {
                        draw(dropout, group.purpose, sample, *number as usize, &mut self.kept);
                        if first { drop_pixels(&self.kept, sum) } else { add_where(&self.kept, slopes, sum) }
                    }
                    None if first => {}
                    None => sum.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope),
                }
            }
        }
    }
}

/// Adds the gradients of the pixels that are kept.
fn add_where(kept: &[bool], slopes: &[f32], sum: &mut [f32]) {
    let channels = sum.len() / kept.len();
    for ((slopes, sum), _) in
        slopes.chunks_exact(channels).zip(sum.chunks_exact_mut(channels)).zip(kept).filter(|(_, kept)| **kept)
    {
        sum.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
    }
}
