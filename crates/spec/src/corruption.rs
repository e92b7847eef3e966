//! Which images of CIFAR-10-C (Hendrycks & Dietterich 2019) are meant.

use std::fmt;

use crate::named;

/// A way in which images are spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the data set's own")]
pub enum Corruption {
    Brightness,
    Contrast,
    DefocusBlur,
    ElasticTransform,
    Fog,
    Frost,
    GaussianBlur,
    GaussianNoise,
    GlassBlur,
    ImpulseNoise,
    JpegCompression,
    MotionBlur,
    Pixelate,
    Saturate,
    ShotNoise,
    Snow,
    Spatter,
    SpeckleNoise,
    ZoomBlur,
}

named! {
    pairs
    /// Every corruption with its name, that of its file without `.npy`, in the order in which the authors of the method number all
    /// images.
    Corruption {
        Brightness = "brightness",
        Contrast = "contrast",
        DefocusBlur = "defocus_blur",
        ElasticTransform = "elastic_transform",
        Fog = "fog",
        Frost = "frost",
        GaussianBlur = "gaussian_blur",
        GaussianNoise = "gaussian_noise",
        GlassBlur = "glass_blur",
        ImpulseNoise = "impulse_noise",
        JpegCompression = "jpeg_compression",
        MotionBlur = "motion_blur",
        Pixelate = "pixelate",
        Saturate = "saturate",
        ShotNoise = "shot_noise",
        Snow = "snow",
        Spatter = "spatter",
        SpeckleNoise = "speckle_noise",
        ZoomBlur = "zoom_blur",
    }
}

/// How badly images are spoiled, from 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// The severity of that number, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if matches!(number, 1..=5) { Some(Self(number)) } else { None }
    }

    /// Its place among them, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Images of CIFAR-10-C: it has too many to be held at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Corrupted {
    /// Those of one corruption and severity.
    One {
        /// How they are spoiled.
        corruption: Corruption,
        /// How badly they are spoiled, from 1 to 5.
        severity: Severity,
    },
    /// Some of all, drawn as the authors of the method draw them: `RandomState(seed).choice(all, count, replace=False)`,
    /// in that order.
    Sample {
        /// How many images are drawn.
        count: usize,
        /// The seed of numpy's `RandomState`, 1234 for the authors' draw.
        seed: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_corruption_has_its_own_name() {
        for (name, corruption) in Corruption::ALL {
            assert_eq!(corruption.name(), name);
        }
    }

    #[test]
    fn severities_are_counted_from_one() {
        assert_eq!(
            [0, 1, 5, 6].map(|number| Severity::new(number).map(Severity::index)),
            [None, Some(0), Some(4), None]
        );
    }
}
