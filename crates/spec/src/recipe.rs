//! How a network is trained.

use crate::named;
use serde::{Deserialize, Serialize};

use super::InputDropout;

/// A training recipe: SGD with momentum and a learning rate that falls at milestones (`docs/method.md`, section 2; the authors'
/// values are in `experiments/shared/pixel_subsets.toml`) or that climbs and falls once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step; the last, smaller batch of an epoch is kept.
    pub batch: usize,
    /// Learning rate of the first epoch, or of the top of the cycle.
    pub lr: f64,
    /// Momentum of the velocity, 0 for none.
    pub momentum: f64,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
    /// L2 penalty on every parameter, batch-norm and biases too.
    pub weight_decay: f64,
    /// After each of these epochs the learning rate is multiplied by `gamma`.
    pub milestones: Vec<usize>,
    /// Factor of the learning rate at each milestone.
    pub gamma: f64,
    /// How the learning rate climbs and falls, if not at milestones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_cycle: Option<OneCycle>,
    /// How the learning rate falls from step to step, if neither at milestones nor in one cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<Cosine>,
    /// How much of each label is told by all classes alike, at least 0 and below 1; the losses of the log are those of smoothed
    /// labels.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// What is done to each training image before it is used.
    pub augment: Augment,
    /// What is hidden of each image, in training and ever after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_dropout: Option<InputDropout>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// A learning rate that climbs and then falls, by half a cosine each, from step to step (Smith and Topin, arXiv 1708.07120).
///
/// The rates are those of PyTorch's `OneCycleLR` with its defaults, but that the momentum stays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OneCycle {
    /// The share of all steps in which it climbs, above 0 and below 1.
    pub warm_up: f64,
    /// The rate of the first step, in learning rates of the recipe.
    pub start: f64,
    /// The rate of the last step, in learning rates of the recipe.
    pub end: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self { warm_up: 0.3, start: 0.04, end: 4e-6 }
    }
}

impl OneCycle {
    /// The rate of `step` of `steps`, counted from 0, in learning rates of the recipe.
    fn rate(&self, step: usize, steps: usize) -> f64 {
        let top = self.warm_up * steps as f64 - 1.0;
        let last = steps as f64 - 1.0;
        let step = step as f64;
        let (from, to, way) = if step <= top {
            (self.start, 1.0, if top > 0.0 { step / top } else { 1.0 })
        } else {
            let top = top.max(0.0);
            (1.0, self.end, if last > top { (step - top) / (last - top) } else { 0.0 })
        };
        to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * way).cos())
    }
}

/// A learning rate that climbs along a line and then falls by half a cosine, from step to step (Loshchilov and Hutter,
/// arXiv 1608.03983, without restarts).
///
/// The rates are those of PyTorch's `LinearLR` and, from the top on, `CosineAnnealingLR`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cosine {
    /// The share of all steps in which it climbs, at least 0 and below 1.
    pub warm_up: f64,
    /// The rate of the first step, in learning rates of the recipe; without a warm-up it starts at the top.
    pub start: f64,
    /// The rate to which it falls, in learning rates of the recipe.
    pub end: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self { warm_up: 0.0, start: 0.01, end: 0.0 }
    }
}

impl Cosine {
    /// The rate of `step` of `steps`, counted from 0, in learning rates of the recipe.
    fn rate(&self, step: usize, steps: usize) -> f64 {
        let climbing = (self.warm_up * steps as f64).round();
        let step = step as f64;
        if step < climbing {
            return self.start + (1.0 - self.start) * step / climbing;
        }
        let way = (step - climbing) / (steps as f64 - climbing).max(1.0);
        self.end + (1.0 - self.end) / 2.0 * (1.0 + (std::f64::consts::PI * way).cos())
    }
}

/// Augmentation of training images, drawn anew each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Images as they are.
    None,
    /// Random crop after 4 pixels of black padding, then a horizontal flip with probability one half.
    CropFlip,
}

named! {
    pairs
    /// Every kind of augmentation with its name in TOML.
    Augment { None = "none", CropFlip = "crop-flip" }
}

