//! A model compiled for the CPU, and at work there on one image at a time.
//!
//! Its logits are the mean over the members of an ensemble, and for a member with input dropout the mean over its
//! samples; the softmax comes after. Each pass, of one member on one sample, keeps its own state in the incremental
//! engine, so that a candidate costs each of them no more than it would alone.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::arch::{self, ArchError};
use crate::cpu::compile::{CompileError, compile};
use crate::finite::{NotFinite, check_weights};
use crate::images::views::{View, Views};
use crate::input_dropout::{Use, draw, drop_pixels, keeps_all};
use overinterp_artifacts::Model;
use overinterp_kernels::engine::{MapShape, Program, Purpose, SetAside, Workspace};
use overinterp_kernels::isa::Isa;
use overinterp_spec::{Arch, SeededDropout};

/// Why a model cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileModelError {
    /// An architecture cannot take such images.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// The weights do not fit the architecture.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The weights are no numbers.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

/// The programs of a model's networks, shared by all threads.
#[derive(Clone, Debug)]
pub struct CompiledModel {
    members: Vec<CompiledNetwork>,
    /// The ways in which they are shown an image.
    views: Option<Views>,
}

/// A network of a [`CompiledModel`].
#[derive(Clone, Debug)]
pub(crate) struct CompiledNetwork {
    pub(crate) program: Arc<Program>,
    /// What input dropout does to it.
    pub(crate) dropout: Option<SeededDropout>,
    pub(crate) view: View,
}

/// What a network of that architecture is compiled for, to score candidates by the version that its [`Scoring`] names.
///
/// [`Scoring`]: overinterp_spec::Scoring
#[must_use]
pub const fn for_candidates(arch: Arch) -> Purpose {
    if arch.scoring().is_first() { Purpose::Scores } else { Purpose::Candidates }
}

impl CompiledModel {
    /// Compiles every network of `model`.
    ///
    /// # Errors
    /// When a network does not fit its architecture, or its weights are not finite.
    pub fn new(model: &Model, purpose: Purpose) -> Result<Self, CompileModelError> {
        check_weights(model)?;
        let views = Views::of(model);
        let mut members = Vec::new();
        for network in &model.networks {
            let graph = arch::build(network.arch, model.shape, model.classes)?;
            let purpose = if purpose == Purpose::Candidates { for_candidates(network.arch) } else { purpose };
            let program = Arc::new(compile(&graph, &network.tensors, Isa::detect(), purpose)?);
            let dropout = network.input_dropout.filter(|dropout| !keeps_all(dropout.keep));
            members.push(CompiledNetwork { program, dropout, view: views.of_network(network) });
        }
        Ok(Self { members, views: Some(views) })
    }
}

impl CompiledModel {
    /// Its networks in the model's order, several for an ensemble.
    pub(crate) fn members(&self) -> &[CompiledNetwork] {
        &self.members
    }

    /// The ways in which they are shown an image; none where that is not known of a program.
    pub(crate) const fn views(&self) -> Option<&Views> {
        self.views.as_ref()
    }

    /// The size of the images that it takes, of every way in which they are shown.
    pub(crate) fn input(&self) -> MapShape {
        self.members.first().map_or(MapShape { height: 0, width: 0, channels: 0 }, |member| MapShape {
            channels: member.view.of(),
            ..member.program.input()
        })
    }
}

impl From<Arc<Program>> for CompiledModel {
    /// A single network that sees every pixel.
    fn from(program: Arc<Program>) -> Self {
        let view = View::whole(program.input().channels);
        Self { members: vec![CompiledNetwork { program, dropout: None, view }], views: None }
    }
}

/// The state of a model on one image, on one thread, with every buffer that it will ever need.
#[derive(Debug)]
pub struct ModelWorkspace {
    members: Vec<Member>,
    input: MapShape,
    /// The mean over the members, for the current image.
    logits: Vec<f32>,
    /// The logits of one member, for the current image or for candidates.
    part: Vec<f32>,
}

/// What one network of the model works with on the current image: its state and its buffers.
#[derive(Debug)]
struct Member {
    workspace: Workspace,
    dropout: Option<SeededDropout>,
    view: View,
    /// Its part of an image, where that is not all of it.
    own: Vec<f32>,
    samples: Vec<Sample>,
    /// An image with pixels dropped.
    image: Vec<f32>,
    /// The logits of one sample's candidates.
    part: Vec<f32>,
    /// The candidates that a sample keeps.
    kept: Vec<u32>,
}

