//! Batch normalisation with the sum and the `ReLU` that follow it.

use std::sync::Arc;

use candle_core::{Result, bail};

use super::batch::{for_each_chunk, sum_over_chunks};
use super::gradient::{Gradient, Lazy};
use super::{Entry, Map, MapId, Normalised, ParameterId, Tape};
use crate::isa::Isa;
use crate::ops::{Activation, MapShape, channels};

/// What a batch contributes to the running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Unbiased variance of each channel (divided by n - 1).
    pub variance: Vec<f32>,
}

/// Count, mean and scatter (sum of squared distances from the mean) of each channel.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    count: f64,
    mean: Vec<f64>,
    scatter: Vec<f64>,
}

impl Moments {
    /// From sums about an origin: of distances, then of squared distances.
    pub(super) fn about(origin: &[f32], count: usize, sums: &[f64]) -> Self {
        let count = count as f64;
        let (distance, square) = sums.split_at(origin.len());
        let mean = origin.iter().zip(distance).map(|(&origin, sum)| f64::from(origin) + sum / count).collect();
        let scatter = distance.iter().zip(square).map(|(sum, square)| (square - sum * sum / count).max(0.0)).collect();
        Self { count, mean, scatter }
    }

    /// Of a run of whole images.
    fn of(isa: Isa, shape: MapShape, x: &[f32]) -> Self {
        let mut sums = vec![0.0; 2 * shape.channels];
        let origin = &x[..shape.channels];
        channels::add_moments(isa, x, origin, &mut sums);
        Self::about(origin, x.len() / shape.channels, &sums)
    }

    /// Joins the moments of parts, in order (Chan, Golub and `LeVeque` 1979).
    pub(super) fn join(parts: Vec<Self>) -> Option<Self> {
        parts.into_iter().reduce(|mut all, part| {
            let count = all.count + part.count;
            for (channel, (mean, scatter)) in part.mean.iter().zip(part.scatter).enumerate() {
                let distance = mean - all.mean[channel];
                all.mean[channel] += distance * part.count / count;
                all.scatter[channel] += scatter + distance * distance * all.count * part.count / count;
            }
            all.count = count;
            all
        })
    }
}

/// A batch norm that has run.
pub(super) struct Normalisation {
    x: MapId,
    scale: ParameterId,
    shift: ParameterId,
    residual: Option<MapId>,
    mean: Arc<Vec<f32>>,
    inverse_deviation: Vec<f32>,
    out: MapId,
}

