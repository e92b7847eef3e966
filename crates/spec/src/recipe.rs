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
    /// What is done to each training image before it is used.
    pub augment: Augment,
    /// What is hidden of each image, in training and ever after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_dropout: Option<InputDropout>,
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
    /// The learning rate of `step`, counted from 0, of a training with so many `batches` an epoch.
    #[must_use]
    pub fn learning_rate(&self, step: usize, batches: usize) -> f64 {
        let Some(cycle) = self.one_cycle else {
            let epoch = step / batches.max(1);
            let passed = self.milestones.iter().filter(|&&milestone| milestone <= epoch).count();
            return self.lr * self.gamma.powi(i32::try_from(passed).unwrap_or(i32::MAX));
        };
        self.lr * cycle.rate(step, self.epochs * batches)
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
            augment: Augment::CropFlip,
            input_dropout: None,
        }
    }

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
}
