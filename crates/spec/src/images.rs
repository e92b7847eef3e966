//! What stages need to know of a set of images without holding its pixels.

use serde::{Deserialize, Serialize};

use crate::named;

/// The training or the test half of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Images that models are trained on.
    Train,
    /// Images that models are evaluated on.
    Test,
}

named! {
    /// Both, training first.
    Split {
        Train = "train",
        Test = "test",
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Height, width and channels of each image of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// How many rows of pixels each image has.
    pub height: usize,
    /// How many pixels each row has.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
}

impl std::fmt::Display for ImageShape {
    /// `28x28x1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

impl ImageShape {
    /// Pixels, all channels of one place counted once.
    #[must_use]
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Bytes of one image, `[height, width, channels]`.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.pixels() * self.channels
    }
}
