//! Results as files for others: copies, pictures, what the authors' code reads, studies for people; and what must not lie
//! in a folder before.

pub(crate) mod authors;
pub(crate) mod copies;
pub(crate) mod human_study;
pub(crate) mod leftovers;
pub(crate) mod names;
pub(crate) mod pictures;
pub(crate) mod preprocessed;
pub(crate) mod probabilities;

use std::path::Path;

use crate::computed::Computed;

/// What is exported, and who hears of it.
pub(crate) struct Export<'a> {
    /// Where it comes from: the first of these experiments.
    pub computed: &'a Computed,
    /// The experiment's file, for advice.
    pub file: &'a Path,
    /// The stage, or the data set.
    pub name: &'a str,
    /// How many images, if that was said.
    pub images: Option<usize>,
    pub say: &'a dyn Fn(Said<'_>),
}

/// What an export tells while it goes on.
#[derive(Debug)]
pub(crate) enum Said<'a> {
    /// A file or folder is there now.
    Wrote(&'a Path),
    /// What to know of it.
    Note(&'a str),
}

impl Export<'_> {
    fn wrote(&self, path: &Path) {
        (self.say)(Said::Wrote(path));
    }

    fn note(&self, text: &str) {
        (self.say)(Said::Note(text));
    }
}
