//! Backward selection, one feature at a time.

use std::ops::ControlFlow;

use super::scorer::Bound;
use super::search::{Effort, Search};
use super::{Halted, Scorer};

/// What backward selection found: in which order features can be masked, and what f was on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct BackSelection {
    /// f before the first step: f(x).
    pub full: f32,
    /// The features, the first masked first; the last is the one that f needs most.
    pub order: Vec<u32>,
    /// f after each step; the last value is f with everything masked. [`back_select()`] masks one feature a step,
    /// [`batched_gradient()`](super::batched_gradient()) `per_round` of them.
    pub values: Vec<f32>,
    /// What it took, by backward selection; nothing by other methods.
    pub effort: Effort,
}

/// How far a selection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Features masked so far.
    pub masked: usize,
    /// Features to mask in all.
    pub total: usize,
}

/// The watcher of a selection that always lets it go on.
pub const fn watch_nothing(_: Step) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Orders all features by backward selection (`BackSelect`, Carter et al. 2019, section 3).
///
/// At each step f is evaluated with each feature that is still there masked in turn, and the one that leaves f
/// highest is masked for good. **Ties go to the lowest feature**: a softmax that saturates gives equal values early
/// on, so this rule decides which pixels go first (top rows, for images). For d features f is evaluated
/// d(d+1)/2 times; less often where it has a ceiling and reaches it ([`Scorer::bound`]), with the same result to the bit.
///
/// `watch` is called before each step, and, by a scorer that takes long, again within it; it may stop the selection.
///
/// # Errors
/// When `watch` said so, or the scorer failed.
pub fn back_select<S: Scorer>(
    scorer: &mut S,
    watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<BackSelection, Halted<S::Error>> {
    let features = (0..scorer.features() as u32).collect();
    back_select_among(scorer, features, watch)
}

/// [`back_select()`] over some of the features, which must not be masked yet and come in ascending order.
///
/// # Errors
/// As of [`back_select()`].
pub fn back_select_among<S: Scorer>(
    scorer: &mut S,
    features: Vec<u32>,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<BackSelection, Halted<S::Error>> {
    let mut selecting = Selecting::new(features, scorer.current()?, scorer.bound());
    // Nothing in this loop allocates: it runs 1024 times for each 32x32 image of a data set.
    while !selecting.is_over() {
        let step = selecting.step();
        if watch(step).is_break() {
            return Err(Halted::Stopped);
        }
        let feature = loop {
            let (candidates, scores) = selecting.wanted();
            scorer.candidates_while(candidates, scores, &mut || watch(step))?;
            if let Some(feature) = selecting.told() {
                break feature;
            }
        };
        scorer.mask(feature)?;
    }
    Ok(selecting.end())
}

/// A selection under way: it says which candidates it wants to know the scores of, and what is to be masked.
#[derive(Debug)]
pub(super) struct Selecting {
    total: usize,
    kept: Vec<u32>,
    scores: Vec<f32>,
    search: Search,
    found: BackSelection,
}

impl Selecting {
    /// Nothing of `features`, which ascend, is masked yet; f is `full`.
    pub fn new(features: Vec<u32>, full: f32, bound: Bound) -> Self {
        let total = features.len();
        let (order, values) = (Vec::with_capacity(total), Vec::with_capacity(total));
        Self {
            total,
            kept: features,
            scores: vec![0.0; total],
            search: Search::new(bound),
            found: BackSelection { full, order, values, effort: Effort::default() },
        }
    }

    /// How far it has come.
    pub fn step(&self) -> Step {
        Step { masked: self.found.order.len(), total: self.total }
    }

    /// Whether everything is masked.
    pub fn is_over(&self) -> bool {
        self.kept.is_empty()
    }

    /// The candidates to evaluate next, and the place for their scores.
    pub fn wanted(&mut self) -> (&[u32], &mut [f32]) {
        let next = self.search.next(self.kept.len());
        (&self.kept[next.clone()], &mut self.scores[next])
    }

    /// Takes the scores of what was wanted. Says what to mask, if that decides the step.
    pub fn told(&mut self) -> Option<u32> {
        let best = self.search.told(&self.scores[..self.kept.len()])?;
        let feature = self.kept.remove(best);
        self.found.order.push(feature);
        self.found.values.push(self.scores[best]);
        Some(feature)
    }

    /// What was found, once everything is masked.
    pub fn end(self) -> BackSelection {
        BackSelection { effort: self.search.effort(), ..self.found }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::super::support::{MaskedArray, assert_close, l2, sum};
    use super::*;

    fn select(mut scorer: MaskedArray) -> BackSelection {
        back_select(&mut scorer, watch_nothing).expect("nothing stops it")
    }

    // The cases with L2 and SUM are the plain-data conformance cases of the reference implementation.

    #[test]
    fn equal_features_are_masked_from_the_lowest() {
        let selection = select(MaskedArray::new(l2, &[10.0, 10.0, 10.0]));
        assert_eq!(selection.order, [0, 1, 2]);
        assert_close(&selection.values, &[200_f32.sqrt(), 10.0, 0.0]);
    }

    #[test]
    fn the_feature_that_f_misses_least_goes_first() {
        let selection = select(MaskedArray::new(l2, &[0.1, 10.0, 5.0, 1.0]));
        assert_eq!(selection.order, [0, 3, 2, 1]);
        assert_close(&selection.values, &[126_f32.sqrt(), 125_f32.sqrt(), 10.0, 0.0]);
        assert_close(&[selection.full], &[126.01_f32.sqrt()]);
    }

    #[test]
    fn a_table_is_numbered_row_by_row() {
        let selection = select(MaskedArray::new(sum, &[10.0, 5.0, 2.0, 3.0]));
        let places: Vec<(u32, u32)> = selection.order.iter().map(|&feature| (feature / 2, feature % 2)).collect();
        assert_eq!(places, [(1, 0), (1, 1), (0, 1), (0, 0)]);
        assert_close(&selection.values, &[18.0, 15.0, 10.0, 0.0]);
    }

    #[test]
    fn rows_can_be_masked_as_one() {
        let selection = select(MaskedArray::grouped(sum, &[10.0, 5.0, 2.0, 3.0], &[&[0, 1], &[2, 3]]));
        assert_eq!(selection.order, [1, 0]);
        assert_close(&selection.values, &[15.0, 0.0]);
    }

    #[test]
    fn columns_can_be_masked_as_one() {
        let selection = select(MaskedArray::grouped(sum, &[10.0, 5.0, 2.0, 3.0], &[&[0, 2], &[1, 3]]));
        assert_eq!(selection.order, [1, 0]);
        assert_close(&selection.values, &[12.0, 0.0]);
    }

    #[test]
    fn f_of_d_features_is_evaluated_at_half_of_d_times_d_plus_one_candidates() {
        let mut scorer = MaskedArray::new(sum, &[1.0; 32]);
        back_select(&mut scorer, watch_nothing).expect("nothing stops it");
        assert_eq!(scorer.evaluated, 32 * 33 / 2);
    }

    #[test]
    fn the_watcher_sees_each_step_and_can_stop() {
        let mut seen = Vec::new();
        let stopped = back_select(&mut MaskedArray::new(sum, &[1.0; 5]), |step| {
            seen.push(step);
            if step.masked == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(stopped, Err(Halted::Stopped));
        assert_eq!(seen, [0, 1, 2].map(|masked| Step { masked, total: 5 }));
    }

    /// A scorer that asks before each candidate.
    struct Slow(MaskedArray);

    impl Scorer for Slow {
        type Error = Infallible;

        fn features(&self) -> usize {
            self.0.features()
        }

        fn current(&mut self) -> Result<f32, Infallible> {
            self.0.current()
        }

        fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), Infallible> {
            self.0.candidates(candidates, scores)
        }

        fn candidates_while(
            &mut self,
            candidates: &[u32],
            scores: &mut [f32],
            go_on: &mut dyn FnMut() -> ControlFlow<()>,
        ) -> Result<(), Halted<Infallible>> {
            for (candidate, score) in candidates.chunks(1).zip(scores.chunks_mut(1)) {
                if go_on().is_break() {
                    return Err(Halted::Stopped);
                }
                self.0.candidates(candidate, score)?;
            }
            Ok(())
        }

        fn mask(&mut self, feature: u32) -> Result<(), Infallible> {
            self.0.mask(feature)
        }
    }

    #[test]
    fn a_slow_scorer_can_be_stopped_within_a_step_and_is_otherwise_the_same() {
        let x = [0.1, 10.0, 5.0, 1.0];
        let slow = back_select(&mut Slow(MaskedArray::new(l2, &x)), watch_nothing).expect("nothing stops it");
        assert_eq!(slow, select(MaskedArray::new(l2, &x)));
        let mut seen = Vec::new();
        let mut scorer = Slow(MaskedArray::new(l2, &x));
        let stopped = back_select(&mut scorer, |step| {
            seen.push(step.masked);
            // Before the step, before each of four candidates, before the next step, before its first candidate.
            if seen.len() < 7 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!((stopped, seen), (Err(Halted::Stopped), vec![0, 0, 0, 0, 0, 1, 1]));
        assert_eq!(scorer.0.evaluated, 4);
    }

    /// A scorer that answers so many times.
    struct Failing(MaskedArray, usize);

    impl Scorer for Failing {
        type Error = &'static str;

        fn features(&self) -> usize {
            self.0.features()
        }

        fn current(&mut self) -> Result<f32, &'static str> {
            let Ok(value) = self.0.current();
            Ok(value)
        }

        fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), &'static str> {
            self.1 = self.1.checked_sub(1).ok_or("it is tired")?;
            let Ok(()) = self.0.candidates(candidates, scores);
            Ok(())
        }

        fn mask(&mut self, feature: u32) -> Result<(), &'static str> {
            let Ok(()) = self.0.mask(feature);
            Ok(())
        }
    }

    #[test]
    fn a_scorer_that_fails_ends_the_selection_and_says_why() {
        let scorer = |answers| Failing(MaskedArray::new(l2, &[0.1, 10.0, 5.0, 1.0]), answers);
        assert_eq!(back_select(&mut scorer(3), watch_nothing), Err(Halted::Failed("it is tired")));
        assert!(back_select(&mut scorer(4), watch_nothing).is_ok());
    }

    proptest! {
        /// f = the sum of what is kept: the least weight goes first, the lower index on ties. Small whole weights
        /// make every sum exact and ties common.
        #[test]
        fn the_order_of_an_additive_function_is_that_of_its_weights(
            weights in proptest::collection::vec((-9_i8..=9).prop_map(f32::from), 1..40),
        ) {
            let selection = select(MaskedArray::new(sum, &weights));
            let mut by_weight: Vec<u32> = (0..weights.len() as u32).collect();
            by_weight.sort_by(|&a, &b| weights[a as usize].total_cmp(&weights[b as usize]));
            prop_assert_eq!(selection.order, by_weight);
        }

        /// Each value is f with exactly the order's first features masked.
        #[test]
        fn every_value_is_f_after_that_many_maskings(
            x in proptest::collection::vec(-4.0_f32..4.0, 1..20),
        ) {
            let selection = select(MaskedArray::new(l2, &x));
            let mut scorer = MaskedArray::new(l2, &x);
            prop_assert_eq!(scorer.current().unwrap().to_bits(), selection.full.to_bits());
            for (&feature, &value) in selection.order.iter().zip(&selection.values) {
                scorer.mask(feature).unwrap();
                prop_assert_eq!(scorer.current().unwrap().to_bits(), value.to_bits());
            }
        }
    }
}
