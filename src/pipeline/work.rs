//! What there is to compute in each step, for estimates of its time.

use std::collections::BTreeMap;

use crate::engine::key::StepKey;
use crate::spec::{Activity, Arch, ImageShape, Recipe, Selection, Work};
use crate::stages::DataSplit;

use super::KnownSplit;

/// The work of a plan's steps. Steps that a network has no part in (masking, random orders) are not in it.
#[derive(Debug, Default)]
pub(super) struct Workload {
    networks: BTreeMap<StepKey, Arch>,
    work: BTreeMap<StepKey, Vec<Work>>,
}

impl Workload {
    /// A model of a network, whatever it costs to make.
    pub(super) fn model(&mut self, model: &StepKey, arch: Arch) {
        self.networks.insert(model.clone(), arch);
    }

    /// A training, tested after each epoch.
    pub(super) fn train(&mut self, step: &StepKey, recipe: &Recipe, train: &KnownSplit, test: &KnownSplit) {
        let epochs = recipe.epochs as u64;
        let learn = self.of(step, &train.data, Activity::Learn, epochs * train.images as u64);
        let test = self.of(step, &test.data, Activity::Classify, epochs * test.images as u64);
        self.insert(step, learn.into_iter().chain(test).collect());
    }

    /// An evaluation of `images`.
    pub(super) fn evaluate(&mut self, step: &StepKey, model: &StepKey, images: &KnownSplit) {
        let work = self.of(model, &images.data, Activity::Classify, images.images as u64);
        self.insert(step, work.into_iter().collect());
    }

    /// A selection of `count` images.
    pub(super) fn select(
        &mut self,
        step: &StepKey,
        model: &StepKey,
        data: &DataSplit,
        method: &Selection,
        count: usize,
    ) {
        let Some(pixels) = data.source.kind.image_shape().map(ImageShape::pixels) else { return };
        let (pixels, count) = (pixels as u64, count as u64);
        let work = match *method {
            Selection::Backward => self.of(model, data, Activity::Score, count * pixels * (pixels + 1) / 2),
            Selection::BatchedGradient { per_round, .. } => {
                let rounds = pixels.div_ceil((per_round as u64).max(1));
                self.of(model, data, Activity::Differentiate, count * rounds)
            }
            Selection::Random { .. } => None,
        };
        self.insert(step, work.into_iter().collect());
    }

    /// What each step has to compute.
    pub(super) fn into_work(self) -> BTreeMap<StepKey, Vec<Work>> {
        self.work
    }

    /// Work of a model's network on images of a data set, if both are known.
    fn of(&self, model: &StepKey, data: &DataSplit, activity: Activity, times: u64) -> Option<Work> {
        let (arch, shape) = (*self.networks.get(model)?, data.source.kind.image_shape()?);
        Some(Work { arch, shape, activity, times })
    }

    fn insert(&mut self, step: &StepKey, work: Vec<Work>) {
        if !work.is_empty() {
            self.work.insert(step.clone(), work);
        }
    }
}
