//! The architectures that can be named in an experiment.

use serde::{Deserialize, Serialize};

/// A network architecture, as METHOD section 2 of the paper's code defines it.
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
}

impl Arch {
    /// Every architecture, in the order in which messages list them.
    pub const ALL: [Self; 5] = [Self::Cnn, Self::Resnet20, Self::Resnet18, Self::Vgg16, Self::Wideresnet];

    /// The name used in TOML and in manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cnn => "cnn",
            Self::Resnet20 => "resnet20",
            Self::Resnet18 => "resnet18",
            Self::Vgg16 => "vgg16",
            Self::Wideresnet => "wideresnet",
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
