//! Submits workers, follows their jobs, and submits again what a fault of the cluster ended.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use overinterp_slurm::again::{Again, MOST_AFTER_FAULTS, again};
use overinterp_slurm::campaign::Array;
use overinterp_slurm::cluster::{self, ClusterError};
use overinterp_slurm::jobs::{End, Job, JobId, State, why_waiting};
use overinterp_slurm::script::Group;
use overinterp_slurm::waves::{Wave, waves};
use overinterp_workflow::cancel::Cancel;

use super::{Cluster, Left, cannot_keep};
use crate::cli::screen::json;
use crate::cli::status::Status;
use crate::failure::{Failure, Kind};
use crate::text;

/// Between two looks at the jobs; schedulers of large clusters ask their users for no more than a few a minute.
const SOONEST: Duration = Duration::from_secs(2);
const LATEST: Duration = Duration::from_secs(30);
/// A look may fail while a controller restarts: so often in a row before it is given up.
const MOST_FAILED_LOOKS: usize = 20;
/// How soon Ctrl-C is heard.
const RESPONSE: Duration = Duration::from_millis(100);
/// Lines of a log that are shown.
const SHOWN: usize = 8;

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::because(Kind::Usage, error)
    }
}

/// Follows a campaign until all is computed (`None`), nothing more can be done, or Ctrl-C.
pub(crate) fn follow(cluster: Cluster<'_>, cancel: &Cancel, json: bool) -> Result<Option<Status>, Failure> {
    Following { cluster, json, told: String::new(), cached: None, stopped: BTreeSet::new() }.run(cancel)
}

struct Following<'a> {
    cluster: Cluster<'a>,
    json: bool,
    /// How the jobs stood when it was last said.
    told: String,
    /// The steps that were cached when workers were last submitted because none was left.
    cached: Option<usize>,
    /// Groups for which no more workers are submitted.
    stopped: BTreeSet<usize>,
}

