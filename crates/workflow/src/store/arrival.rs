//! A finished step on its way: out to another store, or in from one.
//!
//! What comes in is hashed while it is written to a private directory, and becomes an entry only when every file is as its
//! record says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::entry::RECORD;
use super::error::{Doing as _, READ};
use super::publish::Landing;
use super::record::{FileRecord, Record};
use super::{AtWork, Claiming, Lookup, Scrutiny, Store, StoreError, files};
use crate::key::{ContentHash, StepKey};
use crate::workers::{Claim, Holder};
use overinterp_foreign::bounded::{Needs, lacking};
use overinterp_foreign::file_state::FileState;

/// A finished step as it may go to another store.
#[derive(Clone, Debug)]
pub struct Departure {
    /// What the cache notes of it.
    pub record: Arc<Record>,
    /// The text of that record, sealed.
    pub text: String,
    /// Where its files lie.
    pub dir: PathBuf,
}

/// Why a step is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// What came is not what the record says, or no record.
    #[error("{0}")]
    Damaged(String),
    /// Another process works on the step, and is waited for by nobody here.
    #[error("{0} works on it")]
    Claimed(Box<Holder>),
    /// It cannot be kept here.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A cache that is ready to take steps in. Garbage collection waits for as long as this lives.
#[derive(Debug)]
pub struct Arrivals<'a> {
    store: &'a Store,
    /// That this process works on the cache, where nothing else says so.
    _at_work: Option<AtWork<'a>>,
    /// The claim on the only step that comes in, where there is one already.
    claim: Option<&'a Claim<'a>>,
}

/// A step that is coming in. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct Arrival<'a> {
    store: &'a Store,
    record: Record,
    claim: Held<'a>,
    private: Private,
    arrived: BTreeMap<String, FileRecord>,
}

/// The claim on a step that is coming in.
#[derive(Debug)]
enum Held<'a> {
    Own(Claim<'a>),
    Given(&'a Claim<'a>),
}

impl Held<'_> {
    const fn get(&self) -> &Claim<'_> {
        match self {
            Self::Own(claim) => claim,
            Self::Given(claim) => claim,
        }
    }
}

/// A private directory, which goes with what is in it.
#[derive(Debug)]
struct Private(PathBuf);

/// A file that is coming in, hashed as it is written.
#[derive(Debug)]
pub struct ArrivingFile {
    name: String,
    path: PathBuf,
    file: File,
    hasher: Box<blake3::Hasher>,
    written: u64,
    expected: FileRecord,
}

impl Store {
    /// A finished step with its record as it lies on the disk; `None` where there is none, or a damaged one. Bytes are hashed
    /// only where the state of a file has changed.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn departure(&self, key: &StepKey) -> Result<Option<Departure>, StoreError> {
        let Lookup::Intact(record) = self.look(key, Scrutiny::Times)? else { return Ok(None) };
        let dir = self.dir(key);
        let path = dir.join(RECORD);
        let text = fs::read_to_string(&path).doing(READ, &path)?;
        Ok(Some(Departure { record, text, dir }))
    }

    /// Makes the cache ready to take in steps of `kinds`; other processes are told that this one does `doing`.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn arrivals<'k>(
        &self,
        kinds: impl IntoIterator<Item = &'k str>,
        doing: &str,
    ) -> Result<Arrivals<'_>, StoreError> {
        let at_work = self.begin(&kinds.into_iter().collect(), doing)?;
        Ok(Arrivals { store: self, _at_work: Some(at_work), claim: None })
    }

    /// The same of a cache that is at work, for the step that was claimed if one was.
    pub(crate) const fn arrivals_by<'a>(&'a self, claim: Option<&'a Claim<'a>>) -> Arrivals<'a> {
        Arrivals { store: self, _at_work: None, claim }
    }
}

impl Record {
    /// The record of the step with that key, of its text.
    ///
    /// # Errors
    /// When the text was changed or cut off, is another step's, or lists what is no name of a file.
    pub fn of(key: &StepKey, text: &str) -> Result<Self, ArrivalError> {
        let record = Self::from_text(text).map_err(|error| ArrivalError::Damaged(format!("its record: {error}")))?;
        if record.key != *key {
            return Err(ArrivalError::Damaged(format!("its record is that of {}", record.key)));
        }
        Ok(record)
    }
}

