//! How long a run has yet to go: by what each step has to compute, and by what the steps so far have taken.
//!
//! Before anything has run it goes by the plan's estimates. A step that has run tells of those that do the same work;
//! of all others, how much faster or slower today is than foreseen. Pure: it is told the time.

use std::collections::BTreeMap;

use crate::text;

/// A running step is judged by its own pace once it has gone on for so many seconds.
const ENOUGH: f64 = 0.5;
/// A step that first tells when it is further than this has gone on from a checkpoint.
const CHECKPOINT: f64 = 0.2;

/// What is known of a step before it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Expected {
    /// Steps of the same kind differ in nothing but the amount of their work.
    pub kind: String,
    /// Those of the same family may differ in the model, too.
    pub family: String,
    /// How much there is to compute, in a unit of the kind's own.
    pub amount: f64,
    /// The seconds that the plan foresees.
    pub estimate: Option<f64>,
    /// Whether it may be far fewer.
    pub at_most: bool,
}

/// The steps of a run, by their place in the plan; those that nothing was expected of take no time.
#[derive(Debug, Default)]
pub(crate) struct Remaining {
    steps: BTreeMap<usize, (Expected, State)>,
    /// How many run at a time.
    jobs: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting,
    Running {
        since: f64,
        way: Option<Way>,
    },
    /// With the seconds that it ran; none where it did not.
    Ended(Option<f64>),
}

/// How far a running step has come since it first told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    first: (u64, f64),
    done: u64,
    at: f64,
    total: u64,
}

impl Way {
    /// A step has told for the first time.
    pub fn begin(done: u64, total: u64, now: f64) -> Self {
        Self { first: (done, now), done, at: now, total }
    }

    /// It tells again.
    pub fn go_on(&mut self, done: u64, total: u64, now: f64) {
        (self.done, self.total, self.at) = (done, total, now);
    }

    /// How much is done in a second. A training that goes on has done much before it tells.
    pub fn rate(&self) -> Option<f64> {
        let (done, taken) = (self.done.saturating_sub(self.first.0) as f64, self.at - self.first.1);
        (done > 0.0 && taken >= ENOUGH).then(|| done / taken)
    }

    /// Seconds from `now` to its end.
    pub fn left(&self, now: f64) -> Option<f64> {
        let rest = self.total.saturating_sub(self.done) as f64;
        self.rate().map(|rate| (rest / rate - (now - self.at)).max(0.0))
    }

    /// How many times as much the whole step is as what was left when it first told: 1 unless it went on from a
    /// checkpoint.
    fn whole_to_part(&self) -> f64 {
        let (whole, before) = (self.total as f64, self.first.0 as f64);
        if before < CHECKPOINT * whole || before >= whole { 1.0 } else { whole / (whole - before) }
    }

    /// Seconds from its beginning to its end, at this pace.
    fn whole(&self) -> Option<f64> {
        self.rate().map(|rate| self.total as f64 / rate)
    }
}

/// The time that a run has yet to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Left {
    /// Of the steps of which something is known.
    pub seconds: f64,
    /// Whether that is all of them.
    pub all: bool,
    /// Whether it may be far less.
    pub at_most: bool,
}

impl Left {
    /// `about 3 h 20 min left`, `at most 3 h 20 min left`.
    pub fn text(self) -> String {
        let time = text::duration(self.seconds);
        match self.all {
            true if self.at_most => format!("at most {time} left"),
            true => format!("about {time} left"),
            false if self.at_most => format!("time left unknown, at most {time} of what is known"),
            false if self.seconds < 1.0 => "time left unknown".to_owned(),
            false => format!("more than {time} left"),
        }
    }
}

impl Remaining {
    /// Nothing has run yet.
    pub fn new(steps: BTreeMap<usize, Expected>, jobs: usize) -> Self {
        let steps = steps.into_iter().map(|(place, expected)| (place, (expected, State::Waiting))).collect();
        Self { steps, jobs: jobs.max(1) }
    }

    /// A step begins; what was thought to be cached may, too.
    pub fn start(&mut self, step: usize, now: f64) {
        self.steps.entry(step).or_insert((Expected::default(), State::Waiting)).1 =
            State::Running { since: now, way: None };
    }

    /// A running step has come further; its way so far.
    pub fn advance(&mut self, step: usize, done: u64, total: u64, now: f64) -> Option<Way> {
        let Some((_, State::Running { way, .. })) = self.steps.get_mut(&step) else { return None };
        match way {
            Some(way) => way.go_on(done, total, now),
            None => *way = Some(Way::begin(done, total, now)),
        }
        *way
    }

