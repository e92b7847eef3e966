//! `plan`: which steps would run, and why. Runs nothing and needs no data.

mod graph;
mod human;
mod why;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use overinterp_config::Override;
use overinterp_workflow::schedule::Schedule;
use overinterp_workflow::view::View;

use crate::cli::args::{EventFormat, ExperimentArguments};
use crate::cli::screen::json;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::computed::causes::{Teller, roots};
use crate::failure::Failure;
use crate::forecast::rates;
use crate::forecast::rates::{Shares, Time};
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    Human,
    Json,
    Dot,
    Mermaid,
    /// The experiment as it is read, not its steps: what it extends merged, `--set` applied.
    Toml,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Experiment files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = PlanFormat::Human)]
    pub format: PlanFormat,
    /// Lists every stage and cell, not the first causes alone.
    #[arg(long)]
    pub steps: bool,
}

pub(crate) fn run(arguments: &PlanArguments) -> Result<Status, Failure> {
    let PlanArguments { files, experiment, format, steps } = arguments;
    said(files, experiment, *format, if *steps { Detail::Steps } else { Detail::Causes })
}

/// What `run --dry-run` says.
pub(crate) fn say(files: &[PathBuf], experiment: &ExperimentArguments, format: EventFormat) -> Result<Status, Failure> {
    let format = match format {
        EventFormat::Human => PlanFormat::Human,
        EventFormat::Json => PlanFormat::Json,
    };
    said(files, experiment, format, Detail::Causes)
}

/// How much is told for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    Causes,
    Steps,
}

fn said(
    files: &[PathBuf],
    experiment: &ExperimentArguments,
    format: PlanFormat,
    detail: Detail,
) -> Result<Status, Failure> {
    let session = Session::open(files, experiment)?;
    let plan = &session.planned.plan;
    let view = session.view()?;
    let schedule = rates::estimated(Schedule::new(plan, &view), &view, &session);
    match format {
        PlanFormat::Human => {
            out!(
                "{}",
                match detail {
                    Detail::Causes => why::text(&session, &schedule, &view),
                    Detail::Steps => human::text(plan, &schedule),
                }
            );
            if let Some(line) = on_gpu(&session, &schedule) {
                outln!("{line}");
            }
        }
        PlanFormat::Json => json::line(&as_json(&session, &schedule, &view)),
        PlanFormat::Dot => out!("{}", graph::dot(plan, &schedule)),
        PlanFormat::Mermaid => out!("{}", graph::mermaid(plan, &schedule)),
        PlanFormat::Toml => out!("{}", merged(files, &experiment.set)?),
    }
    Ok(session.ended(Status::Success))
}

/// How long what is to run takes on the GPU that was measured last, if that is not what computes here.
fn on_gpu(session: &Session, schedule: &Schedule) -> Option<String> {
    let (name, rates) = rates::of_last_gpu(rates::load(&session.cache)).filter(|_| session.env.device.is_cpu())?;
    let steps = session.planned.plan.steps().filter(|(id, _)| !schedule.step(*id).forecast.is_cached());
    let shares = Shares::all(session);
    let mut time = Time::default();
    for work in steps.filter_map(|(_, step)| session.planned.work.get(step.identity())) {
        time.add(shares.rated(work, &rates));
    }
    (time.known > 0).then(|| format!("on {name}, the GPU measured last, {}", time.text()))
}

/// The experiment as it is read, as one text.
fn merged(files: &[PathBuf], set: &[Override]) -> Result<String, Failure> {
    let [file] = files else {
        return Err(Failure::usage("--format toml writes one experiment").hint("name one file"));
    };
    overinterp_config::merged(file, set).map_err(|problems| Failure::problems(problems.to_string()))
}

fn as_json(session: &Session, schedule: &Schedule, view: &View) -> Value {
    let roots = roots(&session.planned.plan, schedule);
    let teller = Teller::new(session, schedule, view);
    let steps: Vec<Value> = session
        .planned
        .plan
        .steps()
        .map(|(id, step)| {
            let scheduled = schedule.step(id);
            let label = step.label();
            json!({
                "stage": label.stage,
                "cell": label.cell,
                "part": label.part,
                "shard": json::shard(label),
                "key": step.key().map(ToString::to_string),
                "status": scheduled.forecast.status(),
                "maybe": scheduled.forecast.is_maybe(),
                "cause": roots[id.index()].map(|root| teller.told(root).0),
                "root": roots[id.index()].map(|root| session.planned.plan.step(root).label().to_string()),
                "why": scheduled.forecast.why().map(ToString::to_string),
                "estimate": scheduled.estimate.map(|estimate| estimate.seconds),
                "basis": scheduled.estimate.map(|estimate| estimate.basis.name()),
            })
        })
        .collect();
    json!({"steps": steps, "cached": schedule.cached(), "run": schedule.to_run()})
}
