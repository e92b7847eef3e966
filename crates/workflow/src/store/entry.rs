//! Single entries of the cache: look, build, take over, set aside.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::durability::is_bound;
use super::error::{Doing as _, READ};
use super::places::EntryName;
use super::publish::Landing;
use super::publish::Stored;
use super::record::{Draft, FileRecord, Record};
use super::{Store, StoreError, count, files};
use crate::key::StepKey;
use crate::workers::{Claim, Claiming};
use overinterp_foreign::bounded::{Needs, lacking};
use overinterp_foreign::file_state::FileState;

/// The file that makes a directory an entry.
pub(super) const RECORD: &str = "step.json";

/// Records of the largest plans have some hundred kilobytes; what is larger was not written by this program.
const LARGEST_RECORD: u64 = 64_000_000;
/// A note holds one key.
pub(super) const LARGEST_NOTE: u64 = 1_000;

/// Why the record of an entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The entry is a link, which is not followed.
    #[error("it is a link")]
    Link,
    /// There is something else than a record, or too much of it.
    #[error("{RECORD} is no plain file of at most {} MB", LARGEST_RECORD / 1_000_000)]
    NoPlainFile,
    /// It is not UTF-8.
    #[error("{RECORD} is not text")]
    NoText,
    /// It is no record.
    #[error("{RECORD} is unusable: {why}")]
    Unusable {
        /// What is wrong with it.
        why: String,
    },
    /// There is none.
    #[error("{RECORD} is missing")]
    Missing,
    /// It is another entry's.
    #[error("{RECORD} is that of another step")]
    OfAnother,
    /// The entry is a file.
    #[error("it is not a directory with a record")]
    NoFolder,
}

/// What the cache holds of a step; `R` is what is known of one that is sound.
#[derive(Clone, Debug)]
pub enum Lookup<R = Arc<Record>> {
    /// It has no entry there, sound or damaged.
    Absent,
    /// All of it, as it was written.
    Intact(R),
    /// Something that must not be used; the text says what is wrong.
    Damaged(String),
}

/// How closely an entry is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scrutiny {
    /// Names, sizes and states; bytes only where the state of a file has changed.
    Times,
    /// Every byte of every file is hashed, whether or not its state has changed.
    Bytes,
}

/// What lies where an entry does.
pub(super) struct Inspected {
    /// Its record, if it is readable and its own.
    pub record: Option<Record>,
    /// What is wrong with it, if something is.
    pub damage: Option<String>,
    /// What lies in it and belongs to others.
    pub strays: Vec<PathBuf>,
}

/// Whether an entry is there, sound or not: all but a directory in which nothing is left but directories, which are
/// somebody else's.
pub(super) fn is_entry(dir: &Path) -> Result<bool, StoreError> {
    if !files::is_folder(dir) {
        return Ok(dir.symlink_metadata().is_ok());
    }
    if dir.join(RECORD).symlink_metadata().is_ok() {
        return Ok(true);
    }
    let there = files::list(dir).doing(READ, dir)?;
    Ok(there.is_empty() || there.values().any(|metadata| !metadata.is_dir()))
}

impl Store {
    /// Looks a step up.
    ///
    /// # Errors
    /// When the cache cannot be read. Damage is not an error.
    pub(crate) fn look(&self, key: &StepKey, scrutiny: Scrutiny) -> Result<Lookup, StoreError> {
        let dir = self.dir(key);
        let mut record = match self.read_record(&dir)? {
            Ok(record) if record.key == *key => record,
            Ok(_) => return Ok(Lookup::Damaged(RecordFault::OfAnother.to_string())),
            Err(fault) if is_entry(&dir)? => return Ok(Lookup::Damaged(fault.to_string())),
            Err(_) => return Ok(Lookup::Absent),
        };
        Ok(match self.compare(&dir, &mut record, scrutiny)? {
            None => Lookup::Intact(Arc::new(record)),
            Some(damage) => Lookup::Damaged(damage),
        })
    }

