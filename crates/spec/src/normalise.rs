//! How the bytes of an image become a network's input.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest value of a byte, which is 1 for those who write means and deviations in TOML.
const LARGEST: f64 = 255.0;
/// Decimals of a mean or a deviation as people write it.
const DECIMALS: usize = 6;

/// Per-channel mean and deviation on the scale of 0..=255. A pixel byte `p` becomes `(p - mean) / std`, so a
/// masked pixel, which is 0 after this, shows the mean colour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalise {
    /// One mean per channel.
    pub mean: Vec<f64>,
    /// One deviation per channel.
    pub std: Vec<f64>,
}

impl Normalise {
    /// Of means and deviations of values of 0 to 1, as PyTorch's users write them.
    #[must_use]
    pub fn of_unit_range(mean: &[f64], deviation: &[f64]) -> Self {
        let scaled = |values: &[f64]| values.iter().map(|value| LARGEST * value).collect();
        Self { mean: scaled(mean), std: scaled(deviation) }
    }

    /// Whether there is one finite mean and one finite deviation above 0 for each of so many channels.
    #[must_use]
    pub fn is_of(&self, channels: usize) -> bool {
        let Self { mean, std } = self;
        mean.len() == channels
            && std.len() == channels
            && mean.iter().all(|mean| mean.is_finite())
            && std.iter().all(|std| std.is_finite() && *std > 0.0)
    }
}

impl fmt::Display for Normalise {
    /// As in TOML, in values of 0 to 1: `{ mean = [0.5], deviation = [0.25] }`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[f64]| values.iter().map(|value| in_short(value / LARGEST)).collect::<Vec<_>>().join(", ");
        write!(f, "{{ mean = [{}], deviation = [{}] }}", list(&self.mean), list(&self.std))
    }
}

/// A number with as many decimals as it needs, of at most [`DECIMALS`].
fn in_short(value: f64) -> String {
    let written = format!("{value:.DECIMALS$}");
    let short = written.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_values_of_0_to_1_is_shown_so() {
        let imagenet = Normalise::of_unit_range(&[0.485, 0.456, 0.0], &[0.229, 1.0, 0.25]);
        assert_eq!(imagenet.mean[0].to_bits(), (255.0_f64 * 0.485).to_bits());
        assert_eq!(imagenet.to_string(), "{ mean = [0.485, 0.456, 0.0], deviation = [0.229, 1.0, 0.25] }");
        let cifar = Normalise { mean: vec![125.3], std: vec![63.0] };
        assert_eq!(cifar.to_string(), "{ mean = [0.491373], deviation = [0.247059] }");
    }

    #[test]
    fn a_normalisation_is_of_as_many_channels_as_it_has_sound_numbers() {
        let sound = Normalise { mean: vec![0.0, 1.0], std: vec![1.0, 2.0] };
        assert!(sound.is_of(2) && !sound.is_of(1) && !sound.is_of(3));
        for (mean, std) in [(vec![f64::NAN], vec![1.0]), (vec![0.0], vec![0.0]), (vec![0.0], vec![f64::INFINITY])] {
            assert!(!Normalise { mean, std }.is_of(1));
        }
    }
}
