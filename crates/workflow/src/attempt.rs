//! One step of a run, from its claim to its entry in the cache.

use std::any::Any;
use std::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::board::Reason;
use super::cancel::CANCELLED;
use super::event::{Event, Status};
use super::executor::{Outcome, Run};
use super::helping;
use super::key::StepKey;
use super::plan::{Step, StepId};
use super::schedule::Why;
use super::stage::{Context, Host, Part, Progress, StageError};
use super::store::{
    Difference, Draft, Kept, Lookup, Made, Maker, Record, Scrutiny, Store, StoreError, Stored, cause_of,
};
use super::workers::{Claim, Claiming};
use overinterp_foreign::bounded::{Needs, Shortage};

/// How often a step whose inputs get damaged under its hands is begun anew.
const TRIES: usize = 3;

/// Between two looks at an input that is damaged and that another computes.
const WAIT: Duration = Duration::from_millis(50);

/// Brings one step to its end.
pub(super) struct Attempt<'a, 'run, E> {
    run: &'a Run<'run, E>,
    id: StepId,
    step: &'a Step,
}

/// An end without a result.
struct Failure {
    status: Status,
    why: String,
    seconds: f64,
    /// Of what there is none left.
    shortage: Option<Shortage>,
}

impl Failure {
    fn skipped(why: String) -> Self {
        Self { status: Status::Skipped, why, seconds: 0.0, shortage: None }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let shortage = match error {
            StoreError::NoRoom { shortage, .. } => Some(shortage),
            _ => None,
        };
        Self { status: Status::Failed, why: chain(&error), seconds: 0.0, shortage }
    }
}

/// What came of a step.
enum Found {
    Result(Status, Arc<Record>, f64),
    Left(Reason),
}

impl Found {
    /// A result that was there, with the time that it once took.
    fn cached(record: Arc<Record>) -> Self {
        let seconds = record.seconds;
        Self::Result(Status::Cached, record, seconds)
    }
}

/// How a stage ended that was run.
enum Ended {
    With(Arc<Record>, f64),
    InputDamaged(StepId),
    /// Another has taken the step over.
    Lost,
}

impl<'a, 'run, E: Sync> Attempt<'a, 'run, E> {
    pub(super) fn new(run: &'a Run<'run, E>, id: StepId) -> Self {
        Self { run, id, step: run.plan.step(id) }
    }

    /// Takes the result from the cache, computes it, or leaves it to who has claimed it.
    pub(super) fn perform(&self) -> Outcome {
        if let Some(record) = self.run.foreseen(self.id) {
            let seconds = record.seconds;
            return Outcome::Result { status: Status::Cached, record, seconds };
        }
        self.ended(self.find_or_compute())
    }

    /// The same without trust in what was cached when the run began; waits where another has claimed it.
    fn redo(&self) -> Outcome {
        loop {
            match self.ended(self.find_or_compute()) {
                Outcome::Left(_) => std::thread::sleep(WAIT),
                ended => return ended,
            }
        }
    }

    fn ended(&self, ended: Result<Found, Failure>) -> Outcome {
        if let Some(shortage) = ended.as_ref().err().and_then(|failure| failure.shortage) {
            let _ = self.run.shortage.set(shortage); // The first one is told.
        }
        match ended {
            Ok(Found::Result(status, record, seconds)) => {
                Outcome::Result { status, record: Arc::new(Kept::of(&record)), seconds }
            }
            Ok(Found::Left(reason)) => Outcome::Left(reason),
            Err(Failure { status, why, seconds, .. }) => Outcome::Nothing { status, why, seconds },
        }
    }

