//! Reads every byte of a cache again.

use std::error::Error as _;
use std::path::PathBuf;

use serde::Serialize;

use super::entry::{Inspected, Scrutiny};
use super::error::READ;
use super::places::EntryName;
use super::{Store, StoreError};
use crate::workers::Claiming;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Entries whose every byte is as it was written.
    pub intact: usize,
    /// The size of their files.
    pub bytes: u64,
    /// Entries that are not, and were set aside if the cache may be written to.
    pub damaged: Vec<Damage>,
    /// Entries that cannot be read; they stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Damage>,
    /// What lies in the cache and is no part of it.
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
    /// Where it lies now; `None` where it lies in its place.
    pub aside: Option<String>,
}

impl Damage {
    /// Damage to an entry that lies where it did.
    pub(super) fn in_place(name: &EntryName, damage: String) -> Self {
        Self { entry: name.path(), damage, aside: None }
    }

    /// That an entry cannot be read, because of who looks or because of the disk.
    ///
    /// # Errors
    /// The same error, where it is another than that.
    pub(super) fn unread(name: &EntryName, error: StoreError) -> Result<Self, StoreError> {
        if !matches!(error, StoreError::Io { doing: READ, .. }) {
            return Err(error);
        }
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        Ok(Self::in_place(name, format!("{error}{cause}")))
    }
}

impl Store {
    /// Hashes every file of every entry, calling `progress` with the number done and the number of all, and sets
    /// aside what is damaged: its steps run again when next they are needed. What cannot be read stays.
    ///
    /// # Errors
    /// When the cache cannot be read, or a damaged entry cannot be moved for another reason than that it may not be.
    pub fn verify(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<Verification, StoreError> {
        let mut found = Verification { strays: self.strays()?, ..Verification::default() };
        let entries = self.entries()?;
        for (index, name) in entries.iter().enumerate() {
            progress(index, entries.len());
            match self.look_at(name, Scrutiny::Bytes) {
                Err(error) => found.unread.push(Damage::unread(name, error)?),
                Ok(Inspected { damage: Some(damage), strays, .. }) => match self.put_away(name) {
                    Ok(Some(aside)) => {
                        let aside = Some(aside.display().to_string());
                        found.damaged.push(Damage { aside, ..Damage::in_place(name, damage) });
                    }
                    Ok(None) => {}
                    Err(StoreError::NotWritable { .. } | StoreError::NoRoom { .. }) => {
                        found.damaged.push(Damage::in_place(name, damage));
                        found.strays.extend(strays);
                    }
                    Err(error) => return Err(error),
                },
                Ok(Inspected { record: Some(record), strays, .. }) => {
                    found.intact += 1;
                    found.bytes += record.bytes();
                    found.strays.extend(strays);
                }
                // Somebody has removed it meanwhile.
                Ok(_) => {}
            }
        }
        found.strays.sort();
        progress(entries.len(), entries.len());
        Ok(found)
    }

    /// Sets a damaged entry aside; `None` for a step that is being computed right now, and so about to be replaced.
    fn put_away(&self, name: &EntryName) -> Result<Option<PathBuf>, StoreError> {
        let _at_work = self.begin(&[name.kind.as_str()].into(), "verify the cache")?;
        let step = format!("{}-{}", name.kind, name.hash);
        match self.claim_named(&step, "damaged")? {
            Claiming::By(_) => Ok(None),
            Claiming::Held(claim) => self.set_aside(&name.kind, &name.hash, &claim).map(Some),
        }
    }
}
