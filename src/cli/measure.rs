//! What the cache holds of an experiment's evaluations, as the report takes it.

use crate::artifacts::HumanAnswers;
use crate::config::Experiment;
use crate::engine::plan::Plan;
use crate::engine::stage::Artifact;
use crate::engine::store::{Store, StoreError};
use crate::pipeline::{Outcome, Results};
use crate::report::Measurement;
use crate::spec::{AxisValue, Metric};
use crate::stages::Env;

/// Every evaluation of an experiment, once a metric, and the accuracy of people; those that have not run are there without a value.
///
/// # Errors
/// When the cache cannot be read.
pub(super) fn measurements(results: &Results, plan: &Plan<Env>, store: &Store) -> Result<Vec<Measurement>, StoreError> {
    let mut measurements = Vec::new();
    for outcome in &results.evaluations {
        let Some(step) = plan.find(outcome.key.step()).map(|id| plan.step(id)) else { continue };
        let key = step.key().map(ToString::to_string);
        let evaluation = if key.is_some() { cached(outcome, store)? } else { None };
        for (_, metric) in Metric::ALL {
            measurements.push(Measurement {
                stage: outcome.stage.clone(),
                model: outcome.model.clone(),
                images: outcome.images.clone(),
                cell: outcome.cell.clone(),
                metric,
                value: evaluation.as_ref().map(|evaluation| match metric {
                    Metric::Accuracy => evaluation.metrics.accuracy,
                    Metric::Confidence => evaluation.metrics.mean_confidence,
                }),
                n: evaluation.as_ref().map(|evaluation| evaluation.metrics.images),
                chance: evaluation.as_ref().map(|evaluation| 1.0 / evaluation.metrics.classes as f64),
                key: key.clone(),
            });
        }
    }
    for outcome in &results.answers {
        let Some(step) = plan.find(outcome.key.step()).map(|id| plan.step(id)) else { continue };
        let key = step.key().map(ToString::to_string);
        let answers: Option<HumanAnswers> = if key.is_some() { cached(outcome, store)? } else { None };
        measurements.push(Measurement {
            stage: outcome.stage.clone(),
            model: outcome.model.clone(),
            images: outcome.images.clone(),
            cell: outcome.cell.clone(),
            metric: Metric::Accuracy,
            value: answers.as_ref().and_then(HumanAnswers::accuracy),
            n: answers.as_ref().map(HumanAnswers::answered),
            chance: answers.as_ref().map(|answers| 1.0 / answers.classes as f64),
            key,
        });
    }
    Ok(measurements)
}

/// The result, unless it is absent or damaged: then it has yet to run.
fn cached<A: Artifact>(outcome: &Outcome<A>, store: &Store) -> Result<Option<A>, StoreError> {
    match store.load(&outcome.key) {
        Ok(result) => Ok(Some(result)),
        Err(StoreError::Absent { .. } | StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An experiment's axes as the report takes them.
pub(super) fn axes(experiment: &Experiment) -> Vec<(String, Vec<AxisValue>)> {
    experiment.axes.iter().map(|axis| (axis.name.clone(), axis.values.clone())).collect()
}
