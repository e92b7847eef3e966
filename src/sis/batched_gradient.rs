//! Backward selection of many features at a time, by gradient.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::{BackSelection, GradientNoise, GradientScorer, Step, Stopped};

/// Orders all features by batched gradient backward selection (Carter et al. 2021, section 3.1).
///
/// Each round asks once for df/dm, where m is 1 at a masked feature, and masks the `per_round` features with the
/// **largest** value: those whose masking, to first order, raises f most or lowers it least. The last round may be
/// smaller, so there are ceil(d / `per_round`) of them. Within a round the largest gradient counts as masked first,
/// and **ties go to the lowest feature**, so that the order is total. `noise` is added to the gradient before it
/// is compared.
///
/// `watch` is called before each round and may stop the selection.
///
/// # Errors
/// [`Stopped`], when `watch` said so.
pub fn batched_gradient<S: GradientScorer>(
    scorer: &mut S,
    per_round: NonZeroUsize,
    mut noise: GradientNoise,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<BackSelection, Stopped> {
    let total = scorer.features();
    let mut kept: Vec<u32> = (0..total as u32).collect();
    let mut gradient = vec![0.0; total];
    let mut order = Vec::with_capacity(total);
    let mut values = Vec::with_capacity(total.div_ceil(per_round.get()));
    let full = scorer.gradient(&mut gradient);
    while !kept.is_empty() {
        if watch(Step { masked: order.len(), total }).is_break() {
            return Err(Stopped);
        }
        noise.add_to(&mut gradient);
        let round = per_round.get().min(kept.len());
        move_largest_to_front(&mut kept, &gradient, round);
        scorer.mask(&kept[..round]);
        order.extend(kept.drain(..round));
        values.push(scorer.gradient(&mut gradient));
    }
    Ok(BackSelection { full, order, values })
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

    use super::super::support::{Additive, assert_close};
    use super::super::watch_nothing;
    use super::*;

    fn per_round(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("a round masks something")
    }

    #[test]
    fn rounds_mask_the_largest_gradients_and_the_last_round_is_smaller() {
        let mut scorer = Additive::new(&[3.0, -1.0, 2.0, 5.0, 0.0]);
        let selection =
            batched_gradient(&mut scorer, per_round(2), GradientNoise::None, watch_nothing).expect("nothing stops it");
        assert_eq!(selection.order, [1, 4, 2, 0, 3]);
        assert_eq!(scorer.rounds, [vec![1, 4], vec![2, 0], vec![3]]);
    }

    #[test]
    fn values_follow_each_round_and_end_with_everything_masked() {
        let mut scorer = Additive::new(&[3.0, -1.0, 2.0, 5.0, 0.0]);
        let selection =
            batched_gradient(&mut scorer, per_round(2), GradientNoise::None, watch_nothing).expect("nothing stops it");
        assert_close(&[selection.full], &[9.0]);
        assert_close(&selection.values, &[10.0, 5.0, 0.0]);
    }

    #[test]
    fn equal_gradients_are_masked_from_the_lowest_feature() {
        let selection =
            batched_gradient(&mut Additive::new(&[0.0; 7]), per_round(3), GradientNoise::None, watch_nothing)
                .expect("nothing stops it");
        assert_eq!(selection.order, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn zeros_of_either_sign_tie_and_not_a_number_goes_last() {
        let mut features = [0, 1, 2, 3];
        move_largest_to_front(&mut features, &[f32::NAN, -0.0, 0.0, 1.0], 4);
        assert_eq!(features, [3, 1, 2, 0]);
    }

    #[test]
    fn noise_breaks_ties_and_is_a_matter_of_its_stream() {
        let run = |seed| {
            let noise = GradientNoise::of_variance(ChaCha8Rng::seed_from_u64(seed), 1e-12);
            batched_gradient(&mut Additive::new(&[0.0; 64]), per_round(8), noise, watch_nothing)
                .expect("nothing stops it")
                .order
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert_ne!(run(1), (0..64).collect::<Vec<u32>>());
    }

    #[test]
    fn noise_of_the_authors_variance_leaves_distinct_gradients_in_order() {
        let noise = GradientNoise::of_variance(ChaCha8Rng::seed_from_u64(3), 1e-12);
        let selection = batched_gradient(&mut Additive::new(&[0.3, 0.1, 0.2]), per_round(1), noise, watch_nothing)
            .expect("nothing stops it");
        assert_eq!(selection.order, [1, 2, 0]);
    }

    #[test]
    fn the_watcher_can_stop_between_rounds() {
        let mut scorer = Additive::new(&[1.0; 6]);
        let stopped = batched_gradient(&mut scorer, per_round(2), GradientNoise::None, |step| {
            if step.masked < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(stopped, Err(Stopped));
        assert_eq!(scorer.rounds.len(), 2);
    }

    proptest! {
        #[test]
        fn an_additive_function_is_ordered_by_weight_whatever_the_size_of_a_round(
            weights in proptest::collection::vec((-9_i8..=9).prop_map(f32::from), 1..60),
            round in 1_usize..70,
        ) {
            let mut scorer = Additive::new(&weights);
            let selection = batched_gradient(&mut scorer, per_round(round), GradientNoise::None, watch_nothing)
                .expect("nothing stops it");
            let mut by_weight: Vec<u32> = (0..weights.len() as u32).collect();
            by_weight.sort_by(|&a, &b| weights[a as usize].total_cmp(&weights[b as usize]));
            prop_assert_eq!(selection.order, by_weight);
            prop_assert_eq!(selection.values.len(), weights.len().div_ceil(round));
        }
    }
}
