//! Stages on numbers and texts, for the engine's tests.

use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;

use super::key::{Key, StepKey};
use super::plan::Label;
use super::stage::{Artifact, ArtifactError, Context, Stage, StageError};

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
}

/// Called by each running toy with its name.
pub type Hook = dyn Fn(&str, &Context<'_, Bench>) -> Result<(), StageError> + Send + Sync;

impl Bench {
    pub fn with(hook: impl Fn(&str, &Context<'_, Self>) -> Result<(), StageError> + Send + Sync + 'static) -> Self {
        Self { ran: Mutex::default(), hook: Some(Box::new(hook)) }
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
