//! Rival rankings: features ordered by the gradient of f instead of by what f does without them.
//!
//! A ranking by attribution knows nothing of f beyond gradients, so f is evaluated along the order afterwards
//! ([`mask_in_order()`](super::mask_in_order())). What is recorded is then of the same kind as a backward selection's.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::{GradientScorer, Halted, Step};

/// The magnitude of the gradient of f at the unmasked input (Simonyan et al. 2014), one value a feature of each input: the
/// Euclidean norm over the feature's channels of df/dinput.
///
/// # Errors
/// When the scorer failed.
pub fn gradient_magnitudes<S: GradientScorer>(scorer: &mut S) -> Result<Vec<Vec<f64>>, S::Error> {
    let mut slopes = Slopes::new(scorer);
    slopes.ask(scorer, 1.0)?;
    let of_input =
        |slopes: &[f32]| slopes.chunks_exact(scorer.channels()).map(|slopes| scorer.magnitude(slopes)).collect();
    Ok(slopes.of_input.chunks_exact(scorer.features() * scorer.channels()).map(of_input).collect())
}

/// Integrated gradients (Sundararajan et al. 2017) with the fully masked input as the baseline, one value a feature of
/// each input: the sum over the feature's channels of input times the mean of df/dinput on the way from the baseline to
/// the input.
///
/// The mean is taken at the middles of `steps` equal parts of the way. The attributions then sum up to
/// f(input) - f(baseline) within the error of that rule, which falls with the square of `steps` where f is smooth.
///
/// # Errors
/// When `watch`, which is called before each step, said so, or the scorer failed.
pub fn integrated_gradients<S: GradientScorer>(
    scorer: &mut S,
    steps: NonZeroUsize,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Vec<Vec<f64>>, Halted<S::Error>> {
    let mut slopes = Slopes::new(scorer);
    let mut sums = vec![0.0; slopes.of_input.len()];
    for step in 0..steps.get() {
        if watch(Step { masked: 0, total: scorer.features() }).is_break() {
            return Err(Halted::Stopped);
        }
        slopes.ask(scorer, ((step as f64 + 0.5) / steps.get() as f64) as f32)?;
        sums.iter_mut().zip(&slopes.of_input).for_each(|(sum, slope)| *sum += f64::from(*slope));
    }
    let channels = scorer.channels();
    let features = scorer.unmasked().chunks_exact(channels).zip(sums.chunks_exact(channels));
    let attribution = |(values, sums): (&[f32], &[f64])| {
        values.iter().zip(sums).map(|(value, sum)| f64::from(*value) * sum / steps.get() as f64).sum()
    };
    let attributions: Vec<f64> = features.map(attribution).collect();
    Ok(attributions.chunks_exact(scorer.features()).map(<[f64]>::to_vec).collect())
}

/// f and df/dinput of every input.
struct Slopes {
    values: Vec<f32>,
    /// `[inputs, features, channels]`
    of_input: Vec<f32>,
}

impl Slopes {
    fn new<S: GradientScorer>(scorer: &S) -> Self {
        Self { values: vec![0.0; scorer.inputs()], of_input: vec![0.0; scorer.unmasked().len()] }
    }

    fn ask<S: GradientScorer>(&mut self, scorer: &mut S, share: f32) -> Result<(), S::Error> {
        scorer.restart_at(share);
        scorer.gradients(&mut self.values, &mut self.of_input)
    }
}

/// The order that attributions define: the least first, the lowest feature first on ties. NaN is below every number.
#[must_use]
pub fn ascending(attributions: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..attributions.len() as u32).collect();
    // Stable, so that ties stay in the features' order.
    order.sort_by(|&a, &b| compare(attributions[a as usize], attributions[b as usize]));
    order
}

