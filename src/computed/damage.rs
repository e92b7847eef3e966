//! Damage, as every verb but `run` tells of it: what is absent or damaged is left out of what is shown, damage is named, once,
//! and makes the exit code 3.
//!
//! A verb that reads experiments looks at every step of theirs as a run would before it computes anything: at records,
//! sizes and times, and at the bytes of what has other times or is read by no step. `cache stats` and `cache gc` look at
//! the records, sizes and times of all. What a verb loads it verifies besides.

use std::path::PathBuf;
use std::sync::Arc;

use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::Artifact;
use overinterp_workflow::store::{Damage, Lookup, Record};
use overinterp_workflow::view::View;

use super::Computed;
use crate::failure::{Failure, Kind};

/// What mends an entry that stays where it is.
pub(crate) const REPAIR: &str = "`overinterp run` sets it aside and computes it again";

/// A line for an entry that is damaged, with what becomes of it.
pub(crate) fn told(entry: &str, damage: &str, fate: &str) -> String {
    format!("damaged {entry}: {damage}; {fate}")
}

/// A line for each entry that a look at a whole cache found damaged, with what becomes of it, and for each that it could not read.
pub(crate) fn lines(damaged: &[Damage], unread: &[Damage], fate: impl Fn(&Damage) -> String) -> Vec<String> {
    let damaged = damaged.iter().map(|found| told(&found.entry, &found.damage, &fate(found)));
    let unread = unread.iter().map(|Damage { entry, damage, .. }| format!("unread {entry}: {damage}; left as it is"));
    damaged.chain(unread).collect()
}

impl Computed {
    /// Loads a result; `None` when it is absent or damaged.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn load<A: Artifact>(&self, key: &Key<A>) -> Result<Option<A>, Failure> {
        self.load_step(key.step())
    }

    /// Loads the result of a step that makes such a one; `None` when it is absent or damaged.
    ///
    /// # Errors
    /// As [`Computed::load`].
    pub fn load_step<A: Artifact>(&self, key: &StepKey) -> Result<Option<A>, Failure> {
        self.loader.read(key, || self.label(key), A::load)
    }

    /// The directory and the record of a step; `None` when it is absent or damaged.
    ///
    /// # Errors
    /// As [`Computed::load`].
    pub fn verified(&self, key: &StepKey) -> Result<Option<(PathBuf, Arc<Record>)>, Failure> {
        self.loader.verified(key, || self.label(key))
    }

    /// Looks at the entries of the plan, and names those that are damaged, and damaged data, which verbs that run nothing
    /// would only miss.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn name_damage(&self) -> Result<(), Failure> {
        self.name_damage_in(&View::of_entries(&self.planned.plan, self.store())?);
        Ok(())
    }

    /// The same, and gives what the look found.
    ///
    /// # Errors
    /// As [`Computed::name_damage`].
    pub fn view(&self) -> Result<View, Failure> {
        let view = View::of(&self.planned.plan, self.store())?;
        self.name_damage_in(&view);
        Ok(view)
    }

    fn name_damage_in(&self, view: &View) {
        for damaged in &self.damaged {
            self.loader.warn(&format!("damaged data: {damaged}"));
        }
        for (_, step) in self.planned.plan.steps() {
            if let Lookup::Damaged(damage) = view.entry(step.identity()) {
                self.loader.damaged(step.identity(), || Some(step.label().to_string()), damage, REPAIR);
            }
        }
    }

    /// Whether damage was met, of data or of an entry.
    pub fn has_met_damage(&self) -> bool {
        !self.damaged.is_empty() || !self.loader.met().is_empty()
    }

    /// The keys of the damaged entries' steps, in ascending order and each once.
    pub fn damaged_keys(&self) -> Vec<String> {
        self.loader.met().iter().map(ToString::to_string).collect()
    }

    /// A failure that damage may be behind: it ends as damage does, if some was met.
    pub fn worsened(&self, mut failure: Failure) -> Failure {
        if failure.kind == Kind::Usage && self.has_met_damage() {
            failure.kind = Kind::Stage;
        }
        failure
    }

    /// What people call a step of the plan.
    fn label(&self, key: &StepKey) -> Option<String> {
        self.planned.plan.find(key).map(|id| self.planned.plan.step(id).label().to_string())
    }
}
