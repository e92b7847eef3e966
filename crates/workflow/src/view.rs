//! What a cache holds of a plan, as plain data for the schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::key::StepKey;
use super::plan::Plan;
use super::store::{Lookup, Record, Scrutiny, Store, StoreError};

/// A look at a cache, taken once: the entries of a plan's steps, and the history of the kinds that are to run.
#[derive(Clone, Debug, Default)]
pub struct View {
    entries: BTreeMap<StepKey, Lookup>,
    history: Vec<Arc<Record>>,
}

impl View {
    /// Looks up every step of `plan` in `store`; of a step on which no other depends, every byte is verified. Each record
    /// is read at most once; of other steps only those of kinds of which something is to run.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn of<E>(plan: &Plan<E>, store: &Store) -> Result<Self, StoreError> {
        let mut view = Self::of_entries(plan, store)?;
        let missing = plan.steps().filter(|(_, step)| !matches!(view.entry(step.identity()), Lookup::Intact(_)));
        let wanting: BTreeSet<&str> = missing.map(|(_, step)| step.manifest().kind()).collect();
        let intact: BTreeMap<String, Arc<Record>> = view
            .entries
            .iter()
            .filter_map(|(key, lookup)| match lookup {
                Lookup::Intact(record) => Some((key.hash().to_owned(), Arc::clone(record))),
                Lookup::Absent | Lookup::Damaged(_) => None,
            })
            .collect();
        for kind in wanting {
            view.history.extend(store.history(kind, &|hash| intact.get(hash).cloned())?);
        }
        Ok(view)
    }

    /// The same without the history.
    ///
    /// # Errors
    /// As [`View::of`].
    pub fn of_entries<E>(plan: &Plan<E>, store: &Store) -> Result<Self, StoreError> {
        let mut view = Self::default();
        for (id, step) in plan.steps() {
            // What no step loads is what people read: damage to it would be noticed by nobody else.
            let read_by_steps = plan.dependants(id).next().is_some();
            let scrutiny = if read_by_steps { Scrutiny::Times } else { Scrutiny::Bytes };
            let lookup = match step.key() {
                Some(key) => store.look(key, scrutiny)?,
                None => Lookup::Absent,
            };
            view.entries.insert(step.identity().clone(), lookup);
        }
        Ok(view)
    }

    /// What there is of a step.
    #[must_use]
    pub fn entry(&self, key: &StepKey) -> &Lookup {
        self.entries.get(key).unwrap_or(&Lookup::Absent)
    }

    /// Every readable record of the kinds of which something is to run, of any plan.
    #[must_use]
    pub fn history(&self) -> &[Arc<Record>] {
        &self.history
    }

    /// Notes that an entry has turned out to be damaged.
    pub(crate) fn mark_damaged(&mut self, key: &StepKey, damage: String) {
        self.entries.insert(key.clone(), Lookup::Damaged(damage));
        self.history.retain(|record| record.key != *key);
    }

    #[cfg(test)]
    pub(crate) fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let history: Vec<Arc<Record>> = records.into_iter().map(Arc::new).collect();
        let entries = history.iter().map(|record| (record.key.clone(), Lookup::Intact(Arc::clone(record)))).collect();
        Self { entries, history }
    }
}
