//! Which ends of jobs are followed by another job, and how often. Pure.

use crate::jobs::End;

/// What is done about a job that has ended while there is work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Nothing: another job would end in the same way, or a person wanted the end.
    No,
    /// Another one is submitted, at most so many times for each worker that there is room for.
    Submit {
        /// How often.
        most: usize,
    },
    /// The same with twice the memory.
    MoreMemory {
        /// How often.
        most: usize,
    },
}

/// How often a worker is submitted again that a fault of the cluster ended.
pub const MOST_AFTER_FAULTS: usize = 3;
/// How often one whose memory did not suffice: eight times what was asked for in the end.
pub const MOST_AFTER_MEMORY: usize = 3;
/// How often one whose time was over: a training goes on from its checkpoint each time.
pub const MOST_AFTER_TIME: usize = 100;

/// What is done about a job that ended so while there is work.
#[must_use]
pub const fn again(end: End) -> Again {
    match end {
        End::Done | End::Failed(_) | End::Cancelled => Again::No,
        End::Stopped | End::TimedOut => Again::Submit { most: MOST_AFTER_TIME },
        End::Killed(_) | End::Preempted | End::NodeFailed | End::Unknown => Again::Submit { most: MOST_AFTER_FAULTS },
        End::OutOfMemory => Again::MoreMemory { most: MOST_AFTER_MEMORY },
    }
}
