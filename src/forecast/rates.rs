//! What `bench` measured, kept beside the cache's steps, and the estimates that follow from it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use overinterp_artifacts::{Effort, noted_effort};
use overinterp_kernels::isa::Isa;
use overinterp_nn::rates::{model_of_processor, processor};
use overinterp_spec::{Activity, Arch, ImageShape, Rates, Work};
use overinterp_workflow::key::StepKey;
use overinterp_workflow::schedule::{Basis, Estimate, Schedule};
use overinterp_workflow::store::Lookup;
use overinterp_workflow::view::View;

use crate::computed::Computed;
use crate::failure::Failure;
use crate::forecast::first_images;
use crate::forecast::memo::Memo;
use crate::forecast::remaining::Expected;
use crate::text;

/// Those of a thousand machines have fewer bytes.
const MEMO: Memo = Memo {
    name: "rates.json",
    most: 16 << 20,
    said: |file| format!("the rates in {file} are"),
    advice: "; measure anew with `bench`",
};

/// What was measured with this cache.
pub(crate) fn load(cache: &Path) -> Vec<Rates> {
    MEMO.load(cache)
}

/// Seconds that make a rate as good as any that was measured earlier, for longer or not.
pub(crate) const ENOUGH: f64 = 1.0;

/// Remembers what was measured, in the place of what was measured earlier under the same circumstances. What took less than
/// [`ENOUGH`] and less than the earlier measurement leaves that, as the last.
pub(crate) fn save(cache: &Path, measured: &[Rates]) -> Result<(), Failure> {
    let circumstances =
        |rates: &Rates| (rates.arch, rates.image, rates.processor.clone(), rates.threads, rates.isa.clone());
    let replaces = |new: &Rates, old: &Rates| new.measured_for >= old.measured_for.min(ENOUGH);
    let mut all = load(cache);
    for new in measured {
        let alike = |old: &Rates| circumstances(old) == circumstances(new);
        let better = all.iter().find(|old| alike(old) && !replaces(new, old)).cloned();
        all.retain(|old| !alike(old));
        all.push(better.unwrap_or_else(|| new.clone()));
    }
    MEMO.save(cache, &all)
}

/// The seconds of `work`, if all of it was measured under the present circumstances.
pub(crate) fn seconds(work: &[Work], rates: &[Rates]) -> Option<f64> {
    work.iter().map(|work| rates.iter().find_map(|rates| rates.seconds(work))).sum()
}

/// Those of `rates` that hold for `threads` threads of this machine or its GPU.
pub(crate) fn present(mut rates: Vec<Rates>, isa: &str) -> Vec<Rates> {
    let processor = model_of_processor();
    let here = (processor.as_str(), isa, rayon::current_num_threads());
    rates.retain(|rates| (rates.processor.as_str(), rates.isa.as_str(), rates.threads) == here);
    rates
}

/// A sum of estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Time {
    pub seconds: f64,
    /// Whether it may be far less.
    pub at_most: bool,
    /// Steps that something is known of.
    pub known: usize,
    /// Steps that nothing is known of, which the seconds leave out.
    pub unknown: usize,
}

impl Time {
    /// Adds a step.
    pub fn add(&mut self, estimate: Option<Estimate>) {
        match estimate {
            Some(Estimate { seconds, basis }) => {
                self.seconds += seconds;
                self.at_most |= basis == Basis::AtMost;
                self.known += 1;
            }
            None => self.unknown += 1,
        }
    }

    /// Adds another sum.
    pub fn add_all(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.at_most |= other.at_most;
        self.known += other.known;
        self.unknown += other.unknown;
    }

    /// `about 3 h 20 min`, `at most 3 h 20 min without 2 steps of unknown time`, `time unknown`.
    pub fn text(self) -> String {
        let time = text::duration(self.seconds);
        let about = if self.at_most { format!("at most {time}") } else { format!("about {time}") };
        match self {
            Self { unknown: 0, .. } => about,
            Self { known: 0, .. } => "time unknown".to_owned(),
            Self { unknown, .. } => format!("{about} without {} of unknown time", text::count(unknown, "step")),
        }
    }
}

