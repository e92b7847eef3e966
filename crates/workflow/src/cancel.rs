//! The wish that a run should stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a step is skipped that a cancelled run did not come to.
pub const CANCELLED: &str = "the run was cancelled";

/// Why a step is skipped that a worker did not come to within its limit of time, or of which it could come to no end by then.
pub const OUT_OF_TIME: &str = "the worker has no time left for it";
/// Why a step is skipped that others did not end while a worker waited.
pub const IDLE: &str = "the worker had nothing to do for as long as it may wait";

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
