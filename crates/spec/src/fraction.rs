//! The share of an image's pixels that a subset keeps.

use serde::{Deserialize, Serialize};

/// A fraction in (0, 1].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fraction(f64);

/// A number that is no fraction of an image.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a fraction of an image: it must be above 0 and at most 1")]
pub struct FractionError(pub f64);

impl Fraction {
    /// The number of pixels kept of `pixels`: ceil(pixels x fraction) (`docs/method.md`, section 5; 1024 at .05 is 52).
    ///
    /// The product is taken with a slack of 1e-9, so that .07 of 100 is 7 although .07 * 100.0 lies above 7.
    #[must_use]
    #[expect(clippy::cast_sign_loss, reason = "fractions are positive")]
    pub fn pixels_kept(self, pixels: usize) -> usize {
        ((pixels as f64 * self.0 - 1e-9).ceil() as usize).clamp(1, pixels)
    }

    /// The fraction as a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Fraction {
    type Error = FractionError;

    fn try_from(value: f64) -> Result<Self, FractionError> {
        if value > 0.0 && value <= 1.0 { Ok(Self(value)) } else { Err(FractionError(value)) }
    }
}

impl From<Fraction> for f64 {
    fn from(fraction: Fraction) -> Self {
        fraction.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(fraction: f64, pixels: usize) -> usize {
        Fraction::try_from(fraction).unwrap().pixels_kept(pixels)
    }

    #[test]
    fn keeps_as_many_pixels_as_the_authors_do() {
        assert_eq!(kept(0.05, 1024), 52);
        assert_eq!(kept(0.30, 1024), 308);
        assert_eq!(kept(0.50, 1024), 512);
        assert_eq!(kept(0.05, 784), 40);
        assert_eq!(kept(1.0, 784), 784);
    }

    #[test]
    fn a_product_that_is_whole_is_not_rounded_up() {
        assert_eq!(kept(0.07, 100), 7);
        assert_eq!(kept(0.29, 100), 29);
    }

    #[test]
    fn refuses_what_is_no_fraction() {
        for value in [0.0, -0.1, 1.5, f64::NAN] {
            assert!(Fraction::try_from(value).is_err(), "{value}");
        }
    }
}
