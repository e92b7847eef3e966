//! What an earlier export left in a folder, which would be taken for a part of the next one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use overinterp_config::experiment::Experiment;

use crate::failure::Failure;

/// Refuses a folder that holds other files than `own`.
pub(crate) fn nothing_else(folder: &Path, own: &BTreeSet<String>) -> Result<(), Failure> {
    let other = names(folder).find(|name| !own.contains(name));
    other.map_or(Ok(()), |other| {
        let failure = Failure::usage(format!("{} holds {other}, too, which is not of this export", folder.display()));
        Err(failure.hint("remove that folder, or choose another one with `--to`"))
    })
}

/// Refuses a folder that holds something of the stage or data set `name` other than `own`. An entry is of the longest of
/// the experiment's names that it begins with.
pub(crate) fn nothing_else_of(
    experiment: &Experiment,
    name: &str,
    folder: &Path,
    own: &BTreeSet<PathBuf>,
) -> Result<(), Failure> {
    let stages = experiment.stages.iter().map(|stage| stage.name.as_str());
    let known: Vec<&str> = stages.chain(experiment.data.iter().map(|source| source.name.as_str())).collect();
    let is_own = |entry: &str| owner(entry, &known) == Some(name) && is_exported(&folder.join(entry));
    let others = names(folder).filter(|entry| is_own(entry)).map(|entry| folder.join(entry));
    nothing_of(others.filter(|path| !own.contains(path)))
}

/// Refuses the first of these paths that is there.
pub(crate) fn nothing_of(paths: impl IntoIterator<Item = PathBuf>) -> Result<(), Failure> {
    paths.into_iter().find(|path| path.exists()).map_or(Ok(()), |path| {
        let failure = Failure::usage(format!("{} is there already, and not of this export", path.display()));
        Err(failure.hint("remove it, or choose another folder with `--to`"))
    })
}

/// A folder and those in it.
pub(crate) fn with_folders(folder: &Path) -> Vec<PathBuf> {
    let inside = names(folder).map(|name| folder.join(name)).filter(|path| path.is_dir());
    std::iter::once(folder.to_owned()).chain(inside).collect()
}

/// The names in a folder in their order; none where there is no folder.
fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    names.collect::<BTreeSet<_>>().into_iter()
}

/// Which of the names an entry begins with.
fn owner<'a>(entry: &str, known: &[&'a str]) -> Option<&'a str> {
    let begins =
        |name: &&&str| entry.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']));
    known.iter().filter(begins).max_by_key(|name| name.len()).copied()
}

/// Whether an export makes such things: a user's own notes beside them are none.
fn is_exported(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|ending| ending == "png" || ending == "npz")
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_entry_is_of_the_longest_name_that_it_begins_with() {
        let known = ["full", "full-retrained", "full_b"];
        for (entry, owner) in [
            ("full_seed=0", Some("full")),
            ("full-fashion-test.png", Some("full")),
            ("full", Some("full")),
            ("full-retrained_seed=0", Some("full-retrained")),
            ("full_b_seed=0", Some("full_b")),
            ("fuller", None),
        ] {
            assert_eq!(super::owner(entry, &known), owner, "{entry}");
        }
    }
}