/// What share of an exhaustive selection's candidates each model's selections in a cache have evaluated: as much on any device.
pub(crate) struct Shares(BTreeMap<u64, Effort>);

impl Shares {
    /// What `bench` has learnt of first images. Where runs tell how long the same model took, they need not be asked.
    pub fn learnt(computed: &Computed) -> Self {
        Self(first_images::load(&computed.cache))
    }

    /// The same, and before that what selections in the cache have evaluated.
    pub fn all(computed: &Computed) -> Self {
        let planned = &computed.planned;
        let mut selected: BTreeMap<u64, Effort> = BTreeMap::new();
        for (_, step) in planned.plan.steps() {
            let mut work = planned.work.get(step.identity()).into_iter().flatten();
            let Some(Work { model, .. }) = work.find(|work| depends_on_weights(work)) else { continue };
            if let Some(noted) = step.key().and_then(|key| noted_effort(&computed.store().dir(key))) {
                let total = selected.entry(*model).or_default();
                *total = *total + noted;
            }
        }
        let mut all = Self::learnt(computed);
        all.0.append(&mut selected);
        all
    }

    /// What rates say of work, selections by what their models have evaluated so far.
    pub fn rated(&self, work: &[Work], rates: &[Rates]) -> Option<Estimate> {
        self.of_selection(work, rates).or_else(|| rated(work, rates))
    }

    /// What rates say of a selection by a model that has evaluated some candidates.
    fn of_selection(&self, work: &[Work], rates: &[Rates]) -> Option<Estimate> {
        let selects = work.iter().find(|work| work.activity == Activity::Select)?;
        let effort = self.0.get(&selects.model).filter(|effort| effort.exhaustive > 0)?;
        let share = effort.evaluated as f64 / effort.exhaustive as f64;
        rated(work, rates).map(|Estimate { seconds, .. }| Estimate { seconds: seconds * share, basis: Basis::Alike })
    }
}

/// Those of `rates` that hold for the GPU that was measured last, with its name; none if none was.
pub(crate) fn of_last_gpu(mut rates: Vec<Rates>) -> Option<(String, Vec<Rates>)> {
    let of_gpu = |rates: &Rates| Isa::ALL.iter().all(|isa| isa.to_string() != rates.isa);
    let Rates { isa, threads, processor, .. } = rates.iter().rfind(|rates| of_gpu(rates))?.clone();
    rates.retain(|rates| (&rates.isa, rates.threads, &rates.processor) == (&isa, threads, &processor));
    Some((isa, rates))
}

/// The schedule with estimates that know what networks have to compute. The history that the executor goes by does not:
/// a selection by another network is alike to it.
///
/// Work is timed by runs of the same work in this plan, or else by measured rates. A training names its network
/// itself, so that one which differs otherwise tells something, too. A selection is timed by what the same model's first
/// images took, or else other models' of the same architecture; rates alone only say what it takes at most.
pub(crate) fn estimated(schedule: Schedule, view: &View, computed: &Computed) -> Schedule {
    let planned = &computed.planned;
    let rates = present(load(&computed.cache), &processor(&computed.env.device));
    let (runs, shares) = (Runs::of(view, computed), Shares::learnt(computed));
    schedule.estimated_by(&planned.plan, |step, earlier| {
        let Some(work) = planned.work.get(step.identity()) else { return earlier };
        let learns = work.iter().any(|work| work.activity == Activity::Learn);
        runs.estimate(work, &shares, &rates).or(earlier.filter(|_| learns))
    })
}

/// What measured rates say of work.
pub(crate) fn rated(work: &[Work], rates: &[Rates]) -> Option<Estimate> {
    let basis = if work.iter().any(|work| work.activity == Activity::Select) { Basis::AtMost } else { Basis::Rates };
    seconds(work, rates).map(|seconds| Estimate { seconds, basis })
}

