//! How far a run has come: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use overinterp_workflow::cancel::{self, Cancel};
use overinterp_workflow::event::{Event, Status};
use overinterp_workflow::plan::StepId;
use overinterp_workflow::stage;

use crate::cli::screen::terminal;
use crate::cli::screen::terminal::{folded, shortened, width_of_errors};
use crate::forecast::remaining::{Expected, Remaining, Way};
use crate::printable::printable;
use crate::text;

/// Between two plain lines that tell how far a run has come.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);
/// The same once it has gone on for [`LONG`], so that the log of a night stays short.
const LONG_INTERVAL: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);
/// Columns of the longest bar, and of the shortest that says something.
const LONGEST_BAR: usize = 24;
const SHORTEST_BAR: usize = 6;
/// Where the text begins that follows `failed  ` and its like.
const INDENT: usize = 8;

/// Shows the events of a run on standard error.
pub(crate) struct Progress {
    bars: MultiProgress,
    steps: ProgressBar,
    plain: bool,
    board: Arc<Mutex<Board>>,
}

/// What is told of a run.
struct Board {
    steps: usize,
    ended: usize,
    /// When the first step began: what was cached took no time, and says nothing of what is to come.
    begun: Option<Instant>,
    told: Instant,
    running: BTreeMap<StepId, Running>,
    /// For what, and for whom, the run waits while nothing runs.
    waiting: BTreeMap<StepId, String>,
    remaining: Remaining,
    cancel: Cancel,
    /// Steps that failed, each with the reason.
    failed: Vec<(String, String)>,
    /// Why steps were skipped, the first of them, and how many.
    skipped: Vec<(String, String, usize)>,
}

/// A step that is running.
struct Running {
    label: String,
    bar: ProgressBar,
    since: Instant,
    unit: String,
    done: u64,
    total: u64,
    way: Option<Way>,
}

impl Progress {
    /// Nothing has happened yet; there are `steps` steps, and `cancel` tells whether the run is to stop.
    pub fn new(steps: usize, cancel: &Cancel) -> Self {
        let plain = !terminal::draws();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let board = Arc::new(Mutex::new(Board {
            steps,
            ended: 0,
            begun: None,
            told: Instant::now(),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            remaining: Remaining::default(),
            cancel: cancel.clone(),
            failed: Vec::new(),
            skipped: Vec::new(),
        }));
        let bars = MultiProgress::with_draw_target(target);
        let bar = bars.add(ProgressBar::new(steps as u64));
        bar.set_style(style(&board, Board::total_line));
        Self { bars, steps: bar, plain, board }
    }

    /// What there is to do, by the steps' places in the plan, of which `jobs` run at a time.
    pub fn expect(&self, expected: BTreeMap<usize, Expected>, jobs: usize, quiet: bool) {
        let count = expected.len();
        let remaining = Remaining::new(expected, jobs);
        let left = remaining.left(0.0).text();
        let steps = {
            let mut board = self.board();
            board.remaining = remaining;
            board.steps
        };
        if count > 0 && !quiet {
            self.say(&format!("{count} of {} to run, {left}", text::count(steps, "step")));
        }
    }

