//! Which steps of a plan will run, and why. Pure: it is told what the cache holds.

use std::collections::BTreeMap;
use std::fmt;

use super::change::Change;
use super::key::{ContentHash, StepKey};
use super::neighbours::Neighbours;
use super::plan::{Plan, Step, StepId};
use super::store::{Kept, Lookup};
use super::view::View;

/// What is expected of one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Forecast {
    /// Its result is in the cache.
    Cached,
    /// It must run.
    Run(Why),
    /// An input must run first; should that yield the same bytes as before, this step is cut off.
    Maybe(Why),
}

impl Forecast {
    /// Whether the step's result is in the cache.
    #[must_use]
    pub const fn is_cached(&self) -> bool {
        matches!(self, Self::Cached)
    }

    /// `cached` or `run`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Run(_) | Self::Maybe(_) => "run",
        }
    }

    /// Whether the step may yet turn out not to be needed.
    #[must_use]
    pub const fn is_maybe(&self) -> bool {
        matches!(self, Self::Maybe(_))
    }

    /// Why the step must run.
    #[must_use]
    pub const fn why(&self) -> Option<&Why> {
        match self {
            Self::Cached => None,
            Self::Run(why) | Self::Maybe(why) => Some(why),
        }
    }
}

/// The first cause of a step having to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// Data that it is made from are absent; the text says which.
    DataAbsent(String),
    /// Its entry is damaged; the text says how.
    Damaged(String),
    /// A step that it depends on, directly or not, must run, which is named with its key.
    Input(String),
    /// It was made from what an input held before that was made anew.
    InputDiffers(String),
    /// The cache holds what it was before an edit.
    Changed {
        /// The key that it had.
        from: StepKey,
        /// What was edited.
        changes: Vec<Change>,
    },
    /// Nothing like it has been run.
    NeverRun,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataAbsent(why) => write!(f, "no usable data: {why}"),
            Self::Damaged(damage) => write!(f, "damaged: {damage}"),
            Self::Input(step) => write!(f, "input {step} must run"),
            Self::InputDiffers(step) => write!(f, "input {step} no longer holds what this was made from"),
            Self::Changed { changes, .. } => {
                let texts: Vec<String> = changes.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Self::NeverRun => f.write_str("never run"),
        }
    }
}

/// What is expected of each step of a plan.
#[derive(Clone, Debug)]
pub struct Schedule {
    steps: Vec<Scheduled>,
}

/// What is expected of one step, and how long it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    /// Whether it will run.
    pub forecast: Forecast,
    /// For a step that will run, what the most similar one took; `None` when there is none.
    pub estimate: Option<Estimate>,
}

/// How long a step may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The expected wall-clock time, in seconds.
    pub seconds: f64,
    /// What it rests on.
    pub basis: Basis,
}

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Steps that differ in nothing but their inputs.
    Alike,
    /// A step that differs in one setting, which may be the one that costs.
    Similar,
    /// Rates that were measured on this machine.
    Rates,
    /// Such rates, for more work than there may be.
    AtMost,
}

impl Basis {
    /// `alike`, `similar`, `rates` or `at-most`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alike => "alike",
            Self::Similar => "similar",
            Self::Rates => "rates",
            Self::AtMost => "at-most",
        }
    }
}

impl Schedule {
    /// Schedules `plan` on a cache of which `view` was taken.
    #[must_use]
    pub fn new<E>(plan: &Plan<E>, view: &View) -> Self {
        let history = view.history().iter().map(AsRef::as_ref);
        let neighbours = Neighbours::new(history, |key| plan.find(key).is_some());
        let mut schedule = Self { steps: Vec::with_capacity(plan.len()) };
        // For each step that must run, the step that is the first cause of it.
        let mut roots: Vec<Option<StepId>> = Vec::with_capacity(plan.len());
        for (id, step) in plan.steps() {
            let input_root = plan.inputs(id).find_map(|input| roots[input.index()]);
            let forecast = schedule.forecast(plan, view, &neighbours, id, input_root);
            roots.push(match (&forecast, input_root) {
                (Forecast::Cached, _) => None,
                (_, Some(root)) => Some(root),
                (_, None) => Some(id),
            });
            let estimate = if forecast.is_cached() { None } else { neighbours.estimate(step.manifest()) };
            schedule.steps.push(Scheduled { forecast, estimate });
        }
        schedule
    }

