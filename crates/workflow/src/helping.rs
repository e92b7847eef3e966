//! A worker that has nothing else to do helps another with parts of the step that it has.
//!
//! A stage that works in parts says so, and keeps each in the step's scratch directory. Whoever has the step takes its parts
//! from the first on, a helper from the last. Each part is claimed by itself. The result is put together, and published, by the
//! one that has the step.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::attempt::input_of;
use super::event::Event;
use super::executor::Run;
use super::key::StepKey;
use super::plan::{Step, StepId};
use super::stage::{Context, Host, Part, PartClaim, Progress, StageError};
use super::store::Store;
use super::workers::{Claiming, Holder};
use overinterp_foreign::bounded;

/// The file in a step's scratch directory that says that its parts may be helped with, and what they must be like.
const SHARED: &str = "shared";

/// Between two looks at whether a step that another has may be helped with, at first and at most.
const SOON: Duration = Duration::from_millis(250);
const LATE: Duration = Duration::from_secs(30);

/// When a step is next looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextLook {
    at: Instant,
    pause: Duration,
}

impl NextLook {
    /// Whether it is time.
    pub fn is_due(&self) -> bool {
        self.at <= Instant::now()
    }

    /// After a look that found no part to help with.
    pub fn after(last: Option<&Self>) -> Self {
        let pause = last.map_or(SOON, |last| (last.pause * 2).min(LATE));
        Self { at: Instant::now() + pause, pause }
    }
}

/// Whether the parts of a step that another has may be helped with.
pub(super) fn is_shared(store: &Store, key: &StepKey) -> bool {
    // Parts that go by a depot are seen too late.
    store.depot().is_none() && store.scratch(key).join(SHARED).is_file()
}

/// Says in a step's scratch directory what its parts are like.
pub(super) fn share(store: &Store, scratch: &Path, like: &str) -> io::Result<()> {
    // At once: a helper that reads half of it takes it for another's.
    if store.depot().is_some() { Ok(()) } else { bounded::replace(&scratch.join(SHARED), like.as_bytes()) }
}

/// Claims a part of a step, for this worker to be told as doing `told` if that is not empty.
pub(super) fn claim_part<'a>(store: &'a Store, key: &StepKey, part: &str, told: &str) -> Result<Part<'a>, StageError> {
    if store.depot().is_some() {
        return Ok(Part::Mine(PartClaim { _claim: None }));
    }
    Ok(match store.claim_part(key, part, told)? {
        Claiming::Held(claim) => Part::Mine(PartClaim { _claim: Some(claim) }),
        Claiming::By(_) => Part::Theirs,
    })
}

/// Helps with a step that another has for as long as parts of it are free and nothing else is ready; gives how many parts.
pub(super) fn help<E: Sync>(run: &Run<'_, E>, id: StepId, holder: &Holder) -> usize {
    let step = run.plan.step(id);
    let scratch = run.store.scratch(step.identity());
    let looked = Mutex::new(Instant::now());
    let helper = Helper { run, id, step, holder, scratch: &scratch, parts: Mutex::new(0), looked };
    let context = Context { env: run.env, host: &helper, scratch: &scratch };
    // What fails here fails where the step is, and is told there.
    let _ = catch_unwind(AssertUnwindSafe(|| run.plan.stage(id).help(&context)));
    let parts = helper.parts();
    if parts > 0 {
        (run.observer)(Event::Helped { id, step, parts });
    }
    parts
}

/// What a stage sees of the executor whose parts are helped with.
struct Helper<'a, 'run, E> {
    run: &'a Run<'run, E>,
    id: StepId,
    step: &'a Step,
    holder: &'a Holder,
    scratch: &'a Path,
    /// How many it has begun.
    parts: Mutex<usize>,
    /// When it was last seen that the step is still there.
    looked: Mutex<Instant>,
}

impl<E> Helper<'_, '_, E> {
    fn parts(&self) -> usize {
        *self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the step is still to be put together, found out once in a while.
    fn is_there(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() < Duration::from_secs(1) {
            return true;
        }
        *looked = Instant::now();
        self.scratch.join(SHARED).is_file()
    }
}

impl<E: Sync> Host for Helper<'_, '_, E> {
    fn input(&self, key: &StepKey) -> Result<PathBuf, StageError> {
        Ok(input_of(self.run, self.id, key)?)
    }

    fn cancelled(&self) -> bool {
        self.run.stopped().is_some() || self.run.has_done_its_part() || !self.is_there()
    }

    fn progress(&self, _progress: Progress<'_>) {}

    fn log(&self, line: &str) {
        (self.run.observer)(Event::Log { id: self.id, step: self.step, line });
    }

    fn spent_before(&self, _seconds: f64) {}

    fn helps(&self) -> bool {
        true
    }

    fn share(&self, like: &str) -> Result<(), StageError> {
        let theirs = fs::read(self.scratch.join(SHARED))?;
        if theirs == like.as_bytes() { Ok(()) } else { Err(StageError::Cancelled) }
    }

    fn claim_part(&self, part: &str) -> Result<Part<'_>, StageError> {
        let told = format!("{} ({part})", self.step.label());
        let claimed = claim_part(self.run.store, self.step.identity(), part, &told)?;
        if matches!(claimed, Part::Mine(_)) {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            *parts += 1;
            if *parts == 1 {
                (self.run.observer)(Event::Helping { id: self.id, step: self.step, holder: self.holder });
            }
        }
        Ok(claimed)
    }

    fn goes_on(&self) -> bool {
        !self.cancelled() && self.run.has_nothing_better()
    }
}
