//! How a model did on a set of images.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tensor_file::{self, Tensor};
use super::{Damage, json_file};
use overinterp_workflow::stage::{Artifact, ArtifactError};

const METRICS: &str = "metrics.json";

/// What an `evaluate` stage produces.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Image by image.
    pub predictions: Predictions,
    /// What the predictions come to over all images.
    pub metrics: Metrics,
}

/// What a model said of each image, and what it should have said. One entry an image in each list.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Classes that the model tells apart.
    pub classes: usize,
    /// The class of highest logit, the lowest on ties.
    pub predicted: Vec<u16>,
    /// Its softmax probability.
    pub confidence: Vec<f32>,
    /// The true class.
    pub labels: Vec<u16>,
}

/// Sums over all images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metrics {
    /// How many images were evaluated, which may be none.
    pub images: usize,
    /// Classes that the model tells apart; chance is one over it.
    pub classes: usize,
    /// Share of images classified as labelled; 0 of none.
    pub accuracy: f64,
    /// The same among the images of each class; none where there is no image of it.
    pub per_class_accuracy: Vec<Option<f64>>,
    /// Mean softmax probability of the predicted class; 0 of no image.
    pub mean_confidence: f64,
}

impl Evaluation {
    /// The file that a result of this kind has, and no other.
    pub const FILE: &str = "predictions.safetensors";

    /// Sums up predictions.
    #[must_use]
    pub fn new(predictions: Predictions) -> Self {
        let metrics = Metrics::of(&predictions);
        Self { predictions, metrics }
    }
}

impl Metrics {
    /// Sums up predictions.
    #[must_use]
    pub fn of(predictions: &Predictions) -> Self {
        let Predictions { classes, predicted, confidence, labels } = predictions;
        let correct = |class: Option<u16>| {
            let of_class = predicted.iter().zip(labels).filter(|(_, label)| class.is_none_or(|class| **label == class));
            let (correct, images) = of_class.fold((0_usize, 0_usize), |(correct, images), (said, label)| {
                (correct + usize::from(said == label), images + 1)
            });
            (images > 0).then(|| correct as f64 / images as f64)
        };
        let images = labels.len();
        let total: f64 = confidence.iter().copied().map(f64::from).sum();
        Self {
            images,
            classes: *classes,
            accuracy: correct(None).unwrap_or(0.0),
            per_class_accuracy: (0..*classes)
                .map(|class| u16::try_from(class).ok().and_then(|class| correct(Some(class))))
                .collect(),
            mean_confidence: if images > 0 { total / images as f64 } else { 0.0 },
        }
    }

    /// Reads the sums alone from the directory of an [`Evaluation`].
    ///
    /// # Errors
    /// When the file is missing, unreadable or malformed; the error names it.
    pub fn load(dir: &Path) -> Result<Self, ArtifactError> {
        json_file::read(&dir.join(METRICS), |metrics: &Self| {
            if metrics.per_class_accuracy.len() == metrics.classes {
                Ok(())
            } else {
                Err(Damage::value("it has not one accuracy a class"))
            }
        })
    }
}

/// What the predictions' header says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    images: usize,
    classes: usize,
}

impl Artifact for Evaluation {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let Predictions { classes, predicted, confidence, labels } = &self.predictions;
        let facts = Facts { images: labels.len(), classes: *classes };
        let shape = [facts.images];
        let tensors = [
            ("class", Tensor::new(&shape, predicted)),
            ("confidence", Tensor::new(&shape, confidence)),
            ("label", Tensor::new(&shape, labels)),
        ];
        tensor_file::write(&dir.join(Self::FILE), &facts, tensors)?;
        json_file::write(&dir.join(METRICS), &self.metrics)
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        let predictions = tensor_file::read(&dir.join(Self::FILE), |file| {
            let Facts { images, classes } = file.facts()?;
            let predicted: Vec<u16> = file.tensor("class", &[images])?;
            let labels: Vec<u16> = file.tensor("label", &[images])?;
            if predicted.iter().chain(&labels).any(|&class| usize::from(class) >= classes) {
                return Err(Damage::value(format_args!("it names a class beyond its {classes}")));
            }
            Ok(Predictions { classes, predicted, confidence: file.tensor("confidence", &[images])?, labels })
        })?;
        Ok(Self { predictions, metrics: Metrics::load(dir)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_count_images_per_class_and_in_all() {
        let metrics = Metrics::of(&Predictions {
            classes: 3,
            predicted: vec![0, 0, 1, 1],
            confidence: vec![0.5, 0.75, 1.0, 0.75],
            labels: vec![0, 1, 1, 1],
        });
        assert_eq!(
            metrics,
            Metrics {
                images: 4,
                classes: 3,
                accuracy: 0.75,
                per_class_accuracy: vec![Some(1.0), Some(2.0 / 3.0), None],
                mean_confidence: 0.75,
            }
        );
    }

    #[test]
    fn metrics_of_no_images_are_numbers() {
        let none = Predictions { classes: 1, predicted: vec![], confidence: vec![], labels: vec![] };
        let metrics = Metrics::of(&none);
        assert_eq!((metrics.accuracy.to_bits(), metrics.mean_confidence.to_bits()), (0, 0));
        assert_eq!(metrics.per_class_accuracy, [None]);
    }
}
