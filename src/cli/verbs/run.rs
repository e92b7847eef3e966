//! `run`: computes what is not in the cache, then prints tables and claims.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Args;
use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::event::Summary;
use overinterp_workflow::executor::{RunMode, Share};
use overinterp_workflow::store::Store;

use crate::cli::args::{EventFormat, Executor, ExperimentArguments, MachineArguments};
use crate::cli::computing::{Computing, closing, doing, refused};
use crate::cli::gpus::{GpuWorkers, beside_gpus};
use crate::cli::remote::RemoteArguments;
use crate::cli::screen::interrupt::stop_on_interrupt;
use crate::cli::screen::json;
use crate::cli::screen::progress::Progress;
use crate::cli::screen::terminal::width_of_output;
use crate::cli::session::{Chosen, Session, WithoutCache, choose_device, library, use_threads};
use crate::cli::sharing::Shared;
use crate::cli::slurm::{Cluster, ClusterArguments, follow};
use crate::cli::status::Status;
use crate::cli::verbs::plan;
use crate::cli::verbs::results::human;
use crate::cli::whereabouts::Whereabouts;
use crate::failure::Failure;
use crate::gathering::answers::answers;
use crate::records::receipt::Asked;
use crate::text;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct RunArguments {
    /// Experiment files; steps that several need are computed once.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    #[command(flatten)]
    pub remote: RemoteArguments,
    /// Steps that run at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// GPUs of this machine by their numbers, `0,1`: a worker on each, while this process computes what needs none.
    #[arg(long, value_name = "N,...", value_delimiter = ',', conflicts_with = "frozen")]
    pub gpus: Vec<u16>,
    /// What computes: this process, or jobs of Slurm, which it submits and follows.
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with_all = ["gpus", "frozen", "remote"])]
    pub executor: Option<Executor>,
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// Runs nothing: ends with status 4 if something would have to.
    #[arg(long)]
    pub frozen: bool,
    /// After a failure, goes on with all that does not need the step that failed. This is the default.
    #[arg(long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// Stops at the first failure.
    #[arg(long)]
    pub fail_fast: bool,
    /// Tells of no steps, only of what goes wrong; tables and claims are printed all the same.
    #[arg(short, long)]
    pub quiet: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

