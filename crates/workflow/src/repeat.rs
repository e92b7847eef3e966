//! What is done now and again beside other work.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Something that is done again and again by a thread of its own, until another says that it is over.
#[derive(Default)]
pub(crate) struct Repeat {
    over: Mutex<bool>,
    told: Condvar,
}

impl Repeat {
    /// Does `act` after every `pause`, until [`Repeat::end`].
    pub fn every(&self, pause: Duration, mut act: impl FnMut()) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            over = self.told.wait_timeout(over, pause).unwrap_or_else(PoisonError::into_inner).0;
            if !*over {
                act();
            }
        }
    }

    /// Says that it is over.
    pub fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }
}