    /// A step has ended, and ran for so long if it ran to its end.
    pub fn end(&mut self, step: usize, ran: Option<f64>) {
        if let Some((_, state)) = self.steps.get_mut(&step) {
            let whole = match state {
                State::Running { way: Some(way), .. } => ran.map(|seconds| seconds * way.whole_to_part()),
                State::Running { way: None, .. } | State::Waiting | State::Ended(_) => ran,
            };
            *state = State::Ended(whole);
        }
    }

    /// The time from `now` to the run's end.
    pub fn left(&self, now: f64) -> Left {
        let paces = self.paces(|expected| &expected.kind);
        let of_others = self.paces(|expected| &expected.family);
        let slowness = self.slowness();
        // What was measured was measured beside as many other steps.
        let (mut measured, mut foreseen, mut longest, mut all) = (0.0, 0.0, 0.0_f64, true);
        let (mut unfinished, mut at_most) = (0, false);
        for (expected, state) in self.steps.values() {
            let (spent, way) = match *state {
                State::Ended(_) => continue,
                State::Waiting => (0.0, None),
                State::Running { since, way } => (now - since, way),
            };
            unfinished += 1;
            let by_pace = paces.get(expected.kind.as_str()).map(|pace| pace * expected.amount);
            // What a bound is worth, only such work tells.
            let corrected = if expected.at_most {
                of_others.get(expected.family.as_str()).map(|pace| pace * expected.amount)
            } else {
                slowness.and_then(|slowness| Some(expected.estimate? * slowness))
            };
            let rest = |whole: f64| (whole - spent).max(0.0);
            let known = way.and_then(|way| way.left(now)).or(by_pace.or(corrected).map(rest));
            if let Some(seconds) = known {
                measured += seconds;
                longest = longest.max(seconds);
            } else if let Some(seconds) = expected.estimate.map(rest) {
                foreseen += seconds;
                at_most |= expected.at_most;
            } else {
                all = false;
            }
        }
        let side_by_side = self.jobs.min(unfinished).max(1) as f64;
        Left { seconds: (measured / side_by_side).max(longest) + foreseen, all, at_most }
    }

    /// Seconds for one of the amount of each kind or family: of the steps that have run, or else of those that are running.
    fn paces(&self, of: impl Fn(&Expected) -> &str) -> BTreeMap<&str, f64> {
        let mut sums: BTreeMap<&str, [(f64, f64); 2]> = BTreeMap::new();
        for (expected, state) in self.steps.values().filter(|(expected, _)| expected.amount > 0.0) {
            let amount = expected.amount;
            let [ended, running] = sums.entry(of(expected)).or_default();
            let (sum, seconds) = match state {
                State::Ended(Some(seconds)) => (ended, *seconds),
                State::Running { way: Some(way), .. } => match way.whole() {
                    Some(seconds) => (running, seconds),
                    None => continue,
                },
                State::Ended(None) | State::Waiting | State::Running { way: None, .. } => continue,
            };
            *sum = (sum.0 + amount, sum.1 + seconds);
        }
        let pace = |[ended, running]: [(f64, f64); 2]| {
            let (amount, seconds) = if ended.0 > 0.0 { ended } else { running };
            (amount > 0.0).then(|| seconds / amount)
        };
        sums.into_iter().filter_map(|(name, sums)| Some((name, pace(sums)?))).collect()
    }

