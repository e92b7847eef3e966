//! `explain`: what a step's key is made of, and how it differs from the nearest in the cache.

use std::collections::BTreeSet;

use overinterp_config::experiment::Experiment;
use overinterp_workflow::explain::{Explanation, explain};
use overinterp_workflow::plan::{Label, StepId};
use overinterp_workflow::schedule::Schedule;

use super::args::ExplainArguments;
use super::failure::{Failure, Status};
use super::session::{Session, check_stages};
use super::text;

pub(super) fn run(arguments: &ExplainArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    check_stages(&session.experiments, std::slice::from_ref(&arguments.name))?;
    let wanted = read_cell(&arguments.cell)?;
    let plan = &session.planned.plan;
    let view = session.view()?;
    let schedule = Schedule::new(plan, &view);
    let steps: Vec<StepId> = plan
        .steps()
        .filter(|(_, step)| step.labels().iter().any(|label| label.stage == arguments.name && has(label, &wanted)))
        .map(|(id, _)| id)
        .collect();
    if steps.is_empty() {
        return Err(no_cell(&session.experiments[0], &arguments.name, &arguments.cell));
    }
    for (place, id) in steps.into_iter().enumerate() {
        let explanation = explain(plan, id, &view, &schedule, &session.store).map_err(Failure::from)?;
        if place > 0 {
            outln!();
        }
        print(&explanation);
    }
    Ok(session.ended(Status::Success))
}

/// `AXIS=VALUE` pairs.
pub(super) fn read_cell(pairs: &[String]) -> Result<Vec<(&str, &str)>, Failure> {
    pairs
        .iter()
        .map(|pair| pair.split_once('=').ok_or_else(|| Failure::usage(format!("`--cell {pair}` is no AXIS=VALUE"))))
        .collect()
}

/// Whether an axis' value, as it is shown, is what was typed: 0.10 is 0.1.
pub(super) fn is_value(shown: &str, typed: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    shown == typed || number(shown).zip(number(typed)).is_some_and(|(own, other)| own.total_cmp(&other).is_eq())
}

/// That a stage has no such cell, and which it has.
pub(super) fn no_cell(experiment: &Experiment, stage: &str, wanted: &[String]) -> Failure {
    const LISTED: usize = 12;
    let of_stage = experiment.stages.iter().filter(|spec| spec.name == stage).flat_map(|spec| &spec.instances);
    let cells: BTreeSet<String> =
        of_stage.map(|instance| text::cell(&instance.cell).trim().replace(' ', ",")).collect();
    let mut listed: Vec<&str> = cells.iter().map(String::as_str).filter(|cell| !cell.is_empty()).take(LISTED).collect();
    if cells.len() > LISTED {
        listed.push("...");
    }
    let wanted = wanted.join(",");
    Failure::usage(if listed.is_empty() {
        format!("stage `{stage}` has no cell {wanted}: it varies over no axis, so leave out `--cell`")
    } else {
        format!("stage `{stage}` has no cell {wanted}: its cells are {}", listed.join("; "))
    })
}

fn has(label: &Label, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(axis, value)| {
        label.cell.get(*axis).is_some_and(|found| {
            let shown = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            is_value(&shown, value)
        })
    })
}

fn print(explanation: &Explanation) {
    for label in &explanation.labels {
        outln!("{label}");
    }
    match &explanation.key {
        Some(key) => outln!("  key      {key}"),
        None => outln!("  key      none while its data are absent"),
    }
    match explanation.forecast.why() {
        None => outln!("  status   cached"),
        Some(why) => outln!("  status   run: {why}"),
    }
    if let Some(record) = &explanation.record {
        let made = &record.made;
        outln!("  made     {} by {} on {} ({})", made.date, made.by.program, made.by.host, made.by.device);
        outln!("  took     {}", text::duration(record.seconds));
    }
    outln!("  manifest");
    let manifest = explanation.manifest.to_value();
    for line in serde_json::to_string_pretty(&manifest).unwrap_or_else(|_| manifest.to_string()).lines() {
        outln!("    {line}");
    }
    if let Some(nearest) = &explanation.nearest {
        let labels: Vec<String> = nearest.record.labels.iter().map(ToString::to_string).collect();
        outln!("  nearest  {} ({})", labels.join(", "), nearest.record.key);
        for change in &nearest.changes {
            outln!("    {change}");
        }
    }
}
