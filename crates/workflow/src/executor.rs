//! Runs a plan: inputs before dependants, what is cached not at all, and what fails takes only its dependants
//! with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use super::attempt::Attempt;
use super::cancel::Cancel;
use super::event::{Event, Status, Summary};
use super::key::{ContentHash, StepKey};
use super::plan::{Plan, StepId};
use super::schedule::{Forecast, Schedule, Why};
use super::store::{Lookup, Maker, Record, Scrutiny, Store, StoreError};
use super::view::View;
use overinterp_foreign::bounded::Shortage;

/// How a plan is to be run. Nothing of it changes a result.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// How many steps may run at a time; 0 counts as 1.
    pub jobs: usize,
    /// Whether anything may run.
    pub mode: RunMode,
    /// What is recorded with each result.
    pub maker: Maker,
}

/// Whether anything may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// What is not cached is computed.
    Normal,
    /// If anything is not cached, nothing runs.
    Frozen,
}

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Data that steps are made from are absent.
    #[error("{}", .0.join("\n"))]
    MissingData(
        /// Each reason once.
        Vec<String>,
    ),
    /// Something would run that must not.
    #[error("{} of {steps} steps would run, which --frozen forbids: {}", .would_run.len(), first(.would_run))]
    Frozen {
        /// The steps of the plan.
        steps: usize,
        /// Each step that would run, with its reason; those whose entry is damaged come first.
        would_run: Vec<String>,
        /// How many of them would because their entry is damaged.
        damaged: usize,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first few, and how many more there are.
fn first(steps: &[String]) -> String {
    const TOLD: usize = 3;
    let told = steps[..steps.len().min(TOLD)].join("; ");
    if steps.len() > TOLD { format!("{told}; and {} more", steps.len() - TOLD) } else { told }
}

/// Runs `plan`, telling `observer` what happens, until all is done or `cancel` is set.
///
/// # Errors
/// When it cannot begin. A step that fails is no error: the summary counts it, and an event tells why.
pub fn run<E: Sync>(
    plan: &Plan<E>,
    store: &Store,
    env: &E,
    options: &RunOptions,
    observer: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<Summary, RunError> {
    let start = Instant::now();
    let missing = plan.missing_data();
    if !missing.is_empty() {
        return Err(RunError::MissingData(missing.into_iter().map(str::to_owned).collect()));
    }
    let (view, schedule) = survey(plan, store)?;
    if options.mode == RunMode::Frozen && schedule.to_run() > 0 {
        let reason = |id| schedule.step(id).forecast.why().map(|why| (format!("{}: {why}", plan.step(id)), why));
        let (damaged, other): (Vec<_>, Vec<_>) =
            plan.steps().filter_map(|(id, _)| reason(id)).partition(|(_, why)| matches!(why, Why::Damaged(_)));
        let count = damaged.len();
        let would_run = damaged.into_iter().chain(other).map(|(reason, _)| reason).collect();
        return Err(RunError::Frozen { steps: plan.len(), would_run, damaged: count });
    }
    // Before anything is told: a cache that cannot be written to is found out at once.
    let to_run = plan.steps().filter(|(id, _)| !schedule.step(*id).forecast.is_cached());
    let kinds: BTreeSet<&str> = to_run.map(|(_, step)| step.manifest().kind()).collect();
    let _in_use = if kinds.is_empty() { None } else { Some(store.begin(&kinds)?) };
    observer(Event::Planned { schedule: &schedule, view: &view });
    let run = Run {
        plan,
        store,
        env,
        maker: &options.maker,
        observer,
        cancel,
        shortage: OnceLock::new(),
        view,
        schedule,
        board: Mutex::new(Board::of(plan)),
        changed: Condvar::new(),
    };
    run.settle_cached();
    if run.board().left > 0 {
        thread::scope(|scope| {
            for _ in 0..options.jobs.max(1) {
                scope.spawn(|| run.work());
            }
        });
    }
    let summary = run.board().summary(start.elapsed().as_secs_f64());
    observer(Event::Done { summary: &summary });
    Ok(summary)
}

/// Looks at the cache and schedules the plan. Of each cached step that one which must run will load, every byte
/// is verified now, so that damage to it is repaired before it is used.
fn survey<E>(plan: &Plan<E>, store: &Store) -> Result<(View, Schedule), StoreError> {
    let mut view = View::of(plan, store)?;
    let mut verified = BTreeSet::new();
    loop {
        let schedule = Schedule::new(plan, &view);
        let to_run = plan.steps().filter(|(id, _)| !schedule.step(*id).forecast.is_cached());
        let loaded: BTreeSet<StepId> = to_run
            .flat_map(|(id, _)| plan.inputs(id))
            .filter(|id| schedule.step(*id).forecast.is_cached() && !verified.contains(id))
            .collect();
        let mut damaged = false;
        for id in loaded {
            let key = plan.step(id).identity();
            match store.look(key, Scrutiny::Bytes)? {
                Lookup::Intact(_) => {}
                Lookup::Damaged(damage) => {
                    view.mark_damaged(key, damage);
                    damaged = true;
                }
                Lookup::Absent => {
                    view.mark_damaged(key, "it has just been removed".to_owned());
                    damaged = true;
                }
            }
            verified.insert(id);
        }
        if !damaged {
            return Ok((view, schedule));
        }
    }
}

/// One run in progress.
pub(super) struct Run<'a, E> {
    pub(super) plan: &'a Plan<E>,
    pub(super) store: &'a Store,
    pub(super) env: &'a E,
    pub(super) maker: &'a Maker,
    pub(super) observer: &'a (dyn Fn(Event<'_>) + Sync),
    pub(super) cancel: &'a Cancel,
    /// Set when there is no room left: nothing more is begun, since nothing could be kept.
    pub(super) shortage: OnceLock<Shortage>,
    view: View,
    schedule: Schedule,
    board: Mutex<Board>,
    changed: Condvar,
}