    /// Looks at an entry that is known by its place.
    ///
    /// # Errors
    /// As [`Store::look`].
    pub(super) fn look_at(&self, name: &EntryName, scrutiny: Scrutiny) -> Result<Inspected, StoreError> {
        let dir = self.dir_of(name);
        let (record, damage) = match self.read_record(&dir)? {
            Ok(mut record) if self.dir(&record.key) == dir => {
                let damage = self.compare(&dir, &mut record, scrutiny)?;
                (Some(record), damage)
            }
            Ok(_) => (None, Some(RecordFault::OfAnother.to_string())),
            Err(fault) => (None, dir.symlink_metadata().is_ok().then(|| fault.to_string())),
        };
        let mut strays = Vec::new();
        let there = if files::is_folder(&dir) { files::list(&dir).doing(READ, &dir)? } else { BTreeMap::new() };
        for (name, metadata) in there {
            // Without a record only this can be told: an entry has no folders.
            let belongs =
                name == RECORD || record.as_ref().map_or(!metadata.is_dir(), |record| record.files.contains_key(&name));
            if !belongs {
                strays.push(dir.join(name));
            }
        }
        Ok(Inspected { record, damage, strays })
    }

    /// Reads the record of an entry; the inner error says what is wrong with it.
    pub(super) fn read_record(&self, dir: &Path) -> Result<Result<Record, RecordFault>, StoreError> {
        let path = dir.join(RECORD);
        count(&self.records_read);
        if let Some(kind) = dir.parent().filter(|kind| files::is_link(kind)) {
            return Err(StoreError::Link { path: kind.to_owned() });
        }
        if files::is_link(dir) {
            return Ok(Err(RecordFault::Link));
        }
        match files::read_small(&path, LARGEST_RECORD) {
            Ok(None) => Ok(Err(RecordFault::NoPlainFile)),
            Ok(Some(bytes)) => Ok(str::from_utf8(&bytes).map_err(|_| RecordFault::NoText).and_then(|text| {
                Record::from_text(text).map_err(|error| RecordFault::Unusable { why: error.to_string() })
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Err(RecordFault::Missing)),
            Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::IsADirectory) => {
                Ok(Err(RecordFault::NoFolder))
            }
            Err(error) => Err(StoreError::io(READ, &path, error)),
        }
    }

    /// Compares an entry's files with its record, and says what is wrong. What the record does not list is none of them.
    fn compare(&self, dir: &Path, record: &mut Record, scrutiny: Scrutiny) -> Result<Option<String>, StoreError> {
        let (mut touched, mut notes) = (false, Vec::new());
        for (name, file) in &mut record.files {
            let path = dir.join(name);
            let metadata = match path.symlink_metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Some(format!("file {name} is missing")));
                }
                Err(error) => return Err(StoreError::io(READ, &path, error)),
            };
            if !metadata.is_file() {
                return Ok(Some(format!("{name} is no plain file")));
            }
            if metadata.len() != file.bytes {
                return Ok(Some(format!("file {name} has {} bytes instead of {}", metadata.len(), file.bytes)));
            }
            let state = FileState::of(&metadata);
            let is_known = self.durability.is_of(file.state, state);
            record.is_bound |= is_bound(file.state);
            if !is_known || scrutiny == Scrutiny::Bytes {
                count(&self.files_hashed);
                if files::hash_file(&path).doing(READ, &path)? != file.hash {
                    return Ok(Some(format!("the bytes of file {name} have changed")));
                }
                // What was bound to another boot is left as it is: the index takes note of it.
                touched |= !is_known && !self.durability.is_of_another_boot(file.state);
            }
            notes.push(if is_bound(file.state) { self.durability.bound(state) } else { state.number() });
            file.state = state.number();
        }
        if touched {
            let mut noted = record.clone();
            noted.files.values_mut().zip(notes).for_each(|(file, state)| file.state = state);
            self.note_times(dir, &noted);
        }
        Ok(None)
    }

    /// Notes the files' new states, so that they need not be hashed again. A cache that cannot be written to
    /// stays as it is.
    fn note_times(&self, dir: &Path, record: &Record) {
        let Ok(_at_work) = self.join("look", false) else { return };
        let label = record.labels.first().map(ToString::to_string).unwrap_or_default();
        let Ok(Claiming::Held(_claim)) = self.claim(&record.key, &label) else { return };
        let Ok(text) = record.to_text() else { return };
        let private = self.private(&record.key);
        if files::write_synced(&private, text.as_bytes()).is_ok() {
            let _ = fs::rename(&private, dir.join(RECORD));
        }
    }

    /// Makes the empty private directory in which whoever has claimed a step builds its entry.
    pub(crate) fn start_entry(&self, key: &StepKey, _claim: &Claim<'_>) -> Result<PathBuf, StoreError> {
        let private = self.private(key);
        files::remove(&private).doing("remove", &private)?;
        fs::create_dir_all(&private).doing("create", &private)?;
        Ok(private)
    }

    /// Makes a built directory the step's entry, replacing the one that is there: all files are on the disk before it has its
    /// name, or bound to this boot of the system.
    pub(crate) fn finish_entry(&self, private: &Path, draft: Draft, claim: &Claim<'_>) -> Result<Stored, StoreError> {
        let mut records = BTreeMap::new();
        let there = files::list(private).doing(READ, private)?;
        let waits = self.durability.may_wait(draft.seconds, there.values().map(Metadata::len).sum());
        for (name, metadata) in there {
            let path = private.join(&name);
            if !metadata.is_file() || name == RECORD {
                let source = std::io::Error::new(ErrorKind::InvalidData, "an artifact consists of plain files");
                return Err(StoreError::Io { doing: "store", path, source });
            }
            if !waits {
                let synced = fs::File::open(&path).and_then(|file| file.sync_all());
                synced.map_err(|error| lacking(error, Needs::Bytes(metadata.len()))).doing("write", &path)?;
            }
            count(&self.files_hashed);
            let hash = files::hash_file(&path).doing(READ, &path)?;
            let state = FileState::of(&metadata);
            let state = if waits { self.durability.bound(state) } else { state.number() };
            records.insert(name, FileRecord { bytes: metadata.len(), hash, state });
        }
        let landing = if waits { Landing::WithOthers } else { Landing::Now };
        self.publish_files(private, draft.with_files(records), claim, landing)
    }

    /// The same of a directory whose files are known, and on the disk if that is to be so now.
    pub(super) fn publish_files(
        &self,
        private: &Path,
        record: Record,
        claim: &Claim<'_>,
        landing: Landing,
    ) -> Result<Stored, StoreError> {
        let path = private.join(RECORD);
        let text = record.to_text().map_err(std::io::Error::from).doing("write", &path)?;
        match landing {
            Landing::WithOthers => files::write(&path, text.as_bytes())
                .map_err(|error| lacking(error, Needs::Bytes(text.len() as u64)))
                .doing("write", &path)?,
            Landing::Now => {
                files::write_synced(&path, text.as_bytes()).doing("write", &path)?;
                files::sync_dir(private).doing("write", private)?;
            }
        }
        let stored = self.publish(private, record, claim, landing)?;
        // The entry is complete: a note that cannot be written, as on a full disk, takes nothing from it.
        let _ = self.note_content(&stored.record);
        Ok(stored)
    }

    /// Notes which step computed the record's content key, for early cutoff. A note lost in a crash costs one
    /// computation, so nobody waits for the disk.
    fn note_content(&self, record: &Record) -> Result<(), StoreError> {
        if record.content_key == record.key {
            return Ok(());
        }
        let (path, private) = (self.content_path(&record.content_key), self.private(&record.key));
        let parent = path.parent().unwrap_or(&self.base);
        self.make_dir(parent)?;
        let written = files::write(&private, record.key.to_string().as_bytes());
        written.and_then(|()| fs::rename(&private, &path)).doing("write", &path).inspect_err(|_| {
            let _ = files::remove(&private);
        })
    }

    /// The intact entry that computed a content key, if there is one.
    pub(crate) fn by_content(&self, content_key: &StepKey) -> Result<Option<Arc<Record>>, StoreError> {
        let path = self.content_path(content_key);
        if path.parent().is_some_and(files::is_link) {
            return Ok(None);
        }
        let bytes = match files::read_small(&path, LARGEST_NOTE) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(StoreError::io(READ, &path, error)),
        };
        let Ok(key) = String::from_utf8_lossy(&bytes).parse() else { return Ok(None) };
        match self.look(&key, Scrutiny::Times)? {
            Lookup::Intact(record) if record.content_key == *content_key => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// Gives a step the result of another that computed the same content key. `None` when the other's files
    /// turn out to be damaged.
    pub(crate) fn take_over(
        &self,
        from: &Record,
        draft: Draft,
        claim: &Claim<'_>,
    ) -> Result<Option<Arc<Record>>, StoreError> {
        let (source, private) = (self.dir(&from.key), self.start_entry(&draft.manifest.key(), claim)?);
        for (name, file) in &from.files {
            let (path, linked) = (source.join(name), private.join(name));
            let copied = files::link_or_copy(&path, &linked).is_ok();
            count(&self.files_hashed);
            if !copied || !files::hash_file(&linked).is_ok_and(|hash| hash == file.hash) {
                files::remove(&private).doing("remove", &private)?;
                return Ok(None);
            }
        }
        self.finish_entry(&private, draft, claim).map(|stored| Some(stored.record))
    }

    /// Moves a damaged entry out of the way, for the user to look at, and says where to.
    pub(crate) fn set_aside(&self, kind: &str, hash: &str, claim: &Claim<'_>) -> Result<PathBuf, StoreError> {
        self.set_aside_from(&self.base.join("steps").join(kind).join(hash), kind, hash, claim)
    }

    /// The same of one that lies in `dir`.
    pub(super) fn set_aside_from(
        &self,
        dir: &Path,
        kind: &str,
        hash: &str,
        _claim: &Claim<'_>,
    ) -> Result<PathBuf, StoreError> {
        let damaged = self.base.join("damaged");
        let mut count = 1;
        let mut aside = damaged.join(format!("{kind}-{hash}-{count}"));
        while aside.symlink_metadata().is_ok() {
            count += 1;
            aside = damaged.join(format!("{kind}-{hash}-{count}"));
        }
        fs::rename(dir, &aside).doing("move aside", dir)?;
        Ok(aside)
    }

    /// Removes an entry: first its name, then its files, so that no half of it is ever found. One in which somebody put a
    /// folder is set aside with it.
    pub(super) fn discard(&self, key: &StepKey, claim: &Claim<'_>) -> Result<(), StoreError> {
        let dir = self.dir(key);
        if files::is_folder(&dir) && !files::folders(&dir).doing(READ, &dir)?.is_empty() {
            return self.set_aside(key.kind(), key.hash(), claim).map(drop);
        }
        let id = self.workers.id().unwrap_or_default();
        let going = self.base.join("tmp").join(format!("{}.{id}.going", Self::flat_name(key)));
        files::remove(&going).doing("remove", &going)?;
        fs::rename(&dir, &going).doing("remove", &dir)?;
        files::remove(&going).doing("remove", &going)
    }

    /// The record of a step; `None` where there is none that can be read.
    pub(crate) fn record(&self, key: &StepKey) -> Result<Option<Arc<Record>>, StoreError> {
        let record = self.read_record(&self.dir(key))?.ok();
        Ok(record.filter(|record| record.key == *key).map(Arc::new))
    }

    /// Every readable record of a kind. `known` gives those that need not be read again.
    pub(crate) fn history(
        &self,
        kind: &str,
        known: &dyn Fn(&str) -> Option<Arc<Record>>,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        let dir = self.base.join("steps").join(kind);
        let mut records = Vec::new();
        for name in files::list(&dir).doing(READ, &dir)?.into_keys() {
            if let Some(record) = known(&name) {
                records.push(record);
            } else if let Ok(record) = self.read_record(&dir.join(name))? {
                records.push(Arc::new(record));
            }
        }
        Ok(records)
    }

    /// The bytes of all files under a directory, as far as they can be told.
    pub(crate) fn bytes_under(&self, dir: &Path) -> u64 {
        debug_assert!(dir.starts_with(&self.base));
        files::bytes_under(dir).unwrap_or(0)
    }

    /// Makes and names a step's scratch directory.
    pub(crate) fn start_scratch(&self, key: &StepKey) -> Result<PathBuf, StoreError> {
        let scratch = self.scratch(key);
        if !fs::symlink_metadata(&scratch).is_ok_and(|there| there.is_dir()) {
            files::remove(&scratch).doing("remove", &scratch)?;
        }
        self.make_dir(&scratch)?;
        Ok(scratch)
    }

    /// Removes the scratch of a step that has finished.
    pub(crate) fn drop_scratch(&self, key: &StepKey) -> Result<(), StoreError> {
        let scratch = self.scratch(key);
        files::remove(&scratch).doing("remove", &scratch)
    }
}
