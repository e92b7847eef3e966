//! Whether a model answers in numbers. Every way to ask one goes through here.
//!
//! Kernels take what is not a number for 0 where a ReLU follows, so that weights are looked at before they are used, and
//! logits before they become probabilities: a logit that is infinite or not a number need not show in the probability
//! that is wanted, and among candidates it never wins.

use overinterp_artifacts::{Model, ParameterTensor};

/// Why a model's answers mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFinite {
    /// A weight is infinite or not a number.
    #[error(
        "the model's weights are not finite: `{tensor}` holds {value}; train the model anew, at a lower learning rate if \
         it diverged, or import a file that is whole"
    )]
    Weights {
        /// PyTorch's name of the first such tensor.
        tensor: String,
        /// The first such number of it.
        value: String,
    },
    /// A logit is, although all weights are finite.
    #[error(
        "the model's logits of image {image} are not finite although its weights are: they are so large, or a variance \
         so far below 0, that values overflow on the way; import a file that is whole, or train the model anew at a \
         lower learning rate"
    )]
    Logits {
        /// The image's number in its set.
        image: usize,
    },
}

/// Whether every value is finite.
#[must_use]
pub fn all_finite(values: &[f32]) -> bool {
    // Not `all`, which looks at one after the other.
    values.iter().fold(true, |sound, value| sound & value.is_finite())
}

/// Checks the weights of every network.
///
/// # Errors
/// When one is not finite.
pub fn check_weights(model: &Model) -> Result<(), NotFinite> {
    model.networks.iter().flat_map(|network| &network.tensors).try_for_each(|(name, tensor)| check_tensor(name, tensor))
}

fn check_tensor(name: &str, tensor: &ParameterTensor) -> Result<(), NotFinite> {
    if all_finite(&tensor.data) {
        return Ok(());
    }
    let value = tensor.data.iter().find(|value| !value.is_finite()).map_or_else(String::new, ToString::to_string);
    Err(NotFinite::Weights { tensor: name.to_owned(), value })
}

/// Checks the logits of image number `image`.
///
/// # Errors
/// When one is not finite.
pub fn check_logits(logits: &[f32], image: usize) -> Result<(), NotFinite> {
    if all_finite(logits) { Ok(()) } else { Err(NotFinite::Logits { image }) }
}

/// The place of the first row of `logits` `[images, classes]` that is not finite.
#[must_use]
pub fn first_not_finite(logits: &[f32], classes: usize) -> Option<usize> {
    if all_finite(logits) { None } else { logits.chunks_exact(classes).position(|row| !all_finite(row)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_that_is_none_is_found_wherever_it_is() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in 0..35 {
                let mut values = vec![f32::MAX; 35];
                values[place] = value;
                assert!(!all_finite(&values));
                assert_eq!(first_not_finite(&values, 7), Some(place / 7));
            }
        }
        assert!(all_finite(&[f32::MAX, f32::MIN, 0.0, f32::MIN_POSITIVE / 2.0]) && all_finite(&[]));
        assert_eq!(first_not_finite(&[f32::MAX; 14], 7), None);
    }
}
