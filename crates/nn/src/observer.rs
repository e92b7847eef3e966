//! What long work tells, and by what it is stopped.

/// Watches a long computation. Nothing that it does may change the result.
pub trait Observer: Sync {
    /// Hears that `done` of `total` `unit` (in the plural: `batches`, `images`) are done.
    fn progress(&self, unit: &str, done: usize, total: usize);

    /// Hears one line for the log.
    fn log(&self, line: &str);

    /// Hears that the work goes on from what an interrupted run left, which took so long.
    fn spent_before(&self, seconds: f64) {
        let _ = seconds;
    }

    /// Whether the work is to stop soon.
    fn cancelled(&self) -> bool;
}

/// Stands in where nobody watches: it ignores all news and never asks to stop.
pub struct Unobserved;

impl Observer for Unobserved {
    fn progress(&self, _: &str, _: usize, _: usize) {}

    fn log(&self, _: &str) {}

    fn cancelled(&self) -> bool {
        false
    }
}
