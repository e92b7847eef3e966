//! All disjoint sufficient input subsets of one input.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::{BackSelection, Effort, FindSisError, Halted, Scorer, Sis, Step, back_select_among};

/// One sufficient input subset after the other, disjoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// In the order in which they were found.
    pub members: Vec<Member>,
    /// Why there is no further one.
    pub ending: Ending,
    /// What it took, with the last selection, which may have found no member.
    pub effort: Effort,
}

/// A subset and the selection that it was found in.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its features, the one masked last first.
    pub features: Vec<u32>,
    /// The backward selection of what earlier members had left over.
    pub selection: BackSelection,
}

/// Why a collection is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// f of what is left is below the threshold.
    BelowThreshold,
    /// f reaches the threshold with everything masked, so that the next subset would be empty.
    EmptySubset,
}

/// Finds all disjoint sufficient input subsets at `threshold` (`SIScollection`, Carter et al. 2019, section 3).
///
/// Finds one, masks it for good, and selects anew among what is left, until f of the rest is below `threshold` or
/// the subset found is empty. Each member costs a backward selection of its own. `restart` puts the scorer back to
/// nothing masked; `watch` is called as in each selection and may stop the whole.
///
/// # Errors
/// When `watch` said so, or the scorer failed.
pub fn collection<S: Scorer>(
    scorer: &mut S,
    mut restart: impl FnMut(&mut S) -> Result<(), S::Error>,
    threshold: f64,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Collection, Halted<S::Error>> {
    let mut growing = Growing::new(scorer.features(), threshold);
    while let Some(taken) = growing.taken() {
        restart(scorer)?;
        for feature in taken {
            scorer.mask(feature)?;
        }
        let Some(left) = growing.left(scorer.current()?) else { break };
        growing.add(back_select_among(scorer, left, &mut watch)?);
    }
    Ok(growing.end())
}

/// A collection under way.
#[derive(Debug)]
pub(super) struct Growing {
    features: usize,
    threshold: f64,
    members: Vec<Member>,
    ending: Option<Ending>,
    effort: Effort,
}

impl Growing {
    /// Of so many features, none of which is taken yet.
    pub fn new(features: usize, threshold: f64) -> Self {
        Self { features, threshold, members: Vec::new(), ending: None, effort: Effort::default() }
    }

    /// The features that members have, which are masked for good; none once the collection is complete.
    pub fn taken(&self) -> Option<Vec<u32>> {
        let taken = || self.members.iter().flat_map(|member| member.features.iter().copied()).collect();
        self.ending.is_none().then(taken)
    }

    /// The features to select among for the next member, where f of what is left is `rest`; none if there is no further one.
    pub fn left(&mut self, rest: f32) -> Option<Vec<u32>> {
        let taken = self.taken()?;
        if f64::from(rest) < self.threshold {
            self.ending = Some(Ending::BelowThreshold);
            return None;
        }
        let mut left: Vec<u32> = (0..self.features as u32).collect();
        left.retain(|feature| !taken.contains(feature));
        Some(left)
    }

    /// Takes the next member from a selection among what was left.
    pub fn add(&mut self, selection: BackSelection) {
        self.effort += selection.effort;
        self.ending = match selection.find_sis(NonZeroUsize::MIN, self.threshold) {
            Ok(Sis::Features(features)) => {
                self.members.push(Member { features, selection });
                None
            }
            Ok(Sis::None) => Some(Ending::BelowThreshold),
            Ok(Sis::Empty) | Err(FindSisError::NoFeatures | FindSisError::Lengths { .. }) => Some(Ending::EmptySubset),
        };
    }

    /// What was found, once there is no further member.
    pub fn end(self) -> Collection {
        Collection { members: self.members, ending: self.ending.unwrap_or(Ending::BelowThreshold), effort: self.effort }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::support::{MaskedArray, assert_close, l2, sum};
    use super::super::watch_nothing;
    use super::*;

    fn collect(f: fn(&[f32]) -> f32, x: &[f32], threshold: f64) -> Collection {
        let restart = |array: &mut MaskedArray| {
            *array = MaskedArray::new(f, x);
            Ok(())
        };
        collection(&mut MaskedArray::new(f, x), restart, threshold, watch_nothing).expect("nothing stops it")
    }

    fn found(collection: &Collection) -> Vec<(&[u32], &[u32])> {
        collection.members.iter().map(|member| (&*member.features, &*member.selection.order)).collect()
    }

    // The reference implementation's conformance cases, all at threshold 1.

    #[test]
    fn each_member_is_selected_from_what_the_others_left() {
        let collection = collect(l2, &[0.1, 10.0, 5.0], 1.0);
        assert_eq!(found(&collection), [(&[1][..], &[0, 2, 1][..]), (&[2], &[0, 2])]);
        assert_close(&collection.members[0].selection.values, &[125_f32.sqrt(), 10.0, 0.0]);
        assert_close(&collection.members[1].selection.values, &[5.0, 0.0]);
        assert_eq!(collection.ending, Ending::BelowThreshold);
    }

    #[test]
    fn the_feature_masked_last_comes_first_in_its_subset() {
        let collection = collect(sum, &[0.1, 0.5, 0.8, 0.1], 1.0);
        assert_eq!(found(&collection), [(&[2, 1][..], &[0, 3, 1, 2][..])]);
        assert_close(&collection.members[0].selection.values, &[1.4, 1.3, 0.8, 0.0]);
    }

    #[test]
    fn the_last_member_may_take_all_that_is_left() {
        let collection = collect(l2, &[0.9, 0.9, 10.0, 5.0], 1.0);
        assert_eq!(found(&collection), [(&[2][..], &[0, 1, 3, 2][..]), (&[3], &[0, 1, 3]), (&[1, 0], &[0, 1])]);
        assert_eq!(collection.ending, Ending::BelowThreshold);
    }

    #[test]
    fn an_empty_subset_ends_the_collection() {
        let collection = collect(|x| 2.0 + sum(x), &[1.0, 3.0], 1.0);
        assert_eq!((collection.members.len(), collection.ending), (0, Ending::EmptySubset));
        assert_eq!(collection.effort.evaluated, 3);
    }

    #[test]
    fn an_input_below_the_threshold_has_no_member() {
        let collection = collect(sum, &[0.2, 0.3], 1.0);
        let effort = Effort::default();
        assert_eq!(collection, Collection { members: Vec::new(), ending: Ending::BelowThreshold, effort });
    }

    #[test]
    fn the_watcher_can_stop_a_collection() {
        let mut steps = 0;
        let stopped = collection(
            &mut MaskedArray::new(l2, &[0.1, 10.0, 5.0]),
            |array| {
                *array = MaskedArray::new(l2, &[0.1, 10.0, 5.0]);
                Ok(())
            },
            1.0,
            |_| {
                steps += 1;
                if steps <= 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        assert_eq!(stopped, Err(Halted::Stopped));
    }

    proptest! {
        #[test]
        fn members_are_disjoint_and_each_alone_reaches_the_threshold(
            x in proptest::collection::vec(0.0_f32..2.0, 1..16),
            threshold in 0.5_f64..3.0,
        ) {
            let collection = collect(l2, &x, threshold);
            let mut features: Vec<u32> = collection.members.iter().flat_map(|m| m.features.iter().copied()).collect();
            for member in &collection.members {
                let alone = member.features.iter().map(|&feature| x[feature as usize]).collect::<Vec<_>>();
                prop_assert!(f64::from(l2(&alone)) >= threshold - 1e-5);
            }
            let count = features.len();
            features.sort_unstable();
            features.dedup();
            prop_assert_eq!(features.len(), count);
        }
    }
}