/// What a network sees of the image.
#[derive(Debug)]
struct Sample {
    /// Its state, but for the first sample, whose state stays in the workspace.
    aside: Option<SetAside>,
    /// One entry a pixel; empty without dropout.
    kept: Vec<bool>,
}

impl ModelWorkspace {
    /// Allocates everything; the current image is fully masked, and input dropout keeps every pixel.
    #[must_use]
    pub fn new(model: &CompiledModel) -> Self {
        let members: Vec<Member> = model.members.iter().map(Member::new).collect();
        let classes = members.first().map_or(0, |member| member.workspace.program().classes());
        let input = model.input();
        let part = if members.len() > 1 { input.height * input.width * classes } else { 0 };
        Self { members, input, logits: vec![0.0; classes], part: vec![0.0; part] }
    }

    /// The size of the images it takes.
    #[must_use]
    pub const fn input(&self) -> MapShape {
        self.input
    }

    /// How many candidates pass together at most through its networks.
    #[must_use]
    pub fn group(&self) -> usize {
        self.members.iter().map(|member| member.workspace.program().group()).max().unwrap_or(1)
    }

    /// The number of logits.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.logits.len()
    }

    /// Draws what input dropout keeps of image number `image`. It holds from the next [`ModelWorkspace::set_image`]
    /// on, for all images until the next draw.
    pub fn draw(&mut self, purpose: Use, image: usize) {
        for member in &mut self.members {
            let Some(dropout) = member.dropout else { continue };
            for (number, sample) in member.samples.iter_mut().enumerate() {
                draw(dropout, purpose, number, image, &mut sample.kept);
            }
        }
    }

    /// Makes a normalised image `[height, width, channels]` the current one.
    ///
    /// # Panics
    /// When it has the wrong number of values.
    pub fn set_image(&mut self, image: &[f32]) {
        for member in &mut self.members {
            member.set_image(image);
        }
    }

    /// The logits of the current image.
    pub fn logits(&mut self) -> &[f32] {
        let Self { members, logits, part, .. } = self;
        mean(members, logits, part, Member::logits);
        logits
    }

    /// Masks a pixel (row-major number) of the current image.
    ///
    /// # Panics
    /// When there is no such pixel.
    pub fn mask(&mut self, pixel: u32) {
        for member in &mut self.members {
            member.for_each_sample(|workspace, kept| {
                // What the sample has dropped is masked already.
                if kept.is_empty() || kept[pixel as usize] {
                    workspace.mask(pixel);
                }
            });
        }
    }

    /// Masks some pixels of the current image at once.
    ///
    /// # Panics
    /// When there is no such pixel.
    pub fn mask_all(&mut self, pixels: &[u32]) {
        for member in &mut self.members {
            member.for_each_sample(|workspace, _| workspace.mask_all(pixels));
        }
    }

    /// Writes the logits `[pixels, classes]` that the current image would have with each of `pixels` masked in turn.
    ///
    /// # Panics
    /// When `logits` has another length, or there is no such pixel, or there are more candidates than pixels.
    pub fn candidates(&mut self, pixels: &[u32], logits: &mut [f32]) {
        let _ = self.candidates_while(pixels, logits, &mut || ControlFlow::Continue(()));
    }

    /// [`ModelWorkspace::candidates`], but asks `go_on` before each group of candidates of each pass: those of five
    /// large networks take minutes together. If it says no, what is in `logits` is of no use; the current image is as
    /// it was.
    ///
    /// # Panics
    /// As [`ModelWorkspace::candidates`].
    pub fn candidates_while(
        &mut self,
        pixels: &[u32],
        logits: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Self { members, part, .. } = self;
        mean_while(members, logits, part, |member, logits| member.candidates(pixels, logits, go_on))
    }
}

impl Member {
    fn new(network: &CompiledNetwork) -> Self {
        let CompiledNetwork { program, dropout, view } = network;
        let (dropout, view) = (*dropout, *view);
        let workspace = Workspace::new(program);
        let (input, classes) = (program.input(), program.classes());
        let pixels = input.height * input.width;
        let samples = dropout.map_or(1, |dropout| dropout.samples.max(1));
        let kept = if dropout.is_some() { pixels } else { 0 };
        let sample = |number| Sample { aside: (number > 0).then(|| workspace.another_image()), kept: vec![true; kept] };
        Self {
            dropout,
            view,
            own: Vec::with_capacity(if view.is_whole() { 0 } else { input.values() }),
            samples: (0..samples).map(sample).collect(),
            image: vec![0.0; kept * input.channels],
            part: vec![0.0; if samples > 1 { pixels * classes } else { 0 }],
            kept: Vec::with_capacity(kept),
            workspace,
        }
    }