impl<'a> Arrivals<'a> {
    /// Begins to take in the step of a record.
    ///
    /// # Errors
    /// When another works on the step, or the cache cannot be written to.
    pub fn step(&'a self, record: Record) -> Result<Arrival<'a>, ArrivalError> {
        let claim = match self.claim {
            Some(claim) => Held::Given(claim),
            None => match self.store.claim(&record.key, &label(&record))? {
                Claiming::Held(claim) => Held::Own(claim),
                Claiming::By(holder) => return Err(ArrivalError::Claimed(holder)),
            },
        };
        let private = Private(self.store.start_entry(&record.key, claim.get())?);
        Ok(Arrival { store: self.store, record, claim, private, arrived: BTreeMap::new() })
    }
}

fn label(record: &Record) -> String {
    record.labels.first().map(ToString::to_string).unwrap_or_default()
}

impl Drop for Private {
    fn drop(&mut self) {
        // One that stays is removed as what a worker has left.
        let _ = files::remove(&self.0);
    }
}

impl Arrival<'_> {
    /// What the record says of the step.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Begins one of the files that the record lists.
    ///
    /// # Errors
    /// When the cache cannot be written to, or the record lists no such file.
    pub fn file(&self, name: &str) -> Result<ArrivingFile, ArrivalError> {
        let Some(expected) = self.record.files.get(name).cloned() else {
            return Err(ArrivalError::Damaged(format!("its record does not list {name:?}")));
        };
        let path = self.private.0.join(name);
        let file = File::create_new(&path).doing("write", &path)?;
        let name = name.to_owned();
        Ok(ArrivingFile { name, path, file, hasher: Box::default(), written: 0, expected })
    }

    /// Takes a file that has come in.
    pub fn keep(&mut self, (name, file): (String, FileRecord)) {
        self.arrived.insert(name, file);
    }

    /// Makes the step an entry of the cache, all of whose files have come in. One that is there, sound and made from the same
    /// stays in its place.
    ///
    /// # Errors
    /// When a file is wanting, or the cache cannot be written to.
    pub fn finish(self) -> Result<Arc<Record>, ArrivalError> {
        let Self { store, mut record, claim, private, arrived } = self;
        if let Some(name) = record.files.keys().find(|name| !arrived.contains_key(*name)) {
            return Err(ArrivalError::Damaged(format!("file {name} is missing")));
        }
        record.files = arrived;
        let (key, claim) = (record.key.clone(), claim.get());
        match store.look(&key, Scrutiny::Times)? {
            Lookup::Intact(there) if there.inputs == record.inputs => return Ok(there),
            Lookup::Damaged(_) => {
                store.set_aside(key.kind(), key.hash(), claim)?;
            }
            Lookup::Intact(_) | Lookup::Absent => {}
        }
        Ok(store.publish_files(&private.0, record, claim, Landing::Now)?.record)
    }
}

impl ArrivingFile {
    /// How many bytes have come.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes are to come in all.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.expected.bytes
    }

    /// The hash that all of them are to have.
    #[must_use]
    pub const fn hash(&self) -> &ContentHash {
        &self.expected.hash
    }

    /// Adds the bytes that follow.
    ///
    /// # Errors
    /// When more come than the record says, or the cache cannot be written to.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ArrivalError> {
        self.written += bytes.len() as u64;
        if self.written > self.expected.bytes {
            let Self { name, expected, .. } = self;
            return Err(ArrivalError::Damaged(format!("file {name} has more than {} bytes", expected.bytes)));
        }
        self.hasher.update(bytes);
        let written = self.file.write_all(bytes);
        let written = written.map_err(|error| lacking(error, Needs::Bytes(self.expected.bytes)));
        Ok(written.doing("write", &self.path)?)
    }

    /// Closes the file when it has come in, on the disk.
    ///
    /// # Errors
    /// When its bytes are not those that the record says, or the cache cannot be written to.
    pub fn finish(self) -> Result<(String, FileRecord), ArrivalError> {
        let Self { name, path, file, hasher, written, expected } = self;
        if written != expected.bytes {
            let damage = format!("file {name} has {written} bytes instead of {}", expected.bytes);
            return Err(ArrivalError::Damaged(damage));
        }
        if ContentHash::new(hasher.finalize()) != expected.hash {
            return Err(ArrivalError::Damaged(format!("the bytes of file {name} are not those that were stored")));
        }
        file.sync_all().map_err(|error| lacking(error, Needs::Bytes(expected.bytes))).doing("write", &path)?;
        let state = FileState::of(&file.metadata().doing(READ, &path)?).number();
        Ok((name, FileRecord { state, ..expected }))
    }
}