/// What of the steps to run is known before they do, by their places in the plan.
pub(crate) fn expected(schedule: &Schedule, view: &View, computed: &Computed) -> BTreeMap<usize, Expected> {
    if schedule.to_run() == 0 {
        return BTreeMap::new();
    }
    let planned = &computed.planned;
    let schedule = estimated(schedule.clone(), view, computed);
    let to_run = planned.plan.steps().filter(|(id, _)| !schedule.step(*id).forecast.is_cached());
    let expected = to_run.map(|(id, step)| {
        let estimate = schedule.step(id).estimate;
        let (kind, family, amount) = match planned.work.get(step.identity()).map(|work| parts(work)) {
            // All networks of an ensemble do the same work as often.
            Some(parts @ [first, ..]) => {
                let model = Some(first.model).filter(|_| depends_on_weights(first));
                let of = |work: &Work| format!("{:?}", (work.arch, work.shape, work.activity));
                let family: String = parts.iter().map(of).collect();
                (format!("{family}{model:?}"), family, first.times as f64)
            }
            _ => (format!("{} {}", step.manifest().kind(), step.label().stage), String::new(), 1.0),
        };
        let at_most = estimate.is_some_and(|estimate| estimate.basis == Basis::AtMost);
        (id.index(), Expected { kind, family, amount, estimate: estimate.map(|estimate| estimate.seconds), at_most })
    });
    expected.collect()
}

/// How long steps of a plan took that ran, added up by what they computed.
#[derive(Default)]
pub(crate) struct Runs {
    /// Those with the work of one network: that of several cannot be told apart.
    of_one: HashMap<Sort, Total>,
    /// All of them, by the model as well.
    of_models: HashMap<(Sort, u64), Total>,
}

/// Work whose times can be compared.
type Sort = (Arch, [usize; 3], Activity);

const fn sort(work: &Work) -> Sort {
    let ImageShape { height, width, channels } = work.shape;
    (work.arch, [height, width, channels], work.activity)
}

/// How often some work was done, and how long that took.
#[derive(Clone, Copy, Default)]
struct Total {
    times: u64,
    seconds: f64,
}

impl Total {
    /// The seconds of `work` at this pace.
    fn pace(self, work: &Work) -> Option<f64> {
        (self.times > 0).then(|| self.seconds / self.times as f64 * work.times as f64)
    }
}

impl Runs {
    /// Those in a cache.
    pub fn of(view: &View, computed: &Computed) -> Self {
        let planned = &computed.planned;
        let past = view.history().iter().map(|record| (&record.key, record.seconds));
        // There is no history of a kind of which nothing is to run.
        let cached = planned.plan.steps().filter_map(|(_, step)| match view.entry(step.identity()) {
            Lookup::Intact(record) => Some((step.identity(), record.seconds)),
            Lookup::Absent | Lookup::Damaged(_) => None,
        });
        let seconds: BTreeMap<&StepKey, f64> = past.chain(cached).collect();
        let mut runs = Self::default();
        for (key, seconds) in seconds {
            if let Some(work) = planned.work.get(key) {
                runs.note(parts(work), seconds);
            }
        }
        runs
    }

    /// Notes that some work took so long.
    fn note(&mut self, work: &[Work], seconds: f64) {
        let Some((first, others)) = work.split_first() else { return };
        let of_one = others.is_empty().then(|| self.of_one.entry(sort(first)).or_default());
        let of_model = self.of_models.entry((sort(first), first.model)).or_default();
        for total in of_one.into_iter().chain([of_model]) {
            total.times += first.times;
            total.seconds += seconds;
        }
    }

    /// Whether any of them was an exact selection by a model.
    pub fn have_selected(&self, model: u64) -> bool {
        self.of_models.keys().any(|((.., activity), of)| *of == model && *activity == Activity::Select)
    }

    /// How long work takes by rates that were just measured: a selection as [`Runs::estimate`] has it, all else by the rates.
    pub fn at_rates(&self, work: &[Work], shares: &Shares, rates: &[Rates]) -> Option<Estimate> {
        if work.iter().any(depends_on_weights) { self.estimate(work, shares, rates) } else { rated(work, rates) }
    }

    /// How long work takes: as in the runs that there were, or else by rates. A selection takes what selections by the same
    /// model took, or else the share of candidates that it has evaluated elsewhere, or what others of its architecture took.
    pub fn estimate(&self, work: &[Work], shares: &Shares, rates: &[Rates]) -> Option<Estimate> {
        match self.timed(work) {
            Some(of_model @ Estimate { basis: Basis::Alike, .. }) => Some(of_model),
            of_others => shares.of_selection(work, rates).or(of_others).or_else(|| rated(work, rates)),
        }
    }

