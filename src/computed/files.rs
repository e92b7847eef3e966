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

use super::findings::{Finding, Findings, Scale, about_file, about_normalise, about_selections, about_split};
use crate::failure::chain;
use crate::text;

/// Answers from the data library, or as it once did, and remembers whether something was there but could not be used.
pub(crate) struct KnownFiles<'a> {
    source: Source<'a>,
    findings: RefCell<Findings>,
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

/// Where answers come from.
enum Source<'a> {
    Library(&'a Library),
    /// What was found before.
    Findings(&'a Findings),
}

/// What was learned.
pub(crate) struct Learned {
    /// What was there but could not be used.
    pub damaged: Vec<String>,
    pub origins: Origins,
    pub contents: Contents,
    /// Every answer.
    pub findings: Findings,
}

impl<'a> KnownFiles<'a> {
    pub fn new(library: &'a Library) -> Self {
        Self::from(Source::Library(library))
    }

    /// Answers as `findings` do.
    pub fn recorded(findings: &'a Findings) -> Self {
        Self::from(Source::Findings(findings))
    }

    fn from(source: Source<'a>) -> Self {
        let (damaged, origins, contents) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { source, findings: RefCell::default(), damaged, origins, contents }
    }

    /// What was there but could not be used, where the rest comes from, what it is known by, and every answer.
    pub fn into_learned(self) -> Learned {
        Learned {
            damaged: self.damaged.into_inner(),
            origins: self.origins.into_inner(),
            contents: self.contents.into_inner(),
            findings: self.findings.into_inner(),
        }
    }

    /// The answer to a question, which is noted.
    fn ask(&self, question: String, find: impl FnOnce(&'a Library) -> Finding) -> Finding {
        let finding = match self.source {
            Source::Library(library) => find(library),
            Source::Findings(findings) => findings.get(&question).cloned().unwrap_or_else(|| {
                Finding::Absent(format!(
                    "the record does not tell of the {question}: compute it here by `overinterp run`"
                ))
            }),
        };
        self.findings.borrow_mut().insert(question, finding.clone());
        finding
    }
}

/// Files that experiments name one by one.
const ALONE: [FileKind; 4] = [FileKind::Model, FileKind::Predictions, FileKind::Answers, FileKind::AnswerKey];

/// Whether files and data sets give the answers again that were noted, those of `data` among them.
pub(crate) fn are_as_found(findings: &Findings, data: &[DataSource], library: &Library) -> bool {
    let known = KnownFiles::new(library);
    for question in findings.keys() {
        let path = |kind: FileKind| question.strip_prefix(&format!("{kind} ")).map(Path::new);
        // What is asked for in vain gives another answer, which is told of by whoever plans.
        if question.starts_with("split ") {
            let halves = data.iter().flat_map(|source| Split::ALL.map(|split| (source, split)));
            let asked = halves.into_iter().find(|(source, split)| *question == about_split(source, *split));
            asked.map(|(source, split)| known.split(source, split).is_ok());
        } else if let Some(path) = question.strip_prefix("normalise of ") {
            known.normalise(Path::new(path));
        } else if let Some((kind, path)) = ALONE.iter().find_map(|&kind| Some((kind, path(kind)?))) {
            let _ = known.file(kind, path);
        }
    }
    known.into_learned().findings == *findings
}

fn unlike(finding: Finding) -> Absent {
    match finding {
        Finding::Absent(why) => Absent(why),
        _ => Absent("the record of the run answers another question".to_owned()),
    }
}

impl Files for KnownFiles<'_> {
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitContent, Absent> {
        let finding = self.ask(about_split(source, split), |library| match library.content(source, split) {
            Ok(content) => Finding::of_content(&content),
            Err(error) => {
                let message = chain(&error);
                let mut damaged = self.damaged.borrow_mut();
                if !error.is_missing() && !error.is_mistake() && !damaged.contains(&message) {
                    damaged.push(message.clone());
                }
                Finding::Absent(message)
            }
        });
        let Some(content) = finding.content() else { return Err(unlike(finding)) };
        self.contents.borrow_mut().insert((full_name(source), split), content);
        let mut origins = self.origins.borrow_mut();
        let first = || Origin { provenance: content.provenance, skipped: BTreeMap::new(), passed: BTreeMap::new() };
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

    fn file(&self, kind: FileKind, path: &Path) -> Result<String, Absent> {
        match self.ask(about_file(kind, path), |_| hash_named(kind, path).map_or_else(not_there, Finding::File)) {
            Finding::File(hash) => Ok(hash),
            other => Err(unlike(other)),
        }
    }

    fn normalise(&self, path: &Path) -> Option<Normalise> {
        let find = |_| {
            let own = recorded_in(path).and_then(|recorded| recorded.normalise);
            Finding::Normalise(own.as_ref().map(Scale::from))
        };
        match self.ask(about_normalise(path), find) {
            Finding::Normalise(scale) => scale.as_ref().map(Normalise::from),
            _ => None,
        }
    }

    fn selections(&self, path: &Path, split: &DataSplit, count: usize) -> Result<SelectionFiles, Absent> {
        let question = about_selections(path, split, count);
        let finding = self.ask(question, |library| {
            selection_files(library, path, split, count).map_or_else(not_there, |files| Finding::of_selections(&files))
        });
        finding.selections().ok_or_else(|| unlike(finding))
    }
}

fn not_there(Absent(why): Absent) -> Finding {
    Finding::Absent(why)
}

/// The files of the selections of the first `count` images of `split` at `path`, each with its hash.
fn selection_files(library: &Library, path: &Path, split: &DataSplit, count: usize) -> Result<SelectionFiles, Absent> {
    if path.is_file() {
        let hash = hash_named(FileKind::PackedSelections, path)?;
        return Ok(SelectionFiles::Packed(HashedFile { path: path.to_owned(), hash }));
    }
    if !path.is_dir() {
        let what = bounded::stranger(path).map_or_else(String::new, |what| format!(" but {what}"));
        let path = path.display();
        let why = format!("there is no folder and no packed file of selections at {path}{what}: put them there");
        return Err(Absent(why));
    }
    let names = selection_names(library, &split.source, split.split)?;
    let paths = names.list(path, count).map_err(|error| absent(&error))?;
    let hashed = paths.into_par_iter().map(|path| {
        let hash = hash_named(FileKind::Selection, &path)?;
        Ok(HashedFile { path, hash })
    });
    hashed.collect::<Result<Vec<_>, Absent>>().map(SelectionFiles::Single)
}
