//! `kind = "import-selection"`: rankings from files in the authors' layout.

use std::path::PathBuf;

use overinterp_spec::{Cell, Selection, Split};

use super::{COUNT, Kind, MODELS, Makes, Measures, count};
use crate::experiment::StageRef;
use crate::field::{Field, data, path, pins, stage, table};
use crate::map::{Choose, one, perhaps};
use crate::method::{METHOD, method};
use crate::read::{Item, Reader};
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "import-selection",
    about: "Takes rankings from files in the authors' layout",
    makes: Makes::Ranking,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    data("data", "The data set whose images were ranked", "\"cifar10\""),
    table(
        "files",
        "Of each half a folder with a file an image, or one packed file",
        "{ test = \"sis/cifar10_test\" }",
        FILES,
    ),
    table(
        "predictions",
        "Of each half a CSV file of the class and confidence that the model gave each image",
        "{ test = \"preds/cifar10_test.csv\" }",
        PREDICTIONS,
    )
    .depends("`backward` needs it, or `model`; `batched-gradient` takes none"),
    stage("model", "The model that ranked them, which is asked for what the files leave out", "\"imported\"", MODELS)
        .depends("`batched-gradient` needs it"),
    pins("model-where"),
    table("method", "How they were ranked: by `backward` or `batched-gradient`", "{ kind = \"backward\" }", METHOD),
    COUNT,
];

const FILES: &[Field] = &[
    path("train", "Of the training half", "\"sis/cifar10_train\"").depends("one of both is needed"),
    path("test", "Of the test half", "\"sis/cifar10_test\"").depends("one of both is needed"),
];

const PREDICTIONS: &[Field] = &[
    path("train", "Of the training half", "\"preds/cifar10_train.csv\"").depends("needed if `files` has it"),
    path("test", "Of the test half", "\"preds/cifar10_test.csv\"").depends("needed if `files` has it"),
];

/// An import of selections.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportSelection<R = StageRef> {
    /// The data set whose images were ranked.
    pub data: R,
    /// By half: a folder with one file an image, or a packed file.
    pub files: Vec<(Split, PathBuf)>,
    /// By half: which class the model predicts on each image, and with which confidence.
    pub predictions: Vec<(Split, PathBuf)>,
    /// The model that ranked them, which is asked for what the files leave out.
    pub model: Option<R>,
    /// How the files' pixels were ranked, `Backward` or `BatchedGradient`.
    pub method: Selection,
    /// Only so many of the first images of each split.
    pub count: Option<usize>,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<ImportSelection<Reference>> {
    let table = item.table(KEYS)?;
    let data = table.required("data").and_then(|item| scope.data_set(&item));
    let files = table.required("files").and_then(|item| halves(scope, &item, FILES));
    let method = table.required("method").and_then(|item| match method(&item)? {
        method @ (Selection::Backward | Selection::BatchedGradient { .. }) => Some(method),
        Selection::Gradient { .. } | Selection::IntegratedGradients { .. } | Selection::Random { .. } => {
            item.fault("must be of kind `backward` or `batched-gradient`, of which the authors' files are")
        }
    });
    let predictions = table.or("predictions", Vec::new(), |item| {
        let predictions = halves(scope, &item, PREDICTIONS)?;
        let unknown = files.iter().flatten().find(|(half, _)| !predictions.iter().any(|(known, _)| known == half));
        match unknown {
            None => Some(predictions),
            Some((half, _)) => item.fault(format!("lacks `{half}`, of which `files` has selections")),
        }
    });
    let count = count(&table);
    check_sources(&table, method.as_ref());
    let model = match table.optional("model") {
        None => Some(None),
        Some(_) => scope.stage(&table, "model").map(Some),
    };
    let (model, data) = (model?, data?);
    let (files, predictions) = (files?, predictions?);
    Some(ImportSelection { data, files, predictions, model, method: method?, count: count? })
}

/// A path for one half of a data set, or for both.
fn halves(scope: &Scope<'_>, item: &Item<'_>, fields: &'static [Field]) -> Option<Vec<(Split, PathBuf)>> {
    let table = item.table(fields)?;
    let mut halves = Vec::new();
    let mut sound = true;
    for half in Split::ALL {
        let Some(item) = table.optional(half.name()) else { continue };
        match scope.folders.resolve(&item) {
            Some(path) => halves.push((half, path)),
            None => sound = false,
        }
    }
    if sound && halves.is_empty() {
        table.one_of(&["train", "test"]);
        return None;
    }
    sound.then_some(halves)
}

/// Reports what is lacking to know what the files leave out.
fn check_sources(table: &Reader<'_>, method: Option<&Selection>) {
    let (predictions, model) = (table.optional("predictions"), table.optional("model"));
    match (method, predictions, model) {
        (Some(Selection::Backward), None, None) => {
            // Files of backward selection say neither the class nor f(x).
            table.one_of(&["predictions", "model"]);
        }
        (Some(Selection::BatchedGradient { .. }), predictions, model) => {
            if let Some(item) = predictions {
                item.fault::<()>("has no place here: files of batched gradient hold their own");
            }
            if model.is_none() {
                // Such files lack f of the fully masked image.
                table.required("model");
            }
        }
        _ => {}
    }
}

impl<R> ImportSelection<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<ImportSelection<S>> {
        Some(ImportSelection {
            model: perhaps(self.model.as_ref(), choose)?,
            data: one(&self.data, choose)?,
            files: self.files.clone(),
            predictions: self.predictions.clone(),
            method: self.method.clone(),
            count: self.count,
        })
    }
}
