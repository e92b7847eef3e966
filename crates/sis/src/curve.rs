//! What f is along an order that is known beforehand.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::{BackSelection, CurveScorer, Effort, Halted, Step};

/// Masks the features of each input in the order that `orders` has for it, `per_step` at a time, and records f after each
/// step. The last step may be smaller.
///
/// `watch` is called before each step and may stop it.
///
/// # Errors
/// When `watch` said so, or the scorer failed.
///
/// # Panics
/// When there is not an order of all features for each input.
pub fn mask_in_order<S: CurveScorer>(
    scorer: &mut S,
    orders: Vec<Vec<u32>>,
    per_step: NonZeroUsize,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Vec<BackSelection>, Halted<S::Error>> {
    let total = check(scorer, &orders);
    scorer.restart();
    let mut values = vec![0.0; orders.len()];
    scorer.values(&mut values)?;
    let start = |(order, full)| BackSelection {
        full,
        order,
        values: Vec::with_capacity(total.div_ceil(per_step.get())),
        effort: Effort::default(),
    };
    let mut selections: Vec<BackSelection> = orders.into_iter().zip(values.iter().copied()).map(start).collect();
    for masked in (0..total).step_by(per_step.get()) {
        if watch(Step { masked, total }).is_break() {
            return Err(Halted::Stopped);
        }
        for (input, selection) in selections.iter().enumerate() {
            scorer.mask(input, &selection.order[masked..total.min(masked + per_step.get())]);
        }
        scorer.values(&mut values)?;
        selections.iter_mut().zip(&values).for_each(|(selection, value)| selection.values.push(*value));
    }
    Ok(selections)
}

/// The features of each input, which each order has to name.
fn check<S: CurveScorer>(scorer: &S, orders: &[impl AsRef<[u32]>]) -> usize {
    let total = scorer.features();
    assert_eq!(orders.len(), scorer.inputs(), "one order an input");
    assert!(orders.iter().all(|order| order.as_ref().len() == total), "an order names every feature");
    total
}

/// What f is when the most needed features go first, and when they come first (Petsiuk et al. 2018).
#[derive(Clone, Debug, PartialEq)]
pub struct Perturbation {
    /// f of the whole input without so many of the last features of the order.
    pub deletion: Vec<f32>,
    /// f of so many of the last features of the order, everything else masked.
    pub insertion: Vec<f32>,
}

/// Evaluates f at both ends of each input's order, once for each of `counts`, which ascend and do not exceed the features.
///
/// # Errors
/// When the scorer failed.
///
/// # Panics
/// When there is not an order of all features for each input.
pub fn perturb<S: CurveScorer>(
    scorer: &mut S,
    orders: &[&[u32]],
    counts: &[usize],
) -> Result<Vec<Perturbation>, S::Error> {
    let all = check(scorer, orders);
    let mut found = vec![Perturbation { deletion: Vec::new(), insertion: Vec::new() }; orders.len()];
    let mut values = vec![0.0; orders.len()];
    scorer.restart();
    let mut deleted = 0;
    for &count in counts {
        for (input, order) in orders.iter().enumerate() {
            scorer.mask(input, &order[all - count..all - deleted]);
        }
        deleted = count;
        scorer.values(&mut values)?;
        found.iter_mut().zip(&values).for_each(|(found, value)| found.deletion.push(*value));
    }
    // What is inserted last is masked first, so that f is found from the longest insertion down.
    scorer.restart();
    let mut masked = 0;
    for &count in counts.iter().rev() {
        for (input, order) in orders.iter().enumerate() {
            scorer.mask(input, &order[masked..all - count]);
        }
        masked = all - count;
        scorer.values(&mut values)?;
        found.iter_mut().zip(&values).for_each(|(found, value)| found.insertion.push(*value));
    }
    for found in &mut found {
        found.insertion.reverse();
    }
    Ok(found)
}

/// The area under straight lines between points (the trapezium rule); `places` ascend, and there are as many `values`.
#[must_use]
pub fn area_under(places: &[f64], values: &[f64]) -> f64 {
    let pairs = places.windows(2).zip(values.windows(2));
    pairs.map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum()
}

#[cfg(test)]
mod tests {
    use super::super::support::{Polynomial, assert_close};
    use super::super::{GradientScorer, watch_nothing};
    use super::*;

    fn count(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("not 0")
    }

    /// f is the sum of the weights of what is kept.
    fn powers_of_two() -> Polynomial {
        Polynomial::linear(&[1.0, 2.0, 4.0, 8.0, 16.0], &[1.0; 5], 1)
    }

    /// The same of two inputs, the second of which is all threes.
    fn of_two() -> Polynomial {
        Polynomial::linear(&[1.0, 2.0, 4.0, 8.0, 16.0], &[1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 3.0], 1)
    }

    #[test]
    fn f_is_recorded_after_each_step_of_the_order() {
        let mut scorer = of_two();
        scorer.restart_at(0.3);
        let orders = vec![vec![4, 0, 2, 1, 3], vec![0, 1, 2, 3, 4]];
        let selections = mask_in_order(&mut scorer, orders.clone(), count(2), watch_nothing).expect("nothing stops it");
        assert_eq!(orders, [selections[0].order.clone(), selections[1].order.clone()]);
        assert_close(&[selections[0].full, selections[1].full], &[31.0, 93.0]);
        assert_close(&selections[0].values, &[14.0, 8.0, 0.0]);
        assert_close(&selections[1].values, &[84.0, 48.0, 0.0]);
    }

    #[test]
    fn the_watcher_can_stop_an_evaluation() {
        let stopped = mask_in_order(&mut powers_of_two(), vec![vec![0, 1, 2, 3, 4]], count(2), |step| {
            if step.masked < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(stopped, Err(Halted::Stopped));
    }

    #[test]
    fn deletion_takes_the_last_features_and_insertion_brings_them() {
        // From the least needed: weights 2, 1, 8, 4, 16; and 16, 8, 4, 2, 1, times three.
        let found = perturb(&mut of_two(), &[&[1, 0, 3, 2, 4], &[4, 3, 2, 1, 0]], &[0, 1, 3, 5]).unwrap();
        assert_close(&found[0].deletion, &[31.0, 15.0, 3.0, 0.0]);
        assert_close(&found[0].insertion, &[0.0, 16.0, 28.0, 31.0]);
        assert_close(&found[1].deletion, &[93.0, 90.0, 72.0, 0.0]);
        assert_close(&found[1].insertion, &[0.0, 3.0, 21.0, 93.0]);
    }

    #[test]
    fn a_count_may_come_twice_and_none_may_come() {
        let found = perturb(&mut powers_of_two(), &[&[0, 1, 2, 3, 4]], &[2, 2]).unwrap();
        assert_close(&found[0].deletion, &[7.0, 7.0]);
        assert_close(&found[0].insertion, &[24.0, 24.0]);
        assert!(perturb(&mut powers_of_two(), &[&[0, 1, 2, 3, 4]], &[]).unwrap()[0].deletion.is_empty());
    }

    #[test]
    fn an_area_is_the_sum_of_trapeziums() {
        // .25 * (1 + .5) / 2 + .75 * (.5 + 0) / 2
        assert!((area_under(&[0.0, 0.25, 1.0], &[1.0, 0.5, 0.0]) - 0.375).abs() < 1e-12);
        assert!(area_under(&[0.0], &[1.0]).abs() < 1e-12);
    }
}
