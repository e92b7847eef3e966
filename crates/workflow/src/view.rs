//! What a cache holds of a plan, as plain data for the schedule.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::key::StepKey;
use super::plan::{Plan, StepId};
use super::store::{Kept, Lookup, Record, Scrutiny, Store, StoreError};

/// What there is of a step.
pub type Entry = Lookup<Arc<Kept>>;

/// A look at a cache, taken once: the entries of a plan's steps, and the history of the kinds that are to run.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// In the order of the plan's steps.
    entries: Vec<(StepKey, Entry)>,
    /// Their places in the order of the keys, once somebody asks by key.
    by_key: OnceLock<Vec<usize>>,
    history: Vec<Arc<Record>>,
}

impl View {
    /// Looks up every step of `plan` in `store`; of a step on which no other depends, every byte is verified. Records are
    /// read at most once, and only those that the index does not know; besides all of kinds of which something is to run.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn of<E>(plan: &Plan<E>, store: &Store) -> Result<Self, StoreError> {
        let mut view = Self::of_entries(plan, store)?;
        let missing = plan.steps().filter(|(id, step)| !matches!(view.at(*id, step.identity()), Lookup::Intact(_)));
        let wanting: BTreeSet<&str> = missing.map(|(_, step)| step.manifest().kind()).collect();
        for kind in wanting {
            view.history.extend(store.history(kind, &|_| None)?);
        }
        Ok(view)
    }

    /// The same without the history.
    ///
    /// # Errors
    /// As [`View::of`].
    pub fn of_entries<E>(plan: &Plan<E>, store: &Store) -> Result<Self, StoreError> {
        let wanted = plan.steps().filter_map(|(id, step)| {
            // What no step loads is what people read: damage to it would be noticed by nobody else.
            let read_by_steps = plan.dependants(id).next().is_some();
            step.key().map(|key| (key, if read_by_steps { Scrutiny::Times } else { Scrutiny::Bytes }))
        });
        let wanted: Vec<(&StepKey, Scrutiny)> = wanted.collect();
        let mut found = store.look_all(&wanted)?.into_iter();
        let entries = plan.steps().map(|(_, step)| {
            let entry = step.key().and_then(|_| found.next()).unwrap_or(Lookup::Absent);
            (step.identity().clone(), entry)
        });
        Ok(Self { entries: entries.collect(), ..Self::default() })
    }

    /// What there is of a step.
    #[must_use]
    pub fn entry(&self, key: &StepKey) -> &Entry {
        self.place(key).map_or(&Lookup::Absent, |place| &self.entries[place].1)
    }

    /// The same of the step that has this place in the plan of which the view was taken.
    #[must_use]
    pub(crate) fn at(&self, id: StepId, key: &StepKey) -> &Entry {
        match self.entries.get(id.index()) {
            Some((own, entry)) if own == key => entry,
            _ => self.entry(key),
        }
    }

    fn place(&self, key: &StepKey) -> Option<usize> {
        let by_key = self.by_key.get_or_init(|| {
            let mut places: Vec<usize> = (0..self.entries.len()).collect();
            places.sort_unstable_by_key(|&place| &self.entries[place].0);
            places
        });
        by_key.binary_search_by_key(&key, |&place| &self.entries[place].0).ok().map(|place| by_key[place])
    }

    /// Every readable record of the kinds of which something is to run, of any plan.
    #[must_use]
    pub fn history(&self) -> &[Arc<Record>] {
        &self.history
    }

    /// Notes that an entry has turned out to be damaged.
    pub(crate) fn mark_damaged(&mut self, key: &StepKey, damage: String) {
        if let Some(place) = self.place(key) {
            self.entries[place].1 = Lookup::Damaged(damage);
        }
        self.history.retain(|record| record.key != *key);
    }

    #[cfg(test)]
    pub(crate) fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let history: Vec<Arc<Record>> = records.into_iter().map(Arc::new).collect();
        let entries = history.iter().map(|record| (record.key.clone(), Lookup::Intact(Arc::new(Kept::of(record)))));
        Self { entries: entries.collect(), history: history.clone(), ..Self::default() }
    }
}