    /// Shows one event; with `quiet`, only bars and what went wrong.
    pub fn show(&self, event: &Event<'_>, quiet: bool) {
        match event {
            Event::Started { id, step, why } => {
                self.start(*id, &step.label().to_string());
                let why = why.map_or_else(String::new, |why| format!(" ({why})"));
                if !quiet && self.plain {
                    self.say(&format!("start   {}{why}", step.label()));
                }
            }
            Event::Progress { id, progress, .. } => {
                if let Some(line) = self.board().advance(*id, progress)
                    && self.plain
                    && !quiet
                {
                    self.say(&line);
                }
            }
            Event::Waiting { id, step, holder, is_new } => {
                let who = holder.map_or_else(|| "nobody works on it".to_owned(), |holder| format!("by {holder}"));
                let told = format!("{}, {who}", step.label());
                let again = self.board().wait_for(*id, &told);
                if !quiet && (*is_new || again && self.plain) {
                    self.say(&format!("waiting {told}"));
                }
            }
            Event::Helping { id, step, holder } => {
                let label = step.label().to_string();
                self.help(*id, &label);
                if !quiet {
                    self.say(&format!("helping {label}, by {holder}"));
                }
            }
            Event::Helped { id, step, parts } => {
                self.end_bar(*id);
                if !quiet {
                    self.say(&format!("helped  {}: {}", step.label(), text::count(*parts, "part")));
                }
            }
            Event::Log { step, line, .. } if !quiet => self.say(&format!("        {}: {line}", step.label())),
            Event::Planned { .. } | Event::Log { .. } => {}
            Event::Finished { id, step, status, seconds, error } => {
                let label = || step.label().to_string();
                self.finish(*id, (*status == Status::Ran).then_some(*seconds));
                match status {
                    Status::Ran if quiet => {}
                    Status::Ran => self.say_of("ran", &label(), &format!(" in {}", text::duration(*seconds))),
                    Status::Cached => {}
                    // Why is told at the end, where it is not lost among what follows.
                    Status::Failed => {
                        self.say_of("failed", &label(), &format!(" after {}", text::duration(*seconds)));
                        self.board().failed.push((label(), error.unwrap_or_default().to_owned()));
                    }
                    Status::Skipped => self.board().skip(label(), error.unwrap_or_default()),
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

    /// Tells what failed and why, and what was not run for it; one line for all that share a reason.
    pub fn tell_failures(&self) {
        for line in self.board().failures() {
            self.say(&line);
        }
    }

    fn start(&self, id: StepId, label: &str) {
        self.begin_bar(id, label);
        let mut board = self.board();
        let now = board.now();
        board.remaining.start(id.index(), now);
    }

    /// Another worker has the step: how far it has come, and what is left, is not this one's to say.
    fn help(&self, id: StepId, label: &str) {
        self.begin_bar(id, &format!("helping {label}"));
    }

    fn begin_bar(&self, id: StepId, label: &str) {
        let bar = self.bars.add(ProgressBar::new(0));
        let first = {
            let mut board = self.board();
            let first = board.begun.is_none();
            board.begun.get_or_insert_with(Instant::now);
            board.waiting.clear();
            let (label, bar, since) = (printable(label).into_owned(), bar.clone(), Instant::now());
            board.running.insert(id, Running { label, bar, since, unit: String::new(), done: 0, total: 0, way: None });
            first
        };
        // From here on the bars draw themselves, for which they ask the board.
        bar.set_style(style(&self.board, move |board, width| board.step_line(id, width)));
        bar.enable_steady_tick(Duration::from_millis(200));
        if first {
            self.steps.enable_steady_tick(Duration::from_millis(500));
        }
    }

    fn finish(&self, id: StepId, ran: Option<f64>) {
        {
            let mut board = self.board();
            board.ended += 1;
            board.waiting.remove(&id);
            board.remaining.end(id.index(), ran);
        }
        self.end_bar(id);
    }

    fn end_bar(&self, id: StepId) {
        let running = self.board().running.remove(&id);
        if let Some(running) = running {
            running.bar.finish_and_clear();
        }
    }

    /// `ran     LABEL in 3.2 s`, in one line of a terminal.
    fn say_of(&self, what: &str, label: &str, end: &str) {
        let label = match width_of_errors() {
            Some(width) => shortened(label, width.saturating_sub(INDENT + end.len())),
            None => label.to_owned(),
        };
        self.say(&format!("{what:<INDENT$}{label}{end}"));
    }

    /// Shows a line above the bars.
    pub fn say(&self, line: &str) {
        let line = folded(line, width_of_errors(), INDENT);
        // Where the bars are hidden, so would the line be.
        if self.plain || self.bars.is_hidden() {
            errln!("{line}");
        } else {
            let _ = self.bars.println(printable(&line));
        }
    }

    /// Nobody may draw a bar while holding this, as drawing asks for it.
    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    fn now(&self) -> f64 {
        self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64())
    }

    /// Notes how far a step has come; a line of it, if it is time for one.
    fn advance(&mut self, id: StepId, progress: &stage::Progress<'_>) -> Option<String> {
        let now = self.now();
        let way = self.remaining.advance(id.index(), progress.done, progress.total, now);
        let running = self.running.get_mut(&id)?;
        running.way = way;
        (running.done, running.total) = (progress.done, progress.total);
        if running.unit != progress.unit {
            progress.unit.clone_into(&mut running.unit);
        }
        let interval = if self.begun?.elapsed() < LONG { PLAIN_INTERVAL } else { LONG_INTERVAL };
        if self.told.max(running.since).elapsed() < interval {
            return None;
        }
        self.told = Instant::now();
        let running = self.running.get(&id)?;
        let (label, come, steps) = (&running.label, running.come(now), self.come());
        Some(format!("        {label}: {come}; {steps}"))
    }

    /// Notes for what the run waits; whether it is time to say so again.
    fn wait_for(&mut self, id: StepId, told: &str) -> bool {
        self.waiting.insert(id, printable(told).into_owned());
        let again = self.told.elapsed() >= LONG_INTERVAL;
        if again {
            self.told = Instant::now();
        }
        again
    }

    fn skip(&mut self, label: String, why: &str) {
        match self.skipped.iter_mut().find(|(known, ..)| known == why) {
            Some((.., count)) => *count += 1,
            None => self.skipped.push((why.to_owned(), label, 1)),
        }
    }

    fn failures(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|(label, why)| format!("failed  {label}: {why}"));
        // A run that the user stopped says so itself.
        let skipped = self.skipped.iter().filter(|(why, ..)| why != cancel::CANCELLED);
        let skipped = skipped.map(|(why, label, count)| match count {
            1 => format!("skipped {label}: {why}"),
            _ => format!("skipped {}: {why}", text::count(*count, "step")),
        });
        failed.chain(skipped).collect()
    }

    /// `12/20 steps, about 3 h 20 min left`.
    fn come(&self) -> String {
        let left = self.remaining.left(self.now());
        let left = if self.cancel.is_cancelled() { "stopping at the next safe point".to_owned() } else { left.text() };
        format!("{}/{} steps, {left}", self.ended, self.steps)
    }

    /// The line of the whole run in `width` columns.
    fn total_line(&self, width: usize) -> String {
        if let Some(waiting) = self.waiting.values().next().filter(|_| self.running.is_empty()) {
            let more =
                if self.waiting.len() > 1 { format!(" and {} more", self.waiting.len() - 1) } else { String::new() };
            let (ended, steps) = (self.ended, self.steps);
            return shortened(&format!("{ended}/{steps} steps, waiting for {waiting}{more}"), width);
        }
        let (now, left) = (self.now(), self.remaining.left(self.now()));
        let share = if left.all && now + left.seconds > 0.0 {
            now / (now + left.seconds)
        } else {
            self.ended as f64 / self.steps.max(1) as f64
        };
        let text = format!("{}, {} so far", self.come(), text::duration(now));
        match bar(share, width.saturating_sub(text.len() + 1)) {
            Some(bar) => format!("{bar} {text}"),
            None => shortened(&text, width),
        }
    }

    /// The line of a running step.
    fn step_line(&self, id: StepId, width: usize) -> String {
        self.running.get(&id).map_or_else(String::new, |running| running.line(width, self.now()))
    }
}

impl Running {
    /// `12/512 images, 3.10/s, 2 min 41 s left`.
    fn come(&self, now: f64) -> String {
        /// So many are a number that says less than its share.
        const MANY: u64 = 10_000;
        let Self { done, total, unit, .. } = self;
        if *total == 0 {
            return text::duration(self.since.elapsed().as_secs_f64());
        }
        let rate = self.way.and_then(|way| way.rate());
        let left = self
            .way
            .and_then(|way| way.left(now))
            .map_or_else(String::new, |left| format!(", {} left", text::duration(left)));
        if *total < MANY {
            let rate = rate.map_or_else(String::new, |rate| format!(", {}/s", per_second(rate)));
            format!("{done}/{total} {unit}{rate}{left}")
        } else {
            let rate = rate.map_or_else(String::new, |rate| format!(", {} {unit}/s", per_second(rate)));
            format!("{} %{rate}{left}", done * 100 / total)
        }
    }

    /// In `width` columns: a bar if there is room, the name, and how far it has come.
    fn line(&self, width: usize, now: f64) -> String {
        let come = self.come(now);
        let label = shortened(&self.label, width.saturating_sub(come.len() + 2));
        let taken = console::measure_text_width(&label) + come.len() + 3;
        let share = self.done as f64 / self.total.max(1) as f64;
        match bar(share, width.saturating_sub(taken)).filter(|_| self.total > 0) {
            Some(bar) => format!("{bar} {label}  {come}"),
            None => shortened(&format!("{label}  {come}"), width),
        }
    }
}

/// `=====>    ` in at most so many columns; none where they are too few.
fn bar(share: f64, columns: usize) -> Option<String> {
    if columns < SHORTEST_BAR {
        return None;
    }
    let columns = columns.min(LONGEST_BAR);
    #[expect(clippy::cast_sign_loss, reason = "a share is not negative")]
    let full = ((share.clamp(0.0, 1.0) * columns as f64) as usize).min(columns);
    let head = if full < columns { ">" } else { "" };
    Some(format!("{:<columns$}", format!("{}{head}", "=".repeat(full))))
}

/// A line that is asked of the board whenever it is drawn, in as many columns as there are then.
fn style(
    board: &Arc<Mutex<Board>>,
    line: impl Fn(&Board, usize) -> String + Clone + Send + Sync + 'static,
) -> ProgressStyle {
    let board = Arc::clone(board);
    let line = move |_: &ProgressState, out: &mut dyn Write| {
        let width = width_of_errors().unwrap_or(usize::MAX);
        let _ = out.write_str(&line(&lock(&board), width)); // cannot fail
    };
    let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("line", line)
}

/// A rate, with digits where it is low.
fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(label: &str, unit: &str, done: u64, total: u64) -> Running {
        let mut way = Way::begin(0, total, 0.0);
        way.go_on(done, total, 100.0);
        let (label, unit) = (label.to_owned(), unit.to_owned());
        Running { label, bar: ProgressBar::hidden(), since: Instant::now(), unit, done, total, way: Some(way) }
    }

    #[test]
    fn no_line_of_a_step_is_wider_than_the_terminal() {
        let long = "ranking arch=imagenet-inception-v3 corruption=glass-blur seed=0 test shard 12/750";
        for label in ["full", long, "画像画像画像画像画像画像画像画像画像画像画像画像画像画像画像"]
        {
            for running in [running(label, "pixels", 6_422_528, 12_544_000), running(label, "batches", 12, 380)] {
                for width in [20, 40, 79, 132] {
                    let line = running.line(width, 100.0);
                    assert!(console::measure_text_width(&line) <= width, "{width}: {line}");
                }
            }
        }
        let line = running(long, "pixels", 6_422_528, 12_544_000).line(79, 100.0);
        assert_eq!(line, "ranking arch=imagenet...=0 test shard 12/750  51 %, 64225 pixels/s, 95.3 s left");
        let line = running("full seed=0", "batches", 190, 380).line(79, 100.0);
        assert_eq!(line, "============>            full seed=0  190/380 batches, 1.90/s, 1 min 40 s left");
    }

    fn board() -> Board {
        Board {
            steps: 20,
            ended: 3,
            begun: None,
            told: Instant::now(),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            remaining: Remaining::default(),
            cancel: Cancel::default(),
            failed: Vec::new(),
            skipped: Vec::new(),
        }
    }

    #[test]
    fn the_line_of_the_run_fits_and_says_that_it_stops() {
        let mut board = board();
        let expected = Expected {
            kind: "score".to_owned(),
            family: String::new(),
            amount: 1.0,
            estimate: Some(40_000.0),
            at_most: false,
        };
        board.remaining = Remaining::new([(0, expected)].into(), 1);
        assert!(board.total_line(79).ends_with("3/20 steps, about 11 h 06 min left, 0.00 s so far"));
        assert_eq!(board.total_line(30).len(), 30);
        board.cancel.cancel();
        let line = board.total_line(79);
        assert!(line.contains("stopping at the next safe point") && line.len() <= 79, "{line}");
    }

    #[test]
    fn steps_that_share_a_reason_are_told_in_one_line() {
        let mut board = board();
        board.failed.push(("full seed=0".to_owned(), "it broke".to_owned()));
        (0..3).for_each(|step| board.skip(format!("ranking {step}"), "input full seed=0 failed"));
        board.skip("other".to_owned(), "no space");
        (0..9).for_each(|step| board.skip(format!("subset {step}"), cancel::CANCELLED));
        let expected =
            ["failed  full seed=0: it broke", "skipped 3 steps: input full seed=0 failed", "skipped other: no space"];
        assert_eq!(board.failures(), expected);
    }

    #[test]
    fn a_bar_is_as_full_as_its_share() {
        assert_eq!(bar(0.5, 8).as_deref(), Some("====>   "));
        assert_eq!(bar(1.0, 8).as_deref(), Some("========"));
        assert_eq!(bar(0.5, 5), None);
    }
}
