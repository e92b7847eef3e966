//! What Slurm says of a job, and how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A task of an array of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId {
    /// The array's number.
    pub array: u64,
    /// The task's place in it; none where the whole array is meant.
    pub task: Option<u32>,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "{}_{task}", self.array),
            None => write!(f, "{}", self.array),
        }
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for JobId {
    type Error = NoJobId;

    fn try_from(text: String) -> Result<Self, NoJobId> {
        let (array, task) = match text.split_once('_') {
            Some((array, task)) => (array, Some(task.parse().map_err(|_| NoJobId)?)),
            None => (text.as_str(), None),
        };
        Ok(Self { array: array.parse().map_err(|_| NoJobId)?, task })
    }
}

/// A text that is no number of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the number of a job, such as `42_0`")]
pub struct NoJobId;

/// What Slurm says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Which group of workers it belongs to.
    pub group: String,
    /// The nodes that it has or had.
    pub nodes: String,
    /// How it fares.
    pub state: State,
}

/// How a job fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits, for this reason in Slurm's words.
    Waiting(String),
    /// It runs, for so long as Slurm writes it: `1:02`.
    Running(String),
    /// It has ended.
    Ended(End),
}

impl State {
    /// Whether it waits or runs.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Waiting(_) | Self::Running(_))
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The worker found nothing more to do.
    Done,
    /// The worker stopped at a checkpoint, because it was asked to.
    Stopped,
    /// The worker ended with this status.
    Failed(u8),
    /// Something killed it by this signal, and no more is known.
    Killed(u8),
    /// It needed more memory than it was given.
    OutOfMemory,
    /// Slurm ended it at its time limit.
    TimedOut,
    /// It had to make room for another job.
    Preempted,
    /// Its node failed.
    NodeFailed,
    /// A person or an administrator cancelled it.
    Cancelled,
    /// Slurm no longer knows it, and keeps no accounts.
    Unknown,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Stopped => f.write_str("stopped at a checkpoint"),
            Self::Failed(status) => write!(f, "failed with status {status}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Preempted => f.write_str("preempted"),
            Self::NodeFailed => f.write_str("its node failed"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Unknown => f.write_str("ended, and Slurm no longer knows how"),
        }
    }
}

/// With what the program ends that was asked to stop.
const STOPPED: u8 = 130;
/// What Slurm, or a kernel below it, writes into a job's log when it takes too much memory. A Slurm without control groups
/// calls such a job failed, or killed, and no more.
const MEMORY: [&str; 4] = ["exceeded memory limit", "Exceeded job memory limit", "oom-kill", "oom_kill"];

impl End {
    /// The end by what the log says, where that says more than Slurm did.
    #[must_use]
    pub fn with_log(self, log: &str) -> Self {
        let by_memory = MEMORY.iter().any(|sign| log.contains(sign));
        match self {
            Self::Killed(_) | Self::Failed(_) | Self::Cancelled if by_memory => Self::OutOfMemory,
            other => other,
        }
    }
}

/// What `squeue` is asked for of each job, with a `|` behind each.
pub(crate) const ASKED: &str =
    "ArrayJobID:|,ArrayTaskID:|,State:|,Reason:|,exit_code:|,NodeList:|,Comment:|,TimeUsed:|";

/// One line of what `squeue` answers to [`ASKED`]; `None` where it is of another form.
pub(crate) fn of_queue(line: &str) -> Option<Job> {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [array, task, state, reason, code, nodes, group, used, ..] = fields[..] else { return None };
    let id = JobId { array: array.parse().ok()?, task: task.parse().ok() };
    let state = state_of(state, reason, exit_of(code), used)?;
    Some(Job { id, group: group.to_owned(), nodes: nodes.to_owned(), state })
}

/// What `sacct` is asked for of each job.
pub(crate) const ACCOUNTED: &str = "JobID,State,ExitCode,NodeList";

/// One line of what `sacct` answers to [`ACCOUNTED`]; `None` where it is of another form, or of many tasks.
pub(crate) fn of_accounts(line: &str) -> Option<Job> {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [id, state, code, nodes, ..] = fields[..] else { return None };
    let id = JobId::try_from(id.to_owned()).ok()?;
    // `CANCELLED by 1000`
    let state = state_of(state.split(' ').next()?, "", exit_of(code), "")?;
    Some(Job { id, group: String::new(), nodes: nodes.to_owned(), state })
}

/// The status and the signal with which a process ended: `130:0`, or the number that the system gives, 33280.
fn exit_of(code: &str) -> (u8, u8) {
    if let Some((status, signal)) = code.split_once(':') {
        return (status.parse().unwrap_or(0), signal.parse().unwrap_or(0));
    }
    let code: u32 = code.parse().unwrap_or(0);
    ((code >> 8) as u8, (code & 0x7f) as u8)
}