impl Following<'_> {
    fn run(&mut self, cancel: &Cancel) -> Result<Option<Status>, Failure> {
        let mut left = Left::of(self.cluster.session, &self.cluster.grouped)?;
        if left.tasks.is_empty() {
            return Ok(None);
        }
        let jobs = self.look()?;
        self.note_ends(&jobs, &left)?;
        if jobs.iter().any(|job| job.state.is_live()) {
            say(&format!("found the jobs of campaign {}", self.cluster.campaign.id));
        } else {
            // Whoever asks anew, asks for all that may be tried.
            let record = &mut self.cluster.campaign.record;
            (record.again, record.rounds) = Default::default();
            self.submit_waves(&waves(&left.tasks, self.cluster.most))?;
            self.cached = Some(left.cached);
        }
        let (mut pause, mut failed_looks) = (SOONEST, 0);
        loop {
            if !wait(pause, cancel) {
                self.leave();
                return Ok(Some(Status::Cancelled));
            }
            let jobs = match self.look() {
                Ok(jobs) => jobs,
                Err(error) if failed_looks < MOST_FAILED_LOOKS => {
                    failed_looks += 1;
                    say(&format!("{error}; looking again"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            failed_looks = 0;
            left = Left::of(self.cluster.session, &self.cluster.grouped)?;
            let has_changed = self.note_ends(&jobs, &left)? | self.tell(&jobs, &left);
            pause = if has_changed { SOONEST } else { (pause * 3 / 2).min(LATEST) };
            if left.tasks.is_empty() {
                return Ok(None);
            }
            if !self.submit_for_ready(&jobs, &left)? && self.submitted_live(&jobs).is_empty() {
                say(&format!(
                    "no job is left and {} of {} steps are not computed: see above why, mend it, and the same command goes on",
                    left.tasks.len(),
                    left.tasks.len() + left.cached
                ));
                return Ok(Some(Status::Stage));
            }
        }
    }

    /// Every job of the campaign, by one call of `squeue`, and of `sacct` where `squeue` has forgotten some.
    fn look(&mut self) -> Result<Vec<Job>, Failure> {
        let mut jobs = cluster::queue(&self.cluster.campaign.job_name())?;
        let record = &mut self.cluster.campaign.record;
        let listed: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
        // An array that never ran may be listed as one.
        let whole: BTreeMap<u64, State> =
            jobs.iter().filter(|job| job.id.task.is_none()).map(|job| (job.id.array, job.state.clone())).collect();
        jobs.retain(|job| job.id.task.is_some());
        let mut forgotten = Vec::new();
        for (&array, Array { group, tasks }) in &record.arrays {
            for task in 0..*tasks {
                let id = JobId { array, task: Some(task) };
                if listed.contains(&id) {
                    continue;
                }
                let state = whole.get(&array).cloned().or_else(|| record.ended.get(&id).map(|end| State::Ended(*end)));
                match state {
                    Some(state) => jobs.push(Job { id, group: group.clone(), nodes: String::new(), state }),
                    None => forgotten.push(id),
                }
            }
        }
        for (id, end) in cluster::ended(&forgotten) {
            let group = record.arrays.get(&id.array).map(|array| array.group.clone()).unwrap_or_default();
            jobs.push(Job { id, group, nodes: String::new(), state: State::Ended(end) });
        }
        // Jobs of a process that was killed before it could note them.
        for job in &jobs {
            let array = record.arrays.entry(job.id.array);
            let array = array.or_insert_with(|| Array { group: job.group.clone(), tasks: 0 });
            array.tasks = array.tasks.max(job.id.task.map_or(0, |task| task + 1));
        }
        Ok(jobs)
    }

    /// Notes and tells how jobs ended, and submits again what a fault ended; whether there was something to tell.
    fn note_ends(&mut self, jobs: &[Job], left: &Left) -> Result<bool, Failure> {
        let mut lost: BTreeMap<usize, Vec<End>> = BTreeMap::new();
        let mut has_ended = false;
        for job in jobs {
            let State::Ended(end) = job.state else { continue };
            if self.cluster.campaign.record.ended.contains_key(&job.id) {
                continue;
            }
            has_ended = true;
            let end = end.with_log(&self.cluster.campaign.end_of_log(job.id, SHOWN));
            self.cluster.campaign.record.ended.insert(job.id, end);
            self.tell_end(job, end);
            if let Some(group) = self.cluster.grouped.find(&job.group) {
                lost.entry(group).or_default().push(end);
            }
        }
        for (group, ends) in lost {
            self.submit_again(group, &ends, jobs, left)?;
        }
        if has_ended {
            self.keep()?;
        }
        Ok(has_ended)
    }

    fn tell_end(&self, job: &Job, end: End) {
        if self.json {
            json::line(&json!({
                "event": "job", "job": job.id.to_string(), "group": job.group, "nodes": job.nodes, "end": end.to_string(),
            }));
        }
        let place = if job.nodes.is_empty() { String::new() } else { format!(" on {}", job.nodes) };
        say(&format!("job {} ({}){place}: {end}", job.id, job.group));
        if !matches!(end, End::Done | End::Stopped | End::Cancelled) {
            let log = self.cluster.campaign.end_of_log(job.id, SHOWN);
            if log.is_empty() {
                return;
            }
            say(&format!("  the end of {}:", self.cluster.campaign.log(job.id).display()));
            for line in log.lines() {
                say(&format!("    {}", crate::printable::printable(line)));
            }
        }
    }

    /// Workers in the place of those that ended so, as many as there is work for and as often as it makes sense.
    fn submit_again(&mut self, group: usize, ends: &[End], jobs: &[Job], left: &Left) -> Result<(), Failure> {
        let name = self.cluster.grouped.groups[group].name.clone();
        let live = jobs.iter().filter(|job| job.group == name && job.state.is_live()).count();
        let room = left.ready(group).min(self.cluster.most).saturating_sub(live);
        let record = &mut self.cluster.campaign.record;
        let (mut workers, mut more_memory) = (0, false);
        let mut given_up = Vec::new();
        for &end in ends {
            let (most, memory) = match again(end) {
                Again::No => continue,
                Again::Submit { most } => (most, false),
                Again::MoreMemory { most } => (most, true),
            };
            if workers == room {
                break;
            }
            let most = most * if memory { 1 } else { self.cluster.most };
            let count = record.again.entry(name.clone()).or_default().entry(label(end).to_owned()).or_default();
            if *count >= most {
                given_up.push(format!(
                    "workers of {name} were submitted again {most} times after `{end}`, and are no more"
                ));
                continue;
            }
            *count += 1;
            workers += 1;
            more_memory |= memory;
        }
        for text in given_up {
            self.stopped.insert(group);
            say(&text);
        }
        if more_memory {
            let times = self.cluster.campaign.record.memory.entry(name.clone()).or_insert(1);
            *times *= 2;
            let times = *times;
            if self.cluster.grouped.groups[group].with_memory(times).is_none() {
                self.stopped.insert(group);
                say(&format!("it is not known how much memory was too little: give `mem` in `[resources.{name}]`"));
                return Ok(());
            }
            say(&format!("submitting again with {times} times the memory that was asked for"));
        }
        if workers > 0 {
            self.submit(group, workers, &[])?;
        }
        Ok(())
    }

    /// Workers for groups that have work and none that wait or run; whether some were submitted.
    fn submit_for_ready(&mut self, jobs: &[Job], left: &Left) -> Result<bool, Failure> {
        let names = self.submitted_live(jobs);
        let idle: Vec<usize> = (0..self.cluster.grouped.groups.len())
            .filter(|group| left.ready(*group) > 0 && !self.stopped.contains(group))
            .filter(|group| !names.contains(self.cluster.grouped.groups[*group].name.as_str()))
            .collect();
        let mut submitted = false;
        for group in idle {
            let name = self.cluster.grouped.groups[group].name.clone();
            let record = &mut self.cluster.campaign.record;
            let last = record.arrays.iter().rev().find(|(_, array)| array.group == name).map(|(&array, _)| array);
            let mut ends = record.ended.iter().filter(|(id, _)| Some(id.array) == last).map(|(_, end)| *end).peekable();
            let in_vain = ends.peek().is_some() && ends.all(|end| matches!(end, End::Failed(_) | End::Cancelled));
            let has_come_on = self.cached.is_none_or(|cached| left.cached > cached);
            record.rounds = if has_come_on { 0 } else { record.rounds + 1 };
            if in_vain || record.rounds > MOST_AFTER_FAULTS {
                self.stopped.insert(group);
                continue;
            }
            self.cached = Some(left.cached);
            // Of what is ready alone: the rest is submitted for when it is.
            let mut ready = left.tasks.clone();
            ready.retain(|task| task.inputs.is_empty() && task.group == group);
            for wave in waves(&ready, self.cluster.most) {
                self.submit(wave.group, wave.workers, &[])?;
                submitted = true;
            }
        }
        Ok(submitted)
    }

    /// The groups that have a job that waits or runs, or was submitted after `jobs` were looked at.
    fn submitted_live<'j>(&'j self, jobs: &'j [Job]) -> BTreeSet<&'j str> {
        let seen: BTreeSet<u64> = jobs.iter().map(|job| job.id.array).collect();
        let new = self.cluster.campaign.record.arrays.iter().filter(|(array, _)| !seen.contains(array));
        let live = jobs.iter().filter(|job| job.state.is_live()).map(|job| job.group.as_str());
        live.chain(new.map(|(_, array)| array.group.as_str())).collect()
    }

    fn submit_waves(&mut self, waves: &[Wave]) -> Result<(), Failure> {
        let mut arrays: Vec<u64> = Vec::new();
        for wave in waves {
            let after: Vec<String> = wave.after.iter().map(|&place| arrays[place].to_string()).collect();
            arrays.push(self.submit(wave.group, wave.workers, &after)?);
        }
        Ok(())
    }

    fn submit(&mut self, group: usize, workers: usize, after: &[String]) -> Result<u64, Failure> {
        let asked: &Group = &self.cluster.grouped.groups[group];
        let times = self.cluster.campaign.record.memory.get(&asked.name).copied().unwrap_or(1);
        let group = asked.with_memory(times).unwrap_or_else(|| asked.clone());
        let script = self.cluster.script(&group, workers, after);
        let campaign = &mut self.cluster.campaign;
        let kept = |error| cannot_keep(&campaign.folder, error);
        if !campaign.plan().exists() {
            campaign.write("plan.json", &self.cluster.frozen).map_err(kept)?;
        }
        let number = campaign.record.arrays.len() + 1;
        let path = campaign.write(&format!("job-{number}.sh"), &script).map_err(kept)?;
        let array = cluster::submit(&path)?;
        campaign.record.arrays.insert(array, Array { group: group.name.clone(), tasks: workers as u32 });
        self.keep()?;
        let after = if after.is_empty() { String::new() } else { format!(", after {}", after.join(" and ")) };
        say(&format!("submitted {array}: {} of {}{after}", text::count(workers, "worker"), group.name));
        if self.json {
            json::line(&json!({"event": "submitted", "job": array, "group": group.name, "workers": workers}));
        }
        Ok(array)
    }

    /// Says how jobs and steps stand, where that has changed; whether it has.
    fn tell(&mut self, jobs: &[Job], left: &Left) -> bool {
        let running = jobs.iter().filter(|job| matches!(job.state, State::Running(_))).count();
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        for job in jobs {
            if let State::Waiting(reason) = &job.state {
                *waiting.entry(why_waiting(reason)).or_default() += 1;
            }
        }
        let all = left.cached + left.tasks.len();
        let mut now = format!("{} of {all} steps computed, {} running", left.cached, text::count(running, "job"));
        for (why, count) in waiting {
            now = format!("{now}, {count} waiting {why}");
        }
        let has_changed = now != self.told;
        if has_changed {
            say(&now);
            self.told = now;
        }
        has_changed
    }

    /// What is said at Ctrl-C: jobs are none of this process.
    fn leave(&self) {
        let files: Vec<String> = self.cluster.files.iter().map(|file| file.display().to_string()).collect();
        say(&format!(
            "the jobs go on; the same command follows them again, and `overinterp cancel {}` with its options cancels them",
            files.join(" ")
        ));
    }

    fn keep(&self) -> Result<(), Failure> {
        let campaign = &self.cluster.campaign;
        campaign.keep().map_err(|error| cannot_keep(&campaign.folder, error))
    }
}

fn say(text: &str) {
    errln!("{text}");
}

/// What ends are counted by.
const fn label(end: End) -> &'static str {
    match end {
        End::Done => "done",
        End::Stopped | End::TimedOut => "time",
        End::Failed(_) => "failed",
        End::Cancelled => "cancelled",
        End::OutOfMemory => "memory",
        End::Killed(_) | End::Preempted | End::NodeFailed | End::Unknown => "faults",
    }
}

/// Waits; false where Ctrl-C came.
fn wait(pause: Duration, cancel: &Cancel) -> bool {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        if cancel.is_cancelled() {
            return false;
        }
        thread::sleep(RESPONSE);
    }
    !cancel.is_cancelled()
}
