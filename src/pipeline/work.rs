//! What there is to compute in each step, for estimates of its time.

use std::collections::HashMap;

use overinterp_spec::{Activity, Arch, ImageShape, Recipe, Scoring, Selection, Work};
use overinterp_workflow::key::StepKey;

use super::images::Facts;

/// The work of a plan's steps. Steps that a network has no part in (masking, random orders) are not in it.
#[derive(Debug, Default)]
pub(super) struct Workload {
    models: HashMap<StepKey, Vec<Network>>,
    work: HashMap<StepKey, Vec<Work>>,
}

/// The number by which work names the model that does it: sixteen digits of its key's hash.
#[must_use]
pub fn model_number(model: &StepKey) -> u64 {
    model.hash().get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// A network of a model, and how often it is asked for one answer.
#[derive(Clone, Copy, Debug)]
struct Network {
    arch: Arch,
    samples: u64,
}

impl Workload {
    /// A model of one network, whatever it costs to make, which averages its answers over samples.
    pub(super) fn model(&mut self, model: &StepKey, arch: Arch, samples: usize) {
        self.models.insert(model.clone(), vec![Network { arch, samples: samples as u64 }]);
    }

    /// How a model's candidates are scored: the latest version of its networks.
    pub(super) fn scoring(&self, model: &StepKey) -> Scoring {
        self.models.get(model).into_iter().flatten().map(|network| network.arch.scoring()).max().unwrap_or_default()
    }

    /// A model of several.
    pub(super) fn ensemble(&mut self, model: &StepKey, members: &[StepKey]) {
        let networks = members.iter().filter_map(|member| self.models.get(member)).flatten().copied().collect();
        self.models.insert(model.clone(), networks);
    }

    /// A training of one network, tested after each epoch. It looks at an image by one sample.
    pub(super) fn train(&mut self, step: &StepKey, arch: Arch, recipe: &Recipe, train: &Facts, test: &Facts) {
        let work =
            [(train, Activity::Learn), (test, Activity::Classify)].into_iter().filter_map(|(split, activity)| {
                let shape = split.shape?;
                Some(Work { arch, shape, activity, times: (recipe.epochs * split.images) as u64, model: 0 })
            });
        self.insert(step, work.collect());
    }

    /// An evaluation of `images`.
    pub(super) fn evaluate(&mut self, step: &StepKey, model: &StepKey, images: &Facts) {
        let work = self.of(model, images, Activity::Classify, images.images as u64);
        self.insert(step, work);
    }

    /// A selection of `count` images.
    pub(super) fn select(&mut self, step: &StepKey, model: &StepKey, split: &Facts, method: &Selection, count: usize) {
        let Some(pixels) = split.shape.map(ImageShape::pixels) else { return };
        let (pixels, count) = (pixels as u64, count as u64);
        let work = match *method {
            Selection::Backward => self.of(model, split, Activity::Select, count * pixels * (pixels + 1) / 2),
            Selection::BatchedGradient { per_round, .. } => {
                let rounds = pixels.div_ceil((per_round as u64).max(1));
                self.of(model, split, Activity::Differentiate, count * rounds)
            }
            Selection::Gradient { per_step } => self.by_attribution(model, split, count, 1, per_step),
            Selection::IntegratedGradients { steps, per_step } => {
                self.by_attribution(model, split, count, steps as u64, per_step)
            }
            Selection::Random { .. } => Vec::new(),
        };
        self.insert(step, work);
    }

    /// All disjoint sufficient input subsets of `count` images.
    pub(super) fn collect(&mut self, step: &StepKey, model: &StepKey, split: &Facts, count: usize) {
        let work = self.of(model, split, Activity::Collect, count as u64);
        self.insert(step, work);
    }

    /// What each step has to compute.
    pub(super) fn into_work(self) -> HashMap<StepKey, Vec<Work>> {
        self.work
    }

    /// Work of ranking `count` images by so many gradients each, f evaluated along the order.
    fn by_attribution(&self, model: &StepKey, split: &Facts, count: u64, gradients: u64, per_step: usize) -> Vec<Work> {
        let pixels = split.shape.map_or(0, ImageShape::pixels);
        let values = pixels.div_ceil(per_step.max(1)) as u64;
        let mut work = self.of(model, split, Activity::Differentiate, count * gradients);
        work.extend(self.of(model, split, Activity::Score, count * values));
        work
    }

    /// Work of a model's networks on images of a data set, if both are known.
    fn of(&self, model: &StepKey, split: &Facts, activity: Activity, times: u64) -> Vec<Work> {
        let Some(shape) = split.shape else { return Vec::new() };
        let networks = self.models.get(model).into_iter().flatten();
        let model = model_number(model);
        let work = |&Network { arch, samples }| Work { arch, shape, activity, times: times * samples, model };
        networks.map(work).collect()
    }

    fn insert(&mut self, step: &StepKey, work: Vec<Work>) {
        if !work.is_empty() {
            self.work.insert(step.clone(), work);
        }
    }
}
