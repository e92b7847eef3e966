//! The cache: finished steps in directories of their own, each complete from the moment it exists.
//!
//! ```text
//! CACHE/v1/index                 what records say, in one file; without it they are read
//! CACHE/v1/steps/KIND/HASH/      a step's files, and step.json, written last
//! CACHE/v1/contents/KIND/HASH    content key -> the step that computed it (early cutoff)
//! CACHE/v1/partial/KIND/HASH/    scratch of a step that has not finished; outlives interruptions
//! CACHE/v1/damaged/              entries set aside because a file was changed or missing
//! CACHE/v1/workers/  claims/     who works here; who has which step
//! CACHE/v1/failures/             steps that failed, so that no other worker of the same run repeats them
//! CACHE/v1/tmp/  pins/           private files and directories; steps that gc must keep
//! CACHE/v1/runs/ID/              what was run when, and how it ended
//! CACHE/v1/receipts/             what runs found and said that had nothing to do
//! ```
//!
//! What else lies there is none of it: `places.rs` tells one from the other.

mod arrival;
mod durability;
mod elsewhere;
mod entry;
mod error;
mod failures;
mod files;
mod gc;
mod glance;
mod index;
mod inventory;
mod kept;
mod places;
mod publish;
mod receipts;
mod record;
mod runs;
mod stats;
mod verify;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::depot::Depot;
use super::key::{Key, StepKey};
use super::notices::{FolderNotices, NOTICE, Notices, StoreTime};
use super::stage::Artifact;
use super::workers::{AtWork, CLAIMS, Claiming, Patience, Presence, State, WORKERS, Workers};
pub use arrival::{Arrival, ArrivalError, Arrivals, ArrivingFile, Departure};
use durability::Durability;
pub(crate) use elsewhere::Elsewhere;
pub(crate) use entry::Scrutiny;
pub use entry::{Lookup, RecordFault};
use error::{Doing as _, READ};
pub use error::{StoreError, cause_of};
pub use gc::{Collection, Garbage, GcMode, Perhaps, Removal, Wanted};
pub use inventory::Inventory;
pub use kept::Kept;
pub(crate) use publish::{Difference, Stored};
use receipts::RECEIPTS;
pub(crate) use record::Draft;
#[cfg(test)]
pub(crate) use record::tests::record as record_of;
pub use record::{FileRecord, Made, Maker, Record};
use runs::RUNS;
pub use runs::{RunLog, RunNotes};
pub use stats::{Entry, KindStats, Pile, Stats};
pub use verify::{Damage, Verification};

/// A cache directory. Any number of runs may use one at a time.
#[derive(Debug)]
pub struct Store {
    /// The version's directory, `CACHE/v1`.
    base: PathBuf,
    workers: Workers,
    depot: Option<Arc<dyn Depot>>,
    durability: Durability,
    records_read: AtomicU64,
    files_hashed: AtomicU64,
}

/// The directories of a cache.
const PARTS: [&str; 11] =
    ["steps", "contents", "partial", "damaged", WORKERS, CLAIMS, FAILURES, "tmp", "pins", RUNS, RECEIPTS];

/// Where it is noted that a step failed.
const FAILURES: &str = "failures";

/// With what the names begin by which a run tries whether it may write.
const PROBE: &str = "probe-";

