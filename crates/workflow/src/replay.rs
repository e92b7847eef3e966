//! Computes a cached step once more, in a private place, and compares the bytes with those of its entry. The cache stays
//! as it is.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::cancel::Cancel;
use super::event::Event;
use super::key::{ContentHash, StepKey};
use super::plan::{Plan, Step, StepId};
use super::stage::{Context, Host, Progress, StageError};
use super::store::{Store, StoreError};

/// What came of a step that was computed once more.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// The files whose bytes are those of the entry.
    pub same: Vec<String>,
    /// The files that are others, or in one of both places alone.
    pub different: Vec<String>,
    /// Files that tell how a step went, such as a log, and may differ.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// How long it took when the entry was made.
    pub recorded: f64,
}

/// Why a step could not be computed once more.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Its data are absent.
    #[error("{step} cannot be computed: {why}")]
    DataAbsent {
        /// What the plan calls it.
        step: String,
        /// Which, and how to get them.
        why: String,
    },
    /// Its entry or that of an input is absent, damaged or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It failed.
    #[error("{step} failed: {why}")]
    Failed {
        /// What the plan calls it.
        step: String,
        /// Why, with every cause.
        why: String,
    },
    /// The user asked to stop.
    #[error("the replay was cancelled")]
    Cancelled,
    /// The private place cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Place {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// Computes a step in `place`, an empty directory, and compares what comes of it with its entry. What the step says is told to
/// `observer`.
///
/// # Errors
/// When it or an input is not in the cache, or it fails.
pub fn replay<E: Sync>(
    plan: &Plan<E>,
    id: StepId,
    store: &Store,
    env: &E,
    place: &Path,
    observer: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<Replayed, ReplayError> {
    let step = plan.step(id);
    let name = || step.label().to_string();
    if let Some(why) = step.absent() {
        return Err(ReplayError::DataAbsent { step: name(), why: why.to_owned() });
    }
    let (_, record) = store.verified(step.identity())?;
    let (files, scratch) = (place.join("files"), place.join("scratch"));
    for path in [&files, &scratch] {
        fs::create_dir(path).map_err(|source| ReplayError::Place { path: path.clone(), source })?;
    }
    let watcher = Watcher { plan, id, step, store, observer, cancel };
    let start = Instant::now();
    let stage = plan.stage(id);
    let ended = stage.run_into(&Context { env, host: &watcher, scratch: &scratch }, &files);
    let seconds = start.elapsed().as_secs_f64();
    match ended {
        Ok(()) => {}
        Err(StageError::Cancelled) if cancel.is_cancelled() => return Err(ReplayError::Cancelled),
        Err(StageError::Cancelled) => return Err(ReplayError::Failed { step: name(), why: "it stopped".to_owned() }),
        Err(StageError::Failed(error)) => return Err(ReplayError::Failed { step: name(), why: chain(&*error) }),
    }
    let unusable = |source| ReplayError::Place { path: files.clone(), source };
    let mut made = std::collections::BTreeMap::new();
    for entry in fs::read_dir(&files).map_err(unusable)? {
        let entry = entry.map_err(unusable)?;
        let hash = ContentHash::new(blake3::hash(&fs::read(entry.path()).map_err(unusable)?));
        made.insert(entry.file_name().to_string_lossy().into_owned(), hash);
    }
    let mut replayed =
        Replayed { same: Vec::new(), different: Vec::new(), notes: Vec::new(), seconds, recorded: record.seconds };
    let gone = record.files.keys().filter(|name| !made.contains_key(*name));
    for name in made.keys().chain(gone) {
        let into = match (made.get(name), record.files.get(name)) {
            (Some(made), Some(kept)) if *made == kept.hash => &mut replayed.same,
            _ if stage.notes().contains(&name.as_str()) => &mut replayed.notes,
            _ => &mut replayed.different,
        };
        into.push(name.clone());
    }
    Ok(replayed)
}

/// What a step that is replayed sees.
struct Watcher<'a, E> {
    plan: &'a Plan<E>,
    id: StepId,
    step: &'a Step,
    store: &'a Store,
    observer: &'a (dyn Fn(Event<'_>) + Sync),
    cancel: &'a Cancel,
}

impl<E: Sync> Host for Watcher<'_, E> {
    fn input(&self, key: &StepKey) -> Result<PathBuf, StageError> {
        let is_declared = self.plan.inputs(self.id).any(|input| self.plan.step(input).identity() == key);
        if !is_declared {
            return Err(StageError::failed(format!("{key} is not among the stage's inputs")));
        }
        Ok(self.store.verified(key)?.0)
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn progress(&self, progress: Progress<'_>) {
        (self.observer)(Event::Progress { id: self.id, step: self.step, progress });
    }

    fn log(&self, line: &str) {
        (self.observer)(Event::Log { id: self.id, step: self.step, line });
    }

    fn spent_before(&self, _seconds: f64) {}
}

/// An error's text with those of all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toys::{Bench, Lab, diamond};
    use std::sync::atomic::Ordering;

    #[test]
    fn a_step_is_computed_again_beside_the_cache_and_compared_with_it() {
        let (lab, bench) = (Lab::new(), Bench::default());
        let (plan, [.., double]) = diamond(1.0);
        lab.run(&plan, &bench);
        bench.take();
        let id = plan.find(double.step()).unwrap();
        let again = |bench: &Bench| {
            let place = tempfile::tempdir().unwrap();
            replay(&plan, id, &lab.store, bench, place.path(), &|_| {}, &Cancel::default())
        };
        let replayed = again(&bench).unwrap();
        assert_eq!(bench.take(), ["sum x2"]);
        assert_eq!(replayed.same, ["number.txt", "sign.txt"]);
        assert!(replayed.different.is_empty() && replayed.notes.is_empty());
        // Another result is told, and the entry stays what it is.
        let entry = lab.store.dir(double.step()).join("number.txt");
        let before = fs::read(&entry).unwrap();
        let failing = Bench::with(|_, _| Err(StageError::failed("no")));
        failing.luck.store(1, Ordering::Relaxed);
        assert!(matches!(again(&failing), Err(ReplayError::Failed { why, .. }) if why == "no"));
        assert_eq!(fs::read(&entry).unwrap(), before);
        fs::remove_dir_all(lab.store.dir(double.step())).unwrap();
        assert!(matches!(again(&bench), Err(ReplayError::Store(StoreError::Absent { .. }))));
    }
}
