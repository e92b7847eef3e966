//! A plan for people by the first causes of what is to run, what depends on them folded: it fits on a screen however many
//! cells there are.

use std::collections::BTreeMap;
use std::fmt::Write;

use overinterp_stages::Env;
use overinterp_workflow::plan::{Plan, StepId};
use overinterp_workflow::schedule::Schedule;
use overinterp_workflow::view::View;

use crate::cli::session::Session;
use crate::computed::causes::{Cause, Teller};
use crate::forecast::rates::Time;
use crate::text;

/// So many causes are told one by one; those that most steps have.
const MOST: usize = 20;

/// The causes, then the sums.
pub(crate) fn text(session: &Session, schedule: &Schedule, view: &View) -> String {
    let plan = &session.planned.plan;
    let mut causes = together(Teller::new(session, schedule, view).causes());
    let mut text = String::new();
    let folded = causes.len().saturating_sub(MOST);
    if folded > 0 {
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.steps.len()));
    }
    for cause in causes.iter().take(MOST) {
        let count = text::count(cause.steps.len(), "step");
        let time = time(schedule, &cause.steps);
        let maybe = cause.steps.iter().filter(|id| schedule.step(**id).forecast.is_maybe()).count();
        let maybe =
            if maybe > 0 { format!(", {maybe} of them only if inputs come out otherwise") } else { String::new() };
        let _ = writeln!(text, "{}: {count}{time}{maybe}", cause.text);
        let _ = writeln!(text, "  {}", stages(plan, &cause.steps));
        if let Some(remedy) = &cause.remedy {
            let _ = writeln!(text, "  {remedy}");
        }
    }
    if folded > 0 {
        let steps = causes.iter().skip(MOST).map(|cause| cause.steps.len()).sum();
        let _ = writeln!(text, "and {} with {}", text::count(folded, "further cause"), text::count(steps, "step"));
    }
    if schedule.cached() > 0 {
        let cached: Vec<StepId> =
            plan.steps().map(|(id, _)| id).filter(|id| schedule.step(*id).forecast.is_cached()).collect();
        let _ = writeln!(text, "cached: {}", text::count(cached.len(), "step"));
        let _ = writeln!(text, "  {}", stages(plan, &cached));
    }
    let to_run: Vec<StepId> =
        plan.steps().map(|(id, _)| id).filter(|id| !schedule.step(*id).forecast.is_cached()).collect();
    let all = time(schedule, &to_run);
    let _ = writeln!(text, "\n{} to run{all}, {} cached", schedule.to_run(), schedule.cached());
    if !to_run.is_empty() {
        text.push_str("`--steps` lists all steps, each with its own cause\n");
    }
    text
}

/// The causes, with many new values of one axis told together: `sweep.seed = 1, 2, 3 and 96 more are new`.
fn together(causes: Vec<Cause>) -> Vec<Cause> {
    /// So many values are told one by one, and as many named of more.
    const FEW: usize = 3;
    let new_value = |cause: &Cause| -> Option<(String, String)> {
        let (axis, value) = cause.text.strip_prefix("sweep.")?.strip_suffix(" is new")?.split_once(" = ")?;
        (!value.contains("; ")).then(|| (axis.to_owned(), value.to_owned()))
    };
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (axis, value) in causes.iter().filter_map(new_value) {
        values.entry(axis).or_default().push(value);
    }
    values.retain(|_, values| values.len() > FEW);
    let mut told: Vec<Cause> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for mut cause in causes {
        let Some((axis, values)) = new_value(&cause).and_then(|(axis, _)| Some((axis.clone(), values.get(&axis)?)))
        else {
            told.push(cause);
            continue;
        };
        if let Some(&place) = places.get(&axis) {
            told[place].steps.append(&mut cause.steps);
            continue;
        }
        cause.text = format!("sweep.{axis} = {} and {} more are new", values[..FEW].join(", "), values.len() - FEW);
        places.insert(axis, told.len());
        told.push(cause);
    }
    told
}

/// `full 2, ranking 4, accuracy 22`: the stages of steps, each with their number.
fn stages(plan: &Plan<Env>, steps: &[StepId]) -> String {
    let mut order: Vec<&str> = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for id in steps {
        let stage = plan.step(*id).label().stage.as_str();
        let count = counts.entry(stage).or_default();
        if *count == 0 {
            order.push(stage);
        }
        *count += 1;
    }
    order.iter().map(|stage| format!("{stage} {}", counts[stage])).collect::<Vec<_>>().join(", ")
}

/// The time that earlier runs suggest.
fn time(schedule: &Schedule, steps: &[StepId]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let mut time = Time::default();
    for id in steps {
        time.add(schedule.step(*id).estimate);
    }
    format!(", {}", time.text())
}
