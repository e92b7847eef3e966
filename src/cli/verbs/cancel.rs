//! `cancel`: cancels the jobs of `run --executor slurm`. What they have computed is kept, and checkpoints are.

use std::path::PathBuf;

use clap::Args;
use overinterp_slurm::cluster;

use crate::cli::args::ExperimentArguments;
use crate::cli::session::Session;
use crate::cli::slurm::{Cluster, ClusterArguments};
use crate::cli::status::Status;
use crate::failure::Failure;
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// The experiment files that `run --executor slurm` was given.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

/// A campaign is the same whatever its jobs are given.
pub(crate) const ANY: ClusterArguments = ClusterArguments { profile: None, max_workers: None, dry_run: true };

pub(crate) fn run(arguments: &CancelArguments) -> Result<Status, Failure> {
    let session = Session::open(&arguments.files, &arguments.experiment)?;
    let campaign = Cluster::of(&session, &arguments.files, &arguments.experiment, &ANY)?.campaign;
    let name = campaign.job_name();
    let live = cluster::queue(&name)?.into_iter().filter(|job| job.state.is_live()).count();
    if live == 0 {
        errln!("campaign {} has no jobs that wait or run", campaign.id);
        return Ok(Status::Success);
    }
    cluster::cancel(&name)?;
    errln!(
        "cancelled {} of campaign {}; what is computed stays, trainings at a checkpoint",
        text::count(live, "job"),
        campaign.id
    );
    Ok(Status::Success)
}
