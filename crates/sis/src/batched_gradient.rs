//! Backward selection of many features at a time, by gradient.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::{BackSelection, Effort, GradientNoise, GradientScorer, Halted, Step};

/// Orders all features of each input by batched gradient backward selection (Carter et al. 2021, section 3.1).
///
/// Each round asks once for df/dm, where m is 1 at a masked feature, and masks the `per_round` features with the
/// **largest** value: those whose masking, to first order, raises f most or lowers it least. The last round may be
/// smaller, so there are ceil(d / `per_round`) of them. Within a round the largest gradient counts as masked first,
/// and **ties go to the lowest feature**, so that the order is total. The noise of `noises`, one an input, is added to the
/// gradient before it is compared.
///
/// `watch` is called before each round and may stop the selection.
///
/// # Errors
/// When `watch` said so, or the scorer failed.
///
/// # Panics
/// When there is not one noise an input.
pub fn batched_gradient<S: GradientScorer>(
    scorer: &mut S,
    per_round: NonZeroUsize,
    noises: Vec<GradientNoise>,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Vec<BackSelection>, Halted<S::Error>> {
    assert_eq!(noises.len(), scorer.inputs(), "one noise an input");
    let total = scorer.features();
    let mut slopes = MaskSlopes::new(scorer);
    slopes.ask(scorer)?;
    let mut ways: Vec<Way> =
        noises.into_iter().zip(&slopes.values).map(|(noise, f)| Way::new(total, noise, *f)).collect();
    for masked in (0..total).step_by(per_round.get()) {
        if watch(Step { masked, total }).is_break() {
            return Err(Halted::Stopped);
        }
        let round = per_round.get().min(total - masked);
        for ((input, way), slopes) in ways.iter_mut().enumerate().zip(slopes.slopes.chunks_exact_mut(total)) {
            scorer.mask(input, way.round(slopes, round));
        }
        slopes.ask(scorer)?;
        ways.iter_mut().zip(&slopes.values).for_each(|(way, f)| way.selection.values.push(*f));
    }
    Ok(ways.into_iter().map(|way| way.selection).collect())
}

/// What is masked of one input so far.
struct Way {
    kept: Vec<u32>,
    noise: GradientNoise,
    selection: BackSelection,
}

impl Way {
    fn new(features: usize, noise: GradientNoise, full: f32) -> Self {
        let selection =
            BackSelection { full, order: Vec::with_capacity(features), values: Vec::new(), effort: Effort::default() };
        Self { kept: (0..features as u32).collect(), noise, selection }
    }

    /// The features that go next, given df/dm of all.
    fn round(&mut self, slopes: &mut [f32], count: usize) -> &[u32] {
        self.noise.add_to(slopes);
        move_largest_to_front(&mut self.kept, slopes, count);
        let masked = self.selection.order.len();
        self.selection.order.extend(self.kept.drain(..count));
        &self.selection.order[masked..]
    }
}

/// f and df/dm of every input.
struct MaskSlopes {
    /// `[inputs]`
    values: Vec<f32>,
    /// df/dm, `[inputs, features]`.
    slopes: Vec<f32>,
    /// df/dinput, `[inputs, features, channels]`.
    of_input: Vec<f32>,
}

impl MaskSlopes {
    fn new<S: GradientScorer>(scorer: &S) -> Self {
        let features = scorer.inputs() * scorer.features();
        Self {
            values: vec![0.0; scorer.inputs()],
            slopes: vec![0.0; features],
            of_input: vec![0.0; features * scorer.channels()],
        }
    }

    /// With input (1 - m) x, df/dm of a feature is minus the sum over its channels of x df/dinput.
    fn ask<S: GradientScorer>(&mut self, scorer: &mut S) -> Result<(), S::Error> {
        scorer.gradients(&mut self.values, &mut self.of_input)?;
        let channels = scorer.channels();
        let of_input = self.of_input.chunks_exact(channels).zip(scorer.unmasked().chunks_exact(channels));
        for (slope, (of_input, unmasked)) in self.slopes.iter_mut().zip(of_input) {
            *slope = -of_input.iter().zip(unmasked).map(|(slope, value)| slope * value).sum::<f32>();
        }
        Ok(())
    }
}

/// Brings the `count` features of largest gradient to the front, sorted: largest first, lowest feature on ties.
/// NaN is below every number.
fn move_largest_to_front(features: &mut [u32], gradient: &[f32], count: usize) {
    let slope = |feature: u32| gradient[feature as usize];
    let earlier = |&a: &u32, &b: &u32| descending(slope(a), slope(b)).then(a.cmp(&b));
    if count < features.len() {
        features.select_nth_unstable_by(count, earlier);
    }
    features[..count].sort_unstable_by(earlier);
}

/// Larger numbers first, 0 and -0 equal, NaN last: a total order, which sorting needs.
fn descending(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::super::support::{Polynomial, assert_close};
    use super::super::{CurveScorer, watch_nothing};
    use super::*;

    fn per_round(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("a round masks something")
    }

    /// The selection of an additive function, without noise.
    fn selection(weights: &[f32], round: usize) -> BackSelection {
        let mut scorer = Polynomial::linear(weights, &vec![1.0; weights.len()], 1);
        let noises = vec![GradientNoise::None];
        let found = batched_gradient(&mut scorer, per_round(round), noises, watch_nothing);
        found.expect("nothing stops it").remove(0)
    }

    #[test]
    fn rounds_mask_the_largest_gradients_and_the_last_round_is_smaller() {
        let selection = selection(&[3.0, -1.0, 2.0, 5.0, 0.0], 2);
        assert_eq!(selection.order, [1, 4, 2, 0, 3]);
        // After each round, and with everything masked in the end.
        assert_close(&[selection.full], &[9.0]);
        assert_close(&selection.values, &[10.0, 5.0, 0.0]);
    }

    #[test]
    fn a_features_slope_is_that_of_all_its_channels_from_their_unmasked_values() {
        // f = the sum of w x. Features of two channels are worth 7, 1 and -2.
        let mut scorer = Polynomial::linear(&[1.0, 2.0, 3.0, -1.0, 0.5, 1.0], &[1.0, 3.0, 1.0, 2.0, 2.0, -3.0], 2);
        let mut slopes = MaskSlopes::new(&scorer);
        scorer.mask(0, &[0]);
        slopes.ask(&mut scorer).unwrap();
        assert_close(&slopes.values, &[-1.0]);
        assert_close(&slopes.slopes, &[-7.0, -1.0, 2.0]);
    }

    #[test]
    fn inputs_go_their_own_ways_side_by_side() {
        let rows: [&[f32]; 3] = [&[3.0, -1.0, 2.0, 5.0, 0.5], &[0.0; 5], &[1.0, 2.0, 3.0, 4.0, -5.0]];
        // One function of the inputs, whose weights are all 1: the values of a row are its features' worth.
        let mut scorer = Polynomial::linear(&[1.0; 5], &rows.concat(), 1);
        let noises = (0..3).map(|_| GradientNoise::None).collect();
        let together = batched_gradient(&mut scorer, per_round(2), noises, watch_nothing).expect("nothing stops it");
        for (found, row) in together.iter().zip(rows) {
            assert_eq!(*found, selection(row, 2));
        }
    }

    #[test]
    fn equal_gradients_are_masked_from_the_lowest_feature() {
        assert_eq!(selection(&[0.0; 7], 3).order, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn zeros_of_either_sign_tie_and_not_a_number_goes_last() {
        let mut features = [0, 1, 2, 3];
        move_largest_to_front(&mut features, &[f32::NAN, -0.0, 0.0, 1.0], 4);
        assert_eq!(features, [3, 1, 2, 0]);
    }

    #[test]
    fn noise_breaks_ties_and_is_a_matter_of_its_stream() {
        let seeds = [1, 1, 2];
        let noises = seeds.map(|seed| GradientNoise::of_variance(ChaCha8Rng::seed_from_u64(seed), 1e-12)).into();
        let mut scorer = Polynomial::linear(&[0.0; 64], &[1.0; 3 * 64], 1);
        let found = batched_gradient(&mut scorer, per_round(8), noises, watch_nothing).expect("nothing stops it");
        assert_eq!(found[0].order, found[1].order);
        assert_ne!(found[0].order, found[2].order);
        assert_ne!(found[0].order, (0..64).collect::<Vec<u32>>());
    }

    #[test]
    fn noise_of_the_authors_variance_leaves_distinct_gradients_in_order() {
        let noise = GradientNoise::of_variance(ChaCha8Rng::seed_from_u64(3), 1e-12);
        let mut scorer = Polynomial::linear(&[0.3, 0.1, 0.2], &[1.0; 3], 1);
        let found = batched_gradient(&mut scorer, per_round(1), vec![noise], watch_nothing).expect("nothing stops it");
        assert_eq!(found[0].order, [1, 2, 0]);
    }

    #[test]
    fn the_watcher_can_stop_between_rounds() {
        let mut steps = Vec::new();
        let mut scorer = Polynomial::linear(&[1.0; 6], &[1.0; 6], 1);
        let stopped = batched_gradient(&mut scorer, per_round(2), vec![GradientNoise::None], |step| {
            steps.push(step.masked);
            if step.masked < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(stopped, Err(Halted::Stopped));
        assert_eq!(steps, [0, 2, 4]);
        assert_close(&[scorer.value(0)], &[2.0]);
    }

    proptest! {
        #[test]
        fn an_additive_function_is_ordered_by_weight_whatever_the_size_of_a_round(
            weights in proptest::collection::vec((-9_i8..=9).prop_map(f32::from), 1..60),
            round in 1_usize..70,
        ) {
            let selection = selection(&weights, round);
            let mut by_weight: Vec<u32> = (0..weights.len() as u32).collect();
            by_weight.sort_by(|&a, &b| weights[a as usize].total_cmp(&weights[b as usize]));
            prop_assert_eq!(selection.order, by_weight);
            prop_assert_eq!(selection.values.len(), weights.len().div_ceil(round));
        }
    }
}
