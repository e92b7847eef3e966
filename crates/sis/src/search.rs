//! How a step of backward selection finds the candidate that leaves f highest, the first one on ties.
//!
//! All candidates are evaluated, unless f has a ceiling ([`Bound::ceiling`]) and one of them
//! reaches it: nothing can beat that one, and what ties with it comes after it. So in ascending order the first that reaches
//! the ceiling decides the step, and what stands behind it is not evaluated. In front of it stand features that f needs. They
//! stay there from step to step, and the one that goes is followed by its neighbour; so a step asks first for as many as the
//! step before needed.

use std::ops::{AddAssign, Range};

use super::scorer::Bound;

/// Candidates that are evaluated when the front was not enough: it grows by little.
const FEW: usize = 4;
/// Once many have been evaluated in vain, it is so large a part of these instead: the last group, of which some may be
/// wasted, then stays small beside what was needed.
const PART: usize = 8;

/// How many candidates a selection has evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Those that were.
    pub evaluated: u64,
    /// Those that decided the steps: up to the first at the ceiling, or all of a step without one.
    pub needed: u64,
    /// Those that there were: what an exhaustive selection evaluates.
    pub exhaustive: u64,
    /// Steps that were decided, each of which chose one feature to mask.
    pub steps: u64,
    /// Steps that the ceiling decided.
    pub at_ceiling: u64,
}

impl AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.evaluated += other.evaluated;
        self.needed += other.needed;
        self.exhaustive += other.exhaustive;
        self.steps += other.steps;
        self.at_ceiling += other.at_ceiling;
    }
}

/// The search for each step's best candidate. It says which candidates it wants to know the scores of, and is told them.
#[derive(Debug)]
pub(super) struct Search {
    bound: Bound,
    /// How many candidates the step before needed, if one of them reached the ceiling.
    front: Option<usize>,
    /// How many have been evaluated in this step.
    scored: usize,
    effort: Effort,
}

impl Search {
    /// Before the first step.
    pub fn new(bound: Bound) -> Self {
        Self { bound, front: None, scored: 0, effort: Effort::default() }
    }

    /// The places of the candidates to evaluate next, of so many, which ascend.
    pub fn next(&self, candidates: usize) -> Range<usize> {
        let count = match (self.bound.ceiling, self.front) {
            (None, _) => usize::MAX,
            (Some(_), None) => self.bound.group.max(1),
            (Some(_), Some(front)) if self.scored == 0 => front,
            (Some(_), Some(_)) => FEW.max(self.scored / PART),
        };
        self.scored..candidates.min(self.scored.saturating_add(count))
    }

    /// Notes that [`Search::next`] has been evaluated: `scores` are those of all candidates, as far as they are known. The
    /// place of the best one, if the step is decided.
    pub fn told(&mut self, scores: &[f32]) -> Option<usize> {
        let these = self.next(scores.len());
        self.effort.evaluated += these.len() as u64;
        let reaches = |score: &f32| self.bound.is_reached_by(*score);
        let best = if let Some(place) = scores[these.clone()].iter().position(reaches) {
            let best = these.start + place;
            self.front = Some(best + 1);
            self.effort.needed += best as u64 + 1;
            self.effort.at_ceiling += 1;
            best
        } else if these.end < scores.len() {
            self.scored = these.end;
            return None;
        } else {
            self.front = None;
            self.effort.needed += scores.len() as u64;
            first_highest(scores)
        };
        self.scored = 0;
        self.effort.exhaustive += scores.len() as u64;
        self.effort.steps += 1;
        Some(best)
    }

    /// What was evaluated so far.
    pub const fn effort(&self) -> Effort {
        self.effort
    }
}

