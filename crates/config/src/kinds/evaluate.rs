//! `kind = "evaluate"`: accuracy and confidence, of each of its pairs.

use overinterp_spec::Cell;

use super::{Kind, MODELS, Makes, Measures};
use crate::experiment::{ImagesRef, StageRef};
use crate::field::{Field, images, pins, rows, stage};
use crate::map::{Choose, one};
use crate::read::Item;
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "evaluate",
    about: "Measures how accurate and how confident models are on images",
    makes: Makes::Evaluation,
    keys: || KEYS,
    rows: Some("pairs"),
    measures: Measures::Pairs,
};

const KEYS: &[Field] =
    &[NAME, rows("pairs", "Which model on which images", "[{ model = \"full\", images = \"cifar10.test\" }]", PAIR)];

const PAIR: &[Field] = &[
    stage("model", "The model", "\"full\"", MODELS),
    pins("model-where"),
    images("images", "The images", "\"cifar10.test\""),
    pins("images-where"),
];

/// One of the pairs of an `evaluate` stage: a model, and images that it classifies.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluate<R = StageRef> {
    /// The model that is asked.
    pub model: R,
    /// The images that it classifies, whole or masked.
    pub images: ImagesRef<R>,
}

/// Reads one of the pairs.
pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Evaluate<Reference>> {
    let table = item.table(PAIR)?;
    let model = scope.stage(&table, "model");
    let images = scope.images(&table);
    Some(Evaluate { model: model?, images: images? })
}

impl<R> Evaluate<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Evaluate<S>> {
        Some(Evaluate { model: one(&self.model, choose)?, images: self.images.map(choose)? })
    }
}