    /// The forecast of one step, those of its inputs being known.
    fn forecast<E>(
        &self,
        plan: &Plan<E>,
        view: &View,
        neighbours: &Neighbours<'_>,
        id: StepId,
        input_root: Option<StepId>,
    ) -> Forecast {
        let step = plan.step(id);
        if let Some(why) = step.absent() {
            return Forecast::Run(Why::DataAbsent(why.to_owned()));
        }
        let why = match view.at(id, step.identity()) {
            Lookup::Intact(kept) => match self.stale_input(plan, view, id, kept) {
                None => return Forecast::Cached,
                Some(input) => Why::InputDiffers(plan.step(input).to_string()),
            },
            Lookup::Damaged(damage) => Why::Damaged(damage.clone()),
            Lookup::Absent => match input_root {
                // An edit of its own is not to be hidden by one of what it needs.
                Some(root) => match neighbours.own_edit(step) {
                    Some((record, changes)) => Why::Changed { from: record.key.clone(), changes },
                    None => Why::Input(plan.step(root).to_string()),
                },
                None => neighbours
                    .predecessor(step)
                    .map_or(Why::NeverRun, |(record, changes)| Why::Changed { from: record.key.clone(), changes }),
            },
        };
        let (contents, inputs) = (self.contents(plan, view, id), plan.inputs(id).len());
        let may_be_cut_off = if contents.len() < inputs {
            neighbours.has_shape(step.manifest())
        } else {
            inputs > 0 && neighbours.has_content(&step.manifest().content_key(&contents))
        };
        if may_be_cut_off { Forecast::Maybe(why) } else { Forecast::Run(why) }
    }

    /// The first in the order of keys of the cached inputs that do not hold what a step was made from.
    fn stale_input<E>(&self, plan: &Plan<E>, view: &View, id: StepId, kept: &Kept) -> Option<StepId> {
        let stale = |input: &StepId| match self.cached_as(plan, view, *input) {
            Some(now) => kept.held_by(&now.key) != Some(now.content),
            None => false,
        };
        plan.inputs(id).filter(stale).min_by_key(|input| plan.step(*input).identity())
    }

    /// What the cache holds of a step that is not to run.
    fn cached_as<'v, E>(&self, plan: &Plan<E>, view: &'v View, id: StepId) -> Option<&'v Kept> {
        match (self.forecast_of(id), view.at(id, plan.step(id).identity())) {
            (Forecast::Cached, Lookup::Intact(kept)) => Some(kept),
            _ => None,
        }
    }

    /// What those inputs hold that are cached.
    fn contents<E>(&self, plan: &Plan<E>, view: &View, id: StepId) -> BTreeMap<StepKey, ContentHash> {
        let cached = plan.inputs(id).filter_map(|input| self.cached_as(plan, view, input));
        cached.map(|kept| (kept.key.clone(), kept.content)).collect()
    }

    /// What is expected of each step, in the plan's order.
    #[must_use]
    pub fn steps(&self) -> &[Scheduled] {
        &self.steps
    }

    /// Lets `better` put its own estimate in the place of what earlier runs suggest, for each step that must run.
    #[must_use]
    pub fn estimated_by<E>(
        mut self,
        plan: &Plan<E>,
        better: impl Fn(&Step, Option<Estimate>) -> Option<Estimate>,
    ) -> Self {
        for ((_, step), scheduled) in plan.steps().zip(&mut self.steps) {
            if !scheduled.forecast.is_cached() {
                scheduled.estimate = better(step, scheduled.estimate);
            }
        }
        self
    }

    /// What is expected of one step.
    #[must_use]
    pub fn step(&self, id: StepId) -> &Scheduled {
        &self.steps[id.index()]
    }

    fn forecast_of(&self, id: StepId) -> &Forecast {
        &self.step(id).forecast
    }

    /// How many steps are in the cache.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.steps.iter().filter(|step| step.forecast.is_cached()).count()
    }

    /// How many steps must run, those included that may be cut off.
    #[must_use]
    pub fn to_run(&self) -> usize {
        self.steps.len() - self.cached()
    }
}
