//! A scorer beside another's selection, step by step along the other's way.
//!
//! A near-tie sends a greedy selection elsewhere, so two that agree to seven digits need not mask the same pixels, and
//! whole curves cannot be compared. From the **reference's** mask at every step, though, both ask the same question.

use std::ops::ControlFlow;

use super::{Halted, Scorer, Step};

/// A selection that was made elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// The features, the one masked first in front.
    pub order: &'a [u32],
    /// f after each of them.
    pub values: &'a [f64],
    /// f of every candidate at every step, `[steps, features]`, where it is known.
    pub candidates: Option<&'a [f64]>,
}

/// How far a scorer and a reference are apart at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// The largest difference between f of one candidate and the reference's value.
    pub candidate: Worst,
    /// The most by which f of the reference's pick is below the scorer's own maximum.
    pub pick: Worst,
    /// How many values were compared: one a step, or one for each candidate where the reference has those.
    pub compared: u64,
}

/// A largest difference and where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worst {
    /// How large it is.
    pub difference: f64,
    /// The step, counted from 0: so many features were masked before it.
    pub step: usize,
    /// The number of the feature whose value was compared, counted from 0.
    pub feature: u32,
}

impl Worst {
    /// Takes a difference in if it is larger. What is not a number is larger than all that are.
    fn take(&mut self, difference: f64, step: usize, feature: u32) {
        if self.difference.is_nan() || difference <= self.difference {
            return;
        }
        *self = Self { difference, step, feature };
    }
}

