//! Which of the steps that are ready is taken first: the one with the longest way to the end of the plan behind it, then the
//! longest.

use super::plan::{Plan, StepId};
use super::schedule::Schedule;

/// For each step its rank: the lower is taken first. Steps of which nothing is known count as much as those of which something
/// is, in the mean; equal ones go in the plan's order.
pub(crate) fn ranks<E>(plan: &Plan<E>, schedule: &Schedule) -> Vec<usize> {
    let known: Vec<f64> = schedule.steps().iter().filter_map(|step| step.estimate).map(|one| one.seconds).collect();
    let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
    let seconds = |id: StepId| match schedule.step(id) {
        step if step.forecast.is_cached() => 0.0,
        step => step.estimate.map_or(mean, |estimate| estimate.seconds),
    };
    let ids: Vec<StepId> = plan.steps().map(|(id, _)| id).collect();
    let own: Vec<f64> = ids.iter().map(|id| seconds(*id)).collect();
    let mut way = own.clone();
    // Inputs have lower places than what depends on them.
    for id in ids.iter().rev() {
        let after = plan.dependants(*id).map(|dependant| way[dependant.index()]).fold(0.0, f64::max);
        way[id.index()] += after;
    }
    let mut order = ids;
    order.sort_by(|one, other| {
        let (one, other) = (one.index(), other.index());
        way[other].total_cmp(&way[one]).then(own[other].total_cmp(&own[one])).then(one.cmp(&other))
    });
    let mut ranks = vec![0; order.len()];
    for (rank, id) in order.into_iter().enumerate() {
        ranks[id.index()] = rank;
    }
    ranks
}
