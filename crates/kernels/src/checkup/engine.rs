//! The incremental engine on this machine's instruction set: against plain Rust, and bit for bit against whole passes.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Finding, TOLERANCE, draws, error, fastest, once};
use crate::engine::{ConvLayer, MapId, MapShape, Passes, Program, ProgramBuilder, Purpose, Workspace};
use crate::isa::Isa;

/// The size of the image of noise on which everything is tried.
const INPUT: MapShape = MapShape { height: 12, width: 12, channels: 3 };
const CLASSES: usize = 10;
/// What is masked before the candidates are scored.
const MASKED: u32 = 5;

/// What the engine found and what whole passes find instead, with the milliseconds of each.
struct Answer {
    engine: (Vec<f32>, f64),
    whole: (Vec<f32>, f64),
}

/// Checks candidates, maskings, whole images and gradients.
pub(super) fn examine() -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let pixels = INPUT.height * INPUT.width;
    let scoring = |what: &str, answer: fn() -> Answer| -> Result<[Finding; 2]> {
        let portable = Isa::portable_only(answer).map_err(Error::wrap)?;
        let fast = answer();
        Ok([
            Finding {
                operation: format!("incremental engine, {what}"),
                error: error(&fast.engine.0, &portable.engine.0),
                tolerance: TOLERANCE,
                milliseconds: fast.engine.1,
                portable_milliseconds: portable.engine.1,
            },
            Finding {
                operation: "the same by whole passes, to the bit".to_owned(),
                error: bit_error(&fast.engine.0, &fast.whole.0),
                tolerance: 0.0,
                milliseconds: fast.whole.1,
                portable_milliseconds: portable.whole.1,
            },
        ])
    };
    findings.extend(scoring(&format!("{} candidates", pixels - 1), candidates)?);
    findings.extend(scoring(&format!("{pixels} maskings one by one"), maskings)?);
    let alone = |operation: &str, answer: fn() -> (Vec<f32>, f64)| -> Result<Finding> {
        let (portable, portable_milliseconds) = Isa::portable_only(answer).map_err(Error::wrap)?;
        let (fast, milliseconds) = answer();
        let (operation, error) = (operation.to_owned(), error(&fast, &portable));
        Ok(Finding { operation, error, tolerance: TOLERANCE, milliseconds, portable_milliseconds })
    };
    findings.push(alone("logits of whole images, 8 together", whole_images)?);
    findings.push(alone("gradient of an image's logits", gradient)?);
    Ok(findings)
}

/// The error, but above 0 as soon as one bit differs.
fn bit_error(actual: &[f32], expected: &[f32]) -> f64 {
    let bits = |values: &[f32]| -> Vec<u32> { values.iter().map(|value| value.to_bits()).collect() };
    if bits(actual) == bits(expected) { 0.0 } else { error(actual, expected).max(f64::MIN_POSITIVE) }
}

/// The logits of every candidate beside a pixel that is masked already.
fn candidates() -> Answer {
    let program = network(Purpose::Candidates);
    let (mut engine, mut whole) = (Workspace::new(&program), Workspace::new(&program));
    let image = image();
    engine.set_image(&image);
    engine.mask(MASKED);
    let pixels: Vec<u32> = (0..(INPUT.height * INPUT.width) as u32).filter(|pixel| *pixel != MASKED).collect();
    let mut scores = vec![0.0; pixels.len() * CLASSES];
    let scored = fastest(|| engine.candidates(&pixels, &mut scores));
    let mut expected = Vec::new();
    let passed = once(|| {
        expected.clear();
        for pixel in &pixels {
            whole.set_image(&masked(&image, &[MASKED, *pixel]));
            expected.extend_from_slice(whole.logits());
        }
    });
    Answer { engine: (scores, scored), whole: (expected, passed) }
}

/// The logits after each of so many maskings as there are pixels.
fn maskings() -> Answer {
    let program = network(Purpose::Candidates);
    let (mut engine, mut whole) = (Workspace::new(&program), Workspace::new(&program));
    let image = image();
    let pixels = (INPUT.height * INPUT.width) as u32;
    let order: Vec<u32> = (0..pixels).map(|step| step * 7 % pixels).collect();
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    let stepped = fastest(|| {
        found.clear();
        engine.set_image(&image);
        for pixel in &order {
            engine.mask(*pixel);
            found.extend_from_slice(engine.logits());
        }
    });
    let passed = once(|| {
        expected.clear();
        for step in 1..=order.len() {
            whole.set_image(&masked(&image, &order[..step]));
            expected.extend_from_slice(whole.logits());
        }
    });
    Answer { engine: (found, stepped), whole: (expected, passed) }
}

/// The logits of eight images that pass together, as an evaluation computes them.
fn whole_images() -> (Vec<f32>, f64) {
    let mut passes = Passes::new(&network(Purpose::WholeImages), 8);
    let images = draws(&mut ChaCha8Rng::seed_from_u64(4), 8 * INPUT.values());
    let mut logits = Vec::new();
    let milliseconds = fastest(|| logits = passes.pass(&images).to_vec());
    (logits, milliseconds)
}

/// The gradient of a weighted sum of the logits with respect to the image.
fn gradient() -> (Vec<f32>, f64) {
    let program = network(Purpose::Gradients);
    let mut engine = Passes::new(&program, 1);
    engine.pass(&image());
    let slopes = draws(&mut ChaCha8Rng::seed_from_u64(3), CLASSES);
    let mut gradient = Vec::new();
    let milliseconds = fastest(|| gradient = engine.gradient(&slopes).to_vec());
    (gradient, milliseconds)
}

