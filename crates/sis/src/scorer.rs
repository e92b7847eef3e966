//! The function whose decision is explained.

use std::ops::ControlFlow;

use super::Halted;

/// A function of which features are masked, positioned at a current mask.
///
/// A *feature* is what is masked as one: a pixel (all its channels), or a group. Features are numbered from 0;
/// ties are broken by that number. A scorer starts with nothing masked.
///
/// A score of an answer that means nothing is none: a scorer that cannot answer says why.
pub trait Scorer {
    /// Why it does not answer; [`std::convert::Infallible`] if it always does.
    type Error;

    /// The number of features.
    fn features(&self) -> usize;

    /// f at the current mask.
    ///
    /// # Errors
    /// When it cannot tell.
    fn current(&mut self) -> Result<f32, Self::Error>;

    /// f with each feature of `candidates` masked in turn on top of the current mask, into `scores` (same length).
    ///
    /// A candidate's score has the same bits whatever its place in `candidates`, and on a CPU whatever the others are; what
    /// libraries for a GPU round may depend on how many there are.
    ///
    /// # Errors
    /// When it cannot tell; `scores` are then of no use.
    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), Self::Error>;

    /// [`Scorer::candidates`] by a scorer that may take long: it asks `go_on` now and then, and breaks off if that says
    /// no. One that does not take long need not ask.
    ///
    /// # Errors
    /// When it broke off or cannot tell; `scores` are then of no use.
    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Halted<Self::Error>> {
        let _ = go_on;
        self.candidates(candidates, scores)?;
        Ok(())
    }

    /// Masks one more feature for good.
    ///
    /// # Errors
    /// When it cannot.
    fn mask(&mut self, feature: u32) -> Result<(), Self::Error>;

    /// What is known of f's bound; nothing, if not given.
    fn bound(&self) -> Bound {
        Bound::UNKNOWN
    }
}

impl<S: Scorer> Scorer for &mut S {
    type Error = S::Error;

    fn features(&self) -> usize {
        (**self).features()
    }

    fn current(&mut self) -> Result<f32, S::Error> {
        (**self).current()
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), S::Error> {
        (**self).candidates(candidates, scores)
    }

    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Halted<S::Error>> {
        (**self).candidates_while(candidates, scores, go_on)
    }

    fn mask(&mut self, feature: u32) -> Result<(), S::Error> {
        (**self).mask(feature)
    }

    fn bound(&self) -> Bound {
        (**self).bound()
    }
}

/// A scorer as if nothing were known of a bound: a selection by it evaluates every candidate, which is what shorter ones are
/// held against.
#[derive(Debug)]
pub struct Exhaustive<S>(pub S);

impl<S: Scorer> Scorer for Exhaustive<S> {
    type Error = S::Error;

    fn features(&self) -> usize {
        self.0.features()
    }

    fn current(&mut self) -> Result<f32, S::Error> {
        self.0.current()
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), S::Error> {
        self.0.candidates(candidates, scores)
    }

    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Halted<S::Error>> {
        self.0.candidates_while(candidates, scores, go_on)
    }

    fn mask(&mut self, feature: u32) -> Result<(), S::Error> {
        self.0.mask(feature)
    }
}

/// What a selection may rest on to evaluate fewer candidates than there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// What f never exceeds, where there is such a bound and f may reach it: 1 for a softmax, which a network that is sure
    /// rounds to exactly that. None where nothing is known, or where scores may round to more.
    pub ceiling: Option<f32>,
    /// How many candidates are evaluated together. More at a time cost each of them no less.
    pub group: usize,
}

impl Bound {
    /// Every candidate has to be evaluated.
    pub const UNKNOWN: Self = Self { ceiling: None, group: usize::MAX };

    /// A softmax, of which so many candidates are evaluated together: the exponentials' sum has the largest, 1, in it, and
    /// adding what is not negative makes it no less; so no share is more than 1, however it is rounded.
    #[must_use]
    pub const fn softmax(group: usize) -> Self {
        Self { ceiling: Some(1.0), group }
    }

    /// Whether a score is at the ceiling, to the bit.
    #[must_use]
    pub fn is_reached_by(&self, score: f32) -> bool {
        self.ceiling.is_some_and(|ceiling| score.to_bits() == ceiling.to_bits())
    }
}

