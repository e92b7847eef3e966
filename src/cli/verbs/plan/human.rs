//! A plan for people: one line a stage and cell, shards and parts folded, each with the causes of its runs.

use std::collections::BTreeMap;
use std::fmt::Write;

use overinterp_stages::Env;
use overinterp_workflow::plan::Plan;
use overinterp_workflow::schedule::{Schedule, Why};

use crate::forecast::rates::Time;
use crate::text;

/// Steps of one stage and cell.
#[derive(Default)]
struct Fold {
    steps: usize,
    cached: usize,
    time: Time,
    causes: Vec<(String, usize)>,
}

/// The plan, then its sums.
pub(crate) fn text(plan: &Plan<Env>, schedule: &Schedule) -> String {
    let folds = fold(plan, schedule);
    let width = folds.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, fold) in &folds {
        let _ = writeln!(text, "{name:<width$}  {}", line(fold));
    }
    let total = folds.iter().fold(Fold::default(), |mut total, (_, fold)| {
        total.time.add_all(fold.time);
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
                fold.time.add(scheduled.estimate);
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

/// The time that earlier runs suggest, of so many steps.
fn time(fold: &Fold, run: usize) -> String {
    if run == 0 { String::new() } else { format!(", {}", fold.time.text()) }
}
