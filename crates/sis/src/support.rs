//! Scorers for tests: a plain function of an array whose masked elements are zero.

use std::convert::Infallible;

use super::{Bound, CurveScorer, GradientScorer, Scorer};

/// The Euclidean norm.
pub fn l2(x: &[f32]) -> f32 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32
}

/// The sum, rounded once, so that equal terms in another order tie.
pub fn sum(x: &[f32]) -> f32 {
    x.iter().copied().map(f64::from).sum::<f64>() as f32
}

/// `f` of an array; a feature is one element, or a group that is masked as one.
#[derive(Clone)]
pub struct MaskedArray {
    f: fn(&[f32]) -> f32,
    x: Vec<f32>,
    groups: Vec<Vec<usize>>,
    /// Candidates evaluated so far.
    pub evaluated: usize,
    /// What the scorer says of it.
    bound: Bound,
}

impl MaskedArray {
    /// One feature an element.
    pub fn new(f: fn(&[f32]) -> f32, x: &[f32]) -> Self {
        let groups = (0..x.len()).map(|element| vec![element]).collect();
        Self { f, x: x.to_vec(), groups, evaluated: 0, bound: Bound::UNKNOWN }
    }

    /// One feature a group of elements.
    pub fn grouped(f: fn(&[f32]) -> f32, x: &[f32], groups: &[&[usize]]) -> Self {
        Self { groups: groups.iter().map(|group| group.to_vec()).collect(), ..Self::new(f, x) }
    }

    /// The same, which says what `f` never exceeds, and evaluates so many candidates together.
    pub fn below(self, ceiling: f32, group: usize) -> Self {
        self.bounded(Bound { ceiling: Some(ceiling), group })
    }

    /// The same, which says that of `f`.
    pub fn bounded(self, bound: Bound) -> Self {
        Self { bound, ..self }
    }

    fn with_masked(&self, feature: u32) -> Vec<f32> {
        let mut x = self.x.clone();
        for &element in &self.groups[feature as usize] {
            x[element] = 0.0;
        }
        x
    }
}

impl Scorer for MaskedArray {
    type Error = Infallible;

    fn features(&self) -> usize {
        self.groups.len()
    }

    fn current(&mut self) -> Result<f32, Infallible> {
        Ok((self.f)(&self.x))
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), Infallible> {
        for (&candidate, score) in candidates.iter().zip(scores) {
            *score = (self.f)(&self.with_masked(candidate));
            self.evaluated += 1;
        }
        Ok(())
    }

    fn mask(&mut self, feature: u32) -> Result<(), Infallible> {
        self.x = self.with_masked(feature);
        Ok(())
    }

    fn bound(&self) -> Bound {
        self.bound
    }
}

/// Asserts that two lists of numbers agree within a few units in the last place.
pub fn assert_close(actual: &[f32], expected: &[f32]) {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    assert!(actual.len() == expected.len() && actual.iter().zip(expected).all(close), "{actual:?} is not {expected:?}");
}

/// f = the sum of weight times input to some power, with the same weights for every input.
#[derive(Clone)]
pub struct Polynomial {
    weights: Vec<f32>,
    power: i32,
    /// `[inputs, features, channels]`
    unmasked: Vec<f32>,
    current: Vec<f32>,
    channels: usize,
}

impl Polynomial {
    /// The sum of w x.
    pub fn linear(weights: &[f32], inputs: &[f32], channels: usize) -> Self {
        assert!(inputs.len().is_multiple_of(weights.len()));
        Self { weights: weights.to_vec(), power: 1, unmasked: inputs.to_vec(), current: inputs.to_vec(), channels }
    }

    /// The sum of w x^3.
    pub fn cubic(weights: &[f32], inputs: &[f32], channels: usize) -> Self {
        Self { power: 3, ..Self::linear(weights, inputs, channels) }
    }

    /// f of one input.
    pub fn value(&self, input: usize) -> f32 {
        let current = &self.current[input * self.weights.len()..];
        self.weights.iter().zip(current).map(|(weight, value)| weight * value.powi(self.power)).sum()
    }
}

impl CurveScorer for Polynomial {
    type Error = Infallible;

    fn inputs(&self) -> usize {
        self.unmasked.len() / self.weights.len()
    }

    fn features(&self) -> usize {
        self.weights.len() / self.channels
    }

    fn restart(&mut self) {
        self.restart_at(1.0);
    }

    fn mask(&mut self, input: usize, features: &[u32]) {
        for &feature in features {
            let place = input * self.weights.len() + feature as usize * self.channels;
            self.current[place..][..self.channels].fill(0.0);
        }
    }

    fn values(&mut self, values: &mut [f32]) -> Result<(), Infallible> {
        for (input, value) in values.iter_mut().enumerate() {
            *value = self.value(input);
        }
        Ok(())
    }
}

impl GradientScorer for Polynomial {
    fn channels(&self) -> usize {
        self.channels
    }

    fn unmasked(&self) -> &[f32] {
        &self.unmasked
    }

    fn restart_at(&mut self, share: f32) {
        self.current = self.unmasked.iter().map(|value| value * share).collect();
    }

    fn gradients(&mut self, values: &mut [f32], gradients: &mut [f32]) -> Result<(), Infallible> {
        for ((slope, weight), value) in gradients.iter_mut().zip(self.weights.iter().cycle()).zip(&self.current) {
            *slope = weight * self.power as f32 * value.powi(self.power - 1);
        }
        self.values(values)
    }
}
