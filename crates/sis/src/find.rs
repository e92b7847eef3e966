//! From a stored selection to a sufficient input subset, without asking f again.

use std::num::NonZeroUsize;

use super::BackSelection;

/// What an input offers as its sufficient input subset at one threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sis {
    /// There is none: f is below the threshold even on the full input.
    None,
    /// The empty set: f reaches the threshold with everything masked. It counts, but shows nothing.
    Empty,
    /// These features, the one masked last first.
    Features(Vec<u32>),
}

impl Sis {
    /// The features, none for the empty set; `None` if there is no sufficient subset.
    #[must_use]
    pub fn into_features(self) -> Option<Vec<u32>> {
        match self {
            Self::None => None,
            Self::Empty => Some(Vec::new()),
            Self::Features(features) => Some(features),
        }
    }
}

/// Order and values that belong to no selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindSisError {
    /// There is nothing to find a subset of.
    #[error("cannot find a sufficient input subset: the selection has no features")]
    NoFeatures,
    /// Not one value a step.
    #[error(
        "cannot find a sufficient input subset: {features} features masked {per_step} a step take {} steps, \
         but there are {values} values",
        features.div_ceil(per_step.get())
    )]
    Lengths {
        /// Features in the order.
        features: usize,
        /// Features masked a step.
        per_step: NonZeroUsize,
        /// Values of f that were recorded, where there should be one a step.
        values: usize,
    },
}

/// Finds the sufficient input subset at `threshold` (`FindSIS`, Carter et al. 2019, section 3).
///
/// It is what was still there after the **last** step at which f was at least `threshold`: the values may dip below
/// and recover, and only the last crossing counts. `full` is f(x); `values` holds f after each step, and a step masks
/// `per_step` features of `order` (1 for backward selection, the size of a round for the batched gradient).
///
/// The authors' code differs in one case. Where f reaches the threshold with everything masked but dipped just
/// before, it returns the features of the dip, which were never evaluated by themselves; this returns [`Sis::Empty`].
///
/// # Errors
/// When there are no features, or not one value a step.
pub fn find_sis(
    full: f32,
    order: &[u32],
    values: &[f32],
    per_step: NonZeroUsize,
    threshold: f64,
) -> Result<Sis, FindSisError> {
    if order.is_empty() {
        return Err(FindSisError::NoFeatures);
    }
    if values.len() != order.len().div_ceil(per_step.get()) {
        return Err(FindSisError::Lengths { features: order.len(), per_step, values: values.len() });
    }
    let reaches = |f: f32| f64::from(f) >= threshold;
    if !reaches(full) {
        return Ok(Sis::None);
    }
    let steps = values.iter().rposition(|&value| reaches(value)).map_or(0, |step| step + 1);
    let still_there = order.get(steps * per_step.get()..).unwrap_or_default();
    if still_there.is_empty() { Ok(Sis::Empty) } else { Ok(Sis::Features(still_there.iter().rev().copied().collect())) }
}

