//! Why a command ends early, and with which status.

use std::error::Error;
use std::fmt::Write;

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
    /// Ctrl-C.
    Cancelled = 130,
}

/// An error as the user reads it.
#[derive(Debug)]
pub(super) struct Failure {
    pub status: Status,
    pub message: String,
}

impl Failure {
    /// An error for which the user can do something: usage, configuration, data.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { status: Status::Usage, message: message.into() }
    }

    /// An error with every cause behind it.
    pub fn because(status: Status, error: &dyn Error) -> Self {
        Self { status, message: chain(error) }
    }
}

impl From<StoreError> for Failure {
    /// A damaged entry, or a cache that cannot be used: the user can mend it or name another.
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Damaged { .. } | StoreError::Artifact { .. } => Status::Stage,
            _ => Status::Usage,
        };
        Self::because(status, &error)
    }
}

impl From<DataError> for Failure {
    /// Damaged data, or data that the user can get or name otherwise.
    fn from(error: DataError) -> Self {
        let status = if error.is_damage() { Status::Stage } else { Status::Usage };
        Self::because(status, &error)
    }
}

impl From<UnreadableImage> for Failure {
    /// A file of a photograph that is damaged.
    fn from(error: UnreadableImage) -> Self {
        Self::because(Status::Stage, &error)
    }
}

/// An error's message followed by those of its causes.
pub(super) fn chain(error: &dyn Error) -> String {
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