    fn find_or_compute(&self) -> Result<Found, Failure> {
        if let Some(shortage) = self.run.shortage.get() {
            let why = format!("{}, so that nothing more is begun", shortage.name());
            return Err(Failure::skipped(why));
        }
        if let Some(why) = self.run.stopped() {
            return Err(Failure::skipped(why.to_owned()));
        }
        if let Some(record) = self.published()? {
            return Ok(Found::cached(record));
        }
        let takes = self.run.takes(self.key().kind());
        if !takes || !self.run.has_time_for(self.id) {
            if let Some(record) = self.brought() {
                return Ok(Found::cached(record));
            }
            if takes {
                return Ok(Found::Left(Reason::NoTime));
            }
            self.not_failed_elsewhere()?;
            return Ok(Found::Left(Reason::OtherKind));
        }
        if let Some(usual) = self.run.leaves_to_faster(self.id) {
            return Ok(Found::Left(Reason::Slow(Instant::now() + usual)));
        }
        let claim = match self.run.store.claim(self.key(), &self.step.label().to_string())? {
            Claiming::Held(claim) => claim,
            Claiming::By(holder) => return Ok(Found::Left(Reason::By(Some(holder)))),
        };
        for _ in 0..TRIES {
            if let Some(record) = self.find(&claim)? {
                return Ok(Found::cached(record));
            }
            self.not_failed_elsewhere()?;
            match self.compute(&claim)? {
                Ended::With(record, seconds) => {
                    if self.store().depot().is_some() {
                        self.run.departures.push(claim, self.key().clone());
                    }
                    return Ok(Found::Result(Status::Ran, record, seconds));
                }
                Ended::Lost => {
                    drop(claim);
                    self.warn("nothing was heard of this worker for long, and another has taken the step over");
                    // Whoever has it now is found out by asking.
                    return self.find_or_compute();
                }
                Ended::InputDamaged(input) => {
                    let outcome = Attempt::new(self.run, input).redo();
                    let repaired = matches!(outcome, Outcome::Result { .. });
                    self.run.finish(input, outcome);
                    if !repaired {
                        let why = format!("input {} failed", self.run.plan.step(input));
                        return Err(Failure::skipped(why));
                    }
                }
            }
        }
        let why = "its inputs in the cache are changed by something else while it runs".to_owned();
        Err(Failure { status: Status::Failed, why, seconds: 0.0, shortage: None })
    }

