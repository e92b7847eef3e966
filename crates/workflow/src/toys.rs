//! Stages on numbers and texts, for the executor's tests.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;

use serde::Serialize;

use super::cancel::Cancel;
use super::event::{Event, Status, Summary};
use super::executor::{RunError, RunOptions, run};
use super::key::{Key, StepKey};
use super::plan::{Label, Plan};
use super::stage::{Artifact, ArtifactError, Context, Part, Stage, StageError};
use super::store::{Maker, Store};

/// A number in a file of its own.
#[derive(Debug, PartialEq)]
pub struct Number(pub i64);

impl Artifact for Number {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        for (name, text) in [("number.txt", self.0.to_string()), ("sign.txt", self.0.signum().to_string())] {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(|error| ArtifactError::writing(&path, error))?;
        }
        Ok(())
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        let path = dir.join("number.txt");
        let text = std::fs::read_to_string(&path).map_err(|error| ArtifactError::reading(&path, error))?;
        text.parse().map(Self).map_err(|error| ArtifactError::reading(&path, error))
    }
}

/// What the toys share: a list of what they did, and what a test wants done while one runs.
#[derive(Default)]
pub struct Bench {
    pub ran: Mutex<Vec<String>>,
    pub hook: Option<Box<Hook>>,
    pub luck: AtomicI64,
    /// What parts of [`Many`] are like that are done here.
    pub like: &'static str,
}

/// Called by each running toy with its name.
pub type Hook = dyn Fn(&str, &Context<'_, Bench>) -> Result<(), StageError> + Send + Sync;

impl Bench {
    pub fn with(hook: impl Fn(&str, &Context<'_, Self>) -> Result<(), StageError> + Send + Sync + 'static) -> Self {
        Self { hook: Some(Box::new(hook)), ..Self::default() }
    }

    /// What ran since the last call, sorted.
    pub fn take(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        ran
    }

    fn note(&self, name: &str, context: &Context<'_, Self>) -> Result<(), StageError> {
        self.ran.lock().unwrap().push(name.to_owned());
        self.hook.as_ref().map_or(Ok(()), |hook| hook(name, context))
    }
}

/// Gives a number.
#[derive(Serialize)]
pub struct Give {
    pub value: i64,
    pub note: String,
}

impl Stage<Bench> for Give {
    const KIND: &'static str = "give";
    const VERSION: u32 = 1;
    type Output = Number;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, context: &Context<'_, Bench>) -> Result<Number, StageError> {
        context.env().note(&format!("give {} {}", self.value, self.note), context)?;
        Ok(Number(self.value))
    }
}

/// The next version of [`Give`].
#[derive(Serialize)]
#[serde(transparent)]
pub struct GiveAnew(pub Give);

impl Stage<Bench> for GiveAnew {
    const KIND: &'static str = "give";
    const VERSION: u32 = 2;
    type Output = Number;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, context: &Context<'_, Bench>) -> Result<Number, StageError> {
        self.0.run(context)
    }
}

/// Breaks the rules: gives what luck would have it.
#[derive(Serialize)]
pub struct Draw;

impl Stage<Bench> for Draw {
    const KIND: &'static str = "draw";
    const VERSION: u32 = 1;
    type Output = Number;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, context: &Context<'_, Bench>) -> Result<Number, StageError> {
        context.env().note("draw", context)?;
        Ok(Number(context.env().luck.load(Ordering::Relaxed)))
    }
}

/// Adds numbers up and multiplies the sum.
#[derive(Serialize)]
pub struct Sum {
    pub of: Vec<Key<Number>>,
    pub factor: f64,
}

impl Stage<Bench> for Sum {
    const KIND: &'static str = "sum";
    const VERSION: u32 = 1;
    type Output = Number;

    fn inputs(&self) -> Vec<StepKey> {
        self.of.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Bench>) -> Result<Number, StageError> {
        context.env().note(&format!("sum x{}", self.factor), context)?;
        let mut sum = 0;
        for key in &self.of {
            sum += context.load(key)?.0;
        }
        Ok(Number((sum as f64 * self.factor) as i64))
    }
}

/// Adds the numbers of its parts up, each of which any worker may do.
#[derive(Serialize)]
pub struct Many {
    pub parts: usize,
}

