//! `run`: computes what is not in the cache, then prints tables and claims.

use std::path::PathBuf;

use clap::Args;
use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::event::{Event, Summary};
use overinterp_workflow::executor::{RunError, RunMode, RunOptions, run as execute};
use overinterp_workflow::view::View;

use crate::cli::args::{EventFormat, ExperimentArguments};
use crate::cli::screen::interrupt::stop_on_interrupt;
use crate::cli::screen::json;
use crate::cli::screen::progress::Progress;
use crate::cli::session::{Session, WithoutCache};
use crate::cli::status::Status;
use crate::cli::verbs::results::print_human;
use crate::failure::{Failure, Kind};
use crate::forecast::rates;
use crate::gathering::answers::answers;
use crate::text;
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Experiment files; steps that several need are computed once.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// Steps that run at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Runs nothing: ends with status 4 if something would have to.
    #[arg(long)]
    pub frozen: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

pub(crate) fn run(arguments: &RunArguments) -> Result<Status, Failure> {
    let without_cache = if arguments.frozen { WithoutCache::Leave } else { WithoutCache::Make };
    let session = Session::open_or(without_cache, &arguments.files, &arguments.experiment)?;
    let json = arguments.format == EventFormat::Json;
    let cancel = Cancel::default();
    stop_on_interrupt(&cancel)?;

    let estimator = |schedule, view: &View| rates::estimated(schedule, view, &session);
    let options = RunOptions {
        jobs: usize::from(arguments.jobs),
        mode: if arguments.frozen { RunMode::Frozen } else { RunMode::Normal },
        doing: doing("run", &arguments.files),
        estimator: Some(&estimator),
        ..RunOptions::new(session.maker())
    };
    if !arguments.frozen {
        session.say_what_computes();
    }
    let progress = Progress::new(session.planned.plan.len(), &cancel);
    let observer = |event: Event<'_>| {
        if json {
            json::event(&event);
        }
        if let Event::Planned { schedule, view } = event {
            progress.expect(rates::expected(schedule, view, &session), usize::from(arguments.jobs), json);
        }
        progress.show(&event, json);
    };
    let outcome = execute(&session.planned.plan, session.store(), &session.env, &options, &observer, &cancel);
    progress.clear();
    let summary = match outcome {
        Ok(summary) => summary,
        Err(error) => return refused(&session, error, json),
    };

    for (experiment, results) in session.experiments.iter().zip(&session.planned.results) {
        let answers = answers(&session, experiment, results)?;
        if json {
            if !cancel.is_cancelled() {
                answers.claims.iter().for_each(|claim| json::claim(&experiment.name, claim));
            }
        } else if !cancel.is_cancelled() {
            print_human(&answers);
        }
    }
    if json {
        json::summary(&summary);
    } else {
        errln!("");
    }
    progress.tell_failures();
    if !json {
        errln!("{}", closing(&summary));
    }
    Ok(session.ended(if cancel.is_cancelled() {
        if !json {
            let steps = session.planned.plan.len();
            errln!("stopped: {} of {steps} steps are left, and the same command goes on from here", summary.skipped);
        }
        Status::Cancelled
    } else if summary.failed > 0 {
        Status::Stage
    } else {
        Status::Success
    }))
}

/// What other processes on the cache are told: `run experiments/quickstart.toml`.
pub(crate) fn doing(verb: &str, files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{verb} {}", files.join(" "))
}

fn closing(summary: &Summary) -> String {
    let Summary { ran, cached, failed, skipped, seconds } = summary;
    let wrong = if failed + skipped > 0 { format!(", failed {failed}, skipped {skipped}") } else { String::new() };
    let nothing = if ran + failed + skipped == 0 { ": nothing was to do" } else { "" };
    format!("ran {ran}, cached {cached}{wrong} in {}{nothing}", text::duration(*seconds))
}

/// A run that could not begin: what stands in the way, and, in JSON, still the closing line.
fn refused(session: &Session, error: RunError, json: bool) -> Result<Status, Failure> {
    let steps = session.planned.plan.len();
    let (kind, to_run) = match &error {
        RunError::MissingData(_) if !session.damaged.is_empty() => (Kind::Stage, steps),
        RunError::Frozen { damaged, would_run, .. } => {
            (if *damaged > 0 { Kind::Stage } else { Kind::Frozen }, would_run.len())
        }
        RunError::MissingData(_) | RunError::Store(_) => (Kind::Usage, steps),
    };
    if json {
        json::error(&error);
        json::summary(&Summary { cached: steps - to_run, skipped: to_run, ..Summary::default() });
    }
    Err(Failure::because(kind, error))
}