impl Tape<'_> {
    /// Normalises each channel over batch and pixels, scales, shifts, adds `residual`, and activates.
    ///
    /// # Errors
    /// When shapes differ, or there is only one value per channel.
    pub fn batch_norm(
        &mut self,
        x: MapId,
        scale: ParameterId,
        shift: ParameterId,
        epsilon: f64,
        residual: Option<MapId>,
        activation: Activation,
    ) -> Result<(MapId, BatchStatistics)> {
        let shape = self.shape(x);
        let (weights, biases) = (self.parameters[scale.0].values, self.parameters[shift.0].values);
        if weights.len() != shape.channels || biases.len() != shape.channels {
            bail!("normalise {} channels with {} scales and {} shifts", shape.channels, weights.len(), biases.len());
        }
        if residual.is_some_and(|residual| self.shape(residual) != shape) {
            bail!("add a residual of another shape to a map of shape {:?}", shape.dims());
        }
        if shape.batch * shape.pixels() < 2 {
            bail!("normalise a batch of one value per channel: its variance is undefined, use a larger batch");
        }
        let Some(moments) = self.maps[x.0].moments.take().or_else(|| self.moments(x)) else {
            bail!("normalise an empty batch");
        };
        let mean: Vec<f32> = moments.mean.iter().map(|&mean| mean as f32).collect();
        let variance = moments.scatter.iter().map(|scatter| (scatter / (moments.count - 1.0)) as f32).collect();
        let inverse_deviation: Vec<f32> =
            moments.scatter.iter().map(|scatter| (scatter / moments.count + epsilon).sqrt().recip() as f32).collect();
        let factors: Vec<f32> =
            weights.iter().zip(&inverse_deviation).map(|(weight, inverse)| weight * inverse).collect();
        let offsets: Vec<f32> =
            biases.iter().zip(&mean).zip(&factors).map(|((bias, mean), factor)| bias - mean * factor).collect();

        let isa = self.isa();
        let mut out = self.workspace.buffer(shape.values());
        let relu = activation == Activation::Relu;
        let values = &self.map(x).values;
        let addend = residual.map(|residual| &self.map(residual).values);
        for_each_chunk(shape, &mut out, |first, out| {
            let part = first..first + out.len();
            let x = &values[part.clone()];
            match addend {
                None => channels::scale_and_shift(isa, x, &factors, &offsets, relu, out),
                Some(addend) => {
                    channels::scale_and_shift_and_add(isa, x, &factors, &offsets, &addend[part], relu, out);
                }
            }
        });
        let statistics = BatchStatistics { mean: mean.clone(), variance };
        let mean = Arc::new(mean);
        let map = Map {
            rectified: relu,
            normalised: Some(Normalised { x, mean: Arc::clone(&mean) }),
            ..Map::new(shape, out, true)
        };
        let reads: Vec<MapId> = std::iter::once(x).chain(residual).collect();
        let out = self.record(map, &reads, |out| {
            Entry::Normalisation(Normalisation { x, scale, shift, residual, mean, inverse_deviation, out })
        });
        Ok((out, statistics))
    }

    fn moments(&self, x: MapId) -> Option<Moments> {
        let (isa, map) = (self.isa(), self.map(x));
        let length = super::batch::chunk(super::batch::group(map.shape)) * map.shape.image();
        let parts = super::batch::map_chunks(&map.values, length, |x| Moments::of(isa, map.shape, x));
        Moments::join(parts)
    }
}

impl Normalisation {
    /// With z = w (x - mean) / deviation + b and dz the gradient behind the activation:
    /// dx = w / deviation (dz - mean(dz) - xhat mean(dz xhat)), dw = sum(dz xhat), db = sum(dz).
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        let shape = tape.shape(self.out);
        let channels = shape.channels;
        let sums = match &mut tape.maps[self.out.0].gradient {
            Some(Gradient::Plain { gated: true, sums, .. }) => sums.take(),
            _ => None,
        };
        let Some(gradient) = tape.take_plain_gradient(self.out) else { return };
        let sums = sums.unwrap_or_else(|| {
            let (isa, x) = (tape.isa(), &tape.map(self.x).values);
            sum_over_chunks(shape, 2 * channels, |part, sums| {
                channels::add_products(isa, &gradient[part.clone()], &x[part], &self.mean, sums);
            })
        });
        let (sum, product) = sums.split_at(channels);
        let inverse = |channel: usize| f64::from(self.inverse_deviation[channel]);
        let for_scale = (0..channels).map(|channel| (product[channel] * inverse(channel)) as f32).collect();
        let for_shift = sum.iter().map(|&sum| sum as f32).collect();
        let weights = tape.parameters[self.scale.0].values;
        tape.add_to_parameter(self.scale, for_scale);
        tape.add_to_parameter(self.shift, for_shift);
        tape.release(self.out);

        if tape.map(self.x).tracked {
            let count = (shape.batch * shape.pixels()) as f64;
            let (mut scale, mut slope, mut offset) = (Vec::new(), Vec::new(), Vec::new());
            for channel in 0..channels {
                let factor = f64::from(weights[channel]) * inverse(channel);
                let along = -factor * inverse(channel).powi(2) * product[channel] / count;
                scale.push(factor as f32);
                slope.push(along as f32);
                offset.push((-factor * sum[channel] / count - along * f64::from(self.mean[channel])) as f32);
            }
            let x = Arc::clone(&tape.map(self.x).values);
            let lazy = Lazy { gradient: Arc::clone(&gradient), x, scale, slope, offset };
            tape.contribute_lazily(self.x, lazy);
        }
        match self.residual {
            Some(residual) if tape.map(residual).tracked => tape.contribute(residual, gradient),
            _ => tape.workspace.recycle(gradient),
        }
    }
}
