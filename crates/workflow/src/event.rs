//! What a run tells as it goes. Whoever runs a plan decides what of it people see.

use std::fmt;

use serde::Serialize;

use super::plan::{Step, StepId};
use super::schedule::{Schedule, Why};
use super::stage::Progress;
use super::view::View;
use super::workers::Holder;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was computed.
    Ran,
    /// Its result was there, or another step had the same.
    Cached,
    /// It ended in an error.
    Failed,
    /// It was not run, because an input failed or the run was cancelled.
    Skipped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ran => "ran",
            Self::Cached => "cached",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// How many steps ended how. The first five counts add up to the steps of the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Steps that were computed.
    pub ran: usize,
    /// Steps whose result was there, or the same as that of another step.
    pub cached: usize,
    /// Ended in an error.
    pub failed: usize,
    /// Steps that were not run, because an input failed or the run was cancelled.
    pub skipped: usize,
    /// Steps of kinds that this worker leaves to others, and that have not ended when it has done its part.
    pub left: usize,
    /// Parts of steps that others had, with which this worker helped.
    pub helped: usize,
    /// Wall-clock time of the whole run.
    pub seconds: f64,
}

/// Something that happened in a run. Events of different steps may come from different threads at once.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The first event: what is about to be done.
    Planned {
        /// For each step, whether it will run and why.
        schedule: &'a Schedule,
        /// What the cache held.
        view: &'a View,
    },
    /// A step begins to run.
    Started {
        /// Its place in the plan.
        id: StepId,
        /// What is about to be computed, as the plan has it.
        step: &'a Step,
        /// Why it was expected to run; `None` when the schedule took it for cached.
        why: Option<&'a Why>,
    },
    /// A running step has come further.
    Progress {
        /// Its place in the plan.
        id: StepId,
        /// What is being computed, as the plan has it.
        step: &'a Step,
        /// How many of its images, epochs or the like are done.
        progress: Progress<'a>,
    },
    /// A running step says something.
    Log {
        /// Its place in the plan.
        id: StepId,
        /// What is being computed, as the plan has it.
        step: &'a Step,
        /// The line to show: what it found, or which part of a stopped run it goes on from.
        line: &'a str,
    },
    /// Nothing is ready but what others have: the run waits for them. Comes for each such step, again and again.
    Waiting {
        /// Its place in the plan.
        id: StepId,
        /// What is waited for, as the plan has it.
        step: &'a Step,
        /// Who works on it; `None` where nobody does that is known, and this worker does not take it.
        holder: Option<&'a Holder>,
        /// Whether it has not been told before that this one is waited for.
        is_new: bool,
    },
    /// This worker, having nothing else to do, begins to help another with parts of a step.
    Helping {
        /// Its place in the plan.
        id: StepId,
        /// What is helped with, as the plan has it.
        step: &'a Step,
        /// Who has it.
        holder: &'a Holder,
    },
    /// No part of such a step is left to help with, or something else is to do.
    Helped {
        /// Its place in the plan.
        id: StepId,
        /// What was helped with, as the plan has it.
        step: &'a Step,
        /// How many parts were taken.
        parts: usize,
    },
    /// A step is done with. Comes once for each step of the plan, and once more for an input that turned out to
    /// be damaged while a dependant loaded it, and was recomputed.
    Finished {
        /// Its place in the plan.
        id: StepId,
        /// What has ended, as the plan has it.
        step: &'a Step,
        /// How it ended.
        status: Status,
        /// How long it ran; for a cached step, how long it once ran.
        seconds: f64,
        /// For a failed or skipped step, why, with every cause down to the first.
        error: Option<&'a str>,
    },
    /// Something to know about that did not stop the run.
    Warning {
        /// The step that it concerns.
        step: &'a Step,
        /// What happened, such as that a damaged result was set aside.
        message: &'a str,
    },
    /// The last event.
    Done {
        /// What it came to.
        summary: &'a Summary,
    },
}
