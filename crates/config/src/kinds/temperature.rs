//! `kind = "temperature"`: a model whose logits are divided by what makes its confidence right.

use overinterp_spec::{Cell, Split};

use super::{Kind, MODELS, Makes, Measures};
use crate::experiment::StageRef;
use crate::field::{Field, images, pins, stage, whole};
use crate::map::{Choose, one};
use crate::read::Item;
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::{Scope, split_name};

pub(super) const KIND: Kind = Kind {
    name: "temperature",
    about: "Divides a model's logits by the number that makes the cross-entropy of some images least",
    makes: Makes::Model,
    keys: || KEYS,
    rows: None,
    measures: Measures::Numbers,
};

const KEYS: &[Field] = &[
    NAME,
    stage("model", "The model", "\"full\"", MODELS),
    pins("model-where"),
    images("images", "The training half of a data set, whose images it is fitted to", "\"cifar10.train\""),
    whole("last", "Only so many of its last images", "5000").or("all"),
];

/// A model at another temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct Temperature<R = StageRef> {
    /// The model whose logits are divided.
    pub model: R,
    /// The half of a data set whose images the temperature is fitted to.
    pub images: (R, Split),
    /// Only so many of its last images.
    pub last: Option<usize>,
}

/// Test images are refused: what is fitted to them cannot be tested on them.
pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Temperature<Reference>> {
    let table = item.table(KEYS)?;
    let model = scope.stage(&table, "model");
    let images = table.required("images").and_then(|item| {
        let (name, split) = split_name(&item)?;
        scope.catalog.find_images(name, &[], &item)?;
        scope.check_half(name, split, &item)?;
        if split == Split::Test {
            let problem = item.problem("must be training images: test images would test what was fitted to them");
            let help = format!("write `{name}.train`, with `last` for those that the model is not trained on");
            item.sink().report(problem.help(help));
            return None;
        }
        Some((Reference::new(name, &item, Some(split), Cell::new()), split))
    });
    let last = table.or("last", None, |item| item.whole(1).map(Some));
    Some(Temperature { model: model?, images: images?, last: last? })
}

impl<R> Temperature<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Temperature<S>> {
        let (data, split) = &self.images;
        let (model, images) = (one(&self.model, choose)?, (one(data, choose)?, *split));
        Some(Temperature { model, images, last: self.last })
    }
}