impl Stage<Bench> for Many {
    const KIND: &'static str = "many";
    const VERSION: u32 = 1;
    type Output = Number;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, context: &Context<'_, Bench>) -> Result<Number, StageError> {
        let path = |part: usize| context.scratch().join(format!("part-{part}"));
        let claim = |part: usize| context.claim_part(&format!("part-{part}"));
        context.share(context.env().like)?;
        if context.helps() {
            for part in (0..self.parts).rev() {
                if !context.goes_on() {
                    break;
                }
                if !path(part).exists()
                    && let Part::Mine(_claim) = claim(part)?
                {
                    context.env().note(&format!("helped with {part}"), context)?;
                    std::fs::write(path(part), part.to_string())?;
                }
            }
            return Err(StageError::Cancelled);
        }
        let mut sum = 0;
        for part in 0..self.parts {
            sum += loop {
                if let Some(number) = std::fs::read_to_string(path(part)).ok().and_then(|text| text.parse::<i64>().ok())
                {
                    break number;
                }
                if context.cancelled() {
                    return Err(StageError::Cancelled);
                }
                match claim(part)? {
                    Part::Mine(_claim) => {
                        context.env().note(&format!("part {part}"), context)?;
                        std::fs::write(path(part), part.to_string())?;
                    }
                    Part::Theirs => std::thread::sleep(std::time::Duration::from_millis(2)),
                }
            };
        }
        Ok(Number(sum))
    }
}

/// A number under a note, which is in the manifest but not in the result.
pub fn give(value: i64, note: &str) -> Give {
    Give { value, note: note.to_owned() }
}

/// The sum of `of`, times `factor`.
pub fn sum(of: &[&Key<Number>], factor: f64) -> Sum {
    Sum { of: of.iter().map(|&key| key.clone()).collect(), factor }
}

/// A label of that stage name.
pub fn label(stage: &str) -> Label {
    Label { stage: stage.to_owned(), ..Label::default() }
}

/// A cache of its own, and what a run on it told.
pub struct Lab {
    dir: TempDir,
    pub store: Store,
}

/// What a run came to.
#[derive(Debug)]
pub struct Told {
    pub summary: Summary,
    /// Stage name, status and error of each step, in the order in which they ended.
    pub finished: Vec<(String, Status, Option<String>)>,
    pub warnings: Vec<String>,
}

impl Told {
    pub fn counts(&self) -> [usize; 4] {
        [self.summary.ran, self.summary.cached, self.summary.failed, self.summary.skipped]
    }
}

/// One job, recorded as made by the tests.
pub fn options() -> RunOptions<'static> {
    let maker = Maker { program: "tests 1.0".to_owned(), host: "bench".to_owned(), device: "cpu".to_owned() };
    RunOptions::new(maker)
}

impl Lab {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("cache")).unwrap();
        Self { dir, store }
    }

    /// In memory where the system has a place for that: many steps would wait for a disk for minutes.
    pub fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::open(dir.path().join("cache")).unwrap();
        Self { dir, store }
    }

    pub fn base(&self) -> PathBuf {
        self.dir.path().join("cache/v1")
    }

    pub fn run(&self, plan: &Plan<Bench>, bench: &Bench) -> Told {
        self.try_run(plan, bench, &options(), &Cancel::default()).unwrap()
    }

    pub fn try_run(
        &self,
        plan: &Plan<Bench>,
        bench: &Bench,
        options: &RunOptions<'_>,
        cancel: &Cancel,
    ) -> Result<Told, RunError> {
        let (finished, warnings) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let observer = |event: Event<'_>| match event {
            Event::Finished { step, status, error, .. } => {
                finished.lock().unwrap().push((step.label().stage.clone(), status, error.map(str::to_owned)));
            }
            Event::Warning { message, .. } => warnings.lock().unwrap().push(message.to_owned()),
            _ => {}
        };
        let summary = run(plan, &self.store, bench, options, &observer, cancel)?;
        let (finished, warnings) = (finished.into_inner().unwrap(), warnings.into_inner().unwrap());
        Ok(Told { summary, finished, warnings })
    }
}

/// `give 1` as `a`, `give 2` as `b`, their `sum` times `factor`, and twice that as `double`.
pub fn diamond(factor: f64) -> (Plan<Bench>, [Key<Number>; 4]) {
    let mut plan = Plan::new();
    let a = plan.add(give(1, "a"), label("a"));
    let b = plan.add(give(2, "b"), label("b"));
    let total = plan.add(sum(&[&a, &b], factor), label("sum"));
    let double = plan.add(sum(&[&total], 2.0), label("double"));
    (plan, [a, b, total, double])
}
