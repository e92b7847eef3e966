//! The architectures that can be named in an experiment.

use serde::{Deserialize, Serialize};

use super::ImageShape;
use crate::named;

/// The version of how candidates of an architecture are scored on a CPU: their bits differ from version to version, so
/// those after the first stand in the keys of steps that rest on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Scoring(u32);

impl Scoring {
    /// The first, which stands in no key.
    pub const FIRST: Self = Self(0);

    /// Whether it is the first.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.0 == Self::FIRST.0
    }
}

/// A network architecture, as the authors' code defines it (`docs/method.md`, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// A small net of six 3x3 convolutions (8-8-16s2-16-32s2-32) for 1 or 3 channels; the quickstart's.
    Cnn,
    /// CIFAR ResNet-20 with parameter-free shortcuts (He et al. 2016, option A).
    Resnet20,
    /// ResNet-18 with a 3x3 stem and 1x1-convolution shortcuts.
    Resnet18,
    /// VGG configuration D with batch norm and one linear layer.
    Vgg16,
    /// WideResNet 28-10 with dropout .3 (Zagoruyko & Komodakis 2016).
    Wideresnet,
    /// ResNet-18 for photographs (He et al. 2016), as torchvision has it; so are those that follow.
    ImagenetResnet18,
    /// ResNet-34.
    ImagenetResnet34,
    /// ResNet-50, its stride in the 3x3 convolutions.
    ImagenetResnet50,
    /// ResNet-101.
    ImagenetResnet101,
    /// Inception v3 (Szegedy et al. 2016), without the auxiliary classifier.
    ImagenetInceptionV3,
}

named! {
    /// Every architecture, in the order in which messages list them.
    Arch {
        Cnn = "cnn",
        Resnet20 = "resnet20",
        Resnet18 = "resnet18",
        Vgg16 = "vgg16",
        Wideresnet = "wideresnet",
        ImagenetResnet18 = "imagenet-resnet18",
        ImagenetResnet34 = "imagenet-resnet34",
        ImagenetResnet50 = "imagenet-resnet50",
        ImagenetResnet101 = "imagenet-resnet101",
        ImagenetInceptionV3 = "imagenet-inception-v3",
    }
}

impl Arch {
    /// Those for images of a few dozen pixels a side.
    pub const SMALL: [Self; 5] = [Self::Cnn, Self::Resnet20, Self::Resnet18, Self::Vgg16, Self::Wideresnet];

    /// The height and width of the images that it is made for, and their channels.
    #[must_use]
    pub const fn usual_images(self) -> ImageShape {
        let (side, channels) = match self {
            Self::Cnn => (28, 1),
            Self::Resnet20 | Self::Resnet18 | Self::Vgg16 | Self::Wideresnet => (32, 3),
            Self::ImagenetResnet18 | Self::ImagenetResnet34 | Self::ImagenetResnet50 | Self::ImagenetResnet101 => {
                (224, 3)
            }
            Self::ImagenetInceptionV3 => (299, 3),
        };
        ImageShape { height: side, width: side, channels }
    }

    /// How its candidates are scored on a CPU.
    #[must_use]
    pub const fn scoring(self) -> Scoring {
        match self {
            // Its last maps are of 2x2 pixels, with 512 channels.
            Self::Vgg16 => Scoring(1),
            Self::Cnn
            | Self::Resnet20
            | Self::Resnet18
            | Self::Wideresnet
            | Self::ImagenetResnet18
            | Self::ImagenetResnet34
            | Self::ImagenetResnet50
            | Self::ImagenetResnet101
            | Self::ImagenetInceptionV3 => Scoring::FIRST,
        }
    }

    /// The architecture of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
