//! Backward selections of several inputs in lockstep, for devices that one input's candidates leave idle.
//!
//! Each selection is what it would be alone, to the bit: only whose candidates are evaluated together differs.

use std::ops::ControlFlow;

use super::back_select::Selecting;
use super::collection::{Collection, Growing};
use super::scorer::{Bound, Candidate, LockstepScorer, Scorer};
use super::{BackSelection, Halted, Step, unstopped};

/// [`back_select()`](super::back_select()) of every input of a scorer.
///
/// `watch` is called before each round of candidates with the features masked of all inputs together, and may stop it.
///
/// # Errors
/// When `watch` said so, or the scorer failed.
pub fn back_select_in_lockstep<S: LockstepScorer>(
    scorer: &mut S,
    watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Vec<BackSelection>, Halted<S::Error>> {
    let features: Vec<u32> = (0..scorer.features() as u32).collect();
    let mut full = vec![0.0; scorer.inputs()];
    let inputs: Vec<u32> = (0..full.len() as u32).collect();
    scorer.values(&inputs, &mut full)?;
    let bound = scorer.bound();
    let start = |full: f32| Some(Selecting::new(features.clone(), full, bound));
    let mut selections = vec![None; full.len()];
    let total = features.len() * full.len();
    let under_way = full.into_iter().map(start).collect();
    run(scorer, under_way, total, watch, |_, input, selection| {
        selections[input] = Some(selection);
        Ok(None)
    })?;
    Ok(selections.into_iter().flatten().collect())
}

/// [`collection()`](super::collection()) of every input of a scorer. `watch` is told of the features masked in the
/// selections that run at the time.
///
/// # Errors
/// When `watch` said so, or the scorer failed.
pub fn collections_in_lockstep<S: LockstepScorer>(
    scorer: &mut S,
    threshold: f64,
    watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Vec<Collection>, Halted<S::Error>> {
    let (inputs, features) = (scorer.inputs(), scorer.features());
    let mut growing: Vec<Growing> = (0..inputs).map(|_| Growing::new(features, threshold)).collect();
    let first = (0..).zip(&mut growing).map(|(input, growing)| next_member(growing, scorer, input));
    let first = first.collect::<Result<_, _>>()?;
    run(scorer, first, features * inputs, watch, |scorer, input, selection| {
        growing[input].add(selection);
        next_member(&mut growing[input], scorer, input as u32)
    })?;
    Ok(growing.into_iter().map(Growing::end).collect())
}

/// The selection of an input's next member; none if there is no further one.
fn next_member<S: LockstepScorer>(
    growing: &mut Growing,
    scorer: &mut S,
    input: u32,
) -> Result<Option<Selecting>, S::Error> {
    let Some(taken) = growing.taken() else { return Ok(None) };
    scorer.restart(input)?;
    for feature in taken {
        scorer.mask(&[Candidate { input, feature }])?;
    }
    let mut full = [0.0];
    scorer.values(&[input], &mut full)?;
    Ok(growing.left(full[0]).map(|left| Selecting::new(left, full[0], scorer.bound())))
}

/// One input, the first, of a scorer of several.
pub struct Alone<'s, S>(pub &'s mut S);

impl<S: LockstepScorer> Scorer for Alone<'_, S> {
    type Error = S::Error;

    fn features(&self) -> usize {
        self.0.features()
    }

    fn current(&mut self) -> Result<f32, S::Error> {
        let mut value = [0.0];
        self.0.values(&[0], &mut value)?;
        Ok(value[0])
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), S::Error> {
        unstopped(self.candidates_while(candidates, scores, &mut || ControlFlow::Continue(())))
    }

    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Halted<S::Error>> {
        let candidates: Vec<Candidate> = candidates.iter().map(|&feature| Candidate { input: 0, feature }).collect();
        self.0.candidates(&candidates, scores, go_on)
    }

    fn mask(&mut self, feature: u32) -> Result<(), S::Error> {
        self.0.mask(&[Candidate { input: 0, feature }])
    }

    fn bound(&self) -> Bound {
        self.0.bound()
    }
}