/// A function of each of several inputs, of which candidates of all inputs are evaluated together.
///
/// All inputs have as many features. A score does not depend on which others are asked for with it.
pub trait LockstepScorer {
    /// Why it does not answer.
    type Error;

    /// The number of inputs.
    fn inputs(&self) -> usize;

    /// The number of features of each.
    fn features(&self) -> usize;

    /// f of some inputs at their current masks.
    ///
    /// # Errors
    /// When it cannot tell.
    fn values(&mut self, inputs: &[u32], values: &mut [f32]) -> Result<(), Self::Error>;

    /// f of each candidate's input with its feature masked on top of the input's current mask. Asks `go_on` now and then,
    /// and breaks off if that says no.
    ///
    /// # Errors
    /// When it broke off or cannot tell; `scores` are then of no use.
    fn candidates(
        &mut self,
        candidates: &[Candidate],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Halted<Self::Error>>;

    /// Masks a feature of each of some inputs for good.
    ///
    /// # Errors
    /// When it cannot.
    fn mask(&mut self, features: &[Candidate]) -> Result<(), Self::Error>;

    /// Unmasks everything of an input.
    ///
    /// # Errors
    /// When it cannot.
    fn restart(&mut self, input: u32) -> Result<(), Self::Error>;

    /// What is known of f's bound.
    fn bound(&self) -> Bound;
}

impl<S: LockstepScorer> LockstepScorer for Exhaustive<&mut S> {
    type Error = S::Error;

    fn inputs(&self) -> usize {
        self.0.inputs()
    }

    fn features(&self) -> usize {
        self.0.features()
    }

    fn values(&mut self, inputs: &[u32], values: &mut [f32]) -> Result<(), S::Error> {
        self.0.values(inputs, values)
    }

    fn candidates(
        &mut self,
        candidates: &[Candidate],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Halted<S::Error>> {
        self.0.candidates(candidates, scores, go_on)
    }

    fn mask(&mut self, features: &[Candidate]) -> Result<(), S::Error> {
        self.0.mask(features)
    }

    fn restart(&mut self, input: u32) -> Result<(), S::Error> {
        self.0.restart(input)
    }

    fn bound(&self) -> Bound {
        Bound::UNKNOWN
    }
}

/// A feature of an input, which may be masked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which of the scorer's inputs it belongs to, counted from 0.
    pub input: u32,
    /// Which feature of it.
    pub feature: u32,
}

/// A function of each of several inputs, evaluated side by side as their features are masked.
///
/// All inputs have as many features. What is found of one does not depend on which others there are.
pub trait CurveScorer {
    /// Why it does not answer.
    type Error;

    /// The number of inputs.
    fn inputs(&self) -> usize;

    /// The number of features of each.
    fn features(&self) -> usize;

    /// Unmasks every feature of all inputs.
    fn restart(&mut self);

    /// Masks more features of an input.
    fn mask(&mut self, input: usize, features: &[u32]);

    /// f of each input at its current mask.
    ///
    /// # Errors
    /// When it cannot tell.
    fn values(&mut self, values: &mut [f32]) -> Result<(), Self::Error>;
}

/// The same with the gradients with respect to the inputs. A feature's values are its *channels*; masking sets them to 0.
pub trait GradientScorer: CurveScorer {
    /// Values of a feature.
    fn channels(&self) -> usize;

    /// The unmasked inputs, `[inputs, features, channels]`.
    fn unmasked(&self) -> &[f32];

    /// Makes `share` times the unmasked inputs the current ones: 0 is fully masked, 1 is [`CurveScorer::restart`].
    fn restart_at(&mut self, share: f32);

    /// How large df/dinput is at a feature of which `slopes` are the channels': their Euclidean norm, unless several
    /// channels show one value of the feature.
    fn magnitude(&self, slopes: &[f32]) -> f64 {
        norm(slopes)
    }

    /// f of each input at its current mask, and df/dinput there, `[inputs, features, channels]`.
    ///
    /// # Errors
    /// When it cannot tell.
    fn gradients(&mut self, values: &mut [f32], gradients: &mut [f32]) -> Result<(), Self::Error>;
}

/// The Euclidean norm.
#[must_use]
pub fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}
