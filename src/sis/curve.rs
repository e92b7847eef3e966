//! What f is along an order that is known beforehand.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::{BackSelection, CurveScorer, Step, Stopped};

/// Masks the features of `order`, `per_step` at a time, and records f after each step. The last step may be smaller.
///
/// `watch` is called before each step and may stop it.
///
/// # Errors
/// [`Stopped`], when `watch` said so.
pub fn mask_in_order<S: CurveScorer>(
    scorer: &mut S,
    order: Vec<u32>,
    per_step: NonZeroUsize,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<BackSelection, Stopped> {
    scorer.restart();
    let full = scorer.value();
    let mut values = Vec::with_capacity(order.len().div_ceil(per_step.get()));
    for (step, features) in order.chunks(per_step.get()).enumerate() {
        if watch(Step { masked: step * per_step.get(), total: order.len() }).is_break() {
            return Err(Stopped);
        }
        scorer.mask_all(features);
        values.push(scorer.value());
    }
    Ok(BackSelection { full, order, values })
}

/// What f is when the most needed features go first, and when they come first (Petsiuk et al. 2018).
#[derive(Clone, Debug, PartialEq)]
pub struct Perturbation {
    /// f of the whole input without so many of the last features of the order.
    pub deletion: Vec<f32>,
    /// f of so many of the last features of the order, everything else masked.
    pub insertion: Vec<f32>,
}

/// Evaluates f at both ends of an order, once for each of `counts`, which ascend and do not exceed the features.
pub fn perturb<S: CurveScorer>(scorer: &mut S, order: &[u32], counts: &[usize]) -> Perturbation {
    let all = order.len();
    scorer.restart();
    let mut deleted = 0;
    let deletion = counts.iter().map(|&count| {
        scorer.mask_all(&order[all - count..all - deleted]);
        deleted = count;
        scorer.value()
    });
    let deletion = deletion.collect();
    // What is inserted last is masked first, so that f is found from the longest insertion down.
    scorer.restart();
    let mut masked = 0;
    let insertion = counts.iter().rev().map(|&count| {
        scorer.mask_all(&order[masked..all - count]);
        masked = all - count;
        scorer.value()
    });
    let mut insertion: Vec<f32> = insertion.collect();
    insertion.reverse();
    Perturbation { deletion, insertion }
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
    use super::super::{InputGradientScorer, watch_nothing};
    use super::*;

    fn count(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("not 0")
    }

    /// f is the sum of the weights of what is kept.
    fn powers_of_two() -> Polynomial {
        Polynomial::linear(&[1.0, 2.0, 4.0, 8.0, 16.0], &[1.0; 5], 1)
    }

    #[test]
    fn f_is_recorded_after_each_step_of_the_order() {
        let mut scorer = powers_of_two();
        scorer.input_gradient(0.3, &mut [0.0; 5]);
        let selection =
            mask_in_order(&mut scorer, vec![4, 0, 2, 1, 3], count(2), watch_nothing).expect("nothing stops it");
        assert_eq!(selection.order, [4, 0, 2, 1, 3]);
        assert_close(&[selection.full], &[31.0]);
        assert_close(&selection.values, &[14.0, 8.0, 0.0]);
    }

    #[test]
    fn the_watcher_can_stop_an_evaluation() {
        let stopped = mask_in_order(&mut powers_of_two(), vec![0, 1, 2, 3, 4], count(2), |step| {
            if step.masked < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(stopped, Err(Stopped));
    }

    #[test]
    fn deletion_takes_the_last_features_and_insertion_brings_them() {
        // From the least needed: weights 2, 1, 8, 4, 16.
        let found = perturb(&mut powers_of_two(), &[1, 0, 3, 2, 4], &[0, 1, 3, 5]);
        assert_close(&found.deletion, &[31.0, 15.0, 3.0, 0.0]);
        assert_close(&found.insertion, &[0.0, 16.0, 28.0, 31.0]);
    }

    #[test]
    fn a_count_may_come_twice_and_none_may_come() {
        let found = perturb(&mut powers_of_two(), &[0, 1, 2, 3, 4], &[2, 2]);
        assert_close(&found.deletion, &[7.0, 7.0]);
        assert_close(&found.insertion, &[24.0, 24.0]);
        assert!(perturb(&mut powers_of_two(), &[0, 1, 2, 3, 4], &[]).deletion.is_empty());
    }

    #[test]
    fn an_area_is_the_sum_of_trapeziums() {
        // .25 * (1 + .5) / 2 + .75 * (.5 + 0) / 2
        assert!((area_under(&[0.0, 0.25, 1.0], &[1.0, 0.5, 0.0]) - 0.375).abs() < 1e-12);
        assert!(area_under(&[0.0], &[1.0]).abs() < 1e-12);
    }
}
