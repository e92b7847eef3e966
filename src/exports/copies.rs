//! `export` as the cache has it: the files of a stage's steps, with pictures of subsets and, if wanted, all probabilities.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Export;
use super::leftovers::{nothing_else, nothing_else_of};
use super::names::folder_name;
use super::pictures::{self, Pictured};
use super::probabilities::{self, Form};
use crate::failure::Failure;
use crate::text;
use crate::writing::copy;

/// A step whose files are copied.
struct Copied {
    from: PathBuf,
    to: PathBuf,
    files: Vec<String>,
}

/// Copies the files of a stage's steps into the folder `into`.
pub(crate) fn write(export: &Export<'_>, into: &Path, forms: &[Form]) -> Result<(), Failure> {
    let mut steps = Vec::new();
    let mut absent = 0;
    for (_, step) in export.computed.planned.plan.steps().filter(|(_, step)| step.label().stage == export.name) {
        match step.key().map(|key| export.computed.verified(key)).transpose()?.flatten() {
            None => absent += 1,
            Some((from, record)) => {
                let to = into.join(folder_name(step.label()));
                steps.push(Copied { from, to, files: record.files.keys().cloned().collect() });
            }
        }
    }
    if steps.is_empty() {
        let failure = Failure::not_computed(&format!("no step of `{}` is", export.name), export.file, export.name);
        return Err(export.computed.worsened(failure));
    }
    let pictured = pictures::of_stage(export, into)?;
    let asked = probabilities::due(export, into, forms)?;
    check_leftovers(export, forms, into, &steps, &pictured, &asked)?;
    for Copied { from, to, files } in &steps {
        for file in files {
            copy(&from.join(file), &to.join(file))?;
        }
        export.wrote(to);
    }
    for path in pictured.iter().map(Pictured::write).collect::<Result<Vec<_>, _>>()?.concat() {
        export.wrote(&path);
    }
    for path in probabilities::write(export, forms, &asked)? {
        export.wrote(&path);
    }
    let missing =
        if absent > 0 { format!("; {} not in the cache yet", text::count(absent, "step")) } else { String::new() };
    export.note(&format!("copied {} to {}{missing}", text::count(steps.len(), "step"), into.display()));
    Ok(())
}

/// Refuses what an earlier export left where this one goes, before anything is written.
fn check_leftovers(
    export: &Export<'_>,
    forms: &[Form],
    into: &Path,
    steps: &[Copied],
    pictured: &[Pictured],
    asked: &[probabilities::Due<'_>],
) -> Result<(), Failure> {
    let steps = steps.iter().map(|step| (step.to.clone(), step.files.iter().cloned().collect::<BTreeSet<_>>()));
    let mut folders: BTreeMap<PathBuf, BTreeSet<String>> = steps.collect();
    let mut own: BTreeSet<PathBuf> = folders.keys().cloned().collect();
    for due in asked {
        let files = folders.entry(due.folder.clone()).or_default();
        files.extend(probabilities::files(forms).map(|(_, file)| file.to_owned()));
    }
    for pictures in pictured {
        own.insert(pictures.sheet.clone());
        if !pictures.files.is_empty() {
            own.insert(pictures.folder());
        }
        folders.insert(pictures.folder(), pictures.files.values().cloned().collect());
    }
    nothing_else_of(&export.computed.experiments[0], export.name, into, &own)?;
    folders.iter().try_for_each(|(folder, files)| nothing_else(folder, files))
}
