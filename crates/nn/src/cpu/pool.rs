//! Workspaces that threads share, each used by one at a time.

use std::sync::{Mutex, PoisonError};

/// The workspaces that no thread is using; there are as many as threads ever worked at once.
#[derive(Debug)]
pub(crate) struct Pool<W>(Mutex<Vec<W>>);

impl<W> Default for Pool<W> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W> Pool<W> {
    /// Does `work` in a workspace that no other thread is using, or in a new one.
    pub(crate) fn with<T>(&self, new: impl FnOnce() -> W, work: impl FnOnce(&mut W) -> T) -> T {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reused = idle().pop();
        let mut workspace = reused.unwrap_or_else(new);
        let result = work(&mut workspace);
        idle().push(workspace);
        result
    }
}
