//! Results as every verb reads them from the cache: what is absent or damaged is left out of what is shown, damage is
//! named on standard error, once, and makes the exit code 3.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::key::{Key, StepKey};
use crate::engine::stage::Artifact;
use crate::engine::store::{Lookup, Record, StoreError};
use crate::engine::view::View;

use super::failure::{Failure, Status, chain};
use super::session::Session;

/// The damaged entries that a verb has met.
#[derive(Debug, Default)]
pub(super) struct Damaged(Mutex<BTreeSet<StepKey>>);

impl Damaged {
    /// Their keys.
    pub fn keys(&self) -> Vec<String> {
        self.entries().iter().map(ToString::to_string).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeSet<StepKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Loads a result; `None` when it is absent or damaged.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn load<A: Artifact>(&self, key: &Key<A>) -> Result<Option<A>, Failure> {
        self.unless_damaged(key.step(), self.store.load(key))
    }

    /// The directory and the record of a step; `None` when it is absent or damaged.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn verified(&self, key: &StepKey) -> Result<Option<(PathBuf, Arc<Record>)>, Failure> {
        self.unless_damaged(key, self.store.verified(key))
    }

    /// Notes each of the plan's entries that is damaged.
    pub fn note_damage(&self, view: &View) {
        for (_, step) in self.planned.plan.steps() {
            if let Lookup::Damaged(damage) = view.entry(step.identity()) {
                self.damaged_entry(step.identity(), damage);
            }
        }
    }

    /// With what a verb ends that would otherwise end with `status`: with damage, if it met some.
    pub fn ended(&self, status: Status) -> Status {
        let damaged = !self.damaged_entries.entries().is_empty() || !self.damaged.is_empty();
        if damaged && matches!(status, Status::Success | Status::Usage) { Status::Stage } else { status }
    }

    fn unless_damaged<T>(&self, key: &StepKey, found: Result<T, StoreError>) -> Result<Option<T>, Failure> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::Absent { .. }) => Ok(None),
            Err(StoreError::Damaged { damage, .. }) => {
                self.damaged_entry(key, &damage);
                Ok(None)
            }
            Err(StoreError::Artifact { source, .. }) => {
                self.damaged_entry(key, &chain(&source));
                Ok(None)
            }
            Err(error) => Err(Failure::from(error)),
        }
    }

    fn damaged_entry(&self, key: &StepKey, damage: &str) {
        if self.damaged_entries.entries().insert(key.clone()) {
            let plan = &self.planned.plan;
            let label = plan.find(key).map_or_else(String::new, |id| format!("{} ", plan.step(id).label()));
            errln!("damaged {label}({key}): {damage}; `overinterp run` sets it aside and computes it again");
        }
    }

    /// Names the data that are there but cannot be used, which verbs that run nothing would only miss.
    pub fn name_damaged_data(&self) {
        for damaged in &self.damaged {
            errln!("damaged data: {damaged}");
        }
    }
}
