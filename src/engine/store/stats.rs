//! What a cache holds, counted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::error::{Doing as _, READ};
use super::{Store, StoreError, files};
use crate::engine::key::StepKey;

/// What a cache holds of one stage kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct KindStats {
    /// Finished steps.
    pub steps: usize,
    /// The size of their files.
    pub bytes: u64,
    /// What it took to compute them: what a run that finds them all saves.
    pub seconds: f64,
}

/// What a cache holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// By stage kind.
    pub kinds: BTreeMap<String, KindStats>,
    /// Entries whose record is missing or unreadable.
    pub unreadable: usize,
    /// Steps that have not finished, with their checkpoints' size.
    pub partial: Pile,
    /// Entries that were set aside as damaged.
    pub damaged: Pile,
    /// What lies among the steps and is none: files of other programs, and links, which are not followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<PathBuf>,
}

/// A number of things and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pile {
    /// How many.
    pub count: usize,
    /// The size of their files.
    pub bytes: u64,
}

impl Pile {
    pub(super) const fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

impl Store {
    /// Counts what the cache holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        for key in self.entries()? {
            match self.read_record(&self.dir_of(&key))? {
                Ok(record) => {
                    let kind = stats.kinds.entry(key.kind).or_default();
                    kind.steps += 1;
                    kind.bytes += record.bytes();
                    // A result that was taken over was not computed a second time.
                    kind.seconds += if record.taken_from.is_none() { record.seconds } else { 0.0 };
                }
                Err(_) => stats.unreadable += 1,
            }
        }
        let partial = self.base.join("partial");
        for kind in files::folders(&partial).doing(READ, &partial)? {
            stats.partial.add_all(&partial.join(kind))?;
        }
        stats.damaged.add_all(&self.base.join("damaged"))?;
        stats.strays = self.strays()?;
        Ok(stats)
    }

    /// Every entry by kind and hash, whatever state it is in.
    pub(super) fn entries(&self) -> Result<Vec<EntryName>, StoreError> {
        let steps = self.base.join("steps");
        let mut entries = Vec::new();
        for kind in files::folders(&steps).doing(READ, &steps)? {
            let dir = steps.join(&kind);
            let hashes = files::list(&dir).doing(READ, &dir)?.into_keys().filter(|name| is_hash(name));
            entries.extend(hashes.map(|hash| EntryName { kind: kind.clone(), hash }));
        }
        Ok(entries)
    }

    /// What lies among the steps, or among those that have not finished, and is none.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub(super) fn strays(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut strays = Vec::new();
        for part in ["steps", "partial"] {
            let part = self.base.join(part);
            for (name, metadata) in files::list(&part).doing(READ, &part)? {
                let dir = part.join(name);
                if !metadata.is_dir() {
                    strays.push(dir);
                    continue;
                }
                let names = files::list(&dir).doing(READ, &dir)?.into_keys();
                strays.extend(names.filter(|name| !is_hash(name)).map(|name| dir.join(name)));
            }
        }
        Ok(strays)
    }

    pub(super) fn dir_of(&self, name: &EntryName) -> PathBuf {
        self.base.join("steps").join(&name.kind).join(&name.hash)
    }

    /// The finished steps whose hash begins with those digits: for people who type keys.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn find_by_prefix(&self, kind: Option<&str>, digits: &str) -> Result<Vec<StepKey>, StoreError> {
        let mut keys = Vec::new();
        for name in self.entries()? {
            if kind.is_none_or(|kind| kind == name.kind)
                && name.hash.starts_with(digits)
                && let Ok(record) = self.read_record(&self.dir_of(&name))?
            {
                keys.push(record.key);
            }
        }
        Ok(keys)
    }
}

/// Whether a name can be that of an entry.
fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}

impl Pile {
    fn add_all(&mut self, dir: &std::path::Path) -> Result<(), StoreError> {
        for name in files::list(dir).doing(READ, dir)?.into_keys() {
            let path = dir.join(name);
            self.add(files::bytes_under(&path).doing(READ, &path)?);
        }
        Ok(())
    }
}

/// Where an entry lies: its key but for the version, which is in the hash.
pub(super) struct EntryName {
    pub(super) kind: String,
    pub(super) hash: String,
}
