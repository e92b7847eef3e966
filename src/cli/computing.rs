//! Computing what a cache lacks of planned experiments, and showing how it goes: what `run` and `work` share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::event::{Event, Status as Outcome, Summary};
use overinterp_workflow::executor::{RunError, RunMode, RunOptions, Share, run as execute};
use overinterp_workflow::store::Inventory;
use overinterp_workflow::view::View;

use crate::cli::args::ExperimentArguments;
use crate::cli::screen::json;
use crate::cli::screen::progress::Progress;
use crate::cli::session::Session;
use crate::failure::{Failure, Kind};
use crate::forecast::rates;
use crate::records::journal::Journal;
use crate::text;

/// How a session's plan is computed.
pub(crate) struct Computing<'a> {
    /// What others on the cache are told.
    pub doing: &'a str,
    /// Steps that run at a time.
    pub jobs: u16,
    pub mode: RunMode,
    pub share: &'a Share,
    /// Whether standard output has one object a line.
    pub json: bool,
    /// Whether nothing is told of steps that go well.
    pub quiet: bool,
    /// What is recorded of the settings.
    pub experiment: &'a ExperimentArguments,
    /// Where given, the first failure stops all, which is noted there.
    pub fail_fast: Option<&'a AtomicBool>,
    /// Where given, what the cache holds of the plan is noted there, if that is all of it.
    pub inventory: Option<&'a OnceLock<Inventory>>,
}

/// `run experiments/quickstart.toml`.
pub(crate) fn doing(verb: &str, files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{verb} {}", files.join(" "))
}

impl Computing<'_> {
    /// Computes, until all is done or `cancel` is set.
    pub fn compute(&self, session: &Session, progress: &Progress, cancel: &Cancel) -> Result<Summary, RunError> {
        let estimator = |schedule, view: &View| rates::estimated(schedule, view, session);
        let maker = session.maker();
        let options = RunOptions {
            jobs: usize::from(self.jobs),
            mode: self.mode,
            doing: self.doing.to_owned(),
            estimator: Some(&estimator),
            share: self.share.clone(),
            ..RunOptions::new(maker.clone())
        };
        let ExperimentArguments { set, stage, .. } = self.experiment;
        let journal = Journal::new(session, set, stage, maker, self.doing.to_owned());
        let observer = |event: Event<'_>| {
            if self.json {
                json::event(&event);
            }
            if let Event::Planned { schedule, view } = event {
                let inventory = self.inventory.filter(|_| schedule.to_run() == 0);
                if let Some((place, held)) = inventory.zip(Inventory::of(&session.planned.plan, view)) {
                    let _ = place.set(held);
                }
                progress.expect(rates::expected(schedule, view, session), usize::from(self.jobs), self.quiet);
            }
            progress.show(&event, self.quiet);
            journal.note(&event);
            if let (Some(has_failed), Event::Finished { status: Outcome::Failed, .. }) = (self.fail_fast, event) {
                has_failed.store(true, Ordering::Relaxed);
                cancel.cancel();
            }
        };
        let outcome = execute(&session.planned.plan, session.store(), &session.env, &options, &observer, cancel);
        progress.clear();
        if let Ok(summary) = &outcome {
            journal.end(how(summary, cancel), summary);
        }
        outcome
    }
}

/// How a run ended, for its record.
fn how(summary: &Summary, cancel: &Cancel) -> &'static str {
    match (cancel.is_cancelled(), summary.failed) {
        (_, 1..) => "failed",
        (true, 0) => "cancelled",
        (false, 0) => "done",
    }
}

/// `ran 12, cached 3 in 41 s`.
pub(crate) fn closing(summary: &Summary) -> String {
    let Summary { ran, cached, failed, skipped, left, helped, seconds } = summary;
    let wrong = if failed + skipped > 0 { format!(", failed {failed}, skipped {skipped}") } else { String::new() };
    let others = if *left > 0 { format!(", left {left} to others") } else { String::new() };
    let parts =
        if *helped > 0 { format!(", helped others with {}", text::count(*helped, "part")) } else { String::new() };
    let nothing = if ran + failed + skipped + left + helped == 0 { ": nothing was to do" } else { "" };
    format!("ran {ran}, cached {cached}{wrong}{others}{parts} in {}{nothing}", text::duration(*seconds))
}

/// A run that could not begin: what stands in the way, and, in JSON, still the closing line.
pub(crate) fn refused(session: &Session, error: RunError, json: bool) -> Failure {
    let steps = session.planned.plan.len();
    let (kind, to_run) = match &error {
        RunError::MissingData(_) if !session.damaged.is_empty() => (Kind::Stage, steps),
        RunError::Frozen { damaged, would_run, .. } => {
            (if *damaged > 0 { Kind::Stage } else { Kind::Frozen }, would_run.len())
        }
        RunError::MissingData(_) | RunError::Store(_) => (Kind::Usage, steps),
    };
    if json {
        json::error(&error);
        json::summary(&Summary { cached: steps - to_run, skipped: to_run, ..Summary::default() });
    }
    Failure::because(kind, error)
}
