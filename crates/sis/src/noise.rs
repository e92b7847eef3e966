//! Noise on the mask's gradient.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// What is added to a gradient before features are compared. The authors' function adds a variance of 1e-12 unless
/// told otherwise; their published `ImageNet` runs have none.
#[derive(Clone, Debug)]
pub enum GradientNoise {
    /// Nothing, as in the authors' published `ImageNet` runs.
    None,
    /// Independent normal noise, drawn anew for every feature in every round.
    Gaussian {
        /// Where it is drawn from.
        stream: Box<ChaCha8Rng>,
        /// Its standard deviation.
        deviation: f64,
    },
}

impl GradientNoise {
    /// Normal noise of that variance; none at 0.
    #[must_use]
    pub fn of_variance(stream: ChaCha8Rng, variance: f64) -> Self {
        if variance > 0.0 {
            Self::Gaussian { stream: Box::new(stream), deviation: variance.sqrt() }
        } else {
            Self::None
        }
    }

    /// Adds one draw to each element.
    pub fn add_to(&mut self, gradient: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Gaussian { stream, deviation } => {
                for pair in gradient.chunks_mut(2) {
                    for (slope, normal) in pair.iter_mut().zip(two_normals(stream)) {
                        // In f64, as in numpy: at 1e-6 the sum would often round back to a slope near 1.
                        *slope = (f64::from(*slope) + *deviation * normal) as f32;
                    }
                }
            }
        }
    }
}

/// Two independent standard normal values (Box and Muller 1958).
fn two_normals(stream: &mut ChaCha8Rng) -> [f64; 2] {
    let mut uniform = || ((stream.next_u64() >> 11) as f64 + 0.5) / 2_f64.powi(53); // in (0, 1)
    let radius = (-2.0 * uniform().ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * uniform()).sin_cos();
    [radius * cos, radius * sin]
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn noise_has_the_variance_asked_for() {
        let mut values = vec![0.0_f32; 20_001];
        GradientNoise::of_variance(ChaCha8Rng::seed_from_u64(1), 4.0).add_to(&mut values);
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        // Five standard errors: 2/sqrt(n) of the mean, 4*sqrt(2/n) of the variance.
        assert!(mean.abs() < 0.071 && (variance - 4.0).abs() < 0.2, "{mean} {variance}");
    }

    #[test]
    fn no_variance_is_no_noise() {
        let mut values = [1.0, 2.0];
        GradientNoise::of_variance(ChaCha8Rng::seed_from_u64(1), 0.0).add_to(&mut values);
        assert_eq!(values.map(f32::to_bits), [1.0_f32, 2.0].map(f32::to_bits));
    }
}
