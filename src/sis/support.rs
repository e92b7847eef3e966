//! Scorers for tests: a plain function of an array whose masked elements are zero.

use super::{CurveScorer, GradientScorer, InputGradientScorer, Scorer};

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
}

impl MaskedArray {
    /// One feature an element.
    pub fn new(f: fn(&[f32]) -> f32, x: &[f32]) -> Self {
        Self { f, x: x.to_vec(), groups: (0..x.len()).map(|element| vec![element]).collect(), evaluated: 0 }
    }

    /// One feature a group of elements.
    pub fn grouped(f: fn(&[f32]) -> f32, x: &[f32], groups: &[&[usize]]) -> Self {
        Self { f, x: x.to_vec(), groups: groups.iter().map(|group| group.to_vec()).collect(), evaluated: 0 }
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
    fn features(&self) -> usize {
        self.groups.len()
    }

    fn current(&mut self) -> f32 {
        (self.f)(&self.x)
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) {
        for (&candidate, score) in candidates.iter().zip(scores) {
            *score = (self.f)(&self.with_masked(candidate));
            self.evaluated += 1;
        }
    }

    fn mask(&mut self, feature: u32) {
        self.x = self.with_masked(feature);
    }
}

/// f = the sum of the weights that are kept, so df/dm is minus the weight, masked or not.
#[derive(Clone)]
pub struct Additive {
    weights: Vec<f32>,
    kept: Vec<bool>,
    /// The features masked in each round.
    pub rounds: Vec<Vec<u32>>,
}

impl Additive {
    /// Nothing is masked yet.
    pub fn new(weights: &[f32]) -> Self {
        Self { weights: weights.to_vec(), kept: vec![true; weights.len()], rounds: Vec::new() }
    }
}

impl GradientScorer for Additive {
    fn features(&self) -> usize {
        self.weights.len()
    }

    fn gradient(&mut self, gradient: &mut [f32]) -> f32 {
        for (slope, weight) in gradient.iter_mut().zip(&self.weights) {
            *slope = -weight;
        }
        self.weights.iter().zip(&self.kept).filter(|(_, kept)| **kept).map(|(weight, _)| weight).sum()
    }

    fn mask(&mut self, features: &[u32]) {
        for &feature in features {
            assert!(std::mem::replace(&mut self.kept[feature as usize], false), "{feature} is masked twice");
        }
        self.rounds.push(features.to_vec());
    }
}

/// Asserts that two lists of numbers agree within a few units in the last place.
pub fn assert_close(actual: &[f32], expected: &[f32]) {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    assert!(actual.len() == expected.len() && actual.iter().zip(expected).all(close), "{actual:?} is not {expected:?}");
}

/// f = the sum of weight times input to some power.
#[derive(Clone)]
pub struct Polynomial {
    weights: Vec<f32>,
    power: i32,
    input: Vec<f32>,
    current: Vec<f32>,
    channels: usize,
}

impl Polynomial {
    /// The sum of w x.
    pub fn linear(weights: &[f32], input: &[f32], channels: usize) -> Self {
        Self { weights: weights.to_vec(), power: 1, input: input.to_vec(), current: input.to_vec(), channels }
    }

    /// The sum of w x^3.
    pub fn cubic(weights: &[f32], input: &[f32], channels: usize) -> Self {
        Self { power: 3, ..Self::linear(weights, input, channels) }
    }
}

impl CurveScorer for Polynomial {
    fn restart(&mut self) {
        self.current.clone_from(&self.input);
    }

    fn mask_all(&mut self, features: &[u32]) {
        for &feature in features {
            self.current[feature as usize * self.channels..][..self.channels].fill(0.0);
        }
    }

    fn value(&mut self) -> f32 {
        self.weights.iter().zip(&self.current).map(|(weight, value)| weight * value.powi(self.power)).sum()
    }
}

impl InputGradientScorer for Polynomial {
    fn input(&self) -> &[f32] {
        &self.input
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn input_gradient(&mut self, share: f32, gradient: &mut [f32]) -> f32 {
        self.current = self.input.iter().map(|value| value * share).collect();
        for ((slope, weight), value) in gradient.iter_mut().zip(&self.weights).zip(&self.current) {
            *slope = weight * self.power as f32 * value.powi(self.power - 1);
        }
        self.value()
    }
}
