//! Slurm's commands. Each is one call for all jobs of a campaign, however many there are.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use crate::jobs::{ACCOUNTED, ASKED, End, Job, JobId, State, of_accounts, of_queue};

/// A command of Slurm's that cannot be run, or that fails.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It is not there.
    #[error("cannot run {command}; log in to a node of a cluster that has Slurm")]
    Absent {
        /// Which.
        command: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("{command} failed: {said}")]
    Failed {
        /// Which.
        command: &'static str,
        /// What it said.
        said: String,
    },
}

fn call(command: &'static str, arguments: &[&str]) -> Result<String, ClusterError> {
    // So that an answer has the form in which it was tried: of times, and of signs in names.
    let output = Command::new(command).args(arguments).env_remove("SQUEUE_FORMAT").env_remove("SACCT_FORMAT").output();
    let Output { status, stdout, stderr } = output.map_err(|source| ClusterError::Absent { command, source })?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr).trim().replace('\n', "; ");
    Err(ClusterError::Failed { command, said: if said.is_empty() { status.to_string() } else { said } })
}

/// Submits a script, and returns the array's number.
///
/// # Errors
/// When `sbatch` is not there, or refuses it.
pub fn submit(script: &Path) -> Result<u64, ClusterError> {
    let answer = call("sbatch", &["--parsable", &script.display().to_string()])?;
    // `42`, or `42;cluster`.
    let number = answer.trim().split(';').next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| ClusterError::Failed { command: "sbatch", said: format!("it answered `{}`", answer.trim()) })
}

/// What Slurm knows of all jobs of this name, by one call of `squeue`.
///
/// # Errors
/// When `squeue` is not there or fails.
pub fn queue(name: &str) -> Result<Vec<Job>, ClusterError> {
    let name = format!("--name={name}");
    let answer = call("squeue", &["--noheader", "--array", "--states=all", &name, "-O", ASKED])?;
    Ok(answer.lines().filter_map(of_queue).collect())
}

/// How jobs ended that `squeue` no longer knows, by one call of `sacct`. Where no accounts are kept it is not known.
#[must_use]
pub fn ended(jobs: &[JobId]) -> BTreeMap<JobId, End> {
    if jobs.is_empty() {
        return BTreeMap::new();
    }
    let list: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let list = format!("--jobs={}", list.join(","));
    let format = format!("--format={ACCOUNTED}");
    let answer = call("sacct", &["--noheader", "--parsable2", "--allocations", &list, &format]).unwrap_or_default();
    let known: BTreeMap<JobId, State> = answer.lines().filter_map(of_accounts).map(|job| (job.id, job.state)).collect();
    let end = |id: &JobId| match known.get(id) {
        Some(State::Ended(end)) => Some(*end),
        // It may yet come back, say from a controller that has restarted.
        Some(State::Waiting(_) | State::Running(_)) => None,
        None => Some(End::Unknown),
    };
    jobs.iter().filter_map(|id| Some((*id, end(id)?))).collect()
}

/// Cancels all jobs of this name.
///
/// # Errors
/// When `scancel` is not there or fails.
pub fn cancel(name: &str) -> Result<(), ClusterError> {
    call("scancel", &[&format!("--name={name}")]).map(drop)
}
