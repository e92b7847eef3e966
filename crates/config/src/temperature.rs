//! Reads `kind = "temperature"`.

use overinterp_spec::{Cell, Split};

use super::read::Reader;
use super::reference::{Draft, Reference};
use super::stage::{MODELS, Scope, split_name};

impl Scope<'_> {
    /// Reads `model`, `images` and `last`. Test images are refused: what is fitted to them cannot be tested on them.
    pub fn temperature(&self, table: &Reader<'_>) -> Option<Draft> {
        let model = self.stage(table, "model", MODELS);
        let images = table.required("images").and_then(|item| {
            let (name, split) = split_name(&item)?;
            self.catalog.find_images(name, &[], &item)?;
            self.check_half(name, split, &item)?;
            if split == Split::Test {
                let problem = item.problem("must be training images: test images would test what was fitted to them");
                let help = format!("write `{name}.train`, with `last` for those that the model is not trained on");
                item.sink().report(problem.help(help));
                return None;
            }
            Some((Reference::new(name, &item, Some(split), Cell::new()), split))
        });
        let last = table.or("last", None, |item| item.whole(1).map(Some));
        Some(Draft::Temperature { model: model?, images: images?, last: last? })
    }
}
