//! From a cache to a remote: files first, each read once, and the record last.

use std::fs::File;
use std::io::Read as _;
use std::path::Path as FilePath;

use object_store::{ObjectStoreExt as _, PutMode, PutPayload};

use overinterp_workflow::key::{ContentHash, StepKey};
use overinterp_workflow::store::{Departure, FileRecord, Maker, Record, Store};

use crate::error::{Cause, RemoteError, told};
use crate::objects::{Remote, Told};

/// Larger files go in parts of this size, which is that of the smallest that S3 takes.
const PART: usize = 5 << 20;
/// A record has some hundred kilobytes at most, as in the cache.
pub(crate) const LARGEST_RECORD: u64 = 64_000_000;

/// Whether a step is put in the place of one that the remote has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushing {
    /// What is there stays.
    New,
    /// Every byte is written again: what is there is damaged.
    Replace,
}

/// What came of pushing a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The remote has it now.
    Put,
    /// It had the same already.
    There,
}

impl Remote {
    /// Puts a finished step on the remote. Until all of its files are there, nobody finds it; what an interrupted push left
    /// is used by the next.
    ///
    /// # Errors
    /// When the remote does not take it, has another result of the same step, or a file here is damaged.
    pub fn push(&self, departure: &Departure, pushing: Pushing) -> Result<Pushed, RemoteError> {
        self.wait(self.push_one(departure, pushing))
    }

    /// The same with several steps of a cache, a few at a time. `told` hears of each, with `None` of one that the cache does
    /// not have whole, and may end it.
    pub fn push_steps(&self, store: &Store, keys: &[StepKey], pushing: Pushing, told: &mut Told<'_, Option<Pushed>>) {
        let push = |key| async move {
            let pushed = match store.departure(key) {
                Ok(Some(departure)) => self.push_one(&departure, pushing).await.map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error.into()),
            };
            (key, pushed)
        };
        self.each(keys, push, |(key, pushed)| told(key, pushed));
    }

    async fn push_one(&self, departure: &Departure, pushing: Pushing) -> Result<Pushed, RemoteError> {
        let Departure { record, text, dir } = departure;
        let key = &record.key;
        let pushing = if self.is_damaged(key) { Pushing::Replace } else { pushing };
        for (name, file) in &record.files {
            self.push_file(key, &dir.join(name), name, file, pushing).await?;
        }
        let path = self.record_path(key);
        if self.put_small(&path, text.as_bytes(), &pushing.mode()).await? {
            self.note_damage(key, false);
            return Ok(Pushed::Put);
        }
        // Somebody else was faster, or this one's own answer was lost.
        let there = self.get_small(&path, LARGEST_RECORD).await?;
        let theirs = str::from_utf8(&there).ok().and_then(|text| Record::of(key, text).ok());
        match theirs {
            Some(theirs) if theirs.content == record.content && theirs.inputs == record.inputs => Ok(Pushed::There),
            Some(theirs) => Err(RemoteError::Differs {
                remote: self.name().to_owned(),
                key: Box::new(key.clone()),
                makers: format!("there by {}, here by {}", maker(&theirs.made.by), maker(&record.made.by)),
            }),
            None => {
                let damage = "its record is cut off or was changed".to_owned();
                Err(RemoteError::Damaged { remote: self.name().to_owned(), key: Box::new(key.clone()), damage })
            }
        }
    }

    /// Puts a file under its hash, which is that of its step's record. Its bytes are hashed as they leave.
    async fn push_file(
        &self,
        key: &StepKey,
        local: &FilePath,
        name: &str,
        file: &FileRecord,
        pushing: Pushing,
    ) -> Result<(), RemoteError> {
        let path = self.path(["v1", "files", key.kind(), key.hash(), &file.hash.to_string()]);
        let damaged = |damage: String| RemoteError::DamagedHere { key: Box::new(key.clone()), damage };
        if file.bytes <= PART as u64 {
            let bytes = std::fs::read(local).map_err(|error| damaged(format!("file {name}: {error}")))?;
            if !is_hash_of(&blake3::hash(&bytes), &file.hash) {
                return Err(damaged(format!("the bytes of file {name} have changed")));
            }
            self.put_small(&path, &bytes, &pushing.mode()).await?;
            return Ok(());
        }
        if pushing == Pushing::New && self.size(&path).await? == Some(file.bytes) {
            return Ok(());
        }
        // Parts that have gone are not sent again: each is repeated by itself, and read once.
        let mut reader = File::open(local).map_err(|error| damaged(format!("file {name}: {error}")))?;
        let mut upload = self.persist("write", &path, || async { self.objects.put_multipart(&path).await }).await?;
        let sent = async {
            let mut hasher = blake3::Hasher::new();
            let mut left = file.bytes;
            while left > 0 {
                let mut part = vec![0; usize::try_from(left).unwrap_or(PART).min(PART)];
                reader.read_exact(&mut part).map_err(|error| damaged(format!("file {name}: {error}")))?;
                hasher.update(&part);
                left -= part.len() as u64;
                // The library repeats a part by itself; after that the upload as a whole is in doubt.
                let sent = upload.put_part(PutPayload::from(part)).await;
                sent.map_err(|error| self.failure("write", &path, told(&error), Cause::of(&error)))?;
            }
            if !is_hash_of(&hasher.finalize(), &file.hash) {
                return Err(damaged(format!("the bytes of file {name} have changed")));
            }
            upload.complete().await.map_err(|error| self.failure("write", &path, told(&error), Cause::of(&error)))
        }
        .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => {
                // What was sent stays unseen; a server that cannot be told so now drops it by its own rules.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }
}

impl Pushing {
    pub(crate) const fn mode(self) -> PutMode {
        match self {
            Self::New => PutMode::Create,
            Self::Replace => PutMode::Overwrite,
        }
    }
}

pub(crate) fn is_hash_of(found: &blake3::Hash, expected: &ContentHash) -> bool {
    found.to_hex().as_str() == expected.to_string()
}

/// Who made something, as people read it.
fn maker(by: &Maker) -> String {
    let parts = [&by.host, &by.device, &by.program].map(|part| part.trim());
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "an unknown maker".to_owned() } else { parts.join(", ") }
}
