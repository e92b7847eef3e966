//! What planning learns of the files that experiments name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use rayon::prelude::*;

use crate::pipeline::{Absent, Files, SplitContent};
use overinterp_artifacts::recorded_in;
use overinterp_data::{Content, Library, Provenance, normalise_of};
use overinterp_exchange::SelectionNames;
use overinterp_foreign::bounded;
use overinterp_spec::{DataSource, Normalise, Split};
use overinterp_stages::{DataSplit, FileKind, HashedFile, SelectionFiles, hash_file};

use crate::failure::chain;
use crate::text;

/// Answers from the data library, and remembers whether something was there but could not be used.
pub(crate) struct KnownFiles<'a> {
    library: &'a Library,
    damaged: RefCell<Vec<String>>,
    origins: RefCell<Origins>,
    contents: RefCell<Contents>,
}

/// What each half of a data set is known by, of those that were asked for, by the data set's [`full_name`].
pub(crate) type Contents = BTreeMap<(String, Split), Content>;

/// A data set's name with the values of the axes that it mentions.
pub(crate) fn full_name(source: &DataSource) -> String {
    format!("{}{}", source.name, text::cell(&source.cell))
}

/// Where the images of each data set come from, by its name.
pub(crate) type Origins = BTreeMap<String, Origin>;

/// Where images come from.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Of the split that is furthest from what was published, which speaks for both.
    pub provenance: Provenance,
    /// Files of each split that were left out because they do not decode.
    pub skipped: BTreeMap<Split, usize>,
    /// Files of each split that were passed over because their names do not end as those of images do.
    pub passed: BTreeMap<Split, usize>,
}

/// What the files of a split's selections are called in the authors' layout.
///
/// # Errors
/// When the data cannot be used, or do not tell their images apart.
pub(crate) fn selection_names(library: &Library, source: &DataSource, split: Split) -> Result<SelectionNames, Absent> {
    let files = library.image_files(source, split).map_err(|error| absent(&error))?;
    SelectionNames::of(files.as_deref()).map_err(|error| absent(&error))
}

fn absent(error: &dyn Error) -> Absent {
    Absent(chain(error))
}

/// The BLAKE3 of a file that an experiment names.
fn hash_named(kind: FileKind, path: &Path) -> Result<String, Absent> {
    hash_file(path, kind).map_err(|error| {
        Absent(format!("cannot read the {kind} {}: {error}; put it there or change its path", path.display()))
    })
}

impl<'a> KnownFiles<'a> {
    pub fn new(library: &'a Library) -> Self {
        Self { library, damaged: RefCell::default(), origins: RefCell::default(), contents: RefCell::default() }
    }

    /// What was there but could not be used, where the rest comes from, and what it is known by.
    pub fn into_findings(self) -> (Vec<String>, Origins, Contents) {
        (self.damaged.into_inner(), self.origins.into_inner(), self.contents.into_inner())
    }
}

impl Files for KnownFiles<'_> {
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitContent, Absent> {
        match self.library.content(source, split) {
            Ok(content) => {
                self.contents.borrow_mut().insert((full_name(source), split), content);
                let mut origins = self.origins.borrow_mut();
                let first =
                    || Origin { provenance: content.provenance, skipped: BTreeMap::new(), passed: BTreeMap::new() };
                let origin = origins.entry(source.name.clone()).or_insert_with(first);
                origin.provenance = content.provenance.max(origin.provenance);
                if content.skipped > 0 {
                    origin.skipped.insert(split, content.skipped);
                }
                if content.passed > 0 {
                    origin.passed.insert(split, content.passed);
                }
                let normalise = normalise_of(source.kind);
                let Content { hash, images, shape, .. } = content;
                Ok(SplitContent { content: hash.to_string(), images, shape, normalise })
            }
            Err(error) => {
                let message = chain(&error);
                let mut damaged = self.damaged.borrow_mut();
                if !error.is_missing() && !error.is_mistake() && !damaged.contains(&message) {
                    damaged.push(message.clone());
                }
                Err(Absent(message))
            }
        }
    }

    fn file(&self, kind: FileKind, path: &Path) -> Result<String, Absent> {
        hash_named(kind, path)
    }

    fn normalise(&self, path: &Path) -> Option<Normalise> {
        recorded_in(path)?.normalise
    }

    fn selections(&self, path: &Path, split: &DataSplit, count: usize) -> Result<SelectionFiles, Absent> {
        if path.is_file() {
            let hash = self.file(FileKind::PackedSelections, path)?;
            return Ok(SelectionFiles::Packed(HashedFile { path: path.to_owned(), hash }));
        }
        if !path.is_dir() {
            let what = bounded::stranger(path).map_or_else(String::new, |what| format!(" but {what}"));
            let path = path.display();
            let why = format!("there is no folder and no packed file of selections at {path}{what}: put them there");
            return Err(Absent(why));
        }
        let names = selection_names(self.library, &split.source, split.split)?;
        let paths = names.list(path, count).map_err(|error| absent(&error))?;
        let hashed = paths.into_par_iter().map(|path| {
            let hash = hash_named(FileKind::Selection, &path)?;
            Ok(HashedFile { path, hash })
        });
        hashed.collect::<Result<Vec<_>, Absent>>().map(SelectionFiles::Single)
    }
}