/// The place of the highest score, the first one on ties. NaN is below every number.
fn first_highest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (place, &score) in scores.iter().enumerate() {
        if score > scores[best] || (scores[best].is_nan() && !score.is_nan()) {
            best = place;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::support::{MaskedArray, sum};
    use super::super::{BackSelection, Scorer, back_select, watch_nothing};
    use super::*;

    /// A sum in quarters that is cut off at 1, and no number where what is left on even places is far below 0.
    fn plateaus(x: &[f32]) -> f32 {
        let even: f32 = x.iter().step_by(2).sum();
        if even < -0.5 { f32::NAN } else { ((sum(x) * 4.0).round() / 4.0).min(1.0) }
    }

    /// The selection that evaluates everything, and how many candidates stand up to each step's first at the ceiling.
    fn exhaustive(f: fn(&[f32]) -> f32, x: &[f32]) -> (BackSelection, u64, u64) {
        let selection = back_select(&mut MaskedArray::new(f, x), watch_nothing).expect("nothing stops it");
        let mut scorer = MaskedArray::new(f, x);
        let mut left: Vec<u32> = (0..x.len() as u32).collect();
        let (mut needed, mut at_ceiling) = (0, 0);
        for &feature in &selection.order {
            let mut scores = vec![0.0; left.len()];
            scorer.candidates(&left, &mut scores).unwrap();
            let first = scores.iter().position(|score| score.to_bits() == 1.0_f32.to_bits());
            needed += first.map_or(left.len(), |place| place + 1) as u64;
            at_ceiling += u64::from(first.is_some());
            left.retain(|&other| other != feature);
            scorer.mask(feature).unwrap();
        }
        (selection, needed, at_ceiling)
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    proptest! {
        #[test]
        fn with_a_ceiling_the_selection_is_the_exhaustive_one_to_the_bit(
            x in proptest::collection::vec(prop_oneof![-0.5_f32..1.0, Just(0.0), Just(0.25), Just(1.0)], 1..40),
            group in 1_usize..50,
        ) {
            let (expected, needed, at_ceiling) = exhaustive(plateaus, &x);
            let mut scorer = MaskedArray::new(plateaus, &x).below(1.0, group);
            let found = back_select(&mut scorer, watch_nothing).expect("nothing stops it");
            prop_assert_eq!(&found.order, &expected.order);
            prop_assert_eq!(bits(&found.values), bits(&expected.values));
            prop_assert_eq!(found.full.to_bits(), expected.full.to_bits());
            prop_assert_eq!(found.effort, Effort { evaluated: scorer.evaluated as u64, needed, at_ceiling, ..expected.effort });
            prop_assert!(found.effort.evaluated <= expected.effort.evaluated);
        }
    }

    #[test]
    fn a_step_ends_at_its_first_candidate_at_the_ceiling() {
        // The first two are needed, so that the third goes first, then the fourth, and so on.
        let x = [0.6, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut scorer = MaskedArray::new(|x| sum(x).min(1.0), &x).below(1.0, 4);
        let found = back_select(&mut scorer, watch_nothing).expect("nothing stops it");
        assert_eq!(found.order, [2, 3, 4, 5, 6, 7, 0, 1]);
        // Four together, five times the front of two and one more, then two steps below the ceiling.
        let expected =
            Effort { evaluated: 4 + 5 * 3 + 2 + 1, needed: 3 + 5 * 3 + 2 + 1, at_ceiling: 6, exhaustive: 36, steps: 8 };
        assert_eq!(found.effort, expected);
    }

    #[test]
    fn without_a_ceiling_or_below_it_everything_is_evaluated() {
        let x = [0.1; 9];
        for mut scorer in [MaskedArray::new(sum, &x), MaskedArray::new(sum, &x).below(1.0, 4)] {
            let found = back_select(&mut scorer, watch_nothing).expect("nothing stops it");
            assert_eq!(found.effort, Effort { evaluated: 45, needed: 45, exhaustive: 45, steps: 9, at_ceiling: 0 });
        }
    }

    #[test]
    fn not_a_number_is_masked_last() {
        assert_eq!(first_highest(&[f32::NAN, -1.0, f32::NAN, 2.0, 2.0]), 3);
        assert_eq!(first_highest(&[f32::NAN, f32::NAN]), 0);
        assert_eq!(first_highest(&[-0.0, 0.0]), 0);
    }
}
