//! The cache: finished steps in directories of their own, each complete from the moment it exists.
//!
//! ```text
//! CACHE/v1/steps/KIND/HASH/      a step's files, and step.json, written last
//! CACHE/v1/contents/KIND/HASH    content key -> the step that computed it (early cutoff)
//! CACHE/v1/partial/KIND/HASH/    scratch of a step that has not finished; outlives interruptions
//! CACHE/v1/damaged/              entries set aside because a file was changed or missing
//! CACHE/v1/locks/  tmp/  pins/   one lock a running step; private directories; steps that gc must keep
//! ```
//!
//! What else lies there is none of it: `places.rs` tells one from the other.

mod entry;
mod error;
mod files;
mod gc;
mod lock;
mod places;
mod record;
mod stats;
mod verify;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::key::{Key, StepKey};
use super::stage::Artifact;
pub(crate) use entry::Scrutiny;
pub use entry::{Lookup, RecordFault};
use error::{Doing as _, READ};
pub use error::{StoreError, cause_of};
pub use gc::{Collection, Garbage, GcMode, Perhaps, Removal, Wanted};
pub(crate) use lock::Lock;
use lock::Mode;
pub(crate) use record::Draft;
#[cfg(test)]
pub(crate) use record::tests::record as record_of;
pub use record::{FileRecord, Made, Maker, Record};
pub use stats::{Entry, KindStats, Pile, Stats};
pub use verify::{Damage, Verification};

/// A cache directory. Any number of runs may use one at a time.
#[derive(Debug)]
pub struct Store {
    /// The version's directory, `CACHE/v1`.
    base: PathBuf,
    records_read: AtomicU64,
    files_hashed: AtomicU64,
}

/// The directories of a cache.
const PARTS: [&str; 7] = ["steps", "contents", "partial", "damaged", "locks", "tmp", "pins"];

/// With what the names begin by which a run tries whether it may write.
const PROBE: &str = "probe-";

/// How often a run that waits for another's step looks again.
const WAIT: Duration = Duration::from_millis(50);

