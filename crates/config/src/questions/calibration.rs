//! `calibration`: how far a model's confidence is its accuracy.

use overinterp_spec::Metric;

use super::Declaration;
use crate::experiment::{ImagesRef, StageRef};
use crate::field::{images, pins, stage, whole};
use crate::kinds::MODELS;
use crate::map::{Choose, one};
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const DECLARATION: Declaration = Declaration {
    name: "calibration",
    about: "How far a model's confidence is its accuracy: the reliability diagram and the expected calibration error",
    keys: &[
        stage("model", "The model", "\"full\"", MODELS),
        pins("model-where"),
        images("images", "The images that it classifies", "\"cifar10.test\""),
        pins("images-where"),
        whole("bins", "Into how many intervals of equal width confidences are sorted", "15").or("15"),
    ],
    metrics: &[Metric::CalibrationError],
    drawings: &["reliability"],
    draws_maps: false,
    needs_confidence: false,
};

/// Intervals of confidence (Guo et al. 2017), and the most that make sense.
const BINS: usize = 15;
const MOST_BINS: usize = 1000;

/// How far a model's confidence is its accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration<R = StageRef> {
    /// The model whose confidence is held against its accuracy.
    pub model: R,
    /// The images that it classifies.
    pub images: ImagesRef<R>,
    /// Into how many intervals of equal width confidences are sorted.
    pub bins: usize,
}

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<Calibration<Reference>> {
    let (model, images) = (scope.stage(table, "model"), scope.images(table));
    let bins = table.or("bins", BINS, |item| match item.whole(1)? {
        bins if bins > MOST_BINS => item.fault(format!("cannot be more than {MOST_BINS}, but is {bins}")),
        bins => Some(bins),
    });
    Some(Calibration { model: model?, images: images?, bins: bins? })
}

impl<R> Calibration<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Calibration<S>> {
        Some(Calibration { model: one(&self.model, choose)?, images: self.images.map(choose)?, bins: self.bins })
    }
}
