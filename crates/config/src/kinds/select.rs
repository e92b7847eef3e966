//! `kind = "select"`: ranks every pixel of every image.

use overinterp_spec::{Cell, Selection, Split};

use super::{COUNT, Kind, MODELS, Makes, Measures, count};
use crate::experiment::StageRef;
use crate::field::{Field, list, pins, stage, table};
use crate::map::{Choose, perhaps, splits};
use crate::method::{METHOD, method};
use crate::read::Item;
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "select",
    about: "Ranks the pixels of every image by how much a model needs them",
    makes: Makes::Ranking,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    stage("model", "The model that is asked", "\"full\"", MODELS)
        .depends("needed but for the method `random`, which asks none"),
    pins("model-where"),
    list("images", "Whose pixels are ranked", "[\"cifar10.train\", \"cifar10.test\"]", "halves of one data set"),
    pins("images-where"),
    table("method", "How", "{ kind = \"backward\" }", METHOD),
    COUNT,
];

/// A stage that ranks the pixels of images, by what a model needs or at random.
#[derive(Clone, Debug, PartialEq)]
pub struct Select<R = StageRef> {
    /// The model that is asked; none for `random`.
    pub model: Option<R>,
    /// The splits whose images are ranked: data set and half.
    pub images: Vec<(R, Split)>,
    /// How the pixels are ranked.
    pub method: Selection,
    /// Only so many of the first images of each split.
    pub count: Option<usize>,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Select<Reference>> {
    let table = item.table(KEYS)?;
    let images = scope.splits(&table);
    let method = table.required("method").and_then(|item| method(&item));
    let count = count(&table);
    let model = match (&method, table.optional("model")) {
        (Some(Selection::Random { .. }), Some(model)) => {
            for item in [Some(model), table.optional("model-where")].into_iter().flatten() {
                item.fault::<()>("has no place here: the method `random` asks no model");
            }
            None
        }
        (Some(Selection::Random { .. }), None) => Some(None),
        (None, None) => None,
        _ => scope.stage(&table, "model").map(Some),
    };
    Some(Select { model: model?, images: images?, method: method?, count: count? })
}

impl<R> Select<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Select<S>> {
        let (model, images) = (perhaps(self.model.as_ref(), choose)?, splits(&self.images, choose)?);
        Some(Select { model, images, method: self.method.clone(), count: self.count })
    }
}
