//! A place beyond the cache, where other machines find what was finished here and leave what they have finished.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::key::{ContentHash, StepKey};
use super::store::{Arrivals, Record, Store};
use super::workers::Claim;

/// Such a place. It fails without a word to the run, which goes on without it; whoever made it asks it what it could not do.
pub trait Depot: fmt::Debug + Send + Sync {
    /// Brings a step into the cache, if the depot has one that was made from `inputs`.
    fn fetch(
        &self,
        arrivals: &Arrivals<'_>,
        key: &StepKey,
        inputs: &BTreeMap<StepKey, ContentHash>,
    ) -> Option<Arc<Record>>;

    /// The finished steps of some kinds that the depot has, as `KIND-HASH`.
    fn finished(&self, kinds: &BTreeSet<&str>) -> BTreeSet<String>;

    /// Takes a step that was finished here. While this lasts the step is still claimed, so that nobody else computes it.
    fn offer(&self, store: &Store, key: &StepKey);

    /// Brings the checkpoints of a step that another left unfinished into `scratch`, which is empty.
    fn fetch_unfinished(&self, key: &StepKey, scratch: &Path);

    /// Takes the checkpoints of a step that is not finished.
    fn offer_unfinished(&self, key: &StepKey, scratch: &Path);
}

/// Finished steps on their way to the depot, each with its claim.
#[derive(Debug, Default)]
pub(crate) struct Departures<'a> {
    queue: Mutex<Queue<'a>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue<'a> {
    waiting: VecDeque<(Claim<'a>, StepKey)>,
    is_closed: bool,
}

impl<'a> Departures<'a> {
    fn queue(&self) -> MutexGuard<'_, Queue<'a>> {
        // Each change of it is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, claim: Claim<'a>, key: StepKey) {
        self.queue().waiting.push_back((claim, key));
        self.changed.notify_one();
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.queue().is_closed = true;
        self.changed.notify_all();
    }

    /// The next step; `None` when there will be none.
    pub fn next(&self) -> Option<(Claim<'a>, StepKey)> {
        let mut queue = self.queue();
        loop {
            match queue.waiting.pop_front() {
                Some(next) => return Some(next),
                None if queue.is_closed => return None,
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
