//! An entry that was built gets its name, unless another worker was faster.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Scrutiny;
use super::error::Doing as _;
use super::record::{Made, Record};
use super::{Lookup, Store, StoreError, files};
use crate::workers::Claim;

/// What is in the cache once a step has been computed.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The entry that is there.
    pub record: Arc<Record>,
    /// What another worker, whose entry that is, computed otherwise.
    pub difference: Option<Difference>,
}

/// When an entry's name is put onto the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// Before anybody is told of it.
    Now,
    /// Together with its files and with those of other steps.
    WithOthers,
}

/// Two workers computed one step from the same inputs, and got different files.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// The files of which one has other bytes than the other, or that one of them lacks.
    pub files: Vec<String>,
    /// How the one that is kept came about.
    pub kept: Made,
    /// How the other did.
    pub other: Made,
    /// Where the other lies now.
    pub aside: PathBuf,
}

impl Store {
    /// Gives a built directory its name; it replaces an entry that was made of other inputs, and none that was made of the
    /// same: that is then compared with it.
    pub(super) fn publish(
        &self,
        private: &Path,
        record: Record,
        claim: &Claim<'_>,
        landing: Landing,
    ) -> Result<Stored, StoreError> {
        const TRIES: usize = 3;
        let dir = self.dir(&record.key);
        let parent = dir.parent().unwrap_or(&self.base);
        self.make_dir(parent)?;
        for last in 1..=TRIES {
            if dir.symlink_metadata().is_ok() {
                match self.look(&record.key, Scrutiny::Bytes)? {
                    Lookup::Intact(theirs) if theirs.inputs == record.inputs => {
                        return self.compare_with(theirs, &record, private, claim);
                    }
                    _ => self.discard(&record.key, claim)?,
                }
            }
            match fs::rename(private, &dir) {
                // Another has given it the name between the look and now.
                Err(_) if last < TRIES && files::is_folder(&dir) => {}
                moved => {
                    moved.doing("write", &dir)?;
                    break;
                }
            }
        }
        match landing {
            Landing::Now => files::sync_dir(parent).doing("write", parent)?,
            Landing::WithOthers => self.wait_for_disk()?,
        }
        Ok(Stored { record: Arc::new(record), difference: None })
    }

    /// Keeps the entry that is there, and what was computed a second time only if it differs.
    fn compare_with(
        &self,
        theirs: Arc<Record>,
        ours: &Record,
        private: &Path,
        claim: &Claim<'_>,
    ) -> Result<Stored, StoreError> {
        if theirs.content == ours.content {
            files::remove(private).doing("remove", private)?;
            return Ok(Stored { record: theirs, difference: None });
        }
        let names = theirs.files.keys().chain(ours.files.keys());
        let hash = |record: &Record, name: &str| record.files.get(name).map(|file| file.hash);
        let mut files: Vec<String> = names.filter(|name| hash(&theirs, name) != hash(ours, name)).cloned().collect();
        files.sort();
        files.dedup();
        let aside = self.set_aside_from(private, ours.key.kind(), ours.key.hash(), claim)?;
        let difference = Difference { files, kept: theirs.made.clone(), other: ours.made.clone(), aside };
        Ok(Stored { record: theirs, difference: Some(difference) })
    }
}