    /// How many times as long as foreseen the steps have taken that have run; none before one has. Those that were foreseen
    /// to take so long at most say nothing of others.
    fn slowness(&self) -> Option<f64> {
        let alike = self.steps.values().filter(|(expected, _)| !expected.at_most);
        let both = alike.filter_map(|(expected, state)| match state {
            State::Ended(ran) => Some((expected.estimate?, (*ran)?)),
            State::Waiting | State::Running { .. } => None,
        });
        let (foreseen, taken) = both.fold((0.0, 0.0), |(a, b), (foreseen, taken)| (a + foreseen, b + taken));
        (foreseen > 0.0).then(|| taken / foreseen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: &[(&str, f64, Option<f64>)], jobs: usize) -> Remaining {
        let expected = |&(kind, amount, estimate): &(&str, f64, Option<f64>)| Expected {
            kind: kind.to_owned(),
            family: kind.to_owned(),
            amount,
            estimate,
            at_most: false,
        };
        Remaining::new(steps.iter().map(expected).enumerate().collect(), jobs)
    }

    fn near(left: Left, seconds: f64, all: bool) {
        assert!((left.seconds - seconds).abs() < 1e-6 && left.all == all, "{left:?}, expected {seconds} {all}");
    }

    #[test]
    fn hours_of_selection_after_seconds_of_training_are_told_as_hours() {
        let mut run =
            run(&[("learn", 100.0, Some(6.0)), ("score", 1e6, Some(7_200.0)), ("score", 5e5, Some(3_600.0))], 1);
        near(run.left(0.0), 10_806.0, true);
        run.start(0, 0.0);
        run.end(0, Some(6.0));
        near(run.left(6.0), 10_800.0, true);
        assert_eq!(run.left(6.0).text(), "about 3 h 00 min left");
        // Half of the first in half an hour: an hour for it, and half an hour for the next.
        run.start(1, 6.0);
        run.advance(1, 0, 1_000, 6.0);
        run.advance(1, 500, 1_000, 1_806.0);
        near(run.left(1_806.0), 1_800.0 + 1_800.0, true);
        near(run.left(1_906.0), 1_700.0 + 1_800.0, true);
        run.end(1, Some(3_600.0));
        near(run.left(3_606.0), 1_800.0, true);
    }

    #[test]
    fn what_ran_slower_than_foreseen_slows_what_is_of_another_kind() {
        let mut run = run(&[("learn", 1.0, Some(10.0)), ("score", 1.0, Some(100.0))], 1);
        run.start(0, 0.0);
        run.end(0, Some(30.0));
        near(run.left(30.0), 300.0, true);
    }

    #[test]
    fn a_bound_is_told_as_one_until_such_work_has_run_and_corrects_nothing_else() {
        let expected = |kind: &str, family: &str, estimate, at_most| {
            let (kind, family) = (kind.to_owned(), family.to_owned());
            Expected { kind, family, amount: 1.0, estimate: Some(estimate), at_most }
        };
        let steps = [
            expected("resnet20 1", "resnet20", 1_000.0, true),
            expected("resnet20 1", "resnet20", 1_000.0, true),
            expected("resnet20 2", "resnet20", 500.0, true),
            expected("learn", "learn", 30.0, false),
            expected("vgg16 3", "vgg16", 36_000.0, true),
        ];
        let mut run = Remaining::new(steps.into_iter().enumerate().collect(), 1);
        assert_eq!(run.left(0.0).text(), "at most 10 h 42 min left");
        run.start(0, 0.0);
        run.end(0, Some(100.0));
        // As long for the same model and for another one of its architecture; nothing is known of another architecture.
        let left = run.left(100.0);
        assert!((left.seconds - (100.0 + 100.0 + 30.0 + 36_000.0)).abs() < 1e-6 && left.at_most, "{left:?}");
        run.end(4, None);
        assert_eq!(run.left(100.0).text(), "about 3 min 50 s left");
    }

    #[test]
    fn a_time_that_nobody_knows_is_called_unknown() {
        let mut run = run(&[("learn", 1.0, None), ("score", 16.0, None), ("score", 8.0, None), ("mask", 1.0, None)], 1);
        assert_eq!(run.left(0.0).text(), "time left unknown");
        run.start(1, 0.0);
        run.end(1, Some(40.0));
        near(run.left(40.0), 20.0, false);
        assert_eq!(run.left(40.0).text(), "more than 20.0 s left");
    }

    #[test]
    fn steps_side_by_side_share_the_time_but_the_longest_has_its_own() {
        let mut run = run(&[("a", 1.0, None), ("a", 1.0, None), ("a", 1.0, None), ("a", 10.0, None)], 2);
        run.start(0, 0.0);
        run.end(0, Some(10.0));
        near(run.left(10.0), 100.0, true);
        run.end(3, None);
        near(run.left(10.0), 10.0, true);
    }

    #[test]
    fn a_step_that_went_on_is_judged_by_what_it_has_done_since() {
        let mut way = Way::begin(2_400, 2_600, 0.0);
        assert_eq!((way.rate(), way.left(0.0)), (None, None));
        way.go_on(2_500, 2_600, 100.0);
        assert_eq!((way.rate(), way.left(150.0), way.left(900.0)), (Some(1.0), Some(50.0), Some(0.0)));
        // Half of it took 10 s, so that another one will take 20 s.
        let mut run = run(&[("learn", 1.0, None), ("learn", 1.0, None)], 1);
        run.start(0, 0.0);
        run.advance(0, 50, 100, 0.0);
        run.advance(0, 100, 100, 10.0);
        run.end(0, Some(10.0));
        near(run.left(10.0), 20.0, true);
    }

    #[test]
    fn a_cached_step_that_runs_after_all_and_a_repeated_end_do_no_harm() {
        let mut run = run(&[("a", 1.0, Some(5.0))], 1);
        run.end(7, None);
        run.start(7, 0.0);
        assert!(!run.left(0.0).all);
        run.end(7, Some(1.0));
        run.end(7, Some(1.0));
        near(run.left(1.0), 5.0, true);
    }
}
