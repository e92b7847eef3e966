//! Several GPUs of one machine: a worker on each, a process of its own, beside this one, which computes what needs none.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use overinterp_stages::ON_DEVICE;
use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::event::Summary;
use overinterp_workflow::executor::{RunError, Share, Takes};
use overinterp_workflow::key::StepKey;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cli::args::ExperimentArguments;
use crate::cli::remote::RemoteArguments;
use crate::cli::screen::json;
use crate::cli::screen::progress::Progress;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::failure::{Failure, Kind};
use crate::text;

/// Between two looks at the workers.
const LOOK: Duration = Duration::from_millis(100);
/// What the last worker has done is seen within so long.
const GRACE: Duration = Duration::from_secs(10);

/// What this process computes beside workers on GPUs: what needs none, and on the CPU.
pub(crate) fn beside_gpus(experiment: &ExperimentArguments) -> (ExperimentArguments, Share) {
    let mut beside = experiment.clone();
    "cpu".clone_into(&mut beside.machine.device);
    let takes = Takes::AllBut(ON_DEVICE.map(str::to_owned).into());
    (beside, Share { takes, to_the_end: true, ..Share::default() })
}

/// Workers on GPUs of this machine.
pub(crate) struct GpuWorkers<'a> {
    /// The numbers of the GPUs; without any there is no worker.
    pub gpus: &'a [u16],
    pub files: &'a [PathBuf],
    pub experiment: &'a ExperimentArguments,
    pub remote: &'a RemoteArguments,
    /// Whether standard output has one object a line.
    pub json: bool,
}

/// How a worker ends that has done its part, with failed steps or without.
const HAS_WORKED: [Option<i32>; 2] = [Some(Status::Success as i32), Some(Status::Stage as i32)];

/// A worker on a GPU.
struct GpuWorker {
    gpu: u16,
    child: Child,
    ended: Option<ExitStatus>,
}

impl GpuWorkers<'_> {
    /// Computes by `compute` beside the workers, whose output is joined to this process's. What they computed counts as
    /// having run.
    ///
    /// # Errors
    /// When a worker cannot be started, or all of them have ended and left something.
    pub fn beside(
        &self,
        session: &Session,
        progress: &Progress,
        cancel: &Cancel,
        compute: impl FnOnce() -> Result<Summary, RunError>,
    ) -> Result<Result<Summary, RunError>, Failure> {
        let (done, by_gpus) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut workers = Vec::new();
        let plan = &session.planned.plan;
        let in_plan = |kind: &&str| plan.steps().any(|(_, step)| step.manifest().kind() == *kind);
        let kinds: Vec<&str> = ON_DEVICE.into_iter().filter(in_plan).collect();
        // Where no step needs a GPU there is nothing for them to do.
        let gpus = if kinds.is_empty() { &[] } else { self.gpus };
        for gpu in gpus {
            workers.push(self.start(*gpu, &kinds, &session.cache).inspect_err(|_| {
                workers.iter().for_each(terminate);
            })?);
        }
        if workers.is_empty() {
            return Ok(compute());
        }
        thread::scope(|scope| {
            for worker in &mut workers {
                let gpu = worker.gpu;
                if let Some(out) = worker.child.stdout.take() {
                    let by_gpus = &by_gpus;
                    scope.spawn(move || self.join_events(gpu, out, session, progress, by_gpus));
                }
                if let Some(err) = worker.child.stderr.take() {
                    scope.spawn(move || each_line(err, |line| progress.say(&format!("GPU {gpu}: {line}"))));
                }
            }
            let watching = scope.spawn(|| watch(workers, progress, cancel, &done));
            let mut outcome = compute();
            done.store(true, Ordering::Relaxed);
            let abandoned = watching.join().unwrap_or(None);
            if let Ok(summary) = &mut outcome {
                let ran = by_gpus.load(Ordering::Relaxed).min(summary.cached);
                summary.ran += ran;
                summary.cached -= ran;
            }
            abandoned.map_or(Ok(outcome), Err)
        })
    }

    /// Starts a worker that sees one GPU alone.
    fn start(&self, gpu: u16, kinds: &[&str], cache: &Path) -> Result<GpuWorker, Failure> {
        let failed = |error: std::io::Error| Failure::because(Kind::Internal, error);
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        let ExperimentArguments { set, stage, machine } = self.experiment;
        command.arg("work").args(self.files).args(["--until-done", "--format", "json"]);
        command.args(kinds.iter().flat_map(|kind| ["--only", kind]));
        command.args(set.iter().flat_map(|set| ["--set", set.text()]));
        command.args(stage.iter().flat_map(|stage| ["--stage", stage]));
        command.arg("--cache").arg(cache);
        // The worker's only GPU is its first.
        let device = if machine.device == "auto" { "cuda" } else { &machine.device };
        command.arg("--device").arg(device);
        if let Some(threads) = machine.threads {
            command.arg("--threads").arg(threads.to_string());
        }
        command.env("CUDA_VISIBLE_DEVICES", gpu.to_string());
        self.remote.hand_on(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(failed)?;
        Ok(GpuWorker { gpu, child, ended: None })
    }

    /// Tells what a worker has done.
    fn join_events(&self, gpu: u16, out: impl Read, session: &Session, progress: &Progress, by_gpus: &AtomicUsize) {
        each_line(out, |line| {
            let Ok(mut event) = serde_json::from_str::<Value>(&line) else { return };
            if event["event"] != "step" || event["status"] != "ran" {
                return;
            }
            by_gpus.fetch_add(1, Ordering::Relaxed);
            if self.json {
                event["event"] = json!("step-of-worker");
                event["gpu"] = json!(gpu);
                json::line(&event);
                return;
            }
            let key = event["key"].as_str().and_then(|key| key.parse::<StepKey>().ok());
            let step = key.and_then(|key| session.planned.plan.find(&key)).map(|id| session.planned.plan.step(id));
            let label = step.map_or_else(String::new, |step| step.label().to_string());
            let seconds = event["seconds"].as_f64().unwrap_or_default();
            progress.say(&format!("ran     {label} in {} on GPU {gpu}", text::duration(seconds)));
        });
    }
}

