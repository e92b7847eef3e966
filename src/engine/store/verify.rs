//! Reads every byte of a cache again.

use serde::Serialize;

use super::entry::{Lookup, Scrutiny};
use super::error::Doing as _;
use super::lock::{Lock, Mode};
use super::{Store, StoreError};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Entries whose every byte is as it was written.
    pub intact: usize,
    /// The size of their files.
    pub bytes: u64,
    /// Entries that are not, and were set aside.
    pub damaged: Vec<Damage>,
}

/// An entry that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// `KIND/HASH`.
    pub entry: String,
    /// What is wrong with which file.
    pub damage: String,
    /// Where it lies now.
    pub aside: String,
}

impl Store {
    /// Hashes every file of every entry, calling `progress` with the number done and the number of all, and sets
    /// aside what is damaged: its steps run again when next they are needed.
    ///
    /// # Errors
    /// When the cache cannot be read, or a damaged entry cannot be moved.
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
                    let _in_use = self.begin()?;
                    // A step that is being computed right now is about to be replaced anyway.
                    let lock_path = self.lock_path(&name.kind, &name.hash);
                    let Some(lock) = Lock::try_take(&lock_path, Mode::Exclusive).doing("lock", &lock_path)? else {
                        continue;
                    };
                    let aside = self.set_aside(&name.kind, &name.hash, &lock)?.display().to_string();
                    found.damaged.push(Damage { entry: format!("{}/{}", name.kind, name.hash), damage, aside });
                }
                Lookup::Absent => {}
            }
        }
        progress(entries.len(), entries.len());
        Ok(found)
    }
}