impl BackSelection {
    /// [`find_sis()`] of a selection that masked `per_step` features a step.
    ///
    /// # Errors
    /// As [`find_sis()`].
    pub fn find_sis(&self, per_step: NonZeroUsize, threshold: f64) -> Result<Sis, FindSisError> {
        find_sis(self.full, &self.order, &self.values, per_step, threshold)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::support::{MaskedArray, l2};
    use super::super::{Scorer, back_select, watch_nothing};
    use super::*;

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    fn features(features: &[u32]) -> Sis {
        Sis::Features(features.to_vec())
    }

    /// The reference implementation's conformance case: (feature, value) pairs, and f(x) above every threshold.
    #[test]
    fn each_threshold_of_the_reference_stack_gives_its_subset() {
        let find = |threshold| find_sis(3.0, &[0, 2, 1, 3], &[1.0, 0.9, 0.7, 0.6], ONE, threshold);
        assert_eq!(find(0.6), Ok(Sis::Empty));
        assert_eq!(find(0.65), Ok(features(&[3])));
        assert_eq!(find(0.8), Ok(features(&[3, 1])));
        assert_eq!(find(0.99), Ok(features(&[3, 1, 2])));
        assert_eq!(find(2.0), Ok(features(&[3, 1, 2, 0])));
    }

    #[test]
    fn an_empty_stack_is_an_error() {
        assert_eq!(find_sis(1.0, &[], &[], ONE, 0.5), Err(FindSisError::NoFeatures));
    }

    #[test]
    fn there_must_be_one_value_a_step() {
        let error = find_sis(1.0, &[0, 1, 2], &[0.5, 0.1], ONE, 0.5).expect_err("a value is missing");
        assert_eq!(
            error.to_string(),
            "cannot find a sufficient input subset: 3 features masked 1 a step take 3 steps, but there are 2 values"
        );
    }

    #[test]
    fn only_the_last_crossing_counts() {
        assert_eq!(find_sis(1.0, &[0, 1, 2], &[0.2, 0.9, 0.1], ONE, 0.5), Ok(features(&[2])));
    }

    #[test]
    fn a_confident_fully_masked_input_has_the_empty_subset_even_after_a_dip() {
        assert_eq!(find_sis(1.0, &[0, 1, 2], &[0.9, 0.4, 0.8], ONE, 0.5), Ok(Sis::Empty));
    }

    #[test]
    fn there_is_no_subset_where_the_full_input_falls_short() {
        assert_eq!(find_sis(0.4, &[0, 1], &[0.9, 0.1], ONE, 0.5), Ok(Sis::None));
        assert_eq!(find_sis(f32::NAN, &[0, 1], &[0.9, 0.1], ONE, 0.5), Ok(Sis::None));
    }

    #[test]
    fn rounds_are_kept_or_dropped_as_a_whole() {
        let two = NonZeroUsize::new(2).expect("not zero");
        let find = |threshold| find_sis(1.0, &[4, 0, 2, 3, 1], &[0.9, 0.6, 0.1], two, threshold);
        assert_eq!(find(0.95), Ok(features(&[1, 3, 2, 0, 4])));
        assert_eq!(find(0.9 - 1e-6), Ok(features(&[1, 3, 2])));
        assert_eq!(find(0.5), Ok(features(&[1])));
        assert_eq!(find(0.1), Ok(Sis::Empty));
    }

    /// Gradient rounds may raise f above the threshold that the full input does not reach; the literal rule of the authors (`docs/method.md`, section 7)
    /// would count them.
    #[test]
    fn rounds_that_raise_f_are_no_subset_where_the_full_input_falls_short() {
        let two = NonZeroUsize::new(2).expect("not zero");
        assert_eq!(find_sis(0.4, &[4, 0, 2, 3, 1], &[0.9, 0.95, 0.1], two, 0.5), Ok(Sis::None));
        assert_eq!(find_sis(0.5, &[4, 0, 2, 3, 1], &[0.9, 0.95, 0.1], two, 0.5), Ok(features(&[1])));
    }

    proptest! {
        /// f(x restricted to a SIS of s features) = values[d-s-1] >= t, for 0 < s < d.
        #[test]
        fn f_of_the_subset_alone_is_the_recorded_value_and_reaches_the_threshold(
            x in proptest::collection::vec(0.0_f32..4.0, 2..24),
            threshold in 0.0_f64..8.0,
        ) {
            let selection = back_select(&mut MaskedArray::new(l2, &x), watch_nothing).expect("nothing stops it");
            let sis = selection.find_sis(ONE, threshold).expect("one value a feature").into_features();
            prop_assert_eq!(sis.is_some(), f64::from(selection.full) >= threshold);
            let Some(kept) = sis else { return Ok(()) };
            let mut scorer = MaskedArray::new(l2, &x);
            for feature in (0..x.len() as u32).filter(|feature| !kept.contains(feature)) {
                scorer.mask(feature).unwrap();
            }
            let alone = scorer.current().unwrap();
            prop_assert!(f64::from(alone) >= threshold);
            if !kept.is_empty() && kept.len() < x.len() {
                prop_assert_eq!(alone.to_bits(), selection.values[x.len() - kept.len() - 1].to_bits());
            }
        }

        /// A higher threshold never needs fewer features.
        #[test]
        fn subsets_grow_with_the_threshold(values in proptest::collection::vec(0.0_f32..1.0, 1..30)) {
            let order: Vec<u32> = (0..values.len() as u32).collect();
            let size = |threshold| {
                find_sis(1.0, &order, &values, ONE, threshold).ok().and_then(Sis::into_features).map(|sis| sis.len())
            };
            let sizes: Vec<_> = (0..=10).map(|tenths| size(f64::from(tenths) / 10.0)).collect();
            prop_assert!(sizes.is_sorted(), "{sizes:?}");
        }
    }
}