/// Watches over workers until all have ended: they are stopped with this process. An error when they have ended and this
/// process has not within a while, so that nobody will do what is left.
fn watch(mut workers: Vec<GpuWorker>, progress: &Progress, cancel: &Cancel, done: &AtomicBool) -> Option<Failure> {
    let (mut stopped, mut alone_since) = (false, None);
    loop {
        for worker in workers.iter_mut().filter(|worker| worker.ended.is_none()) {
            worker.ended = worker.child.try_wait().ok().flatten();
            if let Some(status) = worker.ended.filter(|status| !status.success() && !cancel.is_cancelled()) {
                progress.say(&format!("the worker on GPU {} has ended ({status})", worker.gpu));
            }
        }
        let all_ended = workers.iter().all(|worker| worker.ended.is_some());
        let is_done = done.load(Ordering::Relaxed);
        if all_ended && is_done {
            return None;
        }
        if cancel.is_cancelled() && !stopped {
            stopped = true;
            workers.iter().filter(|worker| worker.ended.is_none()).for_each(terminate);
        }
        let worked = |worker: &GpuWorker| worker.ended.is_some_and(|status| HAS_WORKED.contains(&status.code()));
        let grace = if workers.iter().any(worked) { GRACE } else { Duration::ZERO };
        if !workers.is_empty() && all_ended && alone_since.get_or_insert_with(Instant::now).elapsed() > grace {
            cancel.cancel();
            while !done.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
            let failure =
                Failure::new(Kind::Stage, "every worker on a GPU has ended, and steps are left that need one");
            return Some(failure.hint("what they said stands above; the same command goes on from here"));
        }
        thread::sleep(LOOK);
    }
}

/// Asks a worker to stop at its next checkpoint.
fn terminate(worker: &GpuWorker) {
    // One that has ended needs not be asked.
    let _ = kill_process(Pid::from_child(&worker.child), Signal::TERM);
}

fn each_line(from: impl Read, mut tell: impl FnMut(String)) {
    BufReader::new(from).lines().map_while(Result::ok).for_each(&mut tell);
}
