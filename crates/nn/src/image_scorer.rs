//! Images that a model is asked about, whoever asks: one at a time on a CPU, several in lockstep on a GPU.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::cpu::scorer::NetworkScorer;
use crate::gpu::scorer::GpuScorer;
use crate::unanswered::Unanswered;
use overinterp_sis::{
    Agreement, Alone, BackSelection, Candidate, Collection, Exhaustive, Halted, Reference, Scorer, Step, agreement,
    back_select, back_select_in_lockstep, collection, collections_in_lockstep, unstopped,
};

/// What a model says of an image of which nothing is masked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// The image's number in its set.
    pub number: usize,
    /// The class that it predicts, whose probability f is.
    pub class: usize,
    /// f.
    pub full: f32,
}

/// Whether a selection rests on what is known of f's ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// It does, and evaluates no candidate behind the first one there.
    Used,
    /// It evaluates every candidate, which is what the other is held against.
    Ignored,
}

/// A model's scorer of one image or of several, of which nothing is masked. What is found of one does not depend on the others.
pub trait ImageScorer {
    /// Whether several images go side by side.
    const IN_LOCKSTEP: bool;

    /// What the model says of each image.
    fn said(&self) -> Vec<Said>;

    /// Selects each image backwards.
    ///
    /// # Errors
    /// When `watch` stops it, or the model does not answer.
    fn select(
        &mut self,
        ceiling: Ceiling,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<BackSelection>, Halted<Unanswered>>;

    /// All disjoint sufficient input subsets of each image.
    ///
    /// # Errors
    /// As of [`ImageScorer::select`].
    fn collect(
        &mut self,
        threshold: f64,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<Collection>, Halted<Unanswered>>;

    /// Compares the only image with its reference.
    ///
    /// # Errors
    /// As of [`ImageScorer::select`].
    ///
    /// # Panics
    /// When there are several images, or the reference is of one of another size.
    fn compare(
        &mut self,
        reference: Reference<'_>,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Agreement, Halted<Unanswered>>;

    /// The time that candidates of every place take, each of which shows `image`, normalised, of which f is the probability of the
    /// same class as before.
    ///
    /// # Errors
    /// When the model does not answer.
    fn time(&mut self, image: &[f32], candidates: &[u32]) -> Result<Duration, Unanswered>;
}

impl ImageScorer for NetworkScorer<'_> {
    const IN_LOCKSTEP: bool = false;

    fn said(&self) -> Vec<Said> {
        vec![Said { number: self.number(), class: self.class(), full: self.full() }]
    }

    fn select(
        &mut self,
        ceiling: Ceiling,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<BackSelection>, Halted<Unanswered>> {
        let selection = match ceiling {
            Ceiling::Used => back_select(self, watch),
            Ceiling::Ignored => back_select(&mut Exhaustive(self), watch),
        };
        Ok(vec![selection?])
    }

    fn collect(
        &mut self,
        threshold: f64,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<Collection>, Halted<Unanswered>> {
        let restart = |scorer: &mut Self| {
            scorer.restart();
            Ok(())
        };
        Ok(vec![collection(self, restart, threshold, watch)?])
    }

    fn compare(
        &mut self,
        reference: Reference<'_>,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Agreement, Halted<Unanswered>> {
        agreement(self, reference, watch)
    }

    /// With the share that candidates have in masking: a selection of d pixels masks d times for d (d + 1) / 2 candidates.
    fn time(&mut self, image: &[f32], candidates: &[u32]) -> Result<Duration, Unanswered> {
        self.show(image);
        let mut scores = vec![0.0; candidates.len()];
        let start = Instant::now();
        self.candidates(candidates, &mut scores)?;
        let scored = start.elapsed();
        let start = Instant::now();
        self.mask(candidates[0])?;
        black_box(scores);
        Ok(scored + start.elapsed() * 2 * candidates.len() as u32 / (self.features() as u32 + 1))
    }
}

impl ImageScorer for GpuScorer<'_> {
    const IN_LOCKSTEP: bool = true;

    fn said(&self) -> Vec<Said> {
        let each = self.numbers().iter().zip(self.classes()).zip(self.full());
        each.map(|((&number, &class), &full)| Said { number: number as usize, class, full }).collect()
    }

    fn select(
        &mut self,
        ceiling: Ceiling,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<BackSelection>, Halted<Unanswered>> {
        match ceiling {
            Ceiling::Used => back_select_in_lockstep(self, watch),
            Ceiling::Ignored => back_select_in_lockstep(&mut Exhaustive(self), watch),
        }
    }

    fn collect(
        &mut self,
        threshold: f64,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<Collection>, Halted<Unanswered>> {
        collections_in_lockstep(self, threshold, watch)
    }

    fn compare(
        &mut self,
        reference: Reference<'_>,
        watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Agreement, Halted<Unanswered>> {
        agreement(&mut Alone(self), reference, watch)
    }

    fn time(&mut self, image: &[f32], candidates: &[u32]) -> Result<Duration, Unanswered> {
        let images = self.numbers().len();
        self.show(&image.repeat(images))?;
        let of = |input: usize| candidates.iter().map(move |&feature| Candidate { input: input as u32, feature });
        let candidates: Vec<Candidate> = (0..images).flat_map(of).collect();
        let mut scores = vec![0.0; candidates.len()];
        let start = Instant::now();
        let go_on = &mut || ControlFlow::Continue(());
        unstopped(overinterp_sis::LockstepScorer::candidates(self, &candidates, &mut scores, go_on))?;
        black_box(scores);
        Ok(start.elapsed())
    }
}
