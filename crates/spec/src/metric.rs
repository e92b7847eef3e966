//! The questions of `analyse`, and the numbers that an experiment has of its results.

use serde::{Deserialize, Serialize};

use crate::named;

/// Hands every question to a macro, in the order in which messages list them: its documentation and `module::Type`.
///
/// This is the one list of them. `module` is the file of a question's declaration in `overinterp-config` and of the stage that
/// answers it in `overinterp-stages`; both crates make their modules of it.
#[macro_export]
macro_rules! each_question {
    ($receive:ident) => {
        $receive! {
            /// `sis-size`: how large sufficient input subsets are, of all images, of the correctly classified, and of the others.
            sis_size::SisSize,
            /// `confidence-curve`: how f falls while pixels are masked.
            confidence_curve::ConfidenceCurve,
            /// `masked-confidence`: f with everything masked, by predicted class.
            masked_confidence::MaskedConfidence,
            /// `heat-map`: where subsets lie.
            heat_map::HeatMap,
            /// `overlap`: how far two models' subsets of the same images agree.
            overlap::Overlap,
            /// `collections`: how many disjoint sufficient input subsets there are.
            collections::Collections,
            /// `deletion-insertion`: a model's confidence as the pixels ranked highest go or come first.
            deletion_insertion::DeletionInsertion,
            /// `calibration`: how far a model's confidence is its accuracy.
            calibration::Calibration,
        }
    };
}

/// What a number measures. Evaluations have [`Metric::OF_EVALUATIONS`], each question of an analysis its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of images classified as labelled.
    Accuracy,
    /// Mean softmax probability of the predicted class.
    Confidence,
    /// Mean size of the sufficient input subsets; an empty one counts as 0, an image without one not at all.
    SisSize,
    /// The same of the images that the model classifies as labelled.
    SisSizeCorrect,
    /// The same of those that it does not.
    SisSizeMisclassified,
    /// By what share the mean of the correctly classified lies above that of the misclassified: .1 is ten per cent.
    SisSizeDifference,
    /// Share of images without a sufficient input subset: f(x) is below the threshold.
    SisAbsent,
    /// Share of images whose sufficient input subset is empty: f reaches the threshold with everything masked.
    SisEmpty,
    /// Mean area under the curve of f against the share of pixels masked, from none to all (trapezoids).
    ConfidenceArea,
    /// Mean f of the fully masked image.
    MaskedConfidence,
    /// Mean share of a subset's pixels that another model's subset of the same image keeps, too.
    Overlap,
    /// Pixels that both subsets keep over those that either keeps, averaged over images.
    OverlapUnion,
    /// The overlap to expect of subsets drawn at random: the share of the pixels that the other one keeps.
    OverlapChance,
    /// The overlap of subsets of *different* images: what comes of the places alone where models like to keep pixels.
    OverlapElsewhere,
    /// Mean share of a subset's pixels that lie in the border: no further from an edge than a tenth of the shorter side.
    Border,
    /// The same of subsets drawn at random: the border's share of the image.
    BorderChance,
    /// Mean number of disjoint sufficient input subsets of an image.
    CollectionCount,
    /// Mean size of these subsets.
    CollectionSize,
    /// Mean share of an image's pixels that are in any of them.
    CollectionCoverage,
    /// Mean area under the curve of f while the pixels ranked highest are deleted first.
    DeletionArea,
    /// Mean area under the curve of f while they are inserted first into the fully masked image.
    InsertionArea,
    /// By how much the accuracy of images of like confidence differs from that confidence, averaged over images.
    CalibrationError,
    /// What a model's logits are divided by.
    Temperature,
}

/// What a [`Metric`] counts, which decides how it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Parts of one: an accuracy, a probability, a relative difference.
    Share,
    /// Numbers of pixels, such as the size of a sufficient input subset.
    Pixels,
    /// Things of which an image has a few.
    Count,
    /// A factor, which may lie above 1.
    Factor,
}

named! {
    pairs
    /// Every metric with its name in TOML.
    Metric {
        Accuracy = "accuracy",
        Confidence = "confidence",
        SisSize = "sis-size",
        SisSizeCorrect = "sis-size-correct",
        SisSizeMisclassified = "sis-size-misclassified",
        SisSizeDifference = "sis-size-difference",
        SisAbsent = "sis-absent",
        SisEmpty = "sis-empty",
        ConfidenceArea = "confidence-area",
        MaskedConfidence = "masked-confidence",
        Overlap = "overlap",
        OverlapUnion = "overlap-union",
        OverlapChance = "overlap-chance",
        OverlapElsewhere = "overlap-elsewhere",
        Border = "border",
        BorderChance = "border-chance",
        CollectionCount = "collection-count",
        CollectionSize = "collection-size",
        CollectionCoverage = "collection-coverage",
        DeletionArea = "deletion-area",
        InsertionArea = "insertion-area",
        CalibrationError = "calibration-error",
        Temperature = "temperature",
    }
}

impl Metric {
    /// What every evaluation measures.
    pub const OF_EVALUATIONS: &'static [Self] = &[Self::Accuracy, Self::Confidence];

    /// Whether there is a number that chance would give.
    #[must_use]
    pub const fn has_chance(self) -> bool {
        matches!(self, Self::Accuracy | Self::Confidence | Self::Overlap | Self::Border)
    }

    /// What it counts.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::SisSize | Self::SisSizeCorrect | Self::SisSizeMisclassified | Self::CollectionSize => Unit::Pixels,
            Self::CollectionCount => Unit::Count,
            Self::Temperature => Unit::Factor,
            Self::Accuracy
            | Self::Confidence
            | Self::SisSizeDifference
            | Self::SisAbsent
            | Self::SisEmpty
            | Self::ConfidenceArea
            | Self::MaskedConfidence
            | Self::Overlap
            | Self::OverlapUnion
            | Self::OverlapChance
            | Self::OverlapElsewhere
            | Self::Border
            | Self::BorderChance
            | Self::CollectionCoverage
            | Self::DeletionArea
            | Self::InsertionArea
            | Self::CalibrationError => Unit::Share,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_toml_and_on_disk_are_the_same() {
        for (name, metric) in Metric::ALL {
            assert_eq!(metric.name(), name);
            assert_eq!(serde_json::to_value(metric).ok(), Some(serde_json::Value::from(name)));
        }
    }
}
