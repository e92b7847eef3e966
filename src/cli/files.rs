//! What planning learns of the files that experiments name.

use std::cell::RefCell;
use std::path::Path;

use crate::data::Library;
use crate::pipeline::{Files, SplitFacts};
use crate::spec::{DataSource, Split};

use super::failure::chain;

/// Answers from the data library, and remembers whether something was there but could not be used.
pub(super) struct KnownFiles<'a> {
    library: &'a Library,
    damaged: RefCell<Vec<String>>,
}

impl<'a> KnownFiles<'a> {
    pub const fn new(library: &'a Library) -> Self {
        Self { library, damaged: RefCell::new(Vec::new()) }
    }

    /// What was there but could not be used.
    pub fn into_damaged(self) -> Vec<String> {
        self.damaged.into_inner()
    }
}

impl Files for KnownFiles<'_> {
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitFacts, String> {
        match self.library.content(source, split) {
            Ok(content) => Ok(SplitFacts { content: content.hash.to_string(), images: content.images }),
            Err(error) => {
                let message = chain(&error);
                let mut damaged = self.damaged.borrow_mut();
                if !error.is_missing() && !damaged.contains(&message) {
                    damaged.push(message.clone());
                }
                Err(message)
            }
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let hash = || -> std::io::Result<blake3::Hash> {
            let mut hasher = blake3::Hasher::new();
            std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
            Ok(hasher.finalize())
        };
        hash().map(|hash| hash.to_hex().to_string()).map_err(|error| {
            format!("cannot read the model file {}: {error}; put it there or change `file`", path.display())
        })
    }
}
