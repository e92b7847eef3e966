//! Runs a plan: inputs before dependants, what is cached not at all, and what fails takes only its dependants
//! with it. Any number of processes may run the same plan: each takes what no other has, and waits for one only when nothing
//! else is ready.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::board::{Board, Reason};
use super::cancel::{CANCELLED, Cancel, IDLE, OUT_OF_TIME};
use super::depot::Departures;
use super::event::{Event, Status, Summary};
use super::helping::{self, NextLook, is_shared};
use super::key::{ContentHash, StepKey};
use super::notices::StoreTime;
use super::plan::{Plan, StepId};
use super::repeat::Repeat;
use super::schedule::{Forecast, Schedule, Why};
use super::store::{Elsewhere, Kept, Lookup, Maker, Scrutiny, Store, StoreError};
use super::urgency::ranks;
use super::view::View;
use super::workers::Holder;
use overinterp_foreign::bounded::Shortage;

/// Lets better estimates take the place of those that earlier runs suggest.
pub type Estimator<'a> = &'a (dyn Fn(Schedule, &View) -> Schedule + Sync);

/// How a plan is to be run. Nothing of it changes a result.
#[derive(Clone)]
pub struct RunOptions<'a> {
    /// How many steps may run at a time; 0 counts as 1.
    pub jobs: usize,
    /// Whether anything may run.
    pub mode: RunMode,
    /// What is recorded with each result.
    pub maker: Maker,
    /// What other workers on the cache are told of this one, such as `run experiments/quickstart.toml`.
    pub doing: String,
    /// What the order of the steps goes by, and what a limit of time does.
    pub estimator: Option<Estimator<'a>>,
    /// Which part of the plan this worker takes.
    pub share: Share,
}

impl RunOptions<'_> {
    /// One step after the other, and all of them.
    #[must_use]
    pub fn new(maker: Maker) -> Self {
        Self { jobs: 1, mode: RunMode::Normal, maker, doing: String::new(), estimator: None, share: Share::default() }
    }
}

/// Which part of a plan a worker takes; the rest is left to others.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// The kinds of steps that it takes.
    pub takes: Takes,
    /// Whether it also waits for steps of kinds that it does not take, until the whole plan is done.
    pub to_the_end: bool,
    /// When it must end.
    pub limit: Option<Limit>,
    /// It ends when there was nothing to do for so long.
    pub idle: Option<Duration>,
    /// Steps that have failed since then, here or elsewhere, are not tried again; if not given, since the run began.
    pub failures_since: Option<StoreTime>,
}

/// Kinds of steps that a worker takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Takes {
    /// Every kind.
    #[default]
    All,
    /// These.
    Only(BTreeSet<String>),
    /// All but these.
    AllBut(BTreeSet<String>),
}

impl Takes {
    /// Whether steps of a kind are taken.
    fn includes(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.contains(kind),
            Self::AllBut(kinds) => !kinds.contains(kind),
        }
    }
}

/// When a worker must end.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The moment.
    pub until: Instant,
    /// Whether it also takes a step that cannot end by then, for another to go on from what it leaves.
    pub partly: bool,
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
    options: &RunOptions<'_>,
    observer: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<Summary, RunError> {
    let start = Instant::now();
    let missing = plan.missing_data();
    if !missing.is_empty() {
        return Err(RunError::MissingData(missing.into_iter().map(str::to_owned).collect()));
    }
    let (view, schedule) = survey(plan, store)?;
    let schedule = match options.estimator {
        Some(better) if schedule.to_run() > 0 => better(schedule, &view),
        _ => schedule,
    };
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
    let _at_work = if kinds.is_empty() { None } else { Some(store.begin(&kinds, &options.doing)?) };
    observer(Event::Planned { schedule: &schedule, view: &view });
    let run = Run {
        plan,
        store,
        env,
        maker: &options.maker,
        observer,
        cancel,
        shortage: OnceLock::new(),
        share: &options.share,
        given_up: OnceLock::new(),
        since: options.share.failures_since.or_else(|| store.workers().time()).unwrap_or(StoreTime(0.0)),
        board: Mutex::new(Board::of(plan, ranks(plan, &schedule), |kind| {
            options.share.to_the_end || options.share.takes.includes(kind)
        })),
        changed: Condvar::new(),
        beating: Repeat::default(),
        departures: Departures::default(),
        unfinished: Mutex::default(),
        keeping: Repeat::default(),
        helped: AtomicUsize::new(0),
        view,
        schedule,
    };
    run.settle_cached();
    if !run.board().is_done() {
        thread::scope(|scope| {
            scope.spawn(|| run.keep_beating());
            thread::scope(|scope| {
                if store.depot().is_some() {
                    (0..SENDERS).for_each(|_| drop(scope.spawn(|| run.send_away())));
                    scope.spawn(|| run.keep_unfinished());
                }
                thread::scope(|scope| {
                    for _ in 0..options.jobs.max(1) {
                        scope.spawn(|| run.work());
                    }
                });
                run.departures.close();
                run.keeping.end();
            });
            run.beating.end();
        });
    }
    store.settle()?;
    let helped = run.helped.load(Ordering::Relaxed);
    let summary = Summary { helped, ..run.board().summary(start.elapsed().as_secs_f64()) };
    observer(Event::Done { summary: &summary });
    Ok(summary)
}

