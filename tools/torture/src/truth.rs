//! What an undisturbed run leaves, and the comparison with what a disturbed one did.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bench::Fault;

/// The files of every entry by their paths below `steps`, and what counts of every record.
#[derive(PartialEq)]
pub struct Truth(BTreeMap<PathBuf, Vec<u8>>);

/// What of a record says when, where and how long something was made, and how files lie on the disk.
const OF_THE_MOMENT: [&str; 4] = ["seconds", "made", "labels", "seal"];

impl Truth {
    /// Of a finished cache.
    pub fn of(cache: &Path) -> Result<Self, Fault> {
        let steps = cache.join("v1/steps");
        let mut found = BTreeMap::new();
        for path in files(&steps) {
            let bytes = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let bytes = if path.ends_with("step.json") { lasting(&path, &bytes)? } else { bytes };
            found.insert(path.strip_prefix(&steps).unwrap_or(&path).to_owned(), bytes);
        }
        Ok(Self(found))
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.0.len()
    }

    /// Each entry as claims and damaged ones are called: its kind and hash.
    pub fn entries(&self) -> Vec<(String, String)> {
        let records = self.0.keys().filter(|path| path.ends_with("step.json"));
        let names = records.filter_map(|path| {
            let hash = path.parent()?;
            let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
            Some((name(hash.parent()?)?, name(hash)?))
        });
        names.collect()
    }

    /// Holds a cache against this one.
    pub fn compare(&self, cache: &Path) -> Result<(), Fault> {
        let other = Self::of(cache)?;
        for (path, bytes) in &self.0 {
            match other.0.get(path) {
                None => return Err(format!("{} is missing", path.display())),
                Some(found) if found != bytes => {
                    return Err(format!("{} has other bytes than undisturbed", path.display()));
                }
                Some(_) => {}
            }
        }
        match other.0.keys().find(|path| !self.0.contains_key(*path)) {
            Some(path) => Err(format!("{} is in no undisturbed cache", path.display())),
            None => Ok(()),
        }
    }
}

/// What of a record is the same in every run.
fn lasting(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let broken = || format!("{} is no record", path.display());
    let mut value: Value = serde_json::from_slice(bytes).map_err(|_| broken())?;
    let record = value.as_object_mut().ok_or_else(broken)?;
    record.retain(|name, _| !OF_THE_MOMENT.contains(&name.as_str()));
    for file in record.get_mut("files").and_then(Value::as_object_mut).ok_or_else(broken)?.values_mut() {
        file.as_object_mut().ok_or_else(broken)?.remove("modified");
    }
    Ok(value.to_string().into_bytes())
}

/// Every file below a folder, in the order of their paths. Links are not followed.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    walk(folder).into_iter().filter(|path| !path.is_dir() || path.is_symlink()).collect()
}

/// Everything below a folder, the folder first.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut next) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = next.pop() {
        if path.is_dir() && !path.is_symlink() {
            let entries = fs::read_dir(&path).into_iter().flatten();
            next.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// Copies a folder with all in it.
pub fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    for path in walk(from) {
        let there = to.join(path.strip_prefix(from).unwrap_or(&path));
        let copied = if path.is_dir() { fs::create_dir_all(&there) } else { fs::copy(&path, &there).map(drop) };
        copied.map_err(|error| format!("cannot copy {}: {error}", path.display()))?;
    }
    Ok(())
}
