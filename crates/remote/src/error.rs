//! What can go wrong with a remote, told without what is secret.

use std::error::Error;

use overinterp_workflow::key::StepKey;
use overinterp_workflow::store::{ArrivalError, StoreError};

use crate::scrub::scrubbed;

/// A failure of a remote, or of what came from it or was to go there.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The URL names no remote that can be used.
    #[error("cannot use --remote {url}: {why}")]
    Location {
        /// The URL, without what may be secret.
        url: String,
        /// What is wrong, and what to write instead.
        why: String,
    },
    /// A request failed.
    #[error("cannot {doing} {remote}/{path}: {why}")]
    Request {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// The object in it.
        path: String,
        /// Why, without what may be secret.
        why: String,
        /// What kind of failure it is.
        cause: Cause,
    },
    /// What the remote holds of a step is not what was put there.
    #[error(
        "{remote} holds {key}, but damaged: {damage}. `overinterp cache push --replace` from a cache that has it mends it"
    )]
    Damaged {
        /// The remote.
        remote: String,
        /// The step.
        key: Box<StepKey>,
        /// What is wrong with what.
        damage: String,
    },
    /// The remote holds another result of the same step.
    #[error(
        "{remote} holds other bytes for {key}: made {makers}. The step is not deterministic; both stay as they are"
    )]
    Differs {
        /// The remote.
        remote: String,
        /// The step.
        key: Box<StepKey>,
        /// Who made what the remote holds, and who what this cache holds.
        makers: String,
    },
    /// A file of the cache is not as its record says, so that it is not pushed.
    #[error(
        "{key} in the cache is damaged ({damage}): `overinterp cache verify` sets it aside, then its experiment computes it again"
    )]
    DamagedHere {
        /// The step.
        key: Box<StepKey>,
        /// What is wrong with which file.
        damage: String,
    },
    /// Another process on this cache works on the step.
    #[error("{key} is not taken in: {by} works on it")]
    Claimed {
        /// The step.
        key: Box<StepKey>,
        /// The worker.
        by: String,
    },
    /// The cache here cannot be read or written to.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What kind of failure a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no such object.
    Absent,
    /// There is one already, or another than was expected.
    Taken,
    /// The remote may not be used so: no permission, or it cannot do it.
    Refused,
    /// It does not answer, or fails for the moment.
    Unavailable,
}

impl Cause {
    pub(crate) const fn of(error: &object_store::Error) -> Self {
        use object_store::Error as E;
        match error {
            E::NotFound { .. } => Self::Absent,
            E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => Self::Taken,
            E::PermissionDenied { .. }
            | E::Unauthenticated { .. }
            | E::NotSupported { .. }
            | E::NotImplemented { .. }
            | E::InvalidPath { .. }
            | E::UnknownConfigurationKey { .. } => Self::Refused,
            _ => Self::Unavailable,
        }
    }
}

impl RemoteError {
    /// Whether trying again later may help: the remote does not answer.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Request { cause: Cause::Unavailable, .. })
    }

    /// Whether the object is not there.
    #[must_use]
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Request { cause: Cause::Absent, .. })
    }

    /// Whether something else is there.
    #[must_use]
    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self, Self::Request { cause: Cause::Taken, .. })
    }

    /// What arrived is not what was put there, or cannot be kept here.
    pub(crate) fn arrival(remote: &str, key: &StepKey, error: ArrivalError) -> Self {
        match error {
            ArrivalError::Damaged(damage) => {
                Self::Damaged { remote: remote.to_owned(), key: Box::new(key.clone()), damage }
            }
            ArrivalError::Claimed(holder) => Self::Claimed { key: Box::new(key.clone()), by: holder.to_string() },
            ArrivalError::Store(error) => Self::Store(error),
        }
    }
}

/// What an error of the library says, with its causes, in one line and without what may be secret.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    scrubbed(&text)
}
