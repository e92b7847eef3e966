//! How a step of backward selection finds the candidate that leaves f highest, the first one on ties.
//!
//! All candidates are evaluated, unless f has a ceiling ([`Scorer::ceiling`]) and one of them reaches it: nothing can beat
//! that one, and what ties with it comes after it. So in ascending order the first that reaches the ceiling decides the
//! step, and what stands behind it is not evaluated. In front of it stand features that f needs. They stay there from
//! step to step, and the one that goes is followed by its neighbour; so the front of the step before, and one more, is
//! what a step asks for first.

use std::ops::{AddAssign, ControlFlow};

use super::{Scorer, Stopped};

/// Candidates that are evaluated when the front was not enough: it grows by little.
const FEW: usize = 4;

/// How many candidates a selection has evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Those that were.
    pub evaluated: u64,
    /// Those that decided the steps: up to the first at the ceiling, or all of a step without one.
    pub needed: u64,
}

impl AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.evaluated += other.evaluated;
        self.needed += other.needed;
    }
}

/// The search for each step's best candidate.
#[derive(Debug)]
pub(super) struct Search {
    ceiling: Option<f32>,
    group: usize,
    /// How many candidates the step before needed, if one of them reached the ceiling.
    front: Option<usize>,
    effort: Effort,
}

impl Search {
    /// Before the first step.
    pub fn new(scorer: &impl Scorer) -> Self {
        Self { ceiling: scorer.ceiling(), group: scorer.group().max(1), front: None, effort: Effort::default() }
    }

    /// The place in `candidates`, which ascend, of the best one, whose score is in `scores` afterwards at that place.
    pub fn best(
        &mut self,
        scorer: &mut impl Scorer,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<usize, Stopped> {
        let mut scored = 0;
        while scored < candidates.len() {
            let these = scored..candidates.len().min(scored.saturating_add(self.next(scored)));
            let found = &mut scores[these.clone()];
            if scorer.candidates_while(&candidates[these.clone()], found, go_on).is_break() {
                return Err(Stopped);
            }
            self.effort.evaluated += these.len() as u64;
            let reaches = |score: &f32| self.ceiling.is_some_and(|ceiling| score.to_bits() == ceiling.to_bits());
            if let Some(place) = found.iter().position(reaches) {
                let best = scored + place;
                self.front = Some(best + 1);
                self.effort.needed += best as u64 + 1;
                return Ok(best);
            }
            scored = these.end;
        }
        self.front = None;
        self.effort.needed += scored as u64;
        Ok(first_highest(scores))
    }

    /// What was evaluated so far.
    pub const fn effort(&self) -> Effort {
        self.effort
    }

    /// How many candidates to evaluate next in a step, when `scored` have been.
    const fn next(&self, scored: usize) -> usize {
        match (self.ceiling, self.front) {
            (None, _) => usize::MAX,
            (Some(_), None) => self.group,
            (Some(_), Some(front)) if scored == 0 => front,
            (Some(_), Some(_)) => FEW,
        }
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
    use super::super::{BackSelection, back_select, watch_nothing};
    use super::*;

    /// A sum in quarters that is cut off at 1, and no number where what is left on even places is far below 0.
    fn plateaus(x: &[f32]) -> f32 {
        let even: f32 = x.iter().step_by(2).sum();
        if even < -0.5 { f32::NAN } else { ((sum(x) * 4.0).round() / 4.0).min(1.0) }
    }

    /// The selection that evaluates everything, and how many candidates stand up to each step's first at the ceiling.
    fn exhaustive(f: fn(&[f32]) -> f32, x: &[f32]) -> (BackSelection, u64) {
        let selection = back_select(&mut MaskedArray::new(f, x), watch_nothing).expect("nothing stops it");
        let mut scorer = MaskedArray::new(f, x);
        let mut left: Vec<u32> = (0..x.len() as u32).collect();
        let mut needed = 0;
        for &feature in &selection.order {
            let mut scores = vec![0.0; left.len()];
            scorer.candidates(&left, &mut scores);
            let first = scores.iter().position(|score| score.to_bits() == 1.0_f32.to_bits());
            needed += first.map_or(left.len(), |place| place + 1) as u64;
            left.retain(|&other| other != feature);
            scorer.mask(feature);
        }
        (selection, needed)
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
            let (expected, needed) = exhaustive(plateaus, &x);
            let mut scorer = MaskedArray::new(plateaus, &x).below(1.0, group);
            let found = back_select(&mut scorer, watch_nothing).expect("nothing stops it");
            prop_assert_eq!(&found.order, &expected.order);
            prop_assert_eq!(bits(&found.values), bits(&expected.values));
            prop_assert_eq!(found.full.to_bits(), expected.full.to_bits());
            prop_assert_eq!(found.effort, Effort { evaluated: scorer.evaluated as u64, needed });
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
        assert_eq!(found.effort, Effort { evaluated: 4 + 5 * 3 + 2 + 1, needed: 3 + 5 * 3 + 2 + 1 });
    }

    #[test]
    fn without_a_ceiling_or_below_it_everything_is_evaluated() {
        let x = [0.1; 9];
        for mut scorer in [MaskedArray::new(sum, &x), MaskedArray::new(sum, &x).below(1.0, 4)] {
            let found = back_select(&mut scorer, watch_nothing).expect("nothing stops it");
            assert_eq!(found.effort, Effort { evaluated: 45, needed: 45 });
        }
    }

    #[test]
    fn not_a_number_is_masked_last() {
        assert_eq!(first_highest(&[f32::NAN, -1.0, f32::NAN, 2.0, 2.0]), 3);
        assert_eq!(first_highest(&[f32::NAN, f32::NAN]), 0);
        assert_eq!(first_highest(&[-0.0, 0.0]), 0);
    }
}