/// Compares a scorer, with nothing masked yet, with a reference: every candidate's value where the reference has them,
/// otherwise that of its pick, and how far its pick is below the scorer's maximum.
///
/// `watch` is called before each step, and, by a scorer that takes long, again within it; it may stop it.
///
/// # Errors
/// When `watch` said so, or the scorer failed.
///
/// # Panics
/// When the reference names a feature twice or one that there is not, or has not one value a step.
pub fn agreement<S: Scorer>(
    scorer: &mut S,
    reference: Reference<'_>,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Agreement, Halted<S::Error>> {
    let features = scorer.features();
    let mut kept: Vec<u32> = (0..features as u32).collect();
    let mut scores = vec![0.0; features];
    let mut found = Agreement::default();
    let bound = scorer.bound();
    // Where the reference tells of its picks alone, one at the ceiling is the maximum.
    let picks_may_decide = bound.ceiling.is_some() && reference.candidates.is_none();
    assert_eq!(reference.order.len(), reference.values.len(), "there is one value a step");
    for (step, (&pick, &value)) in reference.order.iter().zip(reference.values).enumerate() {
        let at = Step { masked: step, total: reference.order.len() };
        if watch(at).is_break() {
            return Err(Halted::Stopped);
        }
        let scores = &mut scores[..kept.len()];
        let place = kept.binary_search(&pick).expect("a feature is masked once");
        if picks_may_decide {
            scorer.candidates(&[pick], &mut scores[place..=place])?;
        }
        if picks_may_decide && bound.is_reached_by(scores[place]) {
            scores.fill(scores[place]);
        } else {
            scorer.candidates_while(&kept, scores, &mut || watch(at))?;
        }
        let own = f64::from(scores[place]);
        match reference.candidates {
            None => {
                found.candidate.take((own - value).abs(), step, pick);
                found.compared += 1;
            }
            Some(candidates) => {
                let row = &candidates[step * features..(step + 1) * features];
                for (&feature, &score) in kept.iter().zip(&*scores) {
                    found.candidate.take((f64::from(score) - row[feature as usize]).abs(), step, feature);
                }
                found.candidate.take((row[pick as usize] - value).abs(), step, pick);
                found.compared += kept.len() as u64;
            }
        }
        let highest = scores.iter().copied().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
        found.pick.take(highest - own, step, pick);
        kept.remove(place);
        scorer.mask(pick)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::support::{MaskedArray, l2};
    use super::super::{BackSelection, back_select, watch_nothing};
    use super::*;

    const X: [f32; 5] = [0.5, 3.0, 1.5, 2.0, 0.25];

    fn scorer() -> MaskedArray {
        MaskedArray::new(l2, &X)
    }

    fn selection() -> (Vec<u32>, Vec<f64>) {
        let BackSelection { order, values, .. } = back_select(&mut scorer(), watch_nothing).unwrap();
        (order, values.into_iter().map(f64::from).collect())
    }

    fn compare(order: &[u32], values: &[f64], candidates: Option<&[f64]>) -> Agreement {
        agreement(&mut scorer(), Reference { order, values, candidates }, watch_nothing).unwrap()
    }

    /// f of every candidate at every step of an order.
    fn candidates(order: &[u32]) -> Vec<f64> {
        let mut scorer = scorer();
        let mut rows = Vec::new();
        for &pick in order {
            let mut row = [f32::NAN; 5];
            scorer.candidates(&[0, 1, 2, 3, 4], &mut row).unwrap();
            rows.extend(row.map(f64::from));
            scorer.mask(pick).unwrap();
        }
        rows
    }

    #[test]
    fn a_selection_agrees_with_itself() {
        let (order, values) = selection();
        let picked = compare(&order, &values, None);
        assert_eq!((picked.candidate, picked.pick, picked.compared), (Worst::default(), Worst::default(), 5));
        let all = compare(&order, &values, Some(&candidates(&order)));
        assert_eq!((all.candidate, all.pick, all.compared), (Worst::default(), Worst::default(), 15));
    }

    #[test]
    fn the_worst_value_and_the_worst_pick_are_found_at_their_step() {
        let (order, mut values) = selection();
        values[3] += 0.25;
        values[1] -= 0.125;
        assert_eq!(compare(&order, &values, None).candidate, Worst { difference: 0.25, step: 3, feature: order[3] });

        // The second and the third feature change places: what follows is compared on the reference's way.
        let (mut order, values) = selection();
        order.swap(1, 2);
        let found = compare(&order, &values, None);
        let kept = |masked: &[usize]| {
            let squares = X.iter().enumerate().filter(|(place, _)| !masked.contains(place)).map(|(_, x)| x * x);
            f64::from(squares.sum::<f32>().sqrt())
        };
        let shortfall = kept(&[4, 0]) - kept(&[4, 2]);
        assert_eq!((found.pick.step, found.pick.feature), (1, 2));
        assert!((found.pick.difference - shortfall).abs() < 1e-6, "{found:?} {shortfall}");
    }

    #[test]
    fn a_candidate_that_was_not_picked_is_compared_where_it_is_known() {
        let (order, values) = selection();
        let mut all = candidates(&order);
        let last = *order.last().unwrap();
        all[5 + last as usize] += 0.5;
        // What stands at a feature that is masked already means nothing.
        all[5 + order[0] as usize] = f64::NAN;
        let found = compare(&order, &values, Some(&all));
        assert_eq!((found.candidate.step, found.candidate.feature), (1, last));
        assert!((found.candidate.difference - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_pick_at_the_ceiling_needs_no_other_candidate() {
        // The first three steps leave f at the ceiling.
        let cut_off = |x: &[f32]| l2(x).min(1.5);
        let scorer = || MaskedArray::new(cut_off, &X).below(1.5, 4);
        let BackSelection { order, values, .. } = back_select(&mut scorer(), watch_nothing).unwrap();
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let compare = |candidates: Option<&[f64]>| {
            let mut scorer = scorer();
            let reference = Reference { order: &order, values: &values, candidates };
            (agreement(&mut scorer, reference, watch_nothing).unwrap(), scorer.evaluated)
        };
        let (found, evaluated) = compare(None);
        assert_eq!((found.candidate, found.pick, found.compared), (Worst::default(), Worst::default(), 5));
        let at_ceiling = values.iter().filter(|value| **value >= 1.5).count();
        let below: usize = (at_ceiling..5).map(|step| 5 - step).sum();
        assert!(at_ceiling > 1);
        assert_eq!(evaluated, 5 + below);
        // A reference that knows every candidate is compared with every candidate.
        let rows = [f64::NAN; 25];
        assert_eq!(compare(Some(&rows)).1, 15);
    }

    #[test]
    fn what_is_not_a_number_never_agrees() {
        let (order, mut values) = selection();
        values[2] = f64::NAN;
        assert!(compare(&order, &values, None).candidate.difference.is_nan());
    }

    #[test]
    fn the_watcher_can_stop_it() {
        let (order, values) = selection();
        let reference = Reference { order: &order, values: &values, candidates: None };
        let stop = |step: Step| if step.masked == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        assert_eq!(agreement(&mut scorer(), reference, stop), Err(Halted::Stopped));
    }
}
