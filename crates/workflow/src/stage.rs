//! What the executor asks of a stage and of what it produces.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::key::{Key, StepKey};
use super::workers::Claim;

/// What a step produces: a few files in a directory of its own.
pub trait Artifact: Sized + Send + 'static {
    /// Files that tell how the artifact came about and that no stage reads. They are kept and verified like the
    /// others, but a change of them alone reruns nothing.
    const NOTES: &'static [&'static str] = &[];

    /// Writes the artifact's files into `dir`, which exists and is empty.
    ///
    /// The same artifact always writes the same bytes, or early cutoff would not work.
    ///
    /// # Errors
    /// When a file cannot be written.
    fn save(&self, dir: &Path) -> Result<(), ArtifactError>;

    /// Reads back what [`Artifact::save`] wrote.
    ///
    /// # Errors
    /// When a file is missing, unreadable or malformed; the error names it.
    fn load(dir: &Path) -> Result<Self, ArtifactError>;
}

/// A file of an artifact that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}")]
pub struct ArtifactError {
    doing: &'static str,
    path: PathBuf,
    source: Box<dyn Error + Send + Sync>,
}

impl ArtifactError {
    /// A failure to read or parse `path`.
    pub fn reading(path: impl Into<PathBuf>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing: "cannot read", path: path.into(), source: source.into() }
    }

    /// A failure to write `path`.
    pub fn writing(path: impl Into<PathBuf>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing: "cannot write", path: path.into(), source: source.into() }
    }
}

/// A kind of step. The struct *is* the manifest: what it serialises to is what its key is made of.
///
/// `E` is the environment that stages of one program share (device, threads, where data lie); the executor only
/// passes it on. Nothing of it may reach the manifest.
pub trait Stage<E>: Serialize + Send + Sync + 'static {
    /// The name of the kind, the first part of its keys.
    const KIND: &'static str;
    /// Raised whenever the same manifest would produce something else.
    const VERSION: u32;
    /// What the stage produces.
    type Output: Artifact;

    /// The keys of every step whose artifact this one loads.
    fn inputs(&self) -> Vec<StepKey>;

    /// Computes the artifact.
    ///
    /// # Errors
    /// When it cannot, or when the run was cancelled.
    fn run(&self, context: &Context<'_, E>) -> Result<Self::Output, StageError>;
}

/// Why a stage ended without an artifact. Any error becomes one by `?`.
///
/// It is no [`Error`] itself, so that the executor alone decides how one is told.
#[derive(Debug)]
pub enum StageError {
    /// The user asked the run to stop.
    Cancelled,
    /// The stage could not do its work.
    Failed(Box<dyn Error + Send + Sync>),
}

impl StageError {
    /// One with a message, or of an error.
    pub fn failed(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(source.into())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for StageError {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

/// What a running stage is given.
pub struct Context<'a, E> {
    pub(crate) env: &'a E,
    pub(crate) host: &'a dyn Host,
    pub(crate) scratch: &'a Path,
}

/// The executor's side of a [`Context`].
pub(crate) trait Host: Sync {
    /// The directory of a finished input, its files verified.
    fn input(&self, key: &StepKey) -> Result<PathBuf, StageError>;
    /// Whether the user asked the run to stop.
    fn cancelled(&self) -> bool;
    /// Passes on how far the step has come.
    fn progress(&self, progress: Progress<'_>);
    /// Passes on one line of the step's log.
    fn log(&self, line: &str);
    /// Hears how long what an interrupted run left, or another worker did, took.
    fn spent_before(&self, seconds: f64);
    /// Whether this worker helps another, which has the step, with parts of it.
    fn helps(&self) -> bool {
        false
    }
    /// Hears that the step lies in parts in its scratch directory; `like` tells those that may be mixed.
    fn share(&self, _like: &str) -> Result<(), StageError> {
        Ok(())
    }
    /// Claims a part of a step that is shared.
    fn claim_part(&self, _part: &str) -> Result<Part<'_>, StageError> {
        Ok(Part::Mine(PartClaim { _claim: None }))
    }
    /// Whether a helper is to go on with another part.
    fn goes_on(&self) -> bool {
        true
    }
}

/// A part of a step whose work several workers share.
#[derive(Debug)]
pub enum Part<'a> {
    /// It is this worker's.
    Mine(PartClaim<'a>),
    /// Another works on it.
    Theirs,
}

/// A part is this worker's until this is dropped.
#[derive(Debug)]
pub struct PartClaim<'a> {
    pub(crate) _claim: Option<Claim<'a>>,
}

/// How far a running step has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is counted, in the plural: `images`, `epochs`.
    pub unit: &'a str,
    /// How many are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

impl<E> Context<'_, E> {
    /// The environment that all stages share.
    #[must_use]
    pub const fn env(&self) -> &E {
        self.env
    }

    /// Loads the artifact of an input.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn load<A: Artifact>(&self, key: &Key<A>) -> Result<A, StageError> {
        let dir = self.host.input(key.step())?;
        Ok(A::load(&dir)?)
    }

    /// A directory that is the step's own, for checkpoints: it outlives an interruption or a failure, and goes
    /// when the step is finished. A checkpoint in it may be cut off by a crash, so a stage must tell whether it is
    /// whole, and begin anew where it is not.
    #[must_use]
    pub const fn scratch(&self) -> &Path {
        self.scratch
    }

    /// Tells how far the step has come.
    pub fn progress(&self, unit: &str, done: usize, total: usize) {
        self.host.progress(Progress { unit, done: done as u64, total: total as u64 });
    }

    /// Adds one line to the step's log.
    pub fn log(&self, line: &str) {
        self.host.log(line);
    }

    /// Whether this worker only helps another, which has the step, with parts of it. Then the stage does what parts it finds
    /// free, from the last to the first, and ends as [`StageError::Cancelled`].
    #[must_use]
    pub fn helps(&self) -> bool {
        self.host.helps()
    }

    /// Tells that the step's work lies in parts in [`Context::scratch`], with which other workers may help. `like` tells whose
    /// parts may be mixed.
    ///
    /// # Errors
    /// For a helper whose parts the other could not use.
    pub fn share(&self, like: &str) -> Result<(), StageError> {
        self.host.share(like)
    }

    /// Claims a part of a step that is shared, by a name of letters, digits and `-`.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn claim_part(&self, part: &str) -> Result<Part<'_>, StageError> {
        self.host.claim_part(part)
    }

    /// Whether a helper is to go on with another part: nothing else has become ready, and the other still has the step.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.host.goes_on()
    }

    /// Tells that the step goes on from what an interrupted run left, which took so long: its record counts that, too.
    pub fn spent_before(&self, seconds: f64) {
        self.host.spent_before(seconds);
    }

    /// Whether the user asked the run to stop; a stage that sees this returns [`StageError::Cancelled`] soon.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.host.cancelled()
    }
}
