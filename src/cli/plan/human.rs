//! A plan for people: one line a stage and cell, shards and parts folded, each with the causes of its runs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::engine::plan::Plan;
use crate::engine::schedule::{Basis, Schedule, Why};
use crate::stages::Env;

use super::super::text;

/// Steps of one stage and cell.
#[derive(Default)]
struct Fold {
    steps: usize,
    cached: usize,
    estimate: f64,
    /// Whether it may be far less.
    at_most: bool,
    unknown: usize,
    causes: Vec<(String, usize)>,
}

/// The plan, then its sums.
pub(super) fn text(plan: &Plan<Env>, schedule: &Schedule) -> String {
    let folds = fold(plan, schedule);
    let width = folds.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, fold) in &folds {
        let _ = writeln!(text, "{name:<width$}  {}", line(fold));
    }
    let total = folds.iter().fold(Fold::default(), |mut total, (_, fold)| {
        total.estimate += fold.estimate;
        total.at_most |= fold.at_most;
        total.unknown += fold.unknown;
        total
    });
    let _ = writeln!(
        text,
        "\n{} to run{}, {} cached",
        schedule.to_run(),
        time(&total, schedule.to_run()),
        schedule.cached()
    );
    for why in plan.missing_data() {
        let _ = writeln!(text, "\nno usable data: {why}");
    }
    text
}

/// Folds in the order in which the plan first names them.
fn fold(plan: &Plan<Env>, schedule: &Schedule) -> Vec<(String, Fold)> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut folds: Vec<(String, Fold)> = Vec::new();
    for (id, step) in plan.steps() {
        let mut label = step.label().clone();
        label.shard = None;
        label.part = label.part.filter(|part| part.contains(' '));
        let name = label.to_string();
        let place = *places.entry(name.clone()).or_insert_with(|| {
            folds.push((name, Fold::default()));
            folds.len() - 1
        });
        let fold = &mut folds[place].1;
        let scheduled = schedule.step(id);
        fold.steps += 1;
        match scheduled.forecast.why() {
            None => fold.cached += 1,
            Some(why) => {
                let why = match why {
                    // Said once, below.
                    Why::DataAbsent(_) => "no usable data".to_owned(),
                    why if scheduled.forecast.is_maybe() => format!("maybe: {why}"),
                    why => why.to_string(),
                };
                match fold.causes.iter_mut().find(|(cause, _)| *cause == why) {
                    Some((_, count)) => *count += 1,
                    None => fold.causes.push((why, 1)),
                }
                match scheduled.estimate {
                    Some(estimate) => {
                        fold.estimate += estimate.seconds;
                        fold.at_most |= estimate.basis == Basis::AtMost;
                    }
                    None => fold.unknown += 1,
                }
            }
        }
    }
    folds
}

fn line(fold: &Fold) -> String {
    let run = fold.steps - fold.cached;
    if run == 0 {
        return format!("cached   {}", text::count(fold.steps, "step"));
    }
    let causes: Vec<String> = match &fold.causes[..] {
        [(cause, _)] => vec![cause.clone()],
        causes => causes.iter().take(3).map(|(cause, count)| format!("{cause} ({count})")).collect(),
    };
    let more = if fold.causes.len() > 3 { "; ..." } else { "" };
    let cached = if fold.cached > 0 { format!(" ({} cached)", fold.cached) } else { String::new() };
    format!("run      {}{cached}{}: {}{more}", text::count(run, "step"), time(fold, run), causes.join("; "))
}

/// The time that earlier runs suggest; nothing while none did.
fn time(fold: &Fold, run: usize) -> String {
    let about = if fold.at_most { "at most" } else { "about" };
    match (run, fold.unknown) {
        (0, _) => String::new(),
        (run, unknown) if unknown == run => ", time unknown".to_owned(),
        (_, 0) => format!(", {about} {}", text::duration(fold.estimate)),
        (_, unknown) => format!(", {about} {} and {unknown} of unknown time", text::duration(fold.estimate)),
    }
}
