//! Why something that a user asked for cannot be done, and what to do about it.

use std::error::Error;
use std::fmt::{self, Write};
use std::path::Path;

use overinterp_artifacts::UnreadableImage;
use overinterp_data::DataError;
use overinterp_remote::RemoteError;
use overinterp_workflow::store::StoreError;

/// What kind of error it is, which decides the exit code.
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
    /// Whether the message is printed as it is: it has headings of its own, perhaps in colours.
    pub is_rendered: bool,
}

impl Failure {
    /// One without a cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), source: None, is_rendered: false }
    }

    /// An error for which the user can do something: usage, configuration, data.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Problems of experiment files, each with its own heading and place.
    pub fn problems(rendered: impl Into<String>) -> Self {
        Self { is_rendered: true, ..Self::usage(rendered) }
    }

    /// Results of a stage that are wanted and not in the cache; `what` is not.
    pub fn not_computed(what: &str, file: &Path, stage: &str) -> Self {
        let hint = format!("`overinterp run {} --stage {stage}` computes them", file.display());
        Self::usage(format!("{what} in the cache")).hint(hint)
    }

    /// An error with every cause behind it.
    pub fn because(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self { message: error.to_string(), hints: Vec::new(), kind, source: Some(error), is_rendered: false }
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

impl From<RemoteError> for Failure {
    /// A remote that cannot be used, or on which something is damaged.
    fn from(error: RemoteError) -> Self {
        let kind = match error {
            RemoteError::Damaged { .. } | RemoteError::DamagedHere { .. } | RemoteError::Differs { .. } => Kind::Stage,
            RemoteError::Location { .. } | RemoteError::Request { .. } | RemoteError::Claimed { .. } => Kind::Usage,
            RemoteError::Store(error) => return error.into(),
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
    fn a_failure_tells_its_causes_and_what_to_do() {
        let failure = Failure::usage("there is no stage `a`").hint("did you mean `b`?");
        assert_eq!(failure.to_string(), "there is no stage `a`: did you mean `b`?");
        let failure = Failure::because(Kind::Stage, Unreadable(std::io::Error::other("the disk is gone")));
        assert_eq!(failure.to_string(), "cannot read a.png: the disk is gone");
    }
}
