//! Damage, as every verb but `run` tells of it: what is absent or damaged is left out of what is shown, damage is named on
//! standard error, once, and makes the exit code 3.
//!
//! A verb that reads experiments looks at every step of theirs as a run would before it computes anything: at records,
//! sizes and times, and at the bytes of what has other times or is read by no step. `cache stats` and `cache gc` look at
//! the records, sizes and times of all. What a verb loads it verifies besides.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::Artifact;
use overinterp_workflow::store::{Damage, Lookup, Record, StoreError};
use overinterp_workflow::view::View;

use crate::cli::failure::{Failure, Kind, Status, chain};
use crate::cli::session::Session;

/// What mends an entry that stays where it is.
pub(crate) const REPAIR: &str = "`overinterp run` sets it aside and computes it again";

/// Names entries that a look at a whole cache found damaged, each with what becomes of it, and those that it could not
/// read, and says with what the verb ends.
pub(crate) fn name(damaged: &[Damage], unread: &[Damage], fate: impl Fn(&Damage) -> String) -> Status {
    for found in damaged {
        say(&found.entry, &found.damage, &fate(found));
    }
    for Damage { entry, damage, .. } in unread {
        errln!("unread {entry}: {damage}; left as it is");
    }
    if damaged.is_empty() && unread.is_empty() { Status::Success } else { Status::Stage }
}

fn say(entry: &str, damage: &str, fate: &str) {
    errln!("damaged {entry}: {damage}; {fate}");
}

/// The damaged entries that a verb has met.
#[derive(Debug, Default)]
pub(crate) struct Damaged(Mutex<BTreeSet<StepKey>>);

impl Damaged {
    /// The keys of the entries' steps, in ascending order and each once.
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

    /// Looks at the entries of the plan, and names those that are damaged, and damaged data, which verbs that run nothing
    /// would only miss.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn name_damage(&self) -> Result<(), Failure> {
        self.name_damage_in(&View::of_entries(&self.planned.plan, &self.store)?);
        Ok(())
    }

    /// The same, and gives what the look found.
    ///
    /// # Errors
    /// As [`Session::name_damage`].
    pub fn view(&self) -> Result<View, Failure> {
        let view = View::of(&self.planned.plan, &self.store)?;
        self.name_damage_in(&view);
        Ok(view)
    }

    fn name_damage_in(&self, view: &View) {
        for damaged in &self.damaged {
            errln!("damaged data: {damaged}");
        }
        for (_, step) in self.planned.plan.steps() {
            if let Lookup::Damaged(damage) = view.entry(step.identity()) {
                self.damaged_entry(step.identity(), damage, REPAIR);
            }
        }
    }

    /// With what a verb ends that would otherwise end with `status`: with damage, if it met some.
    pub fn ended(&self, status: Status) -> Status {
        let damaged = !self.damaged_entries.entries().is_empty() || !self.damaged.is_empty();
        if damaged && matches!(status, Status::Success | Status::Usage) { Status::Stage } else { status }
    }

    /// A failure that damage may be behind: it ends as damage does, if some was met.
    pub fn worsened(&self, mut failure: Failure) -> Failure {
        failure.kind = if self.ended(failure.kind.status()) == Status::Stage { Kind::Stage } else { failure.kind };
        failure
    }

    fn unless_damaged<T>(&self, key: &StepKey, found: Result<T, StoreError>) -> Result<Option<T>, Failure> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::Absent { .. }) => Ok(None),
            Err(StoreError::Damaged { damage, .. }) => {
                self.damaged_entry(key, &damage, REPAIR);
                Ok(None)
            }
            Err(StoreError::Artifact { source, .. }) => {
                // A run takes it for sound: its bytes are as they were written.
                let dir = self.store.dir(key);
                let fate = format!("remove {}, and `overinterp run` computes it again", dir.display());
                self.damaged_entry(key, &chain(&source), &fate);
                Ok(None)
            }
            Err(error) => Err(Failure::from(error)),
        }
    }

    fn damaged_entry(&self, key: &StepKey, damage: &str, fate: &str) {
        if self.damaged_entries.entries().insert(key.clone()) {
            let plan = &self.planned.plan;
            let label = plan.find(key).map_or_else(String::new, |id| format!("{} ", plan.step(id).label()));
            say(&format!("{label}({key})"), damage, fate);
        }
    }
}
