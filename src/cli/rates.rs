//! What `bench` measured, kept beside the cache's steps, and the estimates that follow from it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::engine::schedule::{Basis, Estimate, Schedule};
use crate::nn::rates::processor;
use crate::spec::{Rates, Work};

use super::failure::{Failure, Status};
use super::session::Session;

fn file(cache: &Path) -> PathBuf {
    cache.join("v1").join("rates.json")
}

/// What was measured with this cache; nothing if nothing was, or if the file cannot be understood.
pub(super) fn load(cache: &Path) -> Vec<Rates> {
    let Ok(text) = fs::read(file(cache)) else { return Vec::new() };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!("the rates in {} are ignored: {error}; measure anew with `bench`", file(cache).display());
        Vec::new()
    })
}

/// Remembers what was measured, in the place of what was measured earlier under the same circumstances.
pub(super) fn save(cache: &Path, measured: &[Rates]) -> Result<(), Failure> {
    let circumstances = |rates: &Rates| (rates.arch, rates.image, rates.threads, rates.isa.clone());
    let mut all = load(cache);
    all.retain(|old| measured.iter().all(|new| circumstances(new) != circumstances(old)));
    all.extend_from_slice(measured);
    let path = file(cache);
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(cache);
        fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut new, &all)?;
        new.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| Failure {
        status: Status::Usage,
        message: format!("cannot keep the rates in {}: {error}; name another --cache", path.display()),
    })
}

/// The seconds of `work`, if all of it was measured under the present circumstances.
pub(super) fn seconds(work: &[Work], rates: &[Rates]) -> Option<f64> {
    work.iter().map(|work| rates.iter().find_map(|rates| rates.seconds(work))).sum()
}

/// Those of `rates` that hold for `threads` threads of this machine or its GPU.
pub(super) fn present(mut rates: Vec<Rates>, isa: &str) -> Vec<Rates> {
    rates.retain(|rates| rates.isa == isa && rates.threads == rayon::current_num_threads());
    rates
}

/// The schedule with estimates by measured rates, where no run of the very same work tells more.
pub(super) fn estimated(schedule: Schedule, session: &Session) -> Schedule {
    let rates = present(load(&session.cache), &processor(&session.env.device));
    schedule.estimated_by(&session.planned.plan, |step, earlier| {
        if earlier.is_some_and(|estimate| estimate.basis == Basis::Alike) {
            return earlier;
        }
        let work = session.planned.work.get(step.identity())?;
        seconds(work, &rates).map(|seconds| Estimate { seconds, basis: Basis::Rates }).or(earlier)
    })
}
