//! What the cache holds of an experiment's evaluations and analyses, as the report takes it.

use crate::pipeline::{Analysed, Evaluated, Outcome, Results};
use overinterp_artifacts::{Analysis, Evaluation, HumanAnswers, Metrics};
use overinterp_config::Experiment;
use overinterp_report::Measurement;
use overinterp_spec::{AxisValue, Metric};
use overinterp_stages::Env;
use overinterp_workflow::plan::{Plan, Step};
use overinterp_workflow::stage::Artifact;

use crate::computed::Computed;
use crate::failure::Failure;

/// Every evaluation, analysis and study of people of an experiment, once a metric; those that have not run are there without a value.
///
/// # Errors
/// When the cache cannot be read.
pub(crate) fn measurements(computed: &Computed, results: &Results) -> Result<Vec<Measurement>, Failure> {
    let plan = &computed.planned.plan;
    let mut measurements = Vec::new();
    for Evaluated { outcome, .. } in &results.evaluations {
        if let Some(step) = step(outcome, plan) {
            measurements.extend(of_evaluation(outcome, step, cached(outcome, step, computed)?.as_ref()));
        }
    }
    for analysed in &results.analyses {
        if let Some(step) = step(&analysed.outcome, plan) {
            let analysis = cached(&analysed.outcome, step, computed)?;
            measurements.extend(of_analysis(analysed, step, analysis.as_ref()));
        }
    }
    for outcome in &results.answers {
        if let Some(step) = step(outcome, plan) {
            let answers = cached(outcome, step, computed)?;
            measurements.push(Measurement {
                value: answers.as_ref().and_then(HumanAnswers::accuracy),
                n: answers.as_ref().map(HumanAnswers::answered),
                chance: answers.as_ref().map(|answers| 1.0 / answers.classes as f64),
                ..unmeasured(outcome, step, Metric::Accuracy)
            });
        }
    }
    Ok(measurements)
}

fn of_evaluation(outcome: &Outcome<Evaluation>, step: &Step, evaluation: Option<&Evaluation>) -> [Measurement; 2] {
    let measurement = |metric, value: fn(&Metrics) -> f64| Measurement {
        value: evaluation.map(|evaluation| value(&evaluation.metrics)),
        n: evaluation.map(|evaluation| evaluation.metrics.images),
        chance: evaluation.map(|evaluation| 1.0 / evaluation.metrics.classes as f64),
        ..unmeasured(outcome, step, metric)
    };
    [
        measurement(Metric::Accuracy, |metrics| metrics.accuracy),
        measurement(Metric::Confidence, |metrics| metrics.mean_confidence),
    ]
}

fn of_analysis(analysed: &Analysed, step: &Step, analysis: Option<&Analysis>) -> Vec<Measurement> {
    let number = |metric| analysis.and_then(|analysis| analysis.number(metric));
    let measurement = |&metric: &Metric| Measurement {
        value: number(metric).and_then(|number| number.value),
        interval: number(metric).and_then(|number| number.interval),
        n: number(metric).map(|number| number.count),
        chance: match metric {
            Metric::Overlap => number(Metric::OverlapChance).and_then(|number| number.value),
            Metric::Border => number(Metric::BorderChance).and_then(|number| number.value),
            _ => None,
        },
        ..unmeasured(&analysed.outcome, step, metric)
    };
    analysed.metrics.iter().map(measurement).collect()
}

/// A number that is not there.
fn unmeasured<A>(outcome: &Outcome<A>, step: &Step, metric: Metric) -> Measurement {
    Measurement {
        stage: outcome.stage.clone(),
        model: outcome.model.clone(),
        images: outcome.images.clone(),
        cell: outcome.cell.clone(),
        metric,
        value: None,
        interval: None,
        n: None,
        chance: None,
        key: step.key().map(ToString::to_string),
    }
}

fn step<'a, A>(outcome: &Outcome<A>, plan: &'a Plan<Env>) -> Option<&'a Step> {
    plan.find(outcome.key.step()).map(|id| plan.step(id))
}

/// The artifact, unless its data are absent, or it is absent or damaged itself: then it has yet to run.
fn cached<A: Artifact>(outcome: &Outcome<A>, step: &Step, computed: &Computed) -> Result<Option<A>, Failure> {
    if step.key().is_some() { computed.load(&outcome.key) } else { Ok(None) }
}

/// An experiment's axes as the report takes them.
pub(crate) fn axes(experiment: &Experiment) -> Vec<(String, Vec<AxisValue>)> {
    experiment.axes.iter().map(|axis| (axis.name.clone(), axis.values.clone())).collect()
}
