//! Why a command ends early, and with which status.

use std::error::Error;
use std::fmt::{self, Write};

use overinterp_artifacts::UnreadableImage;
use overinterp_data::DataError;
use overinterp_workflow::store::StoreError;

/// The exit codes of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All went well.
    Success = 0,
    /// A fault of this program.
    Internal = 1,
    /// The command, the configuration, or missing data.
    Usage = 2,
    /// A stage failed, or something is damaged: data, or an entry of the cache.
    Stage = 3,
    /// `--frozen`, and something would run.
    Frozen = 4,
    /// Ctrl-C or another signal stopped it; 130 is what shells give for Ctrl-C.
    Cancelled = 130,
}

/// What kind of error ended a command, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command, the configuration, or missing data: the user can do something.
    Usage,
    /// A stage failed, or something is damaged.
    Stage,
    /// `--frozen`, and something would run.
    Frozen,
    /// A fault of this program.
    Internal,
    /// The user asked to stop.
    Cancelled,
}

impl Kind {
    /// The status that a command ends with.
    pub const fn status(self) -> Status {
        match self {
            Self::Usage => Status::Usage,
            Self::Stage => Status::Stage,
            Self::Frozen => Status::Frozen,
            Self::Internal => Status::Internal,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

/// Why a command ended early, as the user reads it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub kind: Kind,
    /// What was being done, to what, and what is wrong.
    message: String,
    /// What to do next.
    hints: Vec<String>,
    /// The error behind it, whose causes are told after the message.
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// One without a cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), source: None }
    }

    /// An error for which the user can do something: usage, configuration, data.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An error with every cause behind it.
    pub fn because(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self { message: error.to_string(), hints: Vec::new(), kind, source: Some(error) }
    }

    /// The same with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.as_ref().map_or_else(|| self.message.clone(), |error| chain(&**error)))?;
        self.hints.iter().try_for_each(|hint| write!(f, ": {hint}"))
    }
}

impl From<StoreError> for Failure {
    /// A damaged entry, or a cache that cannot be used: the user can mend it or name another.
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::Damaged { .. } | StoreError::Artifact { .. } => Kind::Stage,
            _ => Kind::Usage,
        };
        Self::because(kind, error)
    }
}

impl From<DataError> for Failure {
    /// Damaged data, or data that the user can get or name otherwise.
    fn from(error: DataError) -> Self {
        let kind = if error.is_damage() { Kind::Stage } else { Kind::Usage };
        Self::because(kind, error)
    }
}

impl From<UnreadableImage> for Failure {
    /// A file of a photograph that is damaged.
    fn from(error: UnreadableImage) -> Self {
        Self::because(Kind::Stage, error)
    }
}

/// An error's message followed by those of its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read a.png")]
    struct Unreadable(#[source] std::io::Error);

    #[test]
    fn a_failure_tells_its_causes_and_what_to_do_and_its_kind_decides_the_status() {
        let failure = Failure::usage("there is no stage `a`").hint("did you mean `b`?");
        assert_eq!(failure.to_string(), "there is no stage `a`: did you mean `b`?");
        let failure = Failure::because(Kind::Stage, Unreadable(std::io::Error::other("the disk is gone")));
        assert_eq!(failure.to_string(), "cannot read a.png: the disk is gone");
        let kinds = [Kind::Internal, Kind::Usage, Kind::Stage, Kind::Frozen, Kind::Cancelled];
        assert_eq!(kinds.map(|kind| kind.status() as i32), [1, 2, 3, 4, 130]);
    }
}
