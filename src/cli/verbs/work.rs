//! `work`: a worker beside others on one cache. It takes what none of them has, and has no end of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::event::Summary;
use overinterp_workflow::executor::{Limit, RunMode, Share, Takes};

use crate::cli::args::{EventFormat, ExperimentArguments};
use crate::cli::computing::{Computing, closing, doing, refused};
use crate::cli::remote::RemoteArguments;
use crate::cli::screen::interrupt::stop_on_interrupt;
use crate::cli::screen::json;
use crate::cli::screen::progress::Progress;
use crate::cli::session::{Session, WithoutCache};
use crate::cli::sharing::Shared;
use crate::cli::status::Status;
use crate::failure::Failure;
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct WorkArguments {
    /// Experiment files; steps that several need are computed once.
    #[arg(required_unless_present = "plan", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Works by a frozen plan, as `run --executor slurm` makes one, in the place of experiment files: no data are looked at
    /// to know its steps.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "set", "stage"])]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    #[command(flatten)]
    pub remote: RemoteArguments,
    /// Ends when all is done; if not given, it looks again and again whether there is more to do, in edited files too.
    #[arg(long)]
    pub until_done: bool,
    /// Ends after so long, such as `3h50m`: takes no step that cannot end by then, and stops one that does not at its next
    /// checkpoint, from which another worker goes on.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub time_limit: Option<Duration>,
    /// With --time-limit, also takes steps that need longer, for another worker to go on from their checkpoints.
    #[arg(long, requires = "time_limit")]
    pub partly: bool,
    /// Takes steps of this kind alone, such as `train` or `select`; may be repeated.
    #[arg(long, value_name = "KIND")]
    pub only: Vec<String>,
    /// Ends when there was nothing to do for so long, such as `10m`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub idle: Option<Duration>,
    /// Steps that run at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

/// Between two looks whether there is more to do.
const AGAIN: Duration = Duration::from_secs(5);
/// A worker that waits finds out within so long that it is to stop.
const RESPONSE: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &WorkArguments) -> Result<Status, Failure> {
    let began = Instant::now();
    let until = arguments.time_limit.map(|limit| began + limit);
    let json = arguments.format == EventFormat::Json;
    let cancel = Cancel::default();
    let (files, mut session) = match &arguments.plan {
        None => {
            let session = Session::open_or(WithoutCache::Make, &arguments.files, &arguments.experiment)?;
            (arguments.files.clone(), session)
        }
        Some(plan) => Session::open_frozen(plan, &arguments.experiment.machine)?,
    };
    check_kinds(&session, &arguments.only)?;
    stop_on_interrupt(&cancel)?;
    let shared = Shared::of(&arguments.remote)?;
    if let Some(shared) = &shared {
        shared.begin(&mut session, &cancel)?;
    }
    session.say_what_computes();
    let doing = doing("work", &files);
    let share = Share {
        takes: match &arguments.only[..] {
            [] => Takes::All,
            only => Takes::Only(only.iter().cloned().collect()),
        },
        to_the_end: false,
        limit: until.map(|until| Limit { until, partly: arguments.partly }),
        idle: arguments.idle,
        // What fails from now on is not tried again, by whichever worker.
        failures_since: Some(session.store().time(&doing)?),
    };
    session.store().stay(&doing)?;
    let (mut total, mut problem, mut failed) = (Summary::default(), String::new(), false);
    let mut worked = Instant::now();
    loop {
        let progress = Progress::new(session.planned.plan.len(), &cancel);
        let computing = Computing {
            doing: &doing,
            jobs: arguments.jobs,
            mode: RunMode::Normal,
            share: &share,
            json,
            inventory: None,
            quiet: json,
            experiment: &arguments.experiment,
            fail_fast: None,
        };
        let summary = computing.compute(&session, &progress, &cancel);
        let summary = summary.map_err(|error| refused(&session, error, json))?;
        if summary.ran > 0 || summary.failed > 0 && !failed {
            worked = Instant::now();
            progress.tell_failures();
        }
        failed = summary.failed > 0;
        // What it computed itself is found in the cache by the next look.
        let cached = summary.cached.saturating_sub(total.ran);
        total = Summary { ran: total.ran + summary.ran, helped: total.helped + summary.helped, cached, ..summary };
        let is_over = |until: Instant| until <= Instant::now();
        let idle = arguments.idle.is_some_and(|most| worked.elapsed() >= most);
        if arguments.until_done || cancel.is_cancelled() || until.is_some_and(is_over) || idle {
            break;
        }
        if summary.ran > 0 && !json {
            errln!("{}; looking again whether there is more to do, until Ctrl-C", closing(&summary));
        }
        let idle_at = arguments.idle.map(|most| worked + most);
        session.store().beat();
        if !wait(&cancel, until.into_iter().chain(idle_at).min()) {
            break;
        }
        if arguments.plan.is_some() {
            continue;
        }
        // Edited files may ask for more, and what is wrong with them may be mended yet.
        match Session::reopen(&arguments.files, &arguments.experiment, &session) {
            Ok(anew) => {
                (session, problem) = (anew, String::new());
                session.store().stay(&doing)?;
                if let Some(shared) = &shared {
                    shared.begin(&mut session, &cancel)?;
                }
            }
            Err(failure) if failure.to_string() != problem => {
                problem = failure.to_string();
                errln!("{problem}\ngoing on with the files as they were");
            }
            Err(_) => {}
        }
    }
    total.seconds = began.elapsed().as_secs_f64();
    if let Some(shared) = &shared {
        shared.tell(&arguments.files);
    }
    if json {
        json::summary(&total);
    } else {
        errln!("{}", closing(&total));
        if total.skipped > 0 && (cancel.is_cancelled() || total.failed == 0) {
            errln!("stopped: {} left for other workers", text::count(total.skipped, "step"));
        }
    }
    Ok(session.ended(if cancel.is_cancelled() {
        Status::Cancelled
    } else if total.failed > 0 {
        Status::Stage
    } else {
        Status::Success
    }))
}

/// Waits before the next look; whether there is to be one.
fn wait(cancel: &Cancel, until: Option<Instant>) -> bool {
    let again = Instant::now() + AGAIN;
    while Instant::now() < again {
        if cancel.is_cancelled() || until.is_some_and(|until| until <= Instant::now()) {
            return false;
        }
        thread::sleep(RESPONSE);
    }
    true
}

/// An error where a kind is asked for of which the plan has no step.
fn check_kinds(session: &Session, only: &[String]) -> Result<(), Failure> {
    let kinds: BTreeSet<&str> = session.planned.plan.steps().map(|(_, step)| step.manifest().kind()).collect();
    match only.iter().find(|kind| !kinds.contains(kind.as_str())) {
        None => Ok(()),
        Some(kind) => {
            let kinds: Vec<&str> = kinds.into_iter().collect();
            let failure = Failure::usage(format!("no step is of kind `{kind}`"));
            Err(failure.hint(format!("there are {}", kinds.join(", "))))
        }
    }
}