    /// What they say of work.
    fn timed(&self, work: &[Work]) -> Option<Estimate> {
        let estimate = |seconds: f64, basis| Estimate { seconds, basis };
        match parts(work) {
            // All networks of an ensemble do the same work as often.
            [first, others @ ..] if depends_on_weights(first) => {
                let of_model = self.of_models.get(&(sort(first), first.model)).and_then(|total| total.pace(first));
                let of_others = || if others.is_empty() { self.of_one(first) } else { None };
                let alike = of_model.map(|seconds| estimate(seconds, Basis::Alike));
                alike.or_else(|| of_others().map(|seconds| estimate(seconds, Basis::Similar)))
            }
            parts => {
                let seconds = parts.iter().map(|work| self.of_one(work)).sum::<Option<f64>>();
                seconds.map(|seconds| estimate(seconds, Basis::Alike))
            }
        }
    }

    /// The seconds of `work` at the pace of all networks of its architecture.
    fn of_one(&self, work: &Work) -> Option<f64> {
        self.of_one.get(&sort(work)).and_then(|total| total.pace(work))
    }
}

/// Whether how long it takes depends on a network's weights.
fn depends_on_weights(work: &Work) -> bool {
    matches!(work.activity, Activity::Select | Activity::Collect)
}

/// The parts of a step's work that runs tell apart: a training's tests are timed with it.
fn parts(work: &[Work]) -> &[Work] {
    match work {
        [learn, ..] if learn.activity == Activity::Learn => std::slice::from_ref(learn),
        all => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIFAR: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };

    fn work(activity: Activity, times: u64, model: u64) -> Work {
        Work { arch: Arch::Resnet20, shape: CIFAR, activity, times, model }
    }

    fn runs() -> Runs {
        let mut runs = Runs::default();
        for (activity, times, model, networks, seconds) in [
            (Activity::Select, 1_000, 1, 1, 2.0),
            (Activity::Select, 3_000, 1, 1, 4.0),
            (Activity::Select, 1_000, 2, 1, 80.0),
            (Activity::Select, 1_000, 3, 2, 500.0),
            (Activity::Classify, 100, 1, 1, 1.0),
        ] {
            runs.note(&vec![work(activity, times, model); networks], seconds);
        }
        runs
    }

    fn rates() -> Rates {
        Rates {
            arch: Arch::Resnet20,
            image: CIFAR,
            processor: String::new(),
            threads: 2,
            isa: "avx2".to_owned(),
            measured_for: 1.0,
            batch: 128,
            candidates_per_second: 10.0,
            train_step_ms: 1.0,
            images_per_second: 1.0,
            gradient_round_ms: 1.0,
        }
    }

    #[test]
    fn a_selection_takes_as_long_as_the_first_images_of_its_model() {
        let estimate = |work: &[Work]| runs().timed(work).map(|estimate| (estimate.seconds, estimate.basis));
        assert_eq!(estimate(&[work(Activity::Select, 2_000, 1)]), Some((3.0, Basis::Alike)));
        // An ensemble's step is timed as a whole.
        let ensemble = [work(Activity::Select, 2_000, 3), work(Activity::Select, 2_000, 3)];
        assert_eq!(estimate(&ensemble), Some((1_000.0, Basis::Alike)));
        // Of a model that has selected nothing, others of its architecture tell something.
        assert_eq!(estimate(&[work(Activity::Select, 5_000, 4)]), Some((86.0, Basis::Similar)));
        assert_eq!(estimate(&[work(Activity::Collect, 2, 1)]), None);
        // What does not depend on weights is timed by every model.
        assert_eq!(estimate(&[work(Activity::Classify, 200, 9)]), Some((2.0, Basis::Alike)));
        // Unless the rates are wanted.
        let at_rates = runs().at_rates(&[work(Activity::Classify, 200, 9)], &Shares(BTreeMap::new()), &[rates()]);
        assert_eq!(at_rates.map(|estimate| (estimate.seconds, estimate.basis)), Some((200.0, Basis::Rates)));
    }

    #[test]
    fn rates_say_what_a_selection_takes_at_most() {
        let rated = |activity, times| {
            rated(&[work(activity, times, 1)], &[rates()]).map(|estimate| (estimate.seconds, estimate.basis))
        };
        assert_eq!(rated(Activity::Select, 50), Some((5.0, Basis::AtMost)));
        assert_eq!(rated(Activity::Score, 50), Some((5.0, Basis::Rates)));
        assert_eq!(rated(Activity::Collect, 50), None);
    }

    #[test]
    fn what_a_model_has_evaluated_tells_its_time_on_any_device() {
        let effort = Effort { evaluated: 20, exhaustive: 100, ..Effort::default() };
        let shares = Shares([(1, effort)].into());
        let rated = |activity, model| {
            let estimate = shares.rated(&[work(activity, 50, model)], &[rates()]);
            estimate.map(|estimate| (estimate.seconds, estimate.basis))
        };
        assert_eq!(rated(Activity::Select, 1), Some((1.0, Basis::Alike)));
        assert_eq!(rated(Activity::Select, 2), Some((5.0, Basis::AtMost)));
        assert_eq!(rated(Activity::Score, 1), Some((5.0, Basis::Rates)));
    }

    #[test]
    fn a_models_own_time_counts_before_its_first_images_and_those_before_other_models() {
        let effort = Effort { evaluated: 20, exhaustive: 100, ..Effort::default() };
        let shares = Shares([(1, effort), (4, effort)].into());
        let estimate = |model| {
            let estimate = runs().at_rates(&[work(Activity::Select, 2_000, model)], &shares, &[rates()]);
            estimate.map(|estimate| (estimate.seconds, estimate.basis))
        };
        assert_eq!(estimate(1), Some((3.0, Basis::Alike)));
        assert_eq!(estimate(4), Some((40.0, Basis::Alike)));
        assert_eq!(estimate(5), Some((34.4, Basis::Similar)));
    }

    #[test]
    fn sums_of_estimates_say_what_they_leave_out() {
        let mut time = Time::default();
        time.add(Some(Estimate { seconds: 20.0, basis: Basis::Rates }));
        assert_eq!(time.text(), "about 20.0 s");
        time.add(Some(Estimate { seconds: 7_180.0, basis: Basis::AtMost }));
        let mut more = Time::default();
        more.add(None);
        assert_eq!(more.text(), "time unknown");
        time.add_all(more);
        assert_eq!(time.text(), "at most 2 h 00 min without 1 step of unknown time");
    }

    #[test]
    fn a_glance_does_not_replace_what_was_measured_for_longer() {
        let cache = tempfile::tempdir().unwrap();
        let saved = |measured_for, candidates_per_second| {
            save(cache.path(), &[Rates { measured_for, candidates_per_second, ..rates() }]).unwrap();
            load(cache.path()).iter().map(|rates| rates.candidates_per_second).collect::<Vec<_>>()
        };
        assert_eq!(saved(0.0, 1.0), [1.0]);
        assert_eq!(saved(0.0, 2.0), [2.0]);
        assert_eq!(saved(20.0, 3.0), [3.0]);
        assert_eq!(saved(0.5, 4.0), [3.0]);
        // A second is enough: a machine may have changed.
        assert_eq!(saved(1.0, 5.0), [5.0]);
        // What stays is the last that was measured all the same.
        save(cache.path(), &[Rates { isa: "avx512".to_owned(), ..rates() }]).unwrap();
        assert_eq!(saved(0.5, 6.0), [10.0, 5.0]);
    }

    #[test]
    fn the_gpu_that_was_measured_last_is_told() {
        assert_eq!(of_last_gpu(vec![rates()]), None);
        let on = |isa: &str, threads| Rates { isa: isa.to_owned(), threads, ..rates() };
        let all = vec![on("GPU A", 2), on("GPU B", 2), on("GPU B", 4), rates(), on("GPU B", 4), rates()];
        let (name, found) = of_last_gpu(all).unwrap();
        assert_eq!((name.as_str(), found), ("GPU B", vec![on("GPU B", 4), on("GPU B", 4)]));
    }
}
