//! Reads a stage of kind `import-selection`.

use std::path::PathBuf;

use overinterp_spec::{Cell, Selection, Split};

use super::method::method;
use super::read::{Item, Reader};
use super::reference::{Draft, Reference};
use super::schema::{Field, PREDICTION_FILES, SELECTION_FILES};
use super::stage::{MODELS, Scope};

impl Scope<'_> {
    pub(super) fn import_selection(&self, table: &Reader<'_>) -> Option<Draft> {
        let data = table.required("data").and_then(|item| {
            let name = item.text()?;
            self.catalog.find_images(name, &[], &item)?;
            Some(Reference::new(name, &item, None, Cell::new()))
        });
        let files = table.required("files").and_then(|item| self.halves(&item, SELECTION_FILES));
        let method = table.required("method").and_then(|item| match method(&item)? {
            method @ (Selection::Backward | Selection::BatchedGradient { .. }) => Some(method),
            Selection::Gradient { .. } | Selection::IntegratedGradients { .. } | Selection::Random { .. } => {
                item.fault("must be of kind `backward` or `batched-gradient`, of which the authors' files are")
            }
        });
        let predictions = table.or("predictions", Vec::new(), |item| {
            let predictions = self.halves(&item, PREDICTION_FILES)?;
            let unknown = files.iter().flatten().find(|(half, _)| !predictions.iter().any(|(known, _)| known == half));
            match unknown {
                None => Some(predictions),
                Some((half, _)) => item.fault(format!("lacks `{half}`, of which `files` has selections")),
            }
        });
        let count = table.or("count", None, |item| item.whole(1).map(Some));
        check_sources(table, method.as_ref());
        let model = match table.optional("model") {
            None => Some(None),
            Some(_) => self.stage(table, "model", MODELS).map(Some),
        };
        let (model, data) = (model?, data?);
        let (files, predictions) = (files?, predictions?);
        Some(Draft::ImportSelection { data, files, predictions, model, method: method?, count: count? })
    }

    /// A path for one half of a data set, or for both.
    fn halves(&self, item: &Item<'_>, fields: &'static [Field]) -> Option<Vec<(Split, PathBuf)>> {
        let table = item.table(fields)?;
        let mut halves = Vec::new();
        let mut sound = true;
        for half in Split::ALL {
            let Some(item) = table.optional(half.name()) else { continue };
            match self.folders.resolve(&item) {
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