impl Store {
    /// The cache in `root`, which need not exist yet.
    ///
    /// # Errors
    /// When there is something there that is not a directory.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        let root = root.as_ref();
        match fs::metadata(root) {
            Ok(metadata) if !metadata.is_dir() => return Err(StoreError::NotADirectory { path: root.to_owned() }),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io(READ, root, error));
            }
            _ => {}
        }
        let base = root.join("v1");
        let parts = PARTS.iter().map(|name| base.join(name));
        if let Some(path) = std::iter::once(base.clone()).chain(parts).find(|path| files::is_link(path)) {
            return Err(StoreError::Link { path });
        }
        Ok(Self { base, records_read: AtomicU64::new(0), files_hashed: AtomicU64::new(0) })
    }

    /// Whether there is a cache, as far as it goes: something has been remembered there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.base.is_dir()
    }

    /// The directory of a step, whether or not it is there.
    #[must_use]
    pub fn dir(&self, key: &StepKey) -> PathBuf {
        self.base.join("steps").join(key.kind()).join(key.hash())
    }

    /// Where a step that has not finished keeps its checkpoints, whether or not it is there.
    #[must_use]
    pub fn scratch(&self, key: &StepKey) -> PathBuf {
        self.base.join("partial").join(key.kind()).join(key.hash())
    }

    /// The directory and the record of a cached step, every byte verified.
    ///
    /// # Errors
    /// When it is absent, damaged or cannot be read.
    pub fn verified(&self, key: &StepKey) -> Result<(PathBuf, Arc<Record>), StoreError> {
        match self.look(key, Scrutiny::Bytes)? {
            Lookup::Intact(record) => Ok((self.dir(key), record)),
            Lookup::Absent => Err(StoreError::Absent { key: key.clone() }),
            Lookup::Damaged(damage) => Err(StoreError::Damaged { entry: key.to_string(), damage }),
        }
    }

    /// Loads the artifact of a cached step, every byte verified.
    ///
    /// # Errors
    /// As [`Store::verified`], and when the artifact cannot read its files.
    pub fn load<A: Artifact>(&self, key: &Key<A>) -> Result<A, StoreError> {
        let (dir, _) = self.verified(key.step())?;
        A::load(&dir).map_err(|source| StoreError::Artifact { key: key.step().clone(), source })
    }

    /// Makes the cache ready to be written to, and holds off garbage collection for as long as the result lives. Steps of
    /// `kinds` are to be written.
    pub(crate) fn begin(&self, kinds: &BTreeSet<&str>) -> Result<Lock, StoreError> {
        for name in PARTS {
            let dir = self.base.join(name);
            fs::create_dir_all(&dir).doing("create", &dir)?;
        }
        let in_use = Self::wait_for(&self.base.join("in-use"), Mode::Shared, &mut || true)?
            .ok_or_else(|| StoreError::InUse { path: self.base.clone() })?;
        self.try_moves(kinds)?;
        Ok(in_use)
    }

    /// Finds out now whether a finished step can be moved to its place, and not after hours of work. Others may own some
    /// of the folders.
    fn try_moves(&self, kinds: &BTreeSet<&str>) -> Result<(), StoreError> {
        let tmp = self.base.join("tmp");
        // Of a name that no other run has, on whatever machine; it goes when it is dropped.
        let from = tempfile::Builder::new().prefix(PROBE).tempfile_in(&tmp).doing("write", &tmp)?.into_temp_path();
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts = ["steps", "contents", "partial", "damaged", "locks"].map(|part| self.base.join(part));
        let of_kinds = kinds.iter().flat_map(|kind| ["steps", "partial"].map(|part| self.base.join(part).join(kind)));
        for part in parts.into_iter().chain(of_kinds.filter(|dir| dir.is_dir() && !files::is_link(dir))) {
            let to = part.join(format!(".{name}"));
            let moved = fs::rename(&from, &to).and_then(|()| fs::rename(&to, &from));
            moved.map_err(|error| StoreError::io("move to", &part, error))?;
        }
        Ok(())
    }

    /// Makes a directory inside the cache, none of whose parts may be a link.
    fn make_dir(&self, dir: &Path) -> Result<(), StoreError> {
        let inside = dir.ancestors().take_while(|part| *part != self.base);
        if let Some(path) = inside.into_iter().find(|part| files::is_link(part)) {
            return Err(StoreError::Link { path: path.to_owned() });
        }
        fs::create_dir_all(dir).doing("create", dir)
    }

    /// Takes a step's lock, waiting while another run holds it; `waiting` is asked now and again whether to go
    /// on, and `None` is the result when it says no.
    pub(crate) fn lock(&self, key: &StepKey, waiting: &mut dyn FnMut() -> bool) -> Result<Option<Lock>, StoreError> {
        Self::wait_for(&self.lock_path(key.kind(), key.hash()), Mode::Exclusive, waiting)
    }

    fn wait_for(path: &Path, mode: Mode, waiting: &mut dyn FnMut() -> bool) -> Result<Option<Lock>, StoreError> {
        loop {
            match Lock::try_take(path, mode).doing("lock", path)? {
                Some(lock) => return Ok(Some(lock)),
                None if !waiting() => return Ok(None),
                None => std::thread::sleep(WAIT),
            }
        }
    }

    fn lock_path(&self, kind: &str, hash: &str) -> PathBuf {
        self.base.join("locks").join(format!("{kind}-{hash}"))
    }

    /// The private directory in which the holder of a step's lock builds the entry.
    fn private(&self, key: &StepKey) -> PathBuf {
        self.base.join("tmp").join(Self::flat_name(key))
    }

    fn content_path(&self, content_key: &StepKey) -> PathBuf {
        self.base.join("contents").join(content_key.kind()).join(content_key.hash())
    }

    fn flat_name(key: &StepKey) -> String {
        format!("{}-{}", key.kind(), key.hash())
    }

    /// How many records were read and how many files were hashed so far.
    #[cfg(test)]
    pub(crate) fn work(&self) -> (u64, u64) {
        (self.records_read.load(Ordering::Relaxed), self.files_hashed.load(Ordering::Relaxed))
    }
}

/// Counts one unit of work.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