    /// Does `work` with each sample's image as the workspace's current one.
    fn for_each_sample(&mut self, mut work: impl FnMut(&mut Workspace, &[bool])) {
        for sample in &mut self.samples {
            sample.visit(&mut self.workspace, &mut work);
        }
    }

    fn set_image(&mut self, image: &[f32]) {
        let Self { workspace, samples, image: dropped, view, own, .. } = self;
        let image = view.take(image, own);
        for sample in samples {
            sample.visit(workspace, |workspace, kept| {
                if kept.is_empty() {
                    workspace.set_image(image);
                } else {
                    dropped.copy_from_slice(image);
                    drop_pixels(kept, dropped);
                    workspace.set_image(dropped);
                }
            });
        }
    }

    /// The mean over the samples, of the current image.
    fn logits(&mut self, logits: &mut [f32]) {
        let Self { workspace, samples, part, .. } = self;
        mean(samples, logits, part, |sample, logits| {
            sample.visit(workspace, |workspace, _| logits.copy_from_slice(workspace.logits()));
        });
    }

    /// The mean over the samples, of each candidate.
    fn candidates(
        &mut self,
        pixels: &[u32],
        logits: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Self { workspace, samples, part, kept: seen, .. } = self;
        mean_while(samples, logits, part, |sample, logits| {
            sample.visit(workspace, |workspace, kept| {
                if kept.is_empty() {
                    workspace.candidates_while(pixels, logits, go_on)
                } else {
                    candidates_of_sample(workspace, kept, pixels, seen, logits, go_on)
                }
            })
        })
    }
}

/// The candidates of a sample. One that it has dropped changes nothing, and so has the current logits, to the bit.
fn candidates_of_sample(
    workspace: &mut Workspace,
    kept: &[bool],
    pixels: &[u32],
    seen: &mut Vec<u32>,
    logits: &mut [f32],
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> ControlFlow<()> {
    let classes = workspace.program().classes();
    assert_eq!(logits.len(), pixels.len() * classes, "one row of logits per pixel");
    seen.clear();
    seen.extend(pixels.iter().filter(|pixel| kept[**pixel as usize]));
    workspace.candidates_while(seen, &mut logits[..seen.len() * classes], go_on)?;
    // From the last row on, so that each moves into a place from which the row has moved on already.
    let mut next = seen.len();
    for (place, pixel) in pixels.iter().enumerate().rev() {
        if kept[*pixel as usize] {
            next -= 1;
            logits.copy_within(next * classes..(next + 1) * classes, place * classes);
        } else {
            logits[place * classes..][..classes].copy_from_slice(workspace.logits());
        }
    }
    ControlFlow::Continue(())
}

impl Sample {
    fn visit<T>(&mut self, workspace: &mut Workspace, work: impl FnOnce(&mut Workspace, &[bool]) -> T) -> T {
        if let Some(image) = &mut self.aside {
            workspace.exchange(image);
        }
        let result = work(workspace, &self.kept);
        if let Some(image) = &mut self.aside {
            workspace.exchange(image);
        }
        result
    }
}

/// Writes the mean of what each of `items` writes. Of one item it is what that writes; `part` is only used for more.
pub(crate) fn mean<T>(items: &mut [T], total: &mut [f32], part: &mut [f32], mut write: impl FnMut(&mut T, &mut [f32])) {
    let _ = mean_while(items, total, part, |item, part| {
        write(item, part);
        ControlFlow::Continue(())
    });
}

/// [`mean`], until `write` breaks off.
fn mean_while<T>(
    items: &mut [T],
    total: &mut [f32],
    part: &mut [f32],
    mut write: impl FnMut(&mut T, &mut [f32]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let count = items.len() as f32;
    let Some((first, others)) = items.split_first_mut() else { return ControlFlow::Continue(()) };
    write(first, total)?;
    if others.is_empty() {
        return ControlFlow::Continue(());
    }
    let part = &mut part[..total.len()];
    for item in others {
        write(item, part)?;
        total.iter_mut().zip(&*part).for_each(|(total, part)| *total += part);
    }
    for total in total {
        *total /= count;
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests;
