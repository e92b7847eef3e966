//! A training step on the tape, by this machine's instruction set against plain Rust.

use candle_core::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Finding, TOLERANCE, draws, error, fastest};
use crate::isa::Isa;
use crate::ops::{Activation, MapShape, Window, softmax_loss_gradient};
use crate::tape::{MapId, ParameterId, Tape, Workspace};

const INPUT: MapShape = MapShape { batch: 16, height: 12, width: 12, channels: 3 };
const CLASSES: usize = 10;
const EPSILON: f64 = 1e-5;
/// Above what a normalised value of so few comes to, times the largest scale: on which side of 0 a value lies is then
/// no matter of rounding.
const SHIFT: f32 = 12.0;

/// Checks the logits of a step and the gradients of all its weights.
pub(super) fn examine() -> Result<Finding> {
    let (expected, portable_milliseconds) = Isa::portable_only(step).map_err(Error::wrap)??;
    let (actual, milliseconds) = step()?;
    Ok(Finding {
        operation: "training step on the tape, forward and back".to_owned(),
        error: actual.iter().zip(&expected).map(|(actual, expected)| error(actual, expected)).fold(0.0, f64::max),
        tolerance: TOLERANCE,
        milliseconds,
        portable_milliseconds,
    })
}

/// The logits, then the gradient of each weight, and the milliseconds of a step.
fn step() -> Result<(Vec<Vec<f32>>, f64)> {
    let weights = weights();
    let images = draws(&mut ChaCha8Rng::seed_from_u64(1), INPUT.values());
    let labels: Vec<u32> = (0..INPUT.batch).map(|image| (image * 7 % CLASSES) as u32).collect();
    let mut workspace = Workspace::new(Isa::detect());
    let mut pass = || -> Result<Vec<Vec<f32>>> {
        let mut tape = Tape::new(&mut workspace);
        let parameters: Vec<ParameterId> = weights.iter().map(|weights| tape.parameter(weights)).collect();
        let x = tape.input(&images, INPUT)?;
        let last = network(&mut tape, x, &parameters)?;
        let logits = tape.values(last).to_vec();
        let mut gradients = tape.backward(last, softmax_loss_gradient(&logits, &labels, 1.0))?;
        let gradients = parameters.into_iter().map(|parameter| gradients.take(parameter).unwrap_or_default());
        Ok(std::iter::once(logits).chain(gradients).collect())
    };
    let mut found = Ok(Vec::new());
    let milliseconds = fastest(|| found = pass());
    Ok((found?, milliseconds))
}

/// Outputs and kernel of each convolution: a stem, and two residual blocks, the second at half the size.
const CONVOLUTIONS: [(usize, usize); 5] = [(16, 3), (16, 3), (16, 3), (32, 3), (32, 3)];

/// Of each convolution its weights, scales and shifts; then those of the linear layer.
fn weights() -> Vec<Vec<f32>> {
    let mut stream = ChaCha8Rng::seed_from_u64(2);
    let mut inputs = INPUT.channels;
    let mut weights = Vec::new();
    for (outputs, kernel) in CONVOLUTIONS {
        weights.push(draws(&mut stream, outputs * inputs * kernel * kernel));
        weights.push(draws(&mut stream, outputs).iter().map(|value| 1.0 + 0.5 * value).collect());
        weights.push((0..outputs).map(|channel| if channel % 2 == 0 { SHIFT } else { -SHIFT }).collect());
        inputs = outputs;
    }
    weights.push(draws(&mut stream, CLASSES * inputs));
    weights.push(draws(&mut stream, CLASSES));
    weights
}

fn network(tape: &mut Tape<'_>, x: MapId, parameters: &[ParameterId]) -> Result<MapId> {
    let mut left = parameters.chunks_exact(3).zip(CONVOLUTIONS);
    let mut layer = |tape: &mut Tape<'_>, x, stride, residual| -> Result<MapId> {
        let Some(([weight, scale, shift], (outputs, kernel))) = left.next() else {
            candle_core::bail!("the network has no further layer")
        };
        let window = Window { kernel: [kernel; 2], stride, padding: [kernel / 2; 2] };
        let x = tape.conv2d(x, *weight, None, outputs, window)?;
        Ok(tape.batch_norm(x, *scale, *shift, EPSILON, residual, Activation::Relu)?.0)
    };
    let stem = layer(tape, x, 1, None)?;
    let inner = layer(tape, stem, 1, None)?;
    let block = layer(tape, inner, 1, Some(stem))?;
    let shortcut = tape.subsample(block, 2, 8)?;
    let inner = layer(tape, block, 2, None)?;
    let block = layer(tape, inner, 1, Some(shortcut))?;
    let pooled = tape.avg_pool2d(block, 3, 1, 1)?;
    let features = tape.global_mean(pooled);
    let [weight, bias] = [parameters.len() - 2, parameters.len() - 1].map(|place| parameters[place]);
    tape.linear(features, weight, bias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_has_a_gradient() {
        let (found, _) = step().unwrap();
        assert_eq!(found.len(), 1 + 3 * CONVOLUTIONS.len() + 2);
        for (gradient, weights) in found[1..].iter().zip(weights()) {
            assert_eq!(gradient.len(), weights.len());
            assert!(gradient.iter().any(|slope| slope.abs() > 1e-6), "{gradient:?}");
        }
    }
}
