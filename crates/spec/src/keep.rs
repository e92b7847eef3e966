//! How much of an image a subset keeps.

use std::num::NonZeroUsize;

use serde::{Serialize, Serializer};

use super::Fraction;

/// What a `mask` stage keeps of each ranked image: always the end of its order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// A share of the pixels.
    Share(Fraction),
    /// The pixels masked in about that share of the rounds, as the authors train on ImageNet: those of round
    /// int((1 - share) x last round) and of all later ones, rounds counted from 0 (`docs/method.md`, section 7).
    Rounds(Fraction),
}

impl Keep {
    /// How many of `pixels` are kept, of which `per_round` were masked in each round.
    #[must_use]
    pub fn pixels_kept(self, pixels: usize, per_round: NonZeroUsize) -> usize {
        match self {
            Self::Share(share) => share.pixels_kept(pixels),
            Self::Rounds(share) => {
                let last = pixels.div_ceil(per_round.get()).saturating_sub(1);
                #[expect(clippy::cast_sign_loss, reason = "a fraction is at most 1")]
                let first = ((1.0 - share.get()) * last as f64) as usize;
                pixels.saturating_sub(first * per_round.get())
            }
        }
    }
}

impl Serialize for Keep {
    /// A share of the pixels is a number, as it always was; a share of the rounds says so.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Rounds {
            rounds: Fraction,
        }
        match self {
            Self::Share(share) => share.serialize(serializer),
            Self::Rounds(rounds) => Rounds { rounds: *rounds }.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(share: f64, pixels: usize, per_round: usize) -> usize {
        let share = Fraction::try_from(share).unwrap();
        Keep::Rounds(share).pixels_kept(pixels, NonZeroUsize::new(per_round).unwrap())
    }

    #[test]
    fn a_tenth_of_the_rounds_is_what_the_authors_train_on() {
        assert_eq!(kept(0.1, 299 * 299, 100), 9_001);
        assert_eq!(kept(0.1, 224 * 224, 100), 5_176);
    }

    #[test]
    fn whole_rounds_are_kept_and_the_last_one_always() {
        assert_eq!(kept(1.0, 10, 4), 10);
        // Rounds 0, 1, 2; int(.5 x 2) = 1.
        assert_eq!(kept(0.5, 10, 4), 6);
        assert_eq!(kept(1e-9, 10, 4), 6);
        assert_eq!(kept(0.3, 10, 100), 10);
    }

    #[test]
    fn a_share_of_the_pixels_is_written_as_it_always_was() {
        let share = Fraction::try_from(0.05).unwrap();
        assert_eq!(serde_json::to_string(&Keep::Share(share)).unwrap(), "0.05");
        assert_eq!(serde_json::to_string(&Keep::Rounds(share)).unwrap(), r#"{"rounds":0.05}"#);
        assert_eq!(Keep::Share(share).pixels_kept(1024, NonZeroUsize::MIN), 52);
    }
}