fn state_of(state: &str, reason: &str, (status, signal): (u8, u8), used: &str) -> Option<State> {
    Some(match state {
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "SPECIAL_EXIT" => State::Waiting(reason.to_owned()),
        "RUNNING" | "CONFIGURING" | "COMPLETING" | "STAGE_OUT" | "SUSPENDED" | "SIGNALING" | "RESIZING" | "STOPPED" => {
            State::Running(used.to_owned())
        }
        "COMPLETED" => State::Ended(End::Done),
        "OUT_OF_MEMORY" => State::Ended(End::OutOfMemory),
        "PREEMPTED" => State::Ended(End::Preempted),
        "NODE_FAIL" => State::Ended(End::NodeFailed),
        // Having caught its signal a worker ends by itself, before Slurm has to.
        "TIMEOUT" | "DEADLINE" => State::Ended(End::TimedOut),
        "CANCELLED" | "REVOKED" => State::Ended(End::Cancelled),
        "FAILED" | "BOOT_FAIL" => State::Ended(match (status, signal) {
            (STOPPED, 0) => End::Stopped,
            (status, 0) => End::Failed(status),
            (_, signal) => End::Killed(signal),
        }),
        _ => return None,
    })
}

/// Slurm's reason for which a job waits, in plain words.
#[must_use]
pub fn why_waiting(reason: &str) -> &str {
    match reason {
        "Dependency" => "for jobs that it depends on",
        "DependencyNeverSatisfied" => "for jobs that can no longer end as it needs: cancel it",
        "Resources" => "for nodes to become free",
        "Priority" => "behind jobs of a higher priority",
        "BeginTime" => "for its time to begin",
        "JobHeldUser" => "held by its user: `scontrol release` lets it go",
        "JobHeldAdmin" => "held by an administrator",
        "ReqNodeNotAvail" => "for a node that is down, drained or reserved",
        "PartitionDown" => "for its partition, which is down",
        "PartitionTimeLimit" => "for ever: it asks for more time than its partition gives",
        "PartitionNodeLimit" | "PartitionConfig" => "for ever: its partition does not give what it asks for",
        "BadConstraints" => "for ever: no node has what it asks for",
        "JobArrayTaskLimit" => "for other tasks of its array",
        "AssocGrpCpuLimit"
        | "AssocGrpGRES"
        | "QOSMaxCpuPerUserLimit"
        | "QOSMaxGRESPerUser"
        | "QOSMaxJobsPerUserLimit" => "for the limit of a user or an account",
        "" | "None" => "to be looked at by the scheduler",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form in which Slurm 22.05 answers: the states, reasons and codes of jobs that were done, stopped, took too much
    /// memory without control groups, failed, waited, ran, were cancelled, lost their node, made room. The last is by its manual.
    const ANSWERED: &str = "\
1|0|COMPLETED|None|0|node1|train+select|0:01|
1|1|FAILED|NonZeroExitCode|33280|node1|train+select|0:01|
1|2|FAILED|JobLaunchFailure|9|node2|train+select|0:03|
1|3|FAILED|NonZeroExitCode|768|node2|train+select|0:01|
2|0|PENDING|Dependency|0||(null)|0:00|
1|4|RUNNING|None|0|node2|train+select|0:05|
1|5|CANCELLED|None|15|node1|train+select|0:05|
3|N/A|CANCELLED|Resources|0||(null)|0:00|
8|0|NODE_FAIL|NodeDown|0|node2|train|1:05|
9|0|PREEMPTED|None|0|node1|train|0:04|
10|0|TIMEOUT|TimeLimit|1|node1|train|1:00|
";

    #[test]
    fn every_end_is_told_apart() {
        let states: Vec<State> = ANSWERED.lines().map(|line| of_queue(line).unwrap().state).collect();
        let ended = State::Ended;
        let expected = [
            ended(End::Done),
            ended(End::Stopped),
            ended(End::Killed(9)),
            ended(End::Failed(3)),
            State::Waiting("Dependency".into()),
            State::Running("0:05".into()),
            ended(End::Cancelled),
            ended(End::Cancelled),
            ended(End::NodeFailed),
            ended(End::Preempted),
            ended(End::TimedOut),
        ];
        assert_eq!(states, expected);
        let log = "slurmstepd-node2: error: StepId=4.batch exceeded memory limit (289615872 > 209715200), being killed";
        assert_eq!(End::Killed(9).with_log(log), End::OutOfMemory);
        assert_eq!((End::Killed(9).with_log(""), End::NodeFailed.with_log(log)), (End::Killed(9), End::NodeFailed));
    }

    #[test]
    fn accounts_are_read_as_the_queue_is() {
        let end = |line| of_accounts(line).map(|job| (job.id.to_string(), job.state));
        assert_eq!(end("12_3|CANCELLED by 1000|0:15|n1"), Some(("12_3".into(), State::Ended(End::Cancelled))));
        assert_eq!(end("12_4|OUT_OF_MEMORY|0:125|n1"), Some(("12_4".into(), State::Ended(End::OutOfMemory))));
        assert_eq!(end("12_5|FAILED|130:0|n1"), Some(("12_5".into(), State::Ended(End::Stopped))));
        assert_eq!(end("12_[6-9]|PENDING|0:0|None assigned"), None);
        assert_eq!(end(""), None);
    }
}
