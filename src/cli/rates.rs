//! What `bench` measured, kept beside the cache's steps, and the estimates that follow from it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::bounded::{self, BoundedError};
use crate::engine::schedule::{Basis, Estimate, Schedule};
use crate::engine::view::View;
use crate::nn::rates::{model_of_processor, processor};
use crate::spec::{Activity, Rates, Work};

use super::failure::Failure;
use super::remaining::Expected;
use super::session::Session;
use super::writing::WriteError;

/// Those of a thousand machines have fewer.
const MOST_BYTES: u64 = 16 << 20;

fn file(cache: &Path) -> PathBuf {
    cache.join("v1").join("rates.json")
}

/// What was measured with this cache; nothing if nothing was, or if the file cannot be understood.
pub(super) fn load(cache: &Path) -> Vec<Rates> {
    let ignored = |error: &dyn Error| {
        tracing::warn!("the rates in {} are ignored: {error}; measure anew with `bench`", file(cache).display());
        Vec::new()
    };
    match bounded::read(&file(cache), MOST_BYTES) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| ignored(&error)),
        Err(BoundedError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => ignored(&error),
    }
}

/// Remembers what was measured, in the place of what was measured earlier under the same circumstances.
pub(super) fn save(cache: &Path, measured: &[Rates]) -> Result<(), Failure> {
    let circumstances =
        |rates: &Rates| (rates.arch, rates.image, rates.processor.clone(), rates.threads, rates.isa.clone());
    let mut all = load(cache);
    all.retain(|old| measured.iter().all(|new| circumstances(new) != circumstances(old)));
    all.extend_from_slice(measured);
    let path = file(cache);
    let written = serde_json::to_vec_pretty(&all).map_err(io::Error::from);
    Ok(written.and_then(|text| bounded::replace(&path, &text)).map_err(WriteError::at(&path))?)
}

/// The seconds of `work`, if all of it was measured under the present circumstances.
pub(super) fn seconds(work: &[Work], rates: &[Rates]) -> Option<f64> {
    work.iter().map(|work| rates.iter().find_map(|rates| rates.seconds(work))).sum()
}

/// Those of `rates` that hold for `threads` threads of this machine or its GPU.
pub(super) fn present(mut rates: Vec<Rates>, isa: &str) -> Vec<Rates> {
    let processor = model_of_processor();
    let here = (processor.as_str(), isa, rayon::current_num_threads());
    rates.retain(|rates| (rates.processor.as_str(), rates.isa.as_str(), rates.threads) == here);
    rates
}

/// The schedule with estimates that know what networks have to compute. The history that the engine goes by does not:
/// a selection by another network is alike to it.
///
/// Work is timed by runs of the same work in this plan, or else by measured rates. A training names its network
/// itself, so that one which differs otherwise tells something, too.
pub(super) fn estimated(schedule: Schedule, view: &View, session: &Session) -> Schedule {
    let planned = &session.planned;
    let rates = present(load(&session.cache), &processor(&session.env.device));
    let runs = view.history().iter().filter_map(|record| Some((planned.work.get(&record.key)?, record.seconds)));
    let runs: Vec<Run> = runs.filter_map(|(work, seconds)| Run::of(work, seconds)).collect();
    schedule.estimated_by(&planned.plan, |step, earlier| {
        let Some(work) = planned.work.get(step.identity()) else { return earlier };
        let by_runs = || parts(work).iter().map(|work| time_by_runs(work, &runs)).sum::<Option<f64>>();
        let alike = || by_runs().map(|seconds| Estimate { seconds, basis: Basis::Alike });
        let rated = || seconds(work, &rates).map(|seconds| Estimate { seconds, basis: Basis::Rates });
        let learns = work.iter().any(|work| work.activity == Activity::Learn);
        alike().or_else(rated).or(earlier.filter(|_| learns))
    })
}

/// What of the steps to run is known before they do, by their places in the plan.
pub(super) fn expected(schedule: &Schedule, view: &View, session: &Session) -> BTreeMap<usize, Expected> {
    if schedule.to_run() == 0 {
        return BTreeMap::new();
    }
    let planned = &session.planned;
    let schedule = estimated(schedule.clone(), view, session);
    let to_run = planned.plan.steps().filter(|(id, _)| !schedule.step(*id).forecast.is_cached());
    let expected = to_run.map(|(id, step)| {
        let estimate = schedule.step(id).estimate.map(|estimate| estimate.seconds);
        let (kind, amount) = match planned.work.get(step.identity()).map(|work| parts(work)) {
            // All networks of an ensemble do the same work as often.
            Some(parts @ [first, ..]) => {
                let kinds = parts.iter().map(|work| format!("{:?}", (work.arch, work.shape, work.activity)));
                (kinds.collect(), first.times as f64)
            }
            _ => (format!("{} {}", step.manifest().kind(), step.label().stage), 1.0),
        };
        (id.index(), Expected { kind, amount, estimate })
    });
    expected.collect()
}

/// A step that ran: how long it took for some work of one kind.
struct Run {
    work: Work,
    seconds: f64,
}

impl Run {
    /// The work of several networks cannot be told apart.
    fn of(work: &[Work], seconds: f64) -> Option<Self> {
        let [work] = parts(work) else { return None };
        Some(Self { work: *work, seconds })
    }
}

/// The parts of a step's work that runs tell apart: a training's tests are timed with it.
fn parts(work: &[Work]) -> &[Work] {
    match work {
        [learn, ..] if learn.activity == Activity::Learn => std::slice::from_ref(learn),
        all => all,
    }
}

/// The seconds of `work` at the pace of the runs of such work.
fn time_by_runs(work: &Work, runs: &[Run]) -> Option<f64> {
    let same =
        |run: &&Run| (run.work.arch, run.work.shape, run.work.activity) == (work.arch, work.shape, work.activity);
    let (times, seconds) = runs
        .iter()
        .filter(same)
        .fold((0, 0.0), |(times, seconds), run| (times + run.work.times, seconds + run.seconds));
    (times > 0).then(|| seconds / times as f64 * work.times as f64)
}