/// Drives selections to their ends. What one is followed by, `ended` says.
fn run<S: LockstepScorer>(
    scorer: &mut S,
    mut under_way: Vec<Option<Selecting>>,
    total: usize,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
    mut ended: impl FnMut(&mut S, usize, BackSelection) -> Result<Option<Selecting>, S::Error>,
) -> Result<(), Halted<S::Error>> {
    let (mut masked, mut candidates, mut scores, mut maskings) = (0, Vec::new(), Vec::new(), Vec::new());
    while under_way.iter().any(Option::is_some) {
        let step = Step { masked: masked.min(total), total };
        if watch(step).is_break() {
            return Err(Halted::Stopped);
        }
        candidates.clear();
        for (input, selecting) in under_way.iter_mut().enumerate() {
            let wanted = selecting.iter_mut().flat_map(|selecting| selecting.wanted().0.iter());
            candidates.extend(wanted.map(|&feature| Candidate { input: input as u32, feature }));
        }
        scores.resize(candidates.len(), 0.0);
        scorer.candidates(&candidates, &mut scores, &mut || watch(step))?;
        maskings.clear();
        let mut known = scores.as_slice();
        for (input, selecting) in under_way.iter_mut().enumerate() {
            let Some(selecting) = selecting else { continue };
            let (_, place) = selecting.wanted();
            let (own, others) = known.split_at(place.len());
            place.copy_from_slice(own);
            known = others;
            maskings.extend(selecting.told().map(|feature| Candidate { input: input as u32, feature }));
        }
        scorer.mask(&maskings)?;
        masked += maskings.len();
        for (input, place) in under_way.iter_mut().enumerate() {
            if let Some(over) = place.take_if(|selecting| selecting.is_over()) {
                *place = ended(scorer, input, over.end())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::super::Ending;
    use super::super::support::{MaskedArray, sum};
    use super::super::{Exhaustive, back_select, collection, watch_nothing};
    use super::*;

    /// Several arrays, of which the candidates of all are evaluated together.
    struct Arrays {
        unmasked: Vec<MaskedArray>,
        current: Vec<MaskedArray>,
        bound: Bound,
    }

    impl Arrays {
        fn new(f: fn(&[f32]) -> f32, rows: &[Vec<f32>], bound: Bound) -> Self {
            let unmasked: Vec<MaskedArray> = rows.iter().map(|row| MaskedArray::new(f, row)).collect();
            Self { current: unmasked.clone(), unmasked, bound }
        }
    }

    impl LockstepScorer for Arrays {
        type Error = Infallible;

        fn inputs(&self) -> usize {
            self.current.len()
        }

        fn features(&self) -> usize {
            self.current.first().map_or(0, Scorer::features)
        }

        fn values(&mut self, inputs: &[u32], values: &mut [f32]) -> Result<(), Infallible> {
            for (&input, value) in inputs.iter().zip(values) {
                *value = self.current[input as usize].current()?;
            }
            Ok(())
        }

        fn candidates(
            &mut self,
            candidates: &[Candidate],
            scores: &mut [f32],
            _: &mut dyn FnMut() -> ControlFlow<()>,
        ) -> Result<(), Halted<Infallible>> {
            for (Candidate { input, feature }, score) in candidates.iter().zip(scores) {
                self.current[*input as usize].candidates(&[*feature], std::slice::from_mut(score))?;
            }
            Ok(())
        }

        fn mask(&mut self, features: &[Candidate]) -> Result<(), Infallible> {
            features.iter().try_for_each(|candidate| self.current[candidate.input as usize].mask(candidate.feature))
        }

        fn restart(&mut self, input: u32) -> Result<(), Infallible> {
            self.current[input as usize] = self.unmasked[input as usize].clone();
            Ok(())
        }

        fn bound(&self) -> Bound {
            self.bound
        }
    }

    /// In quarters, cut off at 1; no number once the second element is masked and the first is not.
    fn plateaus(x: &[f32]) -> f32 {
        match x {
            [first, second, ..] if *first != 0.0 && *second == 0.0 => f32::NAN,
            _ => ((sum(x) * 4.0).round() / 4.0).min(1.0),
        }
    }

    /// A selection's first f, order and values.
    type Bits<'s> = (u32, &'s [u32], Vec<u32>);

    /// A selection, to the bit; NaN is itself.
    fn bits(selection: &BackSelection) -> Bits<'_> {
        let values = selection.values.iter().map(|value| value.to_bits());
        (selection.full.to_bits(), &selection.order, values.collect())
    }

    /// A collection's members and how it ended, likewise.
    fn members(collection: &Collection) -> (Vec<(&[u32], Bits<'_>)>, Ending) {
        let members = collection.members.iter().map(|member| (&member.features[..], bits(&member.selection)));
        (members.collect(), collection.ending)
    }

    fn rows() -> impl Strategy<Value = (Vec<Vec<f32>>, Bound)> {
        let value = prop_oneof![-0.5_f32..1.0, Just(0.0), Just(0.25), Just(1.0)];
        let bounds =
            prop_oneof![Just(Bound::UNKNOWN), (1_usize..20).prop_map(|group| Bound { ceiling: Some(1.0), group })];
        let rows = (1_usize..6, 1_usize..24).prop_flat_map(move |(inputs, features)| {
            proptest::collection::vec(proptest::collection::vec(value.clone(), features), inputs)
        });
        (rows, bounds)
    }

    proptest! {
        #[test]
        fn a_selection_in_lockstep_is_what_it_is_alone((rows, bound) in rows()) {
            let found = back_select_in_lockstep(&mut Arrays::new(plateaus, &rows, bound), watch_nothing).unwrap();
            let mut arrays = Arrays::new(plateaus, &rows, bound);
            let every = back_select_in_lockstep(&mut Exhaustive(&mut arrays), watch_nothing).unwrap();
            for (row, (found, every)) in rows.iter().zip(found.into_iter().zip(every)) {
                prop_assert_eq!((bits(&every), every.effort.evaluated), (bits(&found), found.effort.exhaustive));
                let mut alone = MaskedArray::new(plateaus, row).bounded(bound);
                let mut whole = Exhaustive(alone.clone());
                let (alone, whole) =
                    (back_select(&mut alone, watch_nothing).unwrap(), back_select(&mut whole, watch_nothing).unwrap());
                prop_assert_eq!((bits(&found), found.effort), (bits(&alone), alone.effort));
                prop_assert_eq!(bits(&found), bits(&whole));
            }
        }

        #[test]
        fn a_collection_in_lockstep_is_what_it_is_alone((rows, bound) in rows(), threshold in 0.1_f64..1.0) {
            let mut arrays = Arrays::new(plateaus, &rows, bound);
            let found = collections_in_lockstep(&mut arrays, threshold, watch_nothing).unwrap();
            for (row, found) in rows.iter().zip(found) {
                let array = MaskedArray::new(plateaus, row).bounded(bound);
                let restart = |scorer: &mut MaskedArray| {
                    *scorer = array.clone();
                    Ok(())
                };
                let alone = collection(&mut array.clone(), restart, threshold, watch_nothing).unwrap();
                prop_assert_eq!((members(&found), found.effort), (members(&alone), alone.effort));
                let restart = |scorer: &mut Exhaustive<MaskedArray>| {
                    scorer.0 = array.clone();
                    Ok(())
                };
                let whole = collection(&mut Exhaustive(array.clone()), restart, threshold, watch_nothing).unwrap();
                prop_assert_eq!(members(&found), members(&whole));
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_met_on_the_way() {
        // The first is needed more than the second, so that the second would go first if it left a number.
        let mut scorer = MaskedArray::new(plateaus, &[0.75, 0.0, 0.25]);
        assert!(back_select(&mut scorer, watch_nothing).unwrap().full.is_nan());
        let mut scores = [0.0; 2];
        MaskedArray::new(plateaus, &[0.75, 0.25, 0.25]).candidates(&[0, 1], &mut scores).unwrap();
        assert!(!scores[0].is_nan() && scores[1].is_nan());
    }

    #[test]
    fn the_watcher_sees_how_far_all_have_come_and_can_stop() {
        let mut arrays = Arrays::new(sum, &[vec![1.0; 3], vec![2.0; 3]], Bound::UNKNOWN);
        let mut seen = Vec::new();
        let stopped = back_select_in_lockstep(&mut arrays, |step| {
            seen.push((step.masked, step.total));
            if step.masked == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((stopped, seen), (Err(Halted::Stopped), vec![(0, 6), (2, 6), (4, 6)]));
    }
}
