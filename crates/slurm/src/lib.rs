//! Workers as jobs of Slurm.
//!
//! One process plans, submits arrays of workers and follows them; the workers share the plan and the cache, and claim steps
//! there as workers anywhere do. So nothing that happens to a job, or to the process that follows them, loses more than time.

pub mod again;
pub mod campaign;
pub mod cluster;
pub mod jobs;
pub mod script;
pub mod waves;