/// So many finished steps go to a depot at a time.
const SENDERS: usize = 4;

/// Checkpoints of steps that run go to a depot that often.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(180);

/// A worker that waits for others finds out within so long that it is to stop.
const RESPONSE: Duration = Duration::from_millis(100);

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

/// What a thread does next.
enum Next {
    /// A step that is ready.
    Step(StepId),
    /// Parts of a step that another has.
    Help(StepId, Box<Holder>),
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
    pub(super) share: &'a Share,
    /// Set when this worker ends before the plan does.
    given_up: OnceLock<&'static str>,
    /// Steps that failed after this are not tried again.
    pub(super) since: StoreTime,
    view: View,
    schedule: Schedule,
    board: Mutex<Board>,
    changed: Condvar,
    /// Signs of life, until all is done.
    beating: Repeat,
    /// What is on its way to where other machines find it.
    pub(super) departures: Departures<'a>,
    unfinished: Mutex<BTreeMap<StepKey, PathBuf>>,
    /// Checkpoints go to the depot, until no step runs any more.
    keeping: Repeat,
    /// How many parts of others' steps were done here.
    helped: AtomicUsize,
}

/// How one step ended.
pub(super) enum Outcome {
    /// With a result.
    Result { status: Status, record: Arc<Kept>, seconds: f64 },
    /// Without a result: it failed or was skipped, and `why` says the reason.
    Nothing { status: Status, why: String, seconds: f64 },
    /// It is left to others for now.
    Left(Reason),
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
            let ready = self.board().is_ready(id);
            if ready && let Some(record) = self.foreseen(id) {
                let (step, status, seconds) = (self.plan.step(id), Status::Cached, record.seconds);
                (self.observer)(Event::Finished { id, step, status, seconds, error: None });
                let mut board = self.board();
                board.unready(id);
                board.results.insert(id, record);
                board.end(self.plan, id, status);
            }
        }
    }

    /// The record of a step that was cached when the run began, if its inputs still hold what it was made from.
    pub(super) fn foreseen(&self, id: StepId) -> Option<Arc<Kept>> {
        match (self.forecast(id), self.view.at(id, self.plan.step(id).identity())) {
            (Forecast::Cached, Lookup::Intact(record)) if self.is_made_from_results(id, record) => {
                Some(Arc::clone(record))
            }
            _ => None,
        }
    }

    /// Whether a step was made from what its finished inputs hold, and from nothing else.
    fn is_made_from_results(&self, id: StepId, kept: &Kept) -> bool {
        let board = self.board();
        let mut finished = self.plan.inputs(id).filter_map(|input| board.results.get(&input));
        let mut count = 0;
        finished.all(|input| {
            count += 1;
            kept.held_by(&input.key) == Some(input.content)
        }) && count == kept.inputs.len()
    }

    pub(super) fn forecast(&self, id: StepId) -> &Forecast {
        &self.schedule.step(id).forecast
    }

    /// What the finished inputs of a step hold.
    pub(super) fn contents(&self, id: StepId) -> BTreeMap<StepKey, ContentHash> {
        let board = self.board();
        let inputs = self.plan.inputs(id).filter_map(|input| board.results.get(&input));
        inputs.map(|record| (record.key.clone(), record.content)).collect()
    }

    /// Takes one ready step after the other until none is left.
    fn work(&self) {
        while let Some(next) = self.next() {
            match next {
                Next::Step(id) => {
                    let outcome = Attempt::new(self, id).perform();
                    self.finish(id, outcome);
                }
                Next::Help(id, holder) => {
                    self.helped.fetch_add(helping::help(self, id, &holder), Ordering::Relaxed);
                    self.board().elsewhere.helping -= 1;
                    self.changed.notify_all();
                }
            }
        }
    }

    /// The next ready step, or one that another has and that can be helped with; waits while others run that may make one ready,
    /// here or elsewhere.
    fn next(&self) -> Option<Next> {
        let mut board = self.board();
        loop {
            if board.is_done() {
                return None;
            }
            if self.stopped().is_some() || self.shortage.get().is_some() || self.has_nothing_to_come(&mut board) {
                board.take_back();
            }
            if board.elsewhere.is_due() {
                drop(board);
                self.look_elsewhere();
                board = self.board();
            }
            if let Some(id) = board.take() {
                board.elsewhere.idle_since = None;
                return Some(Next::Step(id));
            }
            if let Some((id, holder)) = self.to_help_with(&mut board) {
                board.elsewhere.idle_since = None;
                board.elsewhere.helping += 1;
                return Some(Next::Help(id, holder));
            }
            board = if board.elsewhere.steps.is_empty() {
                self.changed.wait(board).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.tell_waiting(&mut board);
                let pause = board.elsewhere.until_due().clamp(Duration::from_millis(1), RESPONSE);
                self.changed.wait_timeout(board, pause).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Whether all that is left was left to others, and none of it will be done by this worker: it has no time for it, or has
    /// waited for as long as it may.
    fn has_nothing_to_come(&self, board: &mut Board) -> bool {
        if board.is_busy() || !board.has_nothing_ready() {
            return false;
        }
        let idle = *board.elsewhere.idle_since.get_or_insert_with(Instant::now);
        let reasons = || board.elsewhere.steps.values().map(|(reason, _)| reason);
        let over = self.share.idle.is_some_and(|most| idle.elapsed() >= most);
        let nothing = over || reasons().next().is_some() && reasons().all(|reason| *reason == Reason::NoTime);
        if nothing {
            let _ = self.given_up.set(if over { IDLE } else { OUT_OF_TIME });
        }
        nothing
    }

    /// A step that another has and that this worker can help with. Workers look in different orders, so that each finds another.
    fn to_help_with(&self, board: &mut Board) -> Option<(StepId, Box<Holder>)> {
        if self.stopped().is_some() || self.shortage.get().is_some() {
            return None;
        }
        let me = self.store.workers().id();
        let away = &mut board.elsewhere;
        let mut theirs: Vec<(u64, StepId, &Holder)> = Vec::new();
        for (id, (reason, _)) in &away.steps {
            if let Reason::By(Some(holder)) = reason
                && away.looks.get(id).is_none_or(NextLook::is_due)
            {
                let mut order = DefaultHasher::new();
                (&me, id.index()).hash(&mut order);
                theirs.push((order.finish(), *id, holder));
            }
        }
        theirs.sort_unstable_by_key(|(order, id, _)| (*order, *id));
        let found = theirs.iter().position(|(_, id, _)| is_shared(self.store, self.plan.step(*id).identity()));
        let looked: Vec<StepId> =
            theirs.iter().take(found.map_or(theirs.len(), |found| found + 1)).map(|(_, id, _)| *id).collect();
        let found = found.map(|found| (theirs[found].1, Box::new(theirs[found].2.clone())));
        for id in looked {
            let next = NextLook::after(away.looks.get(&id));
            away.looks.insert(id, next);
        }
        found
    }

    /// Whether a worker that helps another has nothing of its own to do, as far as it knows.
    pub(super) fn has_nothing_better(&self) -> bool {
        let is_due = self.board().elsewhere.is_due();
        if is_due {
            self.look_elsewhere();
        }
        self.board().has_nothing_ready()
    }

    /// Whether nothing is left that this worker waits for.
    pub(super) fn has_done_its_part(&self) -> bool {
        self.board().is_done()
    }

    /// Finds out what has become of the steps that were left to others.
    fn look_elsewhere(&self) {
        let steps: Vec<StepId> = self.board().elsewhere.steps.keys().copied().collect();
        let keys: Vec<&StepKey> = steps.iter().map(|id| self.plan.step(*id).identity()).collect();
        let began = Instant::now();
        // What cannot be looked at now is looked at again.
        let found = self.store.elsewhere(&keys, self.since).unwrap_or_default();
        let mut board = self.board();
        let mut any = false;
        for (id, key) in steps.into_iter().zip(keys) {
            let Some((reason, _)) = board.elsewhere.steps.get(&id) else { continue };
            match found.get(key) {
                Some(Elsewhere::Ended) => {}
                Some(Elsewhere::Free) if matches!(reason, Reason::By(_)) => {}
                Some(Elsewhere::Free) if matches!(reason, Reason::Slow(until) if *until <= began) => {
                    board.insisted.insert(id);
                }
                Some(Elsewhere::By(holder)) if matches!(reason, Reason::By(_) | Reason::Slow(_)) => {
                    board.leave(id, Reason::By(Some(holder.clone())));
                    continue;
                }
                _ => continue,
            }
            any = true;
            board.elsewhere.steps.remove(&id);
            board.make_ready(id);
        }
        board.elsewhere.looked(began.elapsed(), any);
    }

    /// Another worker took a step first: what others have of the most urgent ones is left to them, without asking for each.
    fn leave_what_others_have(&self) {
        const MANY: usize = 512;
        let steps = self.board().most_urgent(MANY);
        let keys: Vec<&StepKey> = steps.iter().map(|id| self.plan.step(*id).identity()).collect();
        let Ok(claimed) = self.store.claimed(&keys) else { return };
        let mut board = self.board();
        for (id, key) in steps.into_iter().zip(keys) {
            if claimed.contains(key) && board.is_ready(id) {
                board.leave(id, Reason::By(None));
            }
        }
    }

    /// How long a step is left to faster workers, where only few are ready and this worker is slow.
    pub(super) fn leaves_to_faster(&self, id: StepId) -> Option<Duration> {
        /// No plan is spread over so many workers.
        const MANY: usize = 4096;
        let ready = {
            let board = self.board();
            if board.insisted.contains(&id) {
                return None;
            }
            board.ready() + 1
        };
        if ready > MANY {
            return None;
        }
        self.store.workers().better_left(self.plan.step(id).manifest().kind(), ready)
    }

    /// Tells, once nothing else is to do, for whom this worker waits.
    fn tell_waiting(&self, board: &mut Board) {
        if board.is_busy() {
            return;
        }
        for (id, (reason, told)) in &mut board.elsewhere.steps {
            let holder = match reason {
                Reason::By(Some(holder)) => Some(&**holder),
                Reason::OtherKind | Reason::NoTime => None,
                // Who has it is not known yet, or somebody soon will.
                Reason::By(None) | Reason::Slow(_) => continue,
            };
            let is_new = !std::mem::replace(told, true);
            let step = self.plan.step(*id);
            (self.observer)(Event::Waiting { id: *id, step, holder, is_new });
        }
    }

    /// Sends finished steps to the depot, each claimed until it is there.
    fn send_away(&self) {
        while let Some((claim, key)) = self.departures.next() {
            if let Some(depot) = self.store.depot() {
                depot.offer(self.store, &key);
            }
            drop(claim);
        }
    }

    /// Sends the checkpoints of steps that run to the depot now and again, for whoever may have to go on from them.
    fn keep_unfinished(&self) {
        self.keeping.every(BETWEEN_CHECKPOINTS, || {
            if let Some(depot) = self.store.depot() {
                for (key, scratch) in self.unfinished().clone() {
                    depot.offer_unfinished(&key, &scratch);
                }
            }
        });
    }

    /// The steps that run here, with where each keeps its checkpoints.
    pub(super) fn unfinished(&self) -> MutexGuard<'_, BTreeMap<StepKey, PathBuf>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives signs of life until all is done.
    fn keep_beating(&self) {
        /// What this worker has begun is told to others within so long.
        const NEWS: Duration = Duration::from_secs(1);
        let workers = self.store.workers();
        let pause = workers.patience().beat.min(NEWS);
        // One that fails is as one that came late.
        self.beating.every(pause, || drop(workers.beat_if_news(pause)));
    }

    /// Why nothing more is to be done, if so.
    pub(super) fn stopped(&self) -> Option<&'static str> {
        if self.cancel.is_cancelled() {
            return Some(CANCELLED);
        }
        let is_over = self.share.limit.is_some_and(|limit| limit.until <= Instant::now());
        if is_over { Some(OUT_OF_TIME) } else { self.given_up.get().copied() }
    }

    /// Whether this worker takes steps of a kind.
    pub(super) fn takes(&self, kind: &str) -> bool {
        self.share.takes.includes(kind)
    }

    /// Whether a step can end before this worker must, as far as that is known.
    pub(super) fn has_time_for(&self, id: StepId) -> bool {
        let Some(limit) = self.share.limit.filter(|limit| !limit.partly) else { return true };
        let left = limit.until.saturating_duration_since(Instant::now()).as_secs_f64();
        self.schedule.step(id).estimate.is_none_or(|estimate| estimate.seconds <= left)
    }

    /// Tells how a step ended, then lets its dependants go on, or skips them.
    pub(super) fn finish(&self, id: StepId, outcome: Outcome) {
        let step = self.plan.step(id);
        match outcome {
            Outcome::Left(reason) => {
                let collided = matches!(reason, Reason::By(_));
                self.board().leave(id, reason);
                if collided {
                    self.leave_what_others_have();
                }
            }
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
                let skipped = self.board().end_without_result(self.plan, id, status);
                for dependant in skipped {
                    let (step, status) = (self.plan.step(dependant), Status::Skipped);
                    (self.observer)(Event::Finished { id: dependant, step, status, seconds: 0.0, error: Some(&why) });
                }
            }
        }
        self.changed.notify_all();
    }
}
