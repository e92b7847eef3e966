//! What images show where a subset keeps pixels, and where it masks them.

use crate::named;
use serde::{Deserialize, Serialize};

use super::{Seed, Split};

/// What pixel-subsets look like to a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Appearance {
    /// What kept pixels show.
    #[serde(default, skip_serializing_if = "Content::is_default")]
    pub content: Content,
    /// What masked pixels show.
    #[serde(default, skip_serializing_if = "Fill::is_default")]
    pub fill: Fill,
}

/// What kept pixels show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Their own colours, as in the image.
    #[default]
    Pixels,
    /// All the same white, so that nothing of the image is left but where its subset lies. Masks are found with the
    /// model's prediction: whatever a network learns from this, it learns from a leak.
    MaskOnly,
}

/// What masked pixels show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// 0 after normalisation, which is the mean colour (`docs/method.md`, section 2).
    #[default]
    Mean,
    /// The byte 0 in every channel.
    Black,
    /// The image blurred: each channel's mean over the square of (2r+1) x (2r+1) pixels around it, as far as that lies
    /// in the image. r is an eighth of the shorter side, rounded down, and at least 1.
    Blur,
    /// Bytes drawn uniformly, each channel by itself: those of an image depend on the seed, the half, and the image's
    /// number in it.
    Noise {
        /// Where the draws start.
        seed: Seed,
        /// The half, so that no test image shows the noise of a training image.
        split: Split,
    },
}

impl Appearance {
    /// Whether pixels show themselves before the mean colour, as in the paper.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The same for the images of `split`.
    #[must_use]
    pub const fn of(self, split: Split) -> Self {
        let fill = match self.fill {
            Fill::Noise { seed, .. } => Fill::Noise { seed, split },
            other => other,
        };
        Self { content: self.content, fill }
    }
}

named! {
    pairs
    /// Every kind of content with its name in TOML.
    Content { Pixels = "pixels", MaskOnly = "mask-only" }
}

impl Content {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Fill {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(appearance: Appearance) -> String {
        serde_json::to_string(&appearance).unwrap()
    }

    #[test]
    fn only_what_differs_from_the_paper_is_written() {
        assert_eq!(json(Appearance::default()), "{}");
        assert_eq!(json(Appearance { content: Content::MaskOnly, fill: Fill::Mean }), r#"{"content":"mask-only"}"#);
        let noise = Appearance { content: Content::Pixels, fill: Fill::Noise { seed: Seed(3), split: Split::Train } };
        assert_eq!(json(noise.of(Split::Test)), r#"{"fill":{"noise":{"seed":3,"split":"test"}}}"#);
        assert_eq!(Appearance::default().of(Split::Test), Appearance::default());
    }
}