/// How one step ended.
pub(super) enum Outcome {
    /// With a result.
    Result { status: Status, record: Arc<Record>, seconds: f64 },
    /// Without a result: it failed or was skipped, and `why` says the reason.
    Nothing { status: Status, why: String, seconds: f64 },
}

/// Where each step stands.
struct Board {
    /// Inputs that are not done yet.
    waiting_for: Vec<usize>,
    ready: BTreeSet<StepId>,
    running: BTreeSet<StepId>,
    ended: Vec<Option<Status>>,
    results: BTreeMap<StepId, Arc<Record>>,
    left: usize,
}

impl Board {
    fn of<E>(plan: &Plan<E>) -> Self {
        let waiting_for: Vec<usize> = plan.steps().map(|(id, _)| plan.inputs(id).len()).collect();
        let ready = plan.steps().map(|(id, _)| id).filter(|id| plan.inputs(*id).len() == 0).collect();
        Self {
            waiting_for,
            ready,
            running: BTreeSet::new(),
            ended: vec![None; plan.len()],
            results: BTreeMap::new(),
            left: plan.len(),
        }
    }

    fn summary(&self, seconds: f64) -> Summary {
        let count = |status| self.ended.iter().filter(|&&ended| ended == Some(status)).count();
        Summary {
            ran: count(Status::Ran),
            cached: count(Status::Cached),
            failed: count(Status::Failed),
            skipped: count(Status::Skipped),
            seconds,
        }
    }

    /// Notes the end of a step and makes ready what waited for it alone.
    fn end<E>(&mut self, plan: &Plan<E>, id: StepId, status: Status) {
        self.running.remove(&id);
        if self.ended[id.index()].replace(status).is_some() {
            return;
        }
        self.left -= 1;
        for dependant in plan.dependants(id) {
            self.waiting_for[dependant.index()] -= 1;
            if self.waiting_for[dependant.index()] == 0 && self.ended[dependant.index()].is_none() {
                self.ready.insert(dependant);
            }
        }
    }
}

