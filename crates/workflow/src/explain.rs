//! What a step is, and how it differs from what the cache holds that is most like it.

use std::sync::Arc;

use super::change::{Change, changes};
use super::key::StepKey;
use super::manifest::Manifest;
use super::plan::{Label, Plan, StepId};
use super::schedule::{Estimate, Forecast, Schedule};
use super::store::{Lookup, Record, Store, StoreError};
use super::view::View;

/// What there is to know of a step.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Its key; `None` when data are absent.
    pub key: Option<StepKey>,
    /// What it is called.
    pub labels: Vec<Label>,
    /// What the key is made of.
    pub manifest: Manifest,
    /// Whether it will run, and why.
    pub forecast: Forecast,
    /// How long it may take.
    pub estimate: Option<Estimate>,
    /// Its record, when it is in the cache.
    pub record: Option<Arc<Record>>,
    /// The other step of its kind in the cache that differs in the fewest settings.
    pub nearest: Option<Nearest>,
}

/// A step that is like another.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// The record of that other step, as it lies in the cache.
    pub record: Arc<Record>,
    /// What one would have to change in it to get the other.
    pub changes: Vec<Change>,
}

/// Explains one step of a plan. Ties between equally near steps go to one that is not in the plan, then to the
/// newest.
///
/// # Errors
/// When the cache cannot be read.
pub fn explain<E>(
    plan: &Plan<E>,
    id: StepId,
    view: &View,
    schedule: &Schedule,
    store: &Store,
) -> Result<Explanation, StoreError> {
    let (step, scheduled) = (plan.step(id), schedule.step(id));
    let leaves = step.manifest().leaves();
    let nearest = store
        .history(step.manifest().kind(), &|_| None)?
        .into_iter()
        .filter(|record| record.key != *step.identity())
        .filter_map(|record| {
            let changes = changes(&record.manifest()?.leaves(), &leaves);
            Some(Nearest { record, changes })
        })
        .min_by_key(|near| {
            let sibling = plan.find(&near.record.key).is_some();
            (near.changes.len(), sibling, std::cmp::Reverse(near.record.made.unix_seconds))
        });
    let record = match view.entry(step.identity()) {
        Lookup::Intact(kept) => store.record(&kept.key)?,
        Lookup::Absent | Lookup::Damaged(_) => None,
    };
    Ok(Explanation {
        key: step.key().cloned(),
        labels: step.labels().to_vec(),
        manifest: step.manifest().clone(),
        forecast: scheduled.forecast.clone(),
        estimate: scheduled.estimate,
        record,
        nearest,
    })
}
