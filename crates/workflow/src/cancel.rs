//! The wish that a run should stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a step is skipped that a cancelled run did not come to.
pub const CANCELLED: &str = "the run was cancelled";

/// Shared between whoever may stop a run and the run. Once cancelled it stays so.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the run to stop: running steps stop soon, others do not start. Safe to call from any thread.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
