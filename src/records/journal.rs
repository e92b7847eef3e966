//! Writes down what a run does while it does it.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use overinterp_config::Override;
use overinterp_foreign::bounded;
use overinterp_workflow::event::{Event, Status, Summary};
use overinterp_workflow::plan::{Step, StepId};
use overinterp_workflow::store::{Maker, RunLog, Store, StoreError};

use super::{Beginning, Ending, Line, RecordedFile, What, fingerprints, now};
use crate::computed::Computed;

/// Between two lines that tell how far a step has come.
const INTERVAL: Duration = Duration::from_secs(5);
/// Larger files are no experiments.
const LARGEST: u64 = 1 << 24;

/// The journal of a run, which begins when something is about to be computed. Where nothing can be written, it says nothing.
pub(crate) struct Journal<'a> {
    computed: &'a Computed,
    set: &'a [Override],
    stages: &'a [String],
    by: Maker,
    /// What other processes on the cache are told.
    doing: String,
    log: OnceLock<RunLog>,
    began: Instant,
    /// When each running step was last told of.
    told: Mutex<BTreeMap<StepId, Instant>>,
}

impl<'a> Journal<'a> {
    /// The journal of a run of what is planned.
    pub fn new(computed: &'a Computed, set: &'a [Override], stages: &'a [String], by: Maker, doing: String) -> Self {
        let (log, began, told) = (OnceLock::new(), Instant::now(), Mutex::default());
        Self { computed, set, stages, by, doing, log, began, told }
    }

    fn begin(&self) {
        match self.record_in(self.computed.store()) {
            Ok(log) => drop(self.log.set(log)),
            Err(error) => tracing::debug!("the run is not recorded: {error}"),
        }
    }

    /// Begins the record of a run in `store`, which need not be that of what is planned.
    pub fn record_in(&self, store: &Store) -> Result<RunLog, StoreError> {
        let Self { computed, set, stages, by, doing, .. } = self;
        let files = computed.experiments.iter().filter_map(|experiment| {
            let path = experiment.file.clone();
            let bytes = bounded::read(&path, LARGEST).ok()?;
            let text = overinterp_config::merged(&path, set).ok()?;
            Some(RecordedFile { path, hash: blake3::hash(&bytes).to_hex().to_string(), text })
        });
        let files = files.collect();
        store.record_run(doing, |id, process| {
            let beginning = Beginning {
                id: id.to_owned(),
                command: std::env::args().skip(1).collect(),
                directory: std::env::current_dir().unwrap_or_default(),
                unix_seconds: now(),
                by: by.clone(),
                process: process.clone(),
                files,
                set: set.iter().map(|set| set.text().to_owned()).collect(),
                stages: stages.to_vec(),
                steps: computed.planned.plan.len(),
                fingerprints: fingerprints(),
                findings: computed.findings.clone(),
            };
            serde_json::to_string(&beginning).unwrap_or_default()
        })
    }

    /// The text that says how a run ended.
    pub fn ending(how: &str, summary: &Summary) -> String {
        serde_json::to_string(&Ending::new(how, summary)).unwrap_or_default()
    }

    /// Notes an event. What was cached when the run began is not told of.
    pub fn note(&self, event: &Event<'_>) {
        if let Event::Planned { schedule, .. } = event
            && schedule.to_run() > 0
        {
            self.begin();
        }
        if self.log.get().is_none() {
            return;
        }
        match event {
            Event::Started { id, step, why } => {
                self.told().insert(*id, Instant::now());
                self.line(What::Started, step, why.map(ToString::to_string).unwrap_or_default(), None);
            }
            Event::Progress { id, step, progress } => {
                let is_due = {
                    let mut told = self.told();
                    let last = told.entry(*id).or_insert_with(Instant::now);
                    let is_due = last.elapsed() >= INTERVAL;
                    if is_due {
                        *last = Instant::now();
                    }
                    is_due
                };
                if is_due {
                    let come = format!("{}/{} {}", progress.done, progress.total, progress.unit);
                    self.line(What::Progress, step, come, None);
                }
            }
            Event::Log { step, line, .. } => self.line(What::Log, step, (*line).to_owned(), None),
            Event::Warning { step, message } => self.line(What::Warning, step, (*message).to_owned(), None),
            Event::Waiting { step, holder: Some(holder), is_new: true, .. } => {
                self.line(What::Waiting, step, format!("for {holder}"), None);
            }
            Event::Helping { step, holder, .. } => self.line(What::Log, step, format!("helps {holder}"), None),
            Event::Helped { step, parts, .. } => {
                self.line(What::Log, step, format!("has helped with {parts} of its parts"), None);
            }
            Event::Finished { id, step, status, seconds, error } => {
                self.told().remove(id);
                let what = match status {
                    Status::Ran => What::Ran,
                    Status::Failed => What::Failed,
                    Status::Skipped => What::Skipped,
                    Status::Cached => return,
                };
                let seconds = (what != What::Skipped).then_some(*seconds);
                self.line(what, step, error.unwrap_or_default().to_owned(), seconds);
            }
            Event::Planned { .. } | Event::Waiting { .. } | Event::Done { .. } => {}
        }
    }

    /// Notes how the run ended.
    pub fn end(&self, how: &str, summary: &Summary) {
        if let Some(log) = self.log.get() {
            log.end(&Self::ending(how, summary));
        }
    }

    fn line(&self, what: What, step: &Step, text: String, seconds: Option<f64>) {
        let at = (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let (key, label) = (step.identity().to_string(), step.label().to_string());
        let line = Line { at, what, key, label, text, seconds };
        if let (Some(log), Ok(line)) = (self.log.get(), serde_json::to_string(&line)) {
            log.note(&line);
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, BTreeMap<StepId, Instant>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