impl Recipe {
    /// That of an experiment which says no more than the epochs: the paper's, but for milestones and augmentation.
    #[must_use]
    pub const fn usual(epochs: usize) -> Self {
        Self {
            epochs,
            batch: 128,
            lr: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-4,
            milestones: Vec::new(),
            gamma: 1.0,
            one_cycle: None,
            cosine: None,
            label_smoothing: 0.0,
            augment: Augment::None,
            input_dropout: None,
        }
    }

    /// The learning rate of `step`, counted from 0, of a training with so many `batches` an epoch.
    #[must_use]
    pub fn learning_rate(&self, step: usize, batches: usize) -> f64 {
        let steps = self.epochs * batches;
        if let Some(cycle) = self.one_cycle {
            return self.lr * cycle.rate(step, steps);
        }
        if let Some(cosine) = self.cosine {
            return self.lr * cosine.rate(step, steps);
        }
        let epoch = step / batches.max(1);
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= epoch).count();
        self.lr * self.gamma.powi(i32::try_from(passed).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            epochs: 200,
            batch: 128,
            lr: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-4,
            milestones: vec![60, 120, 160],
            gamma: 0.2,
            one_cycle: None,
            cosine: None,
            label_smoothing: 0.0,
            augment: Augment::CropFlip,
            input_dropout: None,
        }
    }

    const COSINE_WITH_WARM_UP: [(usize, f64); 7] = [
        (0, 0.001),
        (1, 0.025_75),
        (3, 0.075_25),
        (4, 0.1),
        (5, 0.099_039_264_020_161_53),
        (12, 0.05),
        (19, 0.000_960_735_979_838_478_6),
    ];
    const COSINE: [(usize, f64); 7] = [
        (0, 0.1),
        (1, 0.099_445_975_326_781_2),
        (3, 0.095_095_293_588_476_56),
        (4, 0.091_405_764_746_872_65),
        (5, 0.086_819_805_153_394_64),
        (12, 0.041_094_235_253_127_366),
        (19, 0.010_554_024_673_218_806),
    ];

    fn assert_rates(recipe: &Recipe, batches: usize, expected: &[(usize, f64)]) {
        for &(step, expected) in expected {
            let rate = recipe.learning_rate(step, batches);
            assert!((rate - expected).abs() < 1e-12, "{rate} in step {step}, not {expected}");
        }
    }

    #[test]
    fn the_learning_rate_falls_after_each_milestone() {
        let of_epochs = [(0, 0.1), (59, 0.1), (60, 0.02), (120, 0.004), (160, 0.0008), (199, 0.0008)];
        assert_rates(&recipe(), 1, &of_epochs);
        assert_rates(&recipe(), 391, &of_epochs.map(|(epoch, rate)| (epoch * 391 + 390, rate)));
    }

    /// Against `torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=20)`.
    #[test]
    fn one_cycle_climbs_and_falls() {
        let recipe = Recipe { epochs: 5, one_cycle: Some(OneCycle::default()), ..recipe() };
        let expected = [
            (0, 0.004),
            (2, 0.037_167_184_270_002_526),
            (5, 0.1),
            (6, 0.098_746_400_623_508_74),
            (12, 0.050_000_2),
            (19, 4e-7),
        ];
        assert_rates(&recipe, 4, &expected);
    }

    /// Against `torch.optim.lr_scheduler.SequentialLR` of `LinearLR(start_factor=0.01, total_iters=4)` and
    /// `CosineAnnealingLR(T_max=16)` or, without warm-up, `CosineAnnealingLR(T_max=20, eta_min=0.01)`, of `lr=0.1`.
    #[test]
    fn a_cosine_falls_after_its_warm_up() {
        let cosine = Cosine { warm_up: 0.2, ..Cosine::default() };
        let recipe = Recipe { epochs: 5, cosine: Some(cosine), ..recipe() };
        assert_rates(&recipe, 4, &COSINE_WITH_WARM_UP);
        let recipe = Recipe { cosine: Some(Cosine { end: 0.1, ..Cosine::default() }), ..recipe };
        assert_rates(&recipe, 4, &COSINE);
    }
}
