//! How a selection ends that does not come to its end.

use std::fmt;

/// A selection that its watcher stopped, or whose scorer failed for the reason `E`; what it had found is dropped.
///
/// It is no error itself: to stop because somebody asked is none, and who hears of it has to tell the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halted<E> {
    /// The watcher said so.
    Stopped,
    /// The scorer did not answer.
    Failed(E),
}

impl<E> Halted<E> {
    /// The same with another reason.
    pub fn map<F>(self, why: impl FnOnce(E) -> F) -> Halted<F> {
        match self {
            Self::Stopped => Halted::Stopped,
            Self::Failed(error) => Halted::Failed(why(error)),
        }
    }
}

/// What a selection found that nothing stops.
///
/// # Errors
/// When the scorer did not answer.
///
/// # Panics
/// When it was stopped after all.
pub fn unstopped<T, E>(found: Result<T, Halted<E>>) -> Result<T, E> {
    found.map_err(|halted| match halted {
        Halted::Failed(error) => error,
        Halted::Stopped => unreachable!("nothing stops it"),
    })
}

impl<E> From<E> for Halted<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

impl<E: fmt::Display> fmt::Display for Halted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the selection was stopped before its end"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}
