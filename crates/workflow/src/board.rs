//! Where each step of a run stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::{Status, Summary};
use super::helping::NextLook;
use super::plan::{Plan, StepId};
use super::store::Kept;
use super::workers::Holder;

/// Between two looks at what others work on, at first and at most.
const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(1);

/// Where each step stands.
pub(crate) struct Board {
    /// Inputs that are not done yet.
    waiting_for: Vec<usize>,
    /// Steps whose inputs are there, by their rank.
    ready: BTreeSet<(usize, StepId)>,
    ranks: Vec<usize>,
    pub running: BTreeSet<StepId>,
    ended: Vec<Option<Status>>,
    pub results: BTreeMap<StepId, Arc<Kept>>,
    left: usize,
    /// For the end of which steps this worker waits, and how many of them have not ended.
    mine: Vec<bool>,
    mine_left: usize,
    pub elsewhere: Away,
    /// Steps that were left to faster workers in vain.
    pub insisted: BTreeSet<StepId>,
}

/// Steps that are ready and left to others for now.
pub(crate) struct Away {
    /// Why each is left to others, and whether that was told.
    pub steps: BTreeMap<StepId, (Reason, bool)>,
    /// When others were last looked at.
    looked: Instant,
    /// How long the next look is put off.
    pause: Duration,
    /// Since when there has been nothing to do.
    pub idle_since: Option<Instant>,
    /// When each is next looked at for whether it may be helped with; those that are not here, at once.
    pub looks: BTreeMap<StepId, NextLook>,
    /// How many threads help others.
    pub helping: usize,
}

/// Why a step is left to others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reason {
    /// Another works on it; which one is not known before the next look.
    By(Option<Box<Holder>>),
    /// Faster workers will be done with it sooner, unless it is still there then.
    Slow(Instant),
    /// It is of a kind that this worker does not take.
    OtherKind,
    /// It cannot end before this worker must.
    NoTime,
}

impl Reason {
    /// Whether the same worker has the step, or nobody.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::By(one), Self::By(other)) => {
                one.as_ref().map(|holder| &holder.id) == other.as_ref().map(|holder| &holder.id)
            }
            (one, other) => one == other,
        }
    }
}

impl Away {
    /// Whether it is time to look again.
    pub fn is_due(&self) -> bool {
        !self.steps.is_empty() && self.looked.elapsed() >= self.pause
    }

    /// How long until then.
    pub fn until_due(&self) -> Duration {
        self.pause.saturating_sub(self.looked.elapsed())
    }

    /// A look that took `cost` has found something, or nothing.
    pub fn looked(&mut self, cost: Duration, found: bool) {
        self.looked = Instant::now();
        let next = if found { SOON } else { (self.pause * 3 / 2).min(LATE) };
        // A look at a slow store is not all that is done.
        self.pause = next.max(cost * 10);
    }
}

impl Board {
    /// Nothing has run; `ranks` says which step is taken first, and `concerns` of which kinds this worker waits for the end.
    pub fn of<E>(plan: &Plan<E>, ranks: Vec<usize>, concerns: impl Fn(&str) -> bool) -> Self {
        let mine: Vec<bool> = plan.steps().map(|(_, step)| concerns(step.manifest().kind())).collect();
        let waiting_for: Vec<usize> = plan.steps().map(|(id, _)| plan.inputs(id).len()).collect();
        let first = plan.steps().map(|(id, _)| id).filter(|id| waiting_for[id.index()] == 0);
        let ready = first.map(|id| (ranks[id.index()], id)).collect();
        let elsewhere = Away {
            steps: BTreeMap::new(),
            looked: Instant::now(),
            pause: SOON,
            idle_since: None,
            looks: BTreeMap::new(),
            helping: 0,
        };
        Self {
            waiting_for,
            ready,
            ranks,
            running: BTreeSet::new(),
            ended: vec![None; plan.len()],
            results: BTreeMap::new(),
            left: plan.len(),
            mine_left: mine.iter().filter(|mine| **mine).count(),
            mine,
            elsewhere,
            insisted: BTreeSet::new(),
        }
    }