    /// The result that another worker may have put into the cache since the run began.
    fn published(&self) -> Result<Option<Arc<Record>>, StoreError> {
        if matches!(self.run.forecast(self.id).why(), Some(Why::Damaged(_))) {
            return Ok(None);
        }
        match self.store().look(self.key(), Scrutiny::Times)? {
            Lookup::Intact(record) if record.inputs == self.run.contents(self.id) => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// The result of a step that is left to others, where one of them has taken it to the depot.
    fn brought(&self) -> Option<Arc<Record>> {
        let (store, contents) = (self.store(), self.run.contents(self.id));
        store.depot()?.fetch(&store.arrivals_by(None), self.key(), &contents)
    }

    /// An error where another worker of the same run has found that the step fails.
    fn not_failed_elsewhere(&self) -> Result<(), Failure> {
        match self.store().failure_since(self.key(), self.run.since)? {
            None => Ok(()),
            Some(notice) => {
                let why = format!("it failed on {}: {}", notice.by, notice.why);
                Err(Failure { status: Status::Failed, why, seconds: 0.0, shortage: None })
            }
        }
    }

    /// The result from the cache: the step's own, which another run may have made by now, or that of another
    /// step which computed the same from the same bytes.
    fn find(&self, claim: &Claim<'_>) -> Result<Option<Arc<Record>>, StoreError> {
        let (store, key, contents) = (self.store(), self.key(), self.run.contents(self.id));
        let suspect = matches!(self.run.forecast(self.id).why(), Some(Why::Damaged(_)));
        match store.look(key, if suspect { Scrutiny::Bytes } else { Scrutiny::Times })? {
            Lookup::Intact(record) if record.inputs == contents => return Ok(Some(record)),
            Lookup::Intact(_) => self.warn("an input was made anew and holds other bytes than before"),
            Lookup::Damaged(damage) => {
                let aside = store.set_aside(key.kind(), key.hash(), claim)?;
                self.warn(&format!("damaged in the cache: {damage}; set aside as {}", aside.display()));
            }
            Lookup::Absent => {}
        }
        if let Some(depot) = store.depot()
            && let Some(record) = depot.fetch(&store.arrivals_by(Some(claim)), key, &contents)
        {
            return Ok(Some(record));
        }
        if contents.is_empty() {
            return Ok(None);
        }
        let content_key = self.step.manifest().content_key(&contents);
        let Some(same) = store.by_content(&content_key)? else { return Ok(None) };
        let draft = Draft {
            manifest: self.step.manifest().clone(),
            inputs: contents,
            labels: self.step.labels().to_vec(),
            seconds: same.seconds,
            made: same.made.clone(),
            taken_from: Some(same.key.clone()),
            notes: self.run.plan.stage(self.id).notes(),
        };
        store.take_over(&same, draft, claim)
    }

    /// Runs the stage and stores what it produced.
    fn compute(&self, claim: &Claim<'_>) -> Result<Ended, Failure> {
        let (store, key, inputs) = (self.store(), self.key(), self.run.contents(self.id));
        let why = self.run.forecast(self.id).why();
        (self.run.observer)(Event::Started { id: self.id, step: self.step, why });
        let scratch = store.start_scratch(key)?;
        if let Some(depot) = store.depot().filter(|_| is_empty(&scratch)) {
            depot.fetch_unfinished(key, &scratch);
        }
        let private = store.start_entry(key, claim)?;
        self.run.unfinished().insert(key.clone(), scratch.clone());
        let guest = Guest { attempt: self, claim, damaged: Mutex::new(None), before: Mutex::new(0.0) };
        let context = Context { env: self.run.env, host: &guest, scratch: &scratch };
        let start = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| self.run.plan.stage(self.id).run_into(&context, &private)));
        let seconds = start.elapsed().as_secs_f64();
        self.run.unfinished().remove(key);
        let failure = match ended {
            Ok(Ok(())) => None,
            Ok(Err(StageError::Cancelled)) if guest.cancelled() => {
                let why = self.run.stopped().unwrap_or(CANCELLED).to_owned();
                Some(Failure { seconds, ..Failure::skipped(why) })
            }
            Ok(Err(error)) => {
                let (shortage, mut why) = match &error {
                    // Nobody asked it to stop.
                    StageError::Cancelled => (None, error.to_string()),
                    StageError::Failed(error) => (cause_of(&**error).and_then(Shortage::of), chain(&**error)),
                };
                if let Some(shortage) = shortage {
                    let written = [&private, &scratch].map(|dir| store.bytes_under(dir)).iter().sum();
                    let told = shortage.told("the step", &private, Some(Needs::MoreThan(written)));
                    why = format!("{why}: {told}");
                }
                Some(Failure { status: Status::Failed, why, seconds, shortage })
            }
            Err(panic) => {
                Some(Failure { status: Status::Failed, why: panic_text(panic.as_ref()), seconds, shortage: None })
            }
        };
        if let Some(failure) = failure {
            if let Some(depot) = store.depot().filter(|_| !is_empty(&scratch) && !claim.is_lost()) {
                depot.offer_unfinished(key, &scratch);
            }
            // Checkpoints stay, an empty scratch directory does not. A private directory that cannot be removed
            // now is removed when the step next begins.
            let _ = fs::remove_dir(&scratch);
            let _ = fs::remove_dir_all(&private);
            return match guest.damaged() {
                Some(input) => Ok(Ended::InputDamaged(input)),
                // Whatever it failed of: who has the step now may have taken its files away.
                None if self.is_lost(claim) => Ok(Ended::Lost),
                None => {
                    // Where there is no room, another may have some.
                    if failure.status == Status::Failed && failure.shortage.is_none() {
                        store.note_failure(key, &failure.why);
                    }
                    Err(failure)
                }
            };
        }
        let made = Made::now(self.run.maker);
        let (manifest, labels) = (self.step.manifest().clone(), self.step.labels().to_vec());
        let notes = self.run.plan.stage(self.id).notes();
        let whole = guest.before() + seconds;
        let draft = Draft { manifest, inputs, labels, seconds: whole, made, taken_from: None, notes };
        let Stored { record, difference } = match store.finish_entry(&private, draft, claim) {
            Ok(stored) => stored,
            Err(error) => {
                let _ = fs::remove_dir_all(&private);
                return if self.is_lost(claim) { Ok(Ended::Lost) } else { Err(error.into()) };
            }
        };
        if let Some(difference) = difference {
            self.warn(&told(&difference));
        }
        store.forget_failure(key);
        store.workers().note_pace(key.kind(), seconds);
        if !claim.is_lost() {
            // The result is there, whatever becomes of the checkpoints; garbage collection finds them.
            let _ = store.drop_scratch(key);
        }
        Ok(Ended::With(record, seconds))
    }

