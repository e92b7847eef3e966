//! How a network is trained.

use serde::{Deserialize, Serialize};

use super::InputDropout;

/// A training recipe: SGD with momentum and a stepwise learning rate (paper section S1; the authors' values
/// are in `experiments/cifar_resnet.toml`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step; the last, smaller batch of an epoch is kept.
    pub batch: usize,
    /// Learning rate of the first epoch.
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
    /// What is done to each training image before it is used.
    pub augment: Augment,
    /// What is hidden of each image, in training and ever after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_dropout: Option<InputDropout>,
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

impl Augment {
    /// Every kind of augmentation with its name in TOML.
    pub const ALL: [(&'static str, Self); 2] = [("none", Self::None), ("crop-flip", Self::CropFlip)];
}

impl Recipe {
    /// The learning rate of `epoch`, counted from 0.
    #[must_use]
    pub fn learning_rate(&self, epoch: usize) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= epoch).count();
        self.lr * self.gamma.powi(i32::try_from(passed).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_falls_after_each_milestone() {
        let recipe = Recipe {
            epochs: 200,
            batch: 128,
            lr: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-4,
            milestones: vec![60, 120, 160],
            gamma: 0.2,
            augment: Augment::CropFlip,
            input_dropout: None,
        };
        let rates: Vec<f64> = [0, 59, 60, 120, 160, 199].into_iter().map(|epoch| recipe.learning_rate(epoch)).collect();
        let expected = [0.1, 0.1, 0.02, 0.004, 0.0008, 0.0008];
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
    }
}
