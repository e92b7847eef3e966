//! `replay`: computes a cached step again in the foreground, beside the cache, and compares the bytes.

use std::path::PathBuf;
use std::sync::Mutex;

use clap::Args;
use serde_json::json;

use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::event::Event;
use overinterp_workflow::plan::StepId;
use overinterp_workflow::replay::{ReplayError, Replayed, replay};

use crate::cli::args::{EventFormat, ExperimentArguments};
use crate::cli::screen::interrupt::stop_on_interrupt;
use crate::cli::screen::json;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::failure::{Failure, Kind};
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// The step: its key or the first digits of it, or words of its name, such as `full seed=0`.
    #[arg(required = true, value_name = "STEP", num_args = 1..)]
    pub step: Vec<String>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

pub(crate) fn run(arguments: &ReplayArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    let id = find(&session, &arguments.step)?;
    let cancel = Cancel::default();
    stop_on_interrupt(&cancel)?;
    session.say_what_computes();
    let replayed = again(&session, id, &cancel)?;
    let label = session.planned.plan.step(id).to_string();
    match arguments.format {
        EventFormat::Json => json::line(&as_json(&label, &replayed)),
        EventFormat::Human => print(&label, &replayed),
    }
    Ok(session.ended(if replayed.different.is_empty() { Status::Success } else { Status::Stage }))
}

/// Computes a step of the session's plan once more, in a folder that goes afterwards.
pub(crate) fn again(session: &Session, id: StepId, cancel: &Cancel) -> Result<Replayed, Failure> {
    let place = tempfile::tempdir().map_err(|error| Failure::because(Kind::Usage, error))?;
    let told = Mutex::new(std::time::Instant::now());
    let observer = |event: Event<'_>| match event {
        Event::Log { step, line, .. } => errln!("        {}: {line}", step.label()),
        Event::Progress { step, progress, .. } => {
            let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if told.elapsed().as_secs() >= 10 {
                *told = std::time::Instant::now();
                errln!("        {}: {}/{} {}", step.label(), progress.done, progress.total, progress.unit);
            }
        }
        _ => {}
    };
    replay(&session.planned.plan, id, session.store(), &session.env, place.path(), &observer, cancel).map_err(|error| {
        match error {
            ReplayError::Cancelled => Failure::new(Kind::Cancelled, error.to_string()),
            ReplayError::Failed { .. } => Failure::because(Kind::Stage, error),
            ReplayError::Store(error) => {
                Failure::from(error).hint("`overinterp run` computes what is not there, or is damaged")
            }
            ReplayError::DataAbsent { .. } | ReplayError::Place { .. } => Failure::because(Kind::Usage, error),
        }
    })
}

/// The one step of the plan that is typed.
pub(crate) fn find(session: &Session, typed: &[String]) -> Result<StepId, Failure> {
    let plan = &session.planned.plan;
    let is_it = |label: &str, key: &str| crate::records::is_step(key, label, typed);
    let found: Vec<StepId> = plan
        .steps()
        .filter(|(_, step)| {
            let key = step.identity().to_string();
            step.labels().iter().any(|label| is_it(&label.to_string(), &key))
        })
        .map(|(id, _)| id)
        .collect();
    let typed = typed.join(" ");
    // A whole name is that step's, though others have all of its words.
    let has_name = |id: &&StepId| plan.step(**id).labels().iter().any(|label| label.to_string() == typed);
    let named: Vec<StepId> = found.iter().filter(has_name).copied().collect();
    let found = if named.is_empty() { found } else { named };
    match &found[..] {
        [id] => Ok(*id),
        [] => Err(Failure::usage(format!("there is no step {typed} in the plan"))
            .hint("`overinterp plan FILE --steps` lists them")),
        [first, second, ..] => {
            let (first, second) = (plan.step(*first), plan.step(*second));
            let count = found.len();
            Err(Failure::usage(format!("{typed} is the name of {count} steps, such as {first} and {second}"))
                .hint("type more words of it, or its key"))
        }
    }
}

/// `the same bytes`, or which files differ.
pub(crate) fn print(label: &str, replayed: &Replayed) {
    let Replayed { same, different, notes, seconds, recorded } = replayed;
    let took = format!("in {} ({} when it was made)", text::duration(*seconds), text::duration(*recorded));
    if different.is_empty() {
        outln!("{label}: the same bytes {took}: {}", same.join(", "));
    } else {
        outln!("{label}: other bytes {took}: {}", different.join(", "));
    }
    if !notes.is_empty() {
        outln!("  notes of how it went, which may differ: {}", notes.join(", "));
    }
}

pub(crate) fn as_json(label: &str, replayed: &Replayed) -> serde_json::Value {
    let Replayed { same, different, notes, seconds, recorded } = replayed;
    json!({"step": label, "same": same, "different": different, "notes": notes, "seconds": seconds, "recorded": recorded})
}
