//! The function whose decision is explained.

use std::ops::ControlFlow;

/// A function of which features are masked, positioned at a current mask.
///
/// A *feature* is what is masked as one: a pixel (all its channels), or a group. Features are numbered from 0;
/// ties are broken by that number. A scorer starts with nothing masked.
pub trait Scorer {
    /// The number of features.
    fn features(&self) -> usize;

    /// f at the current mask.
    fn current(&mut self) -> f32;

    /// f with each feature of `candidates` masked in turn on top of the current mask, into `scores` (same length).
    ///
    /// A candidate's score has the same bits whatever its place in `candidates` and whatever the others are.
    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]);

    /// [`Scorer::candidates`] by a scorer that may take long: it asks `go_on` now and then, and breaks off if that says
    /// no, which leaves `scores` of no use. One that does not take long need not ask.
    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let _ = go_on;
        self.candidates(candidates, scores);
        ControlFlow::Continue(())
    }

    /// Masks one more feature for good.
    fn mask(&mut self, feature: u32);
}

/// A function whose gradient with respect to the mask is at hand (paper section 3.1).
pub trait GradientScorer {
    /// The number of features.
    fn features(&self) -> usize;

    /// f at the current mask; writes df/dm, m being 1 where masked, into `gradient`, one value a feature.
    fn gradient(&mut self, gradient: &mut [f32]) -> f32;

    /// Masks more features for good.
    fn mask(&mut self, features: &[u32]);
}

/// A function that is evaluated as features are masked in an order that is known beforehand.
pub trait CurveScorer {
    /// Masks nothing.
    fn restart(&mut self);

    /// Masks more features for good.
    fn mask_all(&mut self, features: &[u32]);

    /// f at the current mask.
    fn value(&mut self) -> f32;
}

/// A function whose gradient with respect to its input is at hand, also on the way from the fully masked input to the
/// unmasked one. A feature's values are its *channels*; masking sets them to 0.
pub trait InputGradientScorer: CurveScorer {
    /// The unmasked input, `[features, channels]`.
    fn input(&self) -> &[f32];

    /// Values of a feature.
    fn channels(&self) -> usize;

    /// Makes `share` times the unmasked input the current one (0 is fully masked, 1 the input itself); f there, and
    /// df/dinput `[features, channels]` into `gradient`. Until [`CurveScorer::restart`], other gradients have no
    /// meaning.
    fn input_gradient(&mut self, share: f32, gradient: &mut [f32]) -> f32;
}