/// Smaller numbers first, 0 and -0 equal, NaN in front: a total order, which sorting needs.
fn compare(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::support::Polynomial;
    use super::super::watch_nothing;
    use super::*;

    fn count(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("not 0")
    }

    #[test]
    fn a_magnitude_is_the_euclidean_norm_over_a_features_channels() {
        // f = the sum of w x: its gradient is w, whatever x is. Features of two channels.
        let mut scorer = Polynomial::linear(&[3.0, -4.0, 0.0, 1.0, -5.0, -12.0], &[9.0, 9.0, 1.0, 1.0, 0.0, 0.0], 2);
        assert_eq!(gradient_magnitudes(&mut scorer).unwrap(), [[5.0, 1.0, 13.0]]);
    }

    #[test]
    fn integrated_gradients_of_a_linear_function_are_its_terms() {
        let mut scorer = Polynomial::linear(&[3.0, -4.0, 2.0, 1.0], &[1.0, 2.0, 0.0, 5.0], 2);
        let attributions = integrated_gradients(&mut scorer, count(1), watch_nothing).expect("nothing stops it");
        assert_eq!(attributions, [[3.0 - 8.0, 5.0]]);
    }

    /// f = a x^3 + b y^3: df/dx at share s is 3 a s^2 x^2, whose mean on the way is a x^2.
    #[test]
    fn integrated_gradients_sum_up_to_the_difference_of_f_the_better_the_more_steps() {
        let f = |steps| {
            let mut scorer = Polynomial::cubic(&[2.0, -1.0], &[1.5, 2.0], 1);
            integrated_gradients(&mut scorer, count(steps), watch_nothing).expect("nothing stops it").remove(0)
        };
        // The middle of one part: share .5, so 3/4 of the difference. Of two: shares 1/4 and 3/4, (1/16 + 9/16) / 2 * 3 = 15/16.
        let whole = [2.0 * 1.5_f64.powi(3), -8.0];
        for (steps, found_of_whole) in [(1, 0.75), (2, 0.9375)] {
            for (found, whole) in f(steps).iter().zip(whole) {
                assert!((found - whole * found_of_whole).abs() < 1e-6, "{steps}: {found}");
            }
        }
        let error = |steps| (f(steps).iter().sum::<f64>() - whole.iter().sum::<f64>()).abs();
        assert!(error(50) < 1e-3);
        assert!((error(10) / error(20) - 4.0).abs() < 0.01, "the error falls with the square of the steps");
    }

    #[test]
    fn every_input_has_attributions_of_its_own() {
        let mut scorer = Polynomial::cubic(&[2.0, -1.0], &[1.5, 2.0, 0.5, -1.0], 1);
        let together = integrated_gradients(&mut scorer, count(4), watch_nothing).expect("nothing stops it");
        let magnitudes = gradient_magnitudes(&mut scorer).unwrap();
        for (place, input) in [[1.5, 2.0], [0.5, -1.0]].iter().enumerate() {
            let mut alone = Polynomial::cubic(&[2.0, -1.0], input, 1);
            assert_eq!(gradient_magnitudes(&mut alone).unwrap(), magnitudes[place..][..1]);
            let alone = integrated_gradients(&mut alone, count(4), watch_nothing).expect("nothing stops it");
            assert_eq!(alone, together[place..][..1]);
        }
    }

    #[test]
    fn the_least_attribution_is_masked_first_and_ties_from_the_lowest_feature() {
        assert_eq!(ascending(&[0.5, -1.0, 0.0, -0.0, 0.5, f64::NAN]), [5, 1, 2, 3, 0, 4]);
        assert!(ascending(&[]).is_empty());
    }

    #[test]
    fn the_watcher_can_stop_the_integration() {
        let mut scorer = Polynomial::linear(&[1.0; 4], &[1.0; 4], 1);
        assert_eq!(integrated_gradients(&mut scorer, count(3), |_| ControlFlow::Break(())), Err(Halted::Stopped));
    }

    proptest! {
        #[test]
        fn an_order_names_every_feature_once_and_never_descends(
            attributions in proptest::collection::vec((-4_i8..=4).prop_map(f64::from), 0..50),
        ) {
            let order = ascending(&attributions);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..attributions.len() as u32).collect::<Vec<_>>());
            for pair in order.windows(2) {
                let [before, after] = [pair[0], pair[1]].map(|feature| attributions[feature as usize]);
                prop_assert!(before < after || (before <= after && pair[0] < pair[1]));
            }
        }
    }
}
