//! Reads every byte of a cache again.

use std::path::PathBuf;

use serde::Serialize;

use super::entry::{Lookup, Scrutiny};
use super::error::Doing as _;
use super::lock::{Lock, Mode};
use super::stats::EntryName;
use super::{Store, StoreError};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Entries whose every byte is as it was written.
    pub intact: usize,
    /// The size of their files.
    pub bytes: u64,
    /// Entries that are not, and were set aside if the cache may be written to.
    pub damaged: Vec<Damage>,
    /// What lies among the steps and is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<PathBuf>,
}

/// An entry that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// `KIND/HASH`.
    pub entry: String,
    /// What is wrong with which file.
    pub damage: String,
    /// Where it lies now; `None` where it stays, because the cache may not be written to.
    pub aside: Option<String>,
}

impl Store {
    /// Hashes every file of every entry, calling `progress` with the number done and the number of all, and sets
    /// aside what is damaged: its steps run again when next they are needed.
    ///
    /// # Errors
    /// When the cache cannot be read, or a damaged entry cannot be moved for another reason than that it may not be.
    pub fn verify(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<Verification, StoreError> {
        let mut found = Verification::default();
        let entries = self.entries()?;
        for (index, name) in entries.iter().enumerate() {
            progress(index, entries.len());
            let lookup = match self.read_record(&self.dir_of(name))? {
                Ok(record) if record.key.kind() == name.kind && record.key.hash() == name.hash => {
                    self.look(&record.key, Scrutiny::Bytes)?
                }
                Ok(_) => Lookup::Damaged("step.json is that of another step".to_owned()),
                Err(damage) => Lookup::Damaged(damage),
            };
            match lookup {
                Lookup::Intact(record) => {
                    found.intact += 1;
                    found.bytes += record.bytes();
                }
                Lookup::Damaged(damage) => {
                    let aside = match self.put_away(name) {
                        Ok(Some(aside)) => Some(aside.display().to_string()),
                        Ok(None) => continue,
                        Err(StoreError::NotWritable { .. } | StoreError::NoRoom { .. }) => None,
                        Err(error) => return Err(error),
                    };
                    found.damaged.push(Damage { entry: format!("{}/{}", name.kind, name.hash), damage, aside });
                }
                Lookup::Absent => {}
            }
        }
        found.strays = self.strays()?;
        progress(entries.len(), entries.len());
        Ok(found)
    }

    /// Sets a damaged entry aside; `None` for a step that is being computed right now, and so about to be replaced.
    fn put_away(&self, name: &EntryName) -> Result<Option<PathBuf>, StoreError> {
        let _in_use = self.begin(&[name.kind.as_str()].into())?;
        let lock_path = self.lock_path(&name.kind, &name.hash);
        let Some(lock) = Lock::try_take(&lock_path, Mode::Exclusive).doing("lock", &lock_path)? else {
            return Ok(None);
        };
        self.set_aside(&name.kind, &name.hash, &lock).map(Some)
    }
}
