//! `why-waiting`: why jobs of `run --executor slurm` do not run yet, and which steps wait for which.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use overinterp_slurm::cluster;
use overinterp_slurm::jobs::{State, why_waiting};

use crate::cli::args::ExperimentArguments;
use crate::cli::session::Session;
use crate::cli::slurm::{Cluster, Left};
use crate::cli::status::Status;
use crate::cli::verbs::cancel::ANY;
use crate::failure::Failure;
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct WhyWaitingArguments {
    /// The experiment files that `run --executor slurm` was given.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

/// Steps that others wait for, of which so many are named.
const SHOWN: usize = 10;

pub(crate) fn run(arguments: &WhyWaitingArguments) -> Result<Status, Failure> {
    let session = Session::open(&arguments.files, &arguments.experiment)?;
    let cluster = Cluster::of(&session, &arguments.files, &arguments.experiment, &ANY)?;
    say_jobs(&cluster)?;
    say_steps(&session, &Left::of(&session, &cluster.grouped)?);
    Ok(Status::Success)
}

fn say_jobs(cluster: &Cluster<'_>) -> Result<(), Failure> {
    let jobs = cluster::queue(&cluster.campaign.job_name())?;
    let mut waiting: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut live = 0;
    for job in &jobs {
        match &job.state {
            State::Waiting(reason) => *waiting.entry((&job.group, reason)).or_default() += 1,
            State::Running(used) => outln!("job {} ({}) runs on {} since {used}", job.id, job.group, job.nodes),
            State::Ended(_) => continue,
        }
        live += 1;
    }
    for ((group, reason), count) in waiting {
        let wait = if count == 1 { "waits" } else { "wait" };
        outln!("{} of {group} {wait} {} ({reason})", text::count(count, "job"), why_waiting(reason));
    }
    if live == 0 {
        outln!("no job of campaign {} waits or runs", cluster.campaign.id);
    }
    Ok(())
}

/// How many steps wait for each step that could run, the most first.
fn say_steps(session: &Session, left: &Left) {
    let all = left.cached + left.tasks.len();
    let ready = left.tasks.iter().filter(|task| task.inputs.is_empty()).count();
    outln!("{} of {all} steps are computed, {ready} can run, {} wait for these", left.cached, left.tasks.len() - ready);
    // The first one that each waits for, through all between.
    let mut roots: Vec<usize> = Vec::with_capacity(left.tasks.len());
    let mut waiting: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, task) in left.tasks.iter().enumerate() {
        let root = task.inputs.first().map_or(place, |&input| roots[input]);
        roots.push(root);
        if root != place {
            *waiting.entry(root).or_default() += 1;
        }
    }
    let mut waiting: Vec<(usize, usize)> = waiting.into_iter().collect();
    waiting.sort_by_key(|&(root, count)| (std::cmp::Reverse(count), root));
    for &(root, count) in waiting.iter().take(SHOWN) {
        let wait = if count == 1 { "waits" } else { "wait" };
        outln!("{} {wait} for {}", text::count(count, "step"), session.planned.plan.step(left.steps[root]));
    }
    if waiting.len() > SHOWN {
        outln!("and so on for {} more", text::count(waiting.len() - SHOWN, "step"));
    }
}