    /// Whether another has the step by now, which may be why something of this one fails.
    fn is_lost(&self, claim: &Claim<'_>) -> bool {
        self.run.stopped().is_none() && claim.is_lost_by_now()
    }

    fn key(&self) -> &StepKey {
        self.step.identity()
    }

    fn store(&self) -> &Store {
        self.run.store
    }

    fn warn(&self, message: &str) {
        (self.run.observer)(Event::Warning { step: self.step, message });
    }

    fn log(&self, line: &str) {
        (self.run.observer)(Event::Log { id: self.id, step: self.step, line });
    }
}

/// Whether a step has left nothing to go on from.
fn is_empty(scratch: &Path) -> bool {
    fs::read_dir(scratch).map_or(true, |mut entries| entries.next().is_none())
}

/// What a running stage sees of the executor.
struct Guest<'a, 'run, E> {
    attempt: &'a Attempt<'a, 'run, E>,
    claim: &'a Claim<'a>,
    damaged: Mutex<Option<StepId>>,
    /// Seconds of interrupted runs, from which the step goes on.
    before: Mutex<f64>,
}

impl<E> Guest<'_, '_, E> {
    fn damaged(&self) -> Option<StepId> {
        *self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn before(&self) -> f64 {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an input is not handed to a stage.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("{0} is not among the stage's inputs")]
    Undeclared(StepKey),
    #[error("input {step} in the cache is damaged: {damage}")]
    Damaged { input: StepId, step: String, damage: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The directory of a finished input of a step.
pub(super) fn input_of<E>(run: &Run<'_, E>, id: StepId, key: &StepKey) -> Result<PathBuf, InputError> {
    let declared = run.plan.inputs(id).find(|input| run.plan.step(*input).identity() == key);
    let input = declared.ok_or_else(|| InputError::Undeclared(key.clone()))?;
    let damage = match run.store.look(key, Scrutiny::Times)? {
        Lookup::Intact(_) => return Ok(run.store.dir(key)),
        Lookup::Damaged(damage) => damage,
        Lookup::Absent => "it has just been removed".to_owned(),
    };
    Err(InputError::Damaged { input, step: run.plan.step(input).to_string(), damage })
}

impl<E: Sync> Host for Guest<'_, '_, E> {
    fn input(&self, key: &StepKey) -> Result<PathBuf, StageError> {
        let found = input_of(self.attempt.run, self.attempt.id, key);
        if let Err(InputError::Damaged { input, .. }) = found {
            *self.damaged.lock().unwrap_or_else(PoisonError::into_inner) = Some(input);
        }
        Ok(found?)
    }

    fn cancelled(&self) -> bool {
        self.attempt.run.stopped().is_some() || self.claim.is_lost()
    }

    fn progress(&self, progress: Progress<'_>) {
        let Attempt { run, id, step } = *self.attempt;
        self.claim.note(&progress);
        (run.observer)(Event::Progress { id, step, progress });
    }

    fn log(&self, line: &str) {
        self.attempt.log(line);
    }

    fn spent_before(&self, seconds: f64) {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) += seconds.max(0.0);
    }

    fn share(&self, like: &str) -> Result<(), StageError> {
        let store = self.attempt.store();
        Ok(helping::share(store, &store.scratch(self.attempt.key()), like)?)
    }

    fn claim_part(&self, part: &str) -> Result<Part<'_>, StageError> {
        helping::claim_part(self.attempt.store(), self.attempt.key(), part, "")
    }
}

/// That a step is not deterministic, and where that showed.
fn told(difference: &Difference) -> String {
    let Difference { files, kept, other, aside } = difference;
    let made = |made: &Made| {
        let Maker { program, host, device } = &made.by;
        format!("{program} on {host} ({device}) at {}", made.date)
    };
    format!(
        "it is not deterministic: two workers computed it from the same inputs, and {} differ: {}, which is kept, and {}, set aside as {}",
        files.join(", "),
        made(kept),
        made(other),
        aside.display()
    )
}

/// An error's text with those of all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("internal error, please report it: {}", said.unwrap_or("a panic without a message"))
}