fn image() -> Vec<f32> {
    draws(&mut ChaCha8Rng::seed_from_u64(1), INPUT.values())
}

fn masked(image: &[f32], pixels: &[u32]) -> Vec<f32> {
    let mut image = image.to_vec();
    for pixel in pixels {
        image[*pixel as usize * INPUT.channels..][..INPUT.channels].fill(0.0);
    }
    image
}

/// A network with every kind of layer, by the instruction set that [`Isa::detect`] gives.
fn network(purpose: Purpose) -> Arc<Program> {
    let builder = ProgramBuilder::new(Isa::detect(), purpose, INPUT);
    let mut layers = Layers { builder, purpose, stream: ChaCha8Rng::seed_from_u64(2), bounds: BTreeMap::new() };
    let input = layers.builder.input();
    layers.bounds.insert(input, 1.0);
    let stem = layers.conv(input, 16, 3, 1, None);
    let inner = layers.conv(stem, 16, 3, 1, None);
    let block = layers.conv(inner, 16, 3, 1, Some(stem));
    let shortcut = layers.conv(block, 32, 1, 2, None);
    let inner = layers.conv(block, 32, 3, 2, None);
    let block = layers.conv(inner, 32, 3, 1, Some(shortcut));
    let shortcut = layers.builder.subsample(block, 2, 16);
    layers.bounds.insert(shortcut, layers.bounds[&block]);
    let inner = layers.conv(block, 64, 3, 2, None);
    let mut x = layers.conv(inner, 64, 3, 1, Some(shortcut));
    if purpose != Purpose::Gradients {
        // Where the largest value is a matter of rounding, so would be what has the gradient.
        x = layers.builder.max_pool(x, 3, 1, 1);
        let small = layers.builder.max_pool(x, 2, 1, 0);
        x = layers.conv(small, 64, 3, 1, Some(small));
        let (scale, shift) = (draws(&mut layers.stream, 64), draws(&mut layers.stream, 64));
        x = layers.builder.affine(x, scale, shift, None, true);
    }
    let x = layers.builder.mean(x);
    let (weights, bias) = (draws(&mut layers.stream, 64 * CLASSES), draws(&mut layers.stream, CLASSES));
    layers.builder.linear(x, &weights, &bias);
    Arc::new(layers.builder.finish())
}

/// A network in the making.
struct Layers {
    builder: ProgramBuilder,
    purpose: Purpose,
    stream: ChaCha8Rng,
    /// What no value of a map exceeds.
    bounds: BTreeMap<MapId, f32>,
}

impl Layers {
    /// A convolution with ReLU and random weights.
    ///
    /// Where gradients are asked for, biases are so large that every second channel is above 0 all over, and the others
    /// below: on which side of 0 a value lies is then no matter of rounding.
    fn conv(&mut self, x: MapId, outputs: usize, kernel: usize, stride: usize, addend: Option<MapId>) -> MapId {
        let fan = kernel * kernel * self.builder.shape(x).channels;
        let mut weights = draws(&mut self.stream, outputs * fan);
        let mut bias = draws(&mut self.stream, outputs);
        let mut bound = 0.0;
        if self.purpose == Purpose::Gradients {
            for weights in weights.chunks_exact_mut(fan) {
                let sum: f32 = weights.iter().map(|weight| weight.abs()).sum();
                for weight in weights {
                    *weight /= sum;
                }
            }
            let largest = self.bounds[&x] + addend.map_or(0.0, |addend| self.bounds[&addend]);
            for (channel, bias) in bias.iter_mut().enumerate() {
                *bias = if channel % 2 == 0 { largest + 1.0 } else { -largest - 1.0 };
            }
            bound = 2.0 * largest + 1.0;
        } else {
            let scale = (6.0 / fan as f32).sqrt();
            for weight in &mut weights {
                *weight *= scale;
            }
        }
        let padding = [kernel / 2; 2];
        let layer = ConvLayer { weights: &weights, bias: &bias, kernel: [kernel; 2], stride, padding };
        let map = self.builder.conv(x, &layer, addend, true);
        self.bounds.insert(map, bound);
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_is_tried() {
        use crate::conv::{Convolution, Tiles};
        let program = network(Purpose::Candidates);
        let tiles: Vec<Option<Tiles>> = program
            .convolutions()
            .map(|(_, conv)| match conv {
                Convolution::Direct(_) => None,
                Convolution::Winograd(conv) => Some(conv.tiles()),
            })
            .collect();
        for tried in [None, Some(Tiles::FourByFour), Some(Tiles::WholeMap)] {
            assert!(tiles.contains(&tried), "{tried:?} is not among {tiles:?}");
        }
    }

    #[test]
    fn one_bit_is_an_error() {
        assert!(bit_error(&[1.0, 0.0], &[1.0, 0.0]) <= 0.0);
        assert!(bit_error(&[1.0, 0.0], &[1.0, -0.0]) > 0.0);
        assert!(bit_error(&[1.0], &[1.0 + f32::EPSILON]) > 0.0);
    }

    #[test]
    fn what_is_compared_depends_on_the_image_and_on_every_pixel() {
        let Answer { engine: (scores, _), .. } = candidates();
        let rows: Vec<&[f32]> = scores.chunks_exact(CLASSES).collect();
        let same = rows.iter().enumerate().filter(|(place, row)| rows[..*place].contains(row)).count();
        assert_eq!(same, 0, "candidates have the same logits");
        let (gradient, _) = gradient();
        assert!(gradient.iter().filter(|slope| **slope == 0.0).count() < gradient.len() / 10);
    }
}
