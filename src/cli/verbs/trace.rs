//! `trace`: from a table's number back to what it was made of: evaluations, weights, selections, data, the lines of the
//! experiment, and who made each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;

use overinterp_config::experiment::StageSpec;
use overinterp_report::Measurement;
use overinterp_spec::AxisValue;
use overinterp_workflow::plan::StepId;
use overinterp_workflow::store::{Lookup, Record};
use overinterp_workflow::view::View;

use crate::cli::args::ExperimentArguments;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::computed::names::suggestion;
use crate::failure::Failure;
use crate::gathering::measure::measurements;
use crate::records::lines::{Line, line_of};
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// The table.
    pub table: String,
    /// The label of a row; all of them if not given.
    #[arg(long, value_name = "LABEL")]
    pub row: Option<String>,
    /// The heading of a column; all of them if not given.
    #[arg(long, value_name = "VALUE")]
    pub column: Option<String>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

pub(crate) fn run(arguments: &TraceArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    let (experiment, results) = (&session.experiments[0], &session.planned.results[0]);
    let Some(table) = experiment.tables.iter().find(|table| table.name == arguments.table) else {
        let names: Vec<&str> = experiment.tables.iter().map(|table| table.name.as_str()).collect();
        let failure = Failure::usage(format!("there is no table `{}`", arguments.table));
        return Err(failure.hint(suggestion(&arguments.table, &names)));
    };
    let view = session.view()?;
    let all = measurements(&session, results)?;
    let place = line_of(&arguments.file, &format!("table.{}", table.name));
    let mut found = vec![format!("table {}{}", table.name, at(place.as_ref()))];
    let mut steps = BTreeSet::new();
    let rows = table.rows.iter().filter(|row| arguments.row.as_ref().is_none_or(|label| *label == row.label));
    for row in rows {
        let is_in_column = |measurement: &&Measurement| match (&table.columns, &arguments.column) {
            (Some(axis), Some(value)) => {
                // A number that does not depend on the axis stands in every column.
                measurement.cell.get(axis).is_none_or(|own| is_heading(axis, own, value))
            }
            _ => true,
        };
        for measurement in all.iter().filter(|found| found.belongs_to(&row.measure)).filter(is_in_column) {
            let value = measurement.value.map_or_else(|| "not computed yet".to_owned(), |value| value.to_string());
            let of = measurement.n.map_or_else(String::new, |n| format!(" of {n}"));
            let cell = text::cell(&measurement.cell);
            found.push(format!("  {}{cell}: {} {value}{of}", row.label, measurement.metric.name()));
            let id = measurement.key.as_ref().and_then(|key| session.planned.plan.find(&key.parse().ok()?));
            if let Some(id) = id {
                found.push(format!("    from   {}", session.planned.plan.step(id)));
                steps.insert(id);
            }
        }
    }
    if steps.is_empty() {
        return Err(Failure::usage("no number of the table is of that row and column")
            .hint("`overinterp results FILE` prints the table; --row takes a label, --column a heading"));
    }
    outln!("{}", found.join("\n"));
    outln!("\nmade of, inputs first");
    let behind = behind(&session, &steps);
    tell(&session, &view, &behind, &arguments.file)?;
    outln!("\ndata");
    for ((name, split), content) in &session.contents {
        let is_used =
            |id: &StepId| session.planned.plan.step(*id).manifest().canonical().contains(&content.hash.to_string());
        if behind.iter().any(is_used) {
            let name_alone = name.split(' ').next().unwrap_or(name);
            let place = line_of(&arguments.file, &format!("data.{name_alone}"));
            let described = content.provenance.describe();
            outln!(
                "  {name}.{split}: {} images, {described}, content {}{}",
                content.images,
                content.hash,
                at(place.as_ref())
            );
        }
    }
    Ok(session.ended(Status::Success))
}

/// Whether a column is meant by what was typed: its value, or its heading with the axis before it.
fn is_heading(axis: &str, value: &AxisValue, typed: &str) -> bool {
    let typed = typed.strip_prefix(axis).filter(|rest| rest.starts_with([' ', '='])).map_or(typed, |rest| &rest[1..]);
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let own = value.to_string();
    own == typed.trim() || number(&own).is_some_and(|own| number(typed) == Some(own))
}

/// The steps, and all that they are made of.
fn behind(session: &Session, steps: &BTreeSet<StepId>) -> BTreeSet<StepId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<StepId> = steps.iter().copied().collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(session.planned.plan.inputs(id));
        }
    }
    found
}

/// A paragraph a stage and cell: where it stands in the file, its steps with their keys, who made them and when.
fn tell(session: &Session, view: &View, steps: &BTreeSet<StepId>, file: &Path) -> Result<(), Failure> {
    let plan = &session.planned.plan;
    let mut told: Vec<(String, Vec<StepId>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for id in steps {
        let mut label = plan.step(*id).label().clone();
        label.shard = None;
        let name = label.to_string();
        let place = *places.entry(name.clone()).or_insert_with(|| {
            told.push((name, Vec::new()));
            told.len() - 1
        });
        told[place].1.push(*id);
    }
    for (name, ids) in told {
        let stage = &plan.step(ids[0]).label().stage;
        let known = session.experiments[0].stages.iter().any(|spec: &StageSpec| spec.name == *stage);
        let place = known.then(|| line_of(file, &format!("stage.{stage}"))).flatten();
        outln!("  {name}{}", at(place.as_ref()));
        for id in ids {
            let step = plan.step(id);
            let made = match view.entry(step.identity()) {
                Lookup::Intact(_) => {
                    let found = session.verified(step.identity())?;
                    found.map_or_else(|| "damaged".to_owned(), |(_, record)| made(&record))
                }
                Lookup::Absent => "not in the cache".to_owned(),
                Lookup::Damaged(damage) => format!("damaged: {damage}"),
            };
            let shard = step.label().shard.map_or_else(String::new, |(at, of)| format!(" (shard {}/{of})", at + 1));
            outln!("    {}{shard}: {made}", step.identity());
        }
    }
    Ok(())
}

fn made(record: &Record) -> String {
    let made = &record.made;
    let took = text::duration(record.seconds);
    format!("made {} by {} on {} ({}) in {took}", made.date, made.by.program, made.by.host, made.by.device)
}

/// ` (experiments/quickstart.toml:17)`.
fn at(place: Option<&Line>) -> String {
    place.map_or_else(String::new, |line| format!(" ({}:{})", line.file.display(), line.number))
}