/// How often whoever waits for another looks again.
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
        let notices = Arc::new(FolderNotices::new(base.clone()));
        let workers = Workers::new(notices, Patience::default());
        Ok(Self {
            base,
            workers,
            depot: None,
            durability: Durability::new(),
            records_read: AtomicU64::new(0),
            files_hashed: AtomicU64::new(0),
        })
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
            Lookup::Absent => Err(StoreError::Absent { key: Box::new(key.clone()) }),
            Lookup::Damaged(damage) => Err(StoreError::Damaged { entry: key.to_string(), damage }),
        }
    }

    /// Loads the artifact of a cached step, every byte verified.
    ///
    /// # Errors
    /// As [`Store::verified`], and when the artifact cannot read its files.
    pub fn load<A: Artifact>(&self, key: &Key<A>) -> Result<A, StoreError> {
        let (dir, _) = self.verified(key.step())?;
        A::load(&dir).map_err(|source| StoreError::Artifact { key: Box::new(key.step().clone()), source })
    }

    /// The same with another patience for workers that are silent.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        let notices = Arc::new(FolderNotices::new(self.base.clone()));
        self.workers = Workers::new(notices, patience);
        self
    }

    /// Lets other machines find what is finished here, and shares the notices of all who do so; `notices` makes these of
    /// those in the cache's own folder.
    pub fn share(
        &mut self,
        depot: Arc<dyn Depot>,
        notices: impl FnOnce(FolderNotices) -> Arc<dyn Notices>,
        patience: Patience,
    ) {
        self.workers = Workers::new(notices(FolderNotices::new(self.base.clone())), patience);
        self.depot = Some(depot);
    }

    /// Where other machines find what is finished here.
    pub(crate) fn depot(&self) -> Option<&dyn Depot> {
        self.depot.as_deref()
    }

    /// The workers on this cache.
    pub(crate) const fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Makes the cache ready to be written to, and says that this process does `doing`, which holds off garbage collection
    /// for as long as the result lives. Steps of `kinds` are to be written.
    pub(crate) fn begin(&self, kinds: &BTreeSet<&str>, doing: &str) -> Result<AtWork<'_>, StoreError> {
        for name in PARTS {
            let dir = self.base.join(name);
            fs::create_dir_all(&dir).doing("create", &dir)?;
        }
        let at_work = self.join(doing, false)?;
        // Collecting takes moments, unless the collector has died.
        while self.others()?.iter().any(|(_, presence, state)| is_collecting(presence.as_ref(), *state)) {
            std::thread::sleep(WAIT);
        }
        self.sweep()?;
        self.try_moves(kinds)?;
        Ok(at_work)
    }

    /// The time by the clock of whatever keeps the cache, which must be there to be written to.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn time(&self, doing: &str) -> Result<StoreTime, StoreError> {
        for name in [WORKERS, "tmp"] {
            let dir = self.base.join(name);
            fs::create_dir_all(&dir).doing("create", &dir)?;
        }
        let _at_work = self.join(doing, false)?;
        Ok(self.workers.time().unwrap_or(StoreTime(0.0)))
    }

    /// Removes what workers have left that are no more.
    fn sweep(&self) -> Result<(), StoreError> {
        let (claims, tmp) = (self.base.join(CLAIMS), self.base.join("tmp"));
        self.workers.sweep().doing("sweep", &claims)?;
        let there: BTreeSet<String> = self.others()?.into_iter().map(|(id, ..)| id).chain(self.workers.id()).collect();
        self.sweep_finished()?;
        for (name, metadata) in files::list(&tmp).doing(READ, &tmp)? {
            let left = match places::worker_of(&name) {
                Some(id) => !there.contains(id),
                None => name.starts_with(NOTICE) && self.workers.is_older_than_silence(files::modified(&metadata)),
            };
            if left {
                let path = tmp.join(name);
                files::remove(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    /// Removes the checkpoints of steps that are finished: whoever finished them was killed before it could.
    fn sweep_finished(&self) -> Result<(), StoreError> {
        let partial = self.base.join("partial");
        for kind in files::folders(&partial).doing(READ, &partial)? {
            let dir = partial.join(&kind);
            for hash in files::names(&dir).doing(READ, &dir)?.into_iter().filter(|name| places::is_hash(name)) {
                if self.base.join("steps").join(&kind).join(&hash).is_dir()
                    // One that is made anew is somebody's.
                    && let Claiming::Held(_claim) = self.claim_named(&format!("{kind}-{hash}"), "")?
                {
                    let path = dir.join(&hash);
                    files::remove(&path).doing("remove", &path)?;
                }
            }
        }
        Ok(())
    }

    /// Says that this process does something with the cache, until the result is dropped.
    fn join(&self, doing: &str, alone: bool) -> Result<AtWork<'_>, StoreError> {
        let dir = self.base.join(WORKERS);
        self.workers.join(doing, alone).doing("write to", &dir)
    }

    /// Every process that does something with the cache, by its name there, and whether it gives signs of life.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn at_work(&self) -> Result<Vec<(String, Option<Presence>, State)>, StoreError> {
        // Silence is told by the store's clock, which is read by writing; where that may not be, it is not told.
        let is_there = self.base.join(WORKERS).is_dir();
        let _at_work = if is_there { self.join("look who works with the cache", false).ok() } else { None };
        self.others()
    }

    /// Says that this process works on the store until the store is dropped, also while it looks for more to do.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn stay(&self, doing: &str) -> Result<(), StoreError> {
        std::mem::forget(self.join(doing, false)?);
        Ok(())
    }

    /// Gives a sign of life, for who stays without running anything. One that fails is as one that came late.
    pub fn beat(&self) {
        let _ = self.workers.beat();
    }

    /// Every other process that does something with the cache.
    fn others(&self) -> Result<Vec<(String, Option<Presence>, State)>, StoreError> {
        let dir = self.base.join(WORKERS);
        self.workers.others().doing(READ, &dir)
    }

    /// Finds out now whether a finished step can be moved to its place, and not after hours of work. Others may own some
    /// of the folders.
    fn try_moves(&self, kinds: &BTreeSet<&str>) -> Result<(), StoreError> {
        let tmp = self.base.join("tmp");
        // Of a name that no other run has, on whatever machine; it goes when it is dropped.
        let from = tempfile::Builder::new().prefix(PROBE).tempfile_in(&tmp).doing("write", &tmp)?.into_temp_path();
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts = ["steps", "contents", "partial", "damaged", CLAIMS].map(|part| self.base.join(part));
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

    /// Claims a step, whose label other workers are told.
    pub(crate) fn claim(&self, key: &StepKey, label: &str) -> Result<Claiming<'_>, StoreError> {
        self.claim_named(&Self::flat_name(key), label)
    }

    /// Claims a part of a step that another worker may have.
    pub(crate) fn claim_part(&self, key: &StepKey, part: &str, told: &str) -> Result<Claiming<'_>, StoreError> {
        self.claim_named(&format!("{part}-{}", Self::flat_name(key)), told)
    }

    /// The same of a step that is known by the kind of its key and the hash alone.
    fn claim_named(&self, step: &str, label: &str) -> Result<Claiming<'_>, StoreError> {
        let dir = self.base.join(CLAIMS);
        self.workers.claim(step, label).doing("claim a step in", &dir)
    }

    /// The private directory in which whoever has claimed a step builds the entry.
    fn private(&self, key: &StepKey) -> PathBuf {
        // Should two ever work on one step, they do not meet here.
        let id = self.workers.id().unwrap_or_default();
        self.base.join("tmp").join(format!("{}.{id}", Self::flat_name(key)))
    }

    fn content_path(&self, content_key: &StepKey) -> PathBuf {
        self.base.join("contents").join(content_key.kind()).join(content_key.hash())
    }

    pub(crate) fn flat_name(key: &StepKey) -> String {
        format!("{}-{}", key.kind(), key.hash())
    }

    /// How many records were read and how many files were hashed so far.
    #[cfg(test)]
    pub(crate) fn work(&self) -> (u64, u64) {
        (self.records_read.load(Ordering::Relaxed), self.files_hashed.load(Ordering::Relaxed))
    }
}

/// Whether a process that is there collects garbage.
fn is_collecting(presence: Option<&Presence>, state: State) -> bool {
    matches!(state, State::There | State::Quiet) && presence.is_some_and(|presence| presence.alone)
}

/// Counts one unit of work.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
