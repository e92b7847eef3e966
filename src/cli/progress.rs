//! How far a run has come: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::engine::event::{Event, Status};
use crate::engine::plan::{Step, StepId};

use super::{output, text};

/// Between two plain lines of one step.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the events of a run on standard error.
pub(super) struct Progress {
    bars: MultiProgress,
    steps: ProgressBar,
    plain: bool,
    begun: AtomicBool,
    running: Mutex<BTreeMap<StepId, Running>>,
}

/// A step that is running.
struct Running {
    bar: ProgressBar,
    /// What was done when it first told, and when that was: a training that goes on has done much before.
    first: Option<(u64, Instant)>,
    told: Instant,
}

impl Running {
    /// How much is done in a second.
    fn rate(&self, done: u64) -> f64 {
        let since = |(first, at): (u64, Instant)| done.saturating_sub(first) as f64 / at.elapsed().as_secs_f64();
        self.first.map_or(0.0, since)
    }
}

impl Progress {
    /// Nothing has happened yet; there are `steps` steps.
    pub fn new(steps: usize) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bars = MultiProgress::with_draw_target(target);
        let bar = bars.add(ProgressBar::new(steps as u64));
        bar.set_style(style("{bar:24} {pos}/{len} steps, {rate}, {eta} left, {elapsed} so far"));
        Self { bars, steps: bar, plain, begun: AtomicBool::new(false), running: Mutex::default() }
    }

    /// Shows one event; with `quiet`, only bars and what went wrong.
    pub fn show(&self, event: &Event<'_>, quiet: bool) {
        match event {
            Event::Started { id, step, why } => {
                if !self.begun.swap(true, Ordering::Relaxed) {
                    // What was cached took no time, and says nothing of what is to come.
                    self.steps.reset_eta();
                    self.steps.tick();
                }
                self.start(*id, step);
                let why = why.map_or_else(String::new, |why| format!(" ({why})"));
                if !quiet && self.plain {
                    errln!("start   {}{why}", step.label());
                }
            }
            Event::Progress { id, step, progress } => self.advance(*id, step, progress, quiet),
            Event::Log { step, line, .. } if !quiet => self.say(&format!("        {}: {line}", step.label())),
            Event::Planned { .. } | Event::Log { .. } => {}
            Event::Finished { id, step, status, seconds, error } => {
                self.finish(*id);
                match status {
                    Status::Ran if quiet => {}
                    Status::Ran => self.say(&format!("ran     {} in {}", step.label(), text::duration(*seconds))),
                    Status::Cached => {}
                    Status::Failed | Status::Skipped => {
                        let why = error.map_or_else(String::new, |why| format!(": {why}"));
                        self.say(&format!("{status:<7} {}{why}", step.label()));
                    }
                }
            }
            Event::Warning { step, message } => self.say(&format!("warning {}: {message}", step.label())),
            Event::Done { .. } => self.clear(),
        }
    }

    /// Takes the bars away.
    pub fn clear(&self) {
        self.steps.finish_and_clear();
        let _ = self.bars.clear();
    }

    fn start(&self, id: StepId, step: &Step) {
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style("{spinner} {wide_msg} {elapsed}"));
        bar.set_message(output::printable(&step.label().to_string()).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.running().insert(id, Running { bar, first: None, told: Instant::now() });
    }

    fn advance(&self, id: StepId, step: &Step, progress: &crate::engine::stage::Progress<'_>, quiet: bool) {
        let mut running = self.running();
        let Some(running) = running.get_mut(&id) else { return };
        let bar = &running.bar;
        if bar.length() != Some(progress.total) {
            bar.set_length(progress.total);
            let unit = progress.unit;
            bar.set_style(style(&format!("{{bar:24}} {{wide_msg}} {{pos}}/{{len}} {unit}, {{rate}}, {{eta}} left")));
        }
        bar.set_position(progress.done);
        if running.first.is_none() {
            running.first = Some((progress.done, Instant::now()));
            bar.reset_eta();
        }
        if self.plain && !quiet && running.told.elapsed() >= PLAIN_INTERVAL {
            running.told = Instant::now();
            let rate = running.rate(progress.done);
            let left = if rate > 0.0 {
                text::duration((progress.total - progress.done) as f64 / rate)
            } else {
                "?".to_owned()
            };
            let (done, total, unit) = (progress.done, progress.total, progress.unit);
            let rate = per_second(rate);
            errln!("        {}: {done}/{total} {unit}, {rate}, {left} left", step.label());
        }
    }

    fn finish(&self, id: StepId) {
        if let Some(running) = self.running().remove(&id) {
            running.bar.finish_and_clear();
        }
        self.steps.inc(1);
    }

    fn say(&self, line: &str) {
        if self.plain {
            errln!("{line}");
        } else {
            let _ = self.bars.println(output::printable(line));
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<StepId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, line: &mut dyn Write| {
        let _ = line.write_str(&per_second(state.per_sec()));
    };
    style.with_key("rate", rate).progress_chars("=> ")
}

/// A rate, with digits where it is low.
fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}/s") } else { format!("{rate:.0}/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_from_where_the_step_went_on() {
        let mut running = Running { bar: ProgressBar::hidden(), first: None, told: Instant::now() };
        assert_eq!(per_second(running.rate(2_500)), "0.00/s");
        running.first = Instant::now().checked_sub(Duration::from_secs(100)).map(|at| (2_400, at));
        assert!(running.rate(2_500) <= 1.0 && running.rate(2_500) > 0.9, "{}", running.rate(2_500));
        assert_eq!(per_second(150.4), "150/s");
    }
}