impl<E: Sync> Run<'_, E> {
    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics while it holds the board, and each change of it is whole.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every step that is cached together with all that it was made from, in the plan's order, before any
    /// thread starts and without writing anything.
    fn settle_cached(&self) {
        for (id, _) in self.plan.steps() {
            let ready = self.board().ready.contains(&id);
            if ready && let Some(record) = self.foreseen(id) {
                self.board().ready.remove(&id);
                let seconds = record.seconds;
                self.finish(id, Outcome::Result { status: Status::Cached, record, seconds });
            }
        }
    }

    /// The record of a step that was cached when the run began, if its inputs still hold what it was made from.
    pub(super) fn foreseen(&self, id: StepId) -> Option<Arc<Record>> {
        match (self.forecast(id), self.view.entry(self.plan.step(id).identity())) {
            (Forecast::Cached, Lookup::Intact(record)) if record.inputs == self.contents(id) => {
                Some(Arc::clone(record))
            }
            _ => None,
        }
    }

    pub(super) fn forecast(&self, id: StepId) -> &Forecast {
        &self.schedule.step(id).forecast
    }

    /// What the finished inputs of a step hold.
    pub(super) fn contents(&self, id: StepId) -> BTreeMap<StepKey, ContentHash> {
        let board = self.board();
        let inputs = self.plan.inputs(id).filter_map(|input| board.results.get(&input));
        inputs.map(|record| (record.key.clone(), record.content.clone())).collect()
    }

    /// Takes one ready step after the other until none is left.
    fn work(&self) {
        while let Some(id) = self.next() {
            let outcome = Attempt::new(self, id).perform();
            self.finish(id, outcome);
        }
    }

    /// The next ready step; waits while others run that may make one ready.
    fn next(&self) -> Option<StepId> {
        let mut board = self.board();
        loop {
            if board.left == 0 {
                return None;
            }
            if let Some(id) = board.ready.pop_first() {
                board.running.insert(id);
                return Some(id);
            }
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells how a step ended, then lets its dependants go on, or skips them.
    pub(super) fn finish(&self, id: StepId, outcome: Outcome) {
        let step = self.plan.step(id);
        match outcome {
            Outcome::Result { status, record, seconds } => {
                (self.observer)(Event::Finished { id, step, status, seconds, error: None });
                let mut board = self.board();
                board.results.insert(id, record);
                board.end(self.plan, id, status);
            }
            Outcome::Nothing { status, why, seconds } => {
                (self.observer)(Event::Finished { id, step, status, seconds, error: Some(&why) });
                let why = match status {
                    Status::Failed => format!("input {step} failed"),
                    _ => why,
                };
                for dependant in self.end_without_result(id, status) {
                    let (step, status) = (self.plan.step(dependant), Status::Skipped);
                    (self.observer)(Event::Finished { id: dependant, step, status, seconds: 0.0, error: Some(&why) });
                }
            }
        }
        self.changed.notify_all();
    }

    /// Ends a step and, as skipped, all that depends on it; gives the latter in the plan's order.
    fn end_without_result(&self, id: StepId, status: Status) -> BTreeSet<StepId> {
        let mut board = self.board();
        let mut skipped = BTreeSet::new();
        let mut without = vec![id];
        while let Some(next) = without.pop() {
            // One that runs although an input is lost has loaded it before, and ends by itself.
            let waiting = |step: &StepId| board.ended[step.index()].is_none() && !board.running.contains(step);
            let dependants: Vec<StepId> = self.plan.dependants(next).filter(waiting).collect();
            for dependant in dependants {
                board.end(self.plan, dependant, Status::Skipped);
                skipped.insert(dependant);
                without.push(dependant);
            }
        }
        board.end(self.plan, id, status);
        board.ready.retain(|ready| !skipped.contains(ready));
        skipped
    }
}