pub(crate) fn run(arguments: &RunArguments) -> Result<Status, Failure> {
    let on_cluster = arguments.executor == Some(Executor::Slurm);
    if arguments.cluster.dry_run && !on_cluster {
        return plan::say(&arguments.files, &arguments.experiment, arguments.format);
    }
    if let Some(gpu) = (1..arguments.gpus.len()).find_map(|at| {
        let (before, gpu) = (&arguments.gpus[..at], arguments.gpus[at]);
        before.contains(&gpu).then_some(gpu)
    }) {
        return Err(Failure::usage(format!("--gpus names GPU {gpu} twice")).hint("one worker has it: name it once"));
    }
    let leaves_no_trace = arguments.frozen || arguments.cluster.dry_run;
    let without_cache = if leaves_no_trace { WithoutCache::Leave } else { WithoutCache::Make };
    let (experiment, share) = if arguments.gpus.is_empty() {
        (arguments.experiment.clone(), Share::default())
    } else {
        beside_gpus(&arguments.experiment)
    };
    let shared = Shared::of(&arguments.remote)?;
    let json = arguments.format == EventFormat::Json;
    // What goes on elsewhere, and who follows event by event, needs the whole plan.
    let is_alone = shared.is_none() && arguments.gpus.is_empty() && arguments.executor.is_none() && !json;
    let asked = is_alone.then(|| Asked::of(&arguments.files, &experiment.set, &experiment.stage, width_of_output()));
    let asked = asked.flatten();
    if let Some(asked) = &asked
        && let Some(status) = said_before(asked, arguments, &experiment)?
    {
        return Ok(status);
    }
    let mut session = Session::open_or(without_cache, &arguments.files, &experiment)?;
    let cancel = Cancel::default();
    stop_on_interrupt(&cancel)?;
    if let Some(shared) = &shared {
        shared.begin(&mut session, &cancel)?;
    }
    if on_cluster {
        let cluster = Cluster::of(&session, &arguments.files, &arguments.experiment, &arguments.cluster)?;
        if arguments.cluster.dry_run {
            return cluster.print(json);
        }
        if let Some(status) = follow(cluster, &cancel, json)? {
            return Ok(session.ended(status));
        }
    } else if !arguments.frozen && arguments.gpus.is_empty() {
        session.say_what_computes();
    }
    let progress = Progress::new(session.planned.plan.len(), &cancel);
    let (has_failed_fast, inventory) = (AtomicBool::new(false), OnceLock::new());
    let computing = Computing {
        experiment: &arguments.experiment,
        quiet: json || arguments.quiet,
        fail_fast: arguments.fail_fast.then_some(&has_failed_fast),
        doing: &doing("run", &arguments.files),
        jobs: arguments.jobs,
        // What jobs have computed is only shown here.
        mode: if arguments.frozen || on_cluster { RunMode::Frozen } else { RunMode::Normal },
        share: &share,
        json,
        inventory: asked.as_ref().map(|_| &inventory),
    };
    let workers = GpuWorkers {
        gpus: &arguments.gpus,
        files: &arguments.files,
        experiment: &arguments.experiment,
        remote: &arguments.remote,
        json,
    };
    let summary = workers.beside(&session, &progress, &cancel, || computing.compute(&session, &progress, &cancel))?;
    let summary = summary.map_err(|error| refused(&session, error, json))?;

    let mut said = String::new();
    for (experiment, results) in session.experiments.iter().zip(&session.planned.results) {
        let answers = answers(&session, experiment, results)?;
        if json {
            if !cancel.is_cancelled() {
                answers.claims.iter().for_each(|claim| json::claim(&experiment.name, claim));
            }
        } else if !cancel.is_cancelled() {
            let text = human(&answers, width_of_output());
            out!("{text}");
            said += &text;
        }
    }
    if json {
        json::summary(&summary);
    } else {
        errln!("");
    }
    progress.tell_failures();
    if let Some(shared) = &shared {
        shared.tell(&arguments.files);
    }
    if !json {
        errln!("{}", closing(&summary));
        if summary.failed > 0 && !arguments.fail_fast && !cancel.is_cancelled() {
            errln!("went on after the failure with all that could (--keep-going, the default; --fail-fast stops)");
        }
    }
    let has_failed_fast = has_failed_fast.into_inner();
    let status = session.ended(if cancel.is_cancelled() && !has_failed_fast {
        if !json {
            let steps = session.planned.plan.len();
            errln!("stopped: {} of {steps} steps are left, and the same command goes on from here", summary.skipped);
        }
        Status::Cancelled
    } else if summary.failed > 0 {
        if has_failed_fast && !json {
            errln!("stopped at the first failure (--fail-fast): {} left", text::count(summary.skipped, "step"));
        }
        Status::Stage
    } else {
        Status::Success
    });
    if let (Some(asked), Some(inventory)) = (asked, inventory.get())
        && status == Status::Success
        && !leaves_no_trace
    {
        asked.leave(session.store(), &session.findings, inventory, said);
    }
    // The program ends here. To take a plan of a hundred thousand steps apart would take a tenth of what it took to make it.
    std::mem::forget(session);
    Ok(status)
}

/// Says again what a run like this one said that had nothing to do, if nothing has changed since.
fn said_before(
    asked: &Asked,
    arguments: &RunArguments,
    experiment: &ExperimentArguments,
) -> Result<Option<Status>, Failure> {
    let start = Instant::now();
    let MachineArguments { cache, device, threads } = &experiment.machine;
    use_threads(*threads)?;
    let whereabouts = Whereabouts::of(cache.as_deref(), &arguments.files);
    // What is wrong with a cache is told where all that follows from it is.
    let Ok(store) = Store::open(&whereabouts.cache) else { return Ok(None) };
    let Some(said) = asked.said_before(&store, &library(&whereabouts.cache, WithoutCache::Leave)) else {
        return Ok(None);
    };
    // To open a GPU takes longer than all of this, and whoever plans does so itself.
    let Chosen { passed_over, .. } = choose_device(device)?;
    whereabouts.say();
    if let Some(passed_over) = passed_over.filter(|_| !arguments.frozen) {
        passed_over.say();
    }
    out!("{}", said.text);
    let summary = Summary { cached: said.steps, seconds: start.elapsed().as_secs_f64(), ..Summary::default() };
    errln!("\n{}", closing(&summary));
    Ok(Some(Status::Success))
}