    pub fn summary(&self, seconds: f64) -> Summary {
        let count = |status| self.ended.iter().filter(|&&ended| ended == Some(status)).count();
        Summary {
            ran: count(Status::Ran),
            cached: count(Status::Cached),
            failed: count(Status::Failed),
            skipped: count(Status::Skipped),
            left: self.left,
            helped: 0,
            seconds,
        }
    }

    /// Whether this worker has done its part.
    pub const fn is_done(&self) -> bool {
        self.mine_left == 0
    }

    pub fn is_ready(&self, id: StepId) -> bool {
        self.ready.contains(&(self.ranks[id.index()], id))
    }

    /// Takes a step out of those that are ready.
    pub fn unready(&mut self, id: StepId) {
        self.ready.remove(&(self.ranks[id.index()], id));
    }

    pub fn make_ready(&mut self, id: StepId) {
        self.ready.insert((self.ranks[id.index()], id));
    }

    /// Takes the most urgent step that is ready.
    pub fn take(&mut self) -> Option<StepId> {
        let (_, id) = self.ready.pop_first()?;
        self.running.insert(id);
        Some(id)
    }

    /// Whether a thread runs a step, or helps another worker with one.
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty() || self.elsewhere.helping > 0
    }

    pub fn has_nothing_ready(&self) -> bool {
        self.ready.is_empty()
    }

    /// How many steps are ready.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The most urgent steps that are ready.
    pub fn most_urgent(&self, count: usize) -> Vec<StepId> {
        self.ready.iter().take(count).map(|(_, id)| *id).collect()
    }

    /// Leaves a step that was taken, or is ready, to others.
    pub fn leave(&mut self, id: StepId, reason: Reason) {
        self.running.remove(&id);
        self.unready(id);
        let before = self.elsewhere.steps.get(&id).filter(|(before, _)| before.is_same(&reason));
        let told = before.is_some_and(|(_, told)| *told);
        if before.is_none() {
            self.elsewhere.looks.remove(&id);
        }
        self.elsewhere.steps.insert(id, (reason, told));
    }

    /// Takes back every step that was left to others.
    pub fn take_back(&mut self) {
        for id in std::mem::take(&mut self.elsewhere.steps).into_keys() {
            self.make_ready(id);
        }
    }

    /// Whether a step has ended.
    fn has_ended(&self, id: StepId) -> bool {
        self.ended[id.index()].is_some()
    }

    /// Notes the end of a step and makes ready what waited for it alone.
    pub fn end<E>(&mut self, plan: &Plan<E>, id: StepId, status: Status) {
        self.running.remove(&id);
        self.elsewhere.steps.remove(&id);
        if self.ended[id.index()].replace(status).is_some() {
            return;
        }
        self.left -= 1;
        self.mine_left -= usize::from(self.mine[id.index()]);
        for dependant in plan.dependants(id) {
            self.waiting_for[dependant.index()] -= 1;
            if self.waiting_for[dependant.index()] == 0 && self.ended[dependant.index()].is_none() {
                self.make_ready(dependant);
            }
        }
    }

    /// Ends a step and, as skipped, all that depends on it; gives the latter in the plan's order.
    pub fn end_without_result<E>(&mut self, plan: &Plan<E>, id: StepId, status: Status) -> BTreeSet<StepId> {
        let mut skipped = BTreeSet::new();
        let mut without = vec![id];
        while let Some(next) = without.pop() {
            // One that runs although an input is lost has loaded it before, and ends by itself.
            let waiting = |step: &StepId| !self.has_ended(*step) && !self.running.contains(step);
            let dependants: Vec<StepId> = plan.dependants(next).filter(waiting).collect();
            for dependant in dependants {
                self.end(plan, dependant, Status::Skipped);
                skipped.insert(dependant);
                without.push(dependant);
            }
        }
        self.end(plan, id, status);
        for step in &skipped {
            self.unready(*step);
        }
        skipped
    }
}
