//! `kind = "collection"`: all disjoint sufficient input subsets of each image, each by a backward selection of its own.

use overinterp_spec::{Cell, Split};

use super::{COUNT, Kind, MODELS, Makes, Measures, THRESHOLD, count, threshold};
use crate::experiment::StageRef;
use crate::field::{Field, list, pins, stage};
use crate::map::{Choose, one, splits};
use crate::read::Item;
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "collection",
    about: "Finds all disjoint sufficient input subsets of each image",
    makes: Makes::Collections,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    stage("model", "The model that is asked", "\"full\"", MODELS),
    pins("model-where"),
    list("images", "Of which images", "[\"cifar10.test\"]", "halves of one data set"),
    pins("images-where"),
    THRESHOLD,
    COUNT,
];

/// A search for all disjoint sufficient input subsets.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection<R = StageRef> {
    /// The model that is asked.
    pub model: R,
    /// The splits whose images are used.
    pub images: Vec<(R, Split)>,
    /// The confidence that a subset must reach.
    pub threshold: f64,
    /// Only so many of the first images of each split.
    pub count: Option<usize>,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Collection<Reference>> {
    let table = item.table(KEYS)?;
    let model = scope.stage(&table, "model");
    let images = scope.splits(&table);
    let threshold = threshold(&table);
    let count = count(&table);
    Some(Collection { model: model?, images: images?, threshold: threshold?, count: count? })
}

impl<R> Collection<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Collection<S>> {
        let (model, images) = (one(&self.model, choose)?, splits(&self.images, choose)?);
        Some(Collection { model, images, threshold: self.threshold, count: self.count })
    }
}
