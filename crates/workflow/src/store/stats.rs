//! What a cache holds, counted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::entry::{Inspected, RecordFault, Scrutiny};
use super::error::{Doing as _, READ};
use super::places::is_hash;
use super::verify::Damage;
use super::{RUNS, Store, StoreError, files};
use crate::key::StepKey;

/// What a cache holds of one stage kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct KindStats {
    /// How many finished steps have a sound entry.
    pub steps: usize,
    /// The size of their files.
    pub bytes: u64,
    /// What it took to compute them: what a run that finds them all saves.
    pub seconds: f64,
}

/// What a cache holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// By stage kind; of what is damaged nothing is counted.
    pub kinds: BTreeMap<String, KindStats>,
    /// Entries that are damaged and lie in their place.
    pub in_place: Vec<Damage>,
    /// Entries that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Damage>,
    /// Steps that have not finished, with their checkpoints' size.
    pub partial: Pile,
    /// Entries that were set aside as damaged.
    pub damaged: Pile,
    /// What was recorded of runs.
    pub runs: Pile,
    /// What lies in the cache and is no part of it: files of other programs, and links, which are not followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<PathBuf>,
}

/// An entry of which only its record was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `KIND/HASH`.
    pub place: String,
    /// The step's key, or what is wrong with the record.
    pub key: Result<StepKey, RecordFault>,
}

/// A number of things and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pile {
    /// How many there are: steps, or entries set aside.
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
    /// Counts what the cache holds. Of entries it looks at records, sizes and times, and reads the files whose times have
    /// changed.
    ///
    /// # Errors
    /// When it cannot be read. An entry that cannot is no error: it is listed.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats { strays: self.strays()?, ..Stats::default() };
        for name in self.entries()? {
            let found = match self.look_at(&name, Scrutiny::Times) {
                Ok(found) => found,
                Err(error) => {
                    stats.unread.push(Damage::unread(&name, error)?);
                    continue;
                }
            };
            stats.strays.extend(found.strays);
            match found {
                Inspected { record: Some(record), damage: None, .. } => {
                    let kind = stats.kinds.entry(name.kind).or_default();
                    kind.steps += 1;
                    kind.bytes += record.bytes();
                    // A result that was taken over was not computed a second time.
                    kind.seconds += if record.taken_from.is_none() { record.seconds } else { 0.0 };
                }
                Inspected { damage, .. } => stats.in_place.extend(damage.map(|damage| Damage::in_place(&name, damage))),
            }
        }
        let partial = self.base.join("partial");
        for kind in files::folders(&partial).doing(READ, &partial)? {
            let dir = partial.join(kind);
            let unfinished = files::list(&dir).doing(READ, &dir)?.into_keys().filter(|name| is_hash(name));
            stats.partial.add_all(unfinished.map(|name| dir.join(name)))?;
        }
        stats.damaged.add_all(self.own("damaged")?)?;
        stats.runs.add_all(self.own(RUNS)?)?;
        stats.strays.sort();
        Ok(stats)
    }

    /// The entries whose hash begins with those digits: for people who type keys.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn find_by_prefix(&self, kind: Option<&str>, digits: &str) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        for name in self.entries()? {
            if kind.is_none_or(|kind| kind == name.kind) && name.hash.starts_with(digits) {
                let dir = self.dir_of(&name);
                let own = |record: super::Record| Some(record.key).filter(|key| self.dir(key) == dir);
                let key = self.read_record(&dir)?.and_then(|record| own(record).ok_or(RecordFault::OfAnother));
                found.push(Entry { place: name.path(), key });
            }
        }
        Ok(found)
    }
}

impl Pile {
    fn add_all(&mut self, paths: impl IntoIterator<Item = PathBuf>) -> Result<(), StoreError> {
        for path in paths {
            self.add(files::bytes_under(&path).doing(READ, &path)?);
        }
        Ok(())
    }
}
