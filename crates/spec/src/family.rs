//! Families of architectures, whose members differ in depth and width.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Arch;

/// A member of a family of architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Family {
    /// Residual networks for small images with parameter-free shortcuts (He et al. 2016, section 4.2, option A).
    ResnetCifar {
        /// Layers with weights: 6n + 2, n blocks a stage.
        depth: u16,
        /// Channels of the first stage; those after it have twice and four times as many.
        width: u16,
    },
    /// Wide residual networks (Zagoruyko & Komodakis 2016), normalised before each convolution.
    WideResnet {
        /// Layers with weights: 6n + 4, n blocks a stage.
        depth: u16,
        /// How many times as many channels the stages have as 16, 32 and 64.
        width: u16,
        /// Between the two convolutions of a block.
        dropout: Rate,
    },
    /// VGG (Simonyan & Zisserman 2015) with batch norm, and one linear layer for small images.
    Vgg {
        /// Layers with weights of the published network: 11, 13, 16 or 19.
        depth: u16,
        /// Channels of the first stage; those after it have twice, four times, and twice eight times as many.
        width: u16,
    },
    /// Residual networks for photographs (He et al. 2016, table 1), as torchvision has them.
    ImagenetResnet {
        /// Layers with weights: 18, 34, 50, 101 or 152.
        depth: u16,
        /// Channels of the first stage's 3x3 convolutions: 64, and of torchvision's wide networks, from a depth of 50, 128.
        width: u16,
    },
}

/// A share of values between 0 and below 1, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(u32);

impl Rate {
    const WHOLE: f64 = 1e6;
    /// WideResNet's authors' dropout.
    pub const WIDE_RESNET: Self = Self(300_000);

    /// The share.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / Self::WHOLE
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.value()
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        let millionths = (value * Self::WHOLE).round();
        if !(0.0..Self::WHOLE).contains(&millionths) {
            return Err(format!("must be at least 0 and below 1, not {value}"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the range")]
        let rate = Self(millionths as u32);
        if rate.value().to_bits() == (value + 0.0).to_bits() {
            Ok(rate)
        } else {
            Err(format!("may have six decimals, not those of {value}"))
        }
    }
}

/// More layers or channels are a slip of the pen.
const MOST: u16 = 2048;

impl Family {
    /// Names of families, with a member of each.
    pub const ALL: [(&str, Self); 4] = [
        ("resnet-cifar", Self::ResnetCifar { depth: 20, width: 16 }),
        ("wide-resnet", Self::WideResnet { depth: 28, width: 10, dropout: Rate::WIDE_RESNET }),
        ("vgg", Self::Vgg { depth: 16, width: 64 }),
        ("imagenet-resnet", Self::ImagenetResnet { depth: 50, width: 64 }),
    ];

    /// Members with a name of their own.
    pub(super) const NAMED: [(Self, Arch); 7] = [
        (Self::ResnetCifar { depth: 20, width: 16 }, Arch::Resnet20),
        (Self::WideResnet { depth: 28, width: 10, dropout: Rate::WIDE_RESNET }, Arch::Wideresnet),
        (Self::Vgg { depth: 16, width: 64 }, Arch::Vgg16),
        (Self::ImagenetResnet { depth: 18, width: 64 }, Arch::ImagenetResnet18),
        (Self::ImagenetResnet { depth: 34, width: 64 }, Arch::ImagenetResnet34),
        (Self::ImagenetResnet { depth: 50, width: 64 }, Arch::ImagenetResnet50),
        (Self::ImagenetResnet { depth: 101, width: 64 }, Arch::ImagenetResnet101),
    ];

    /// The architecture, by its name where it has one.
    #[must_use]
    pub fn arch(self) -> Arch {
        Self::NAMED.into_iter().find(|(family, _)| *family == self).map_or(Arch::Of(self), |(_, arch)| arch)
    }

    /// Members that are published with weights and have no name of their own.
    pub(super) fn published() -> impl Iterator<Item = Self> {
        let small = [32, 44, 56, 110, 1202].map(|depth| Self::ResnetCifar { depth, width: 16 });
        let wide = [(16, 8), (40, 4), (40, 2), (16, 4), (40, 1)];
        let wide = wide.map(|(depth, width)| Self::WideResnet { depth, width, dropout: Rate::default() });
        let vgg = [11, 13, 19].map(|depth| Self::Vgg { depth, width: 64 });
        let large = [(152, 64), (50, 128), (101, 128)].map(|(depth, width)| Self::ImagenetResnet { depth, width });
        small.into_iter().chain(wide).chain(vgg).chain(large)
    }

    /// As it is written in an experiment.
    pub(super) fn toml(self) -> String {
        let text = self.to_string();
        let (name, keys) = text.split_once(' ').unwrap_or((&text, ""));
        format!("{{ family = \"{name}\", {} }}", keys.replace(' ', ", ").replace('=', " = "))
    }

    /// The family's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResnetCifar { .. } => "resnet-cifar",
            Self::WideResnet { .. } => "wide-resnet",
            Self::Vgg { .. } => "vgg",
            Self::ImagenetResnet { .. } => "imagenet-resnet",
        }
    }

    /// Depth and width.
    #[must_use]
    pub const fn extent(self) -> [u16; 2] {
        let (Self::ResnetCifar { depth, width }
        | Self::WideResnet { depth, width, .. }
        | Self::Vgg { depth, width }
        | Self::ImagenetResnet { depth, width }) = self;
        [depth, width]
    }

    /// The same of another depth and width.
    #[must_use]
    pub const fn sized(self, [depth, width]: [u16; 2]) -> Self {
        match self {
            Self::ResnetCifar { .. } => Self::ResnetCifar { depth, width },
            Self::WideResnet { dropout, .. } => Self::WideResnet { depth, width, dropout },
            Self::Vgg { .. } => Self::Vgg { depth, width },
            Self::ImagenetResnet { .. } => Self::ImagenetResnet { depth, width },
        }
    }

    /// Depths that the family has, in words.
    #[must_use]
    pub const fn depths(self) -> &'static str {
        match self {
            Self::ResnetCifar { .. } => "6n + 2: 8, 14, 20, 32, 44, 56, 110",
            Self::WideResnet { .. } => "6n + 4: 10, 16, 22, 28, 40",
            Self::Vgg { .. } => "11, 13, 16 or 19",
            Self::ImagenetResnet { .. } => "18, 34, 50, 101 or 152",
        }
    }

    /// Its depth, or why the family has no such.
    ///
    /// # Errors
    /// What is wrong, behind the name of the key.
    pub fn check_depth(self) -> Result<(), String> {
        let [depth, _] = self.extent();
        let there_is = match self {
            Self::ResnetCifar { .. } => depth >= 8 && depth % 6 == 2,
            Self::WideResnet { .. } => depth >= 10 && depth % 6 == 4,
            Self::Vgg { .. } => matches!(depth, 11 | 13 | 16 | 19),
            Self::ImagenetResnet { .. } => matches!(depth, 18 | 34 | 50 | 101 | 152),
        };
        if there_is && depth <= MOST {
            return Ok(());
        }
        Err(format!("cannot be {depth}: depths of `{}` are {}", self.name(), self.depths()))
    }

    /// Its width, or why the family has no such.
    ///
    /// # Errors
    /// What is wrong, behind the name of the key.
    pub fn check_width(self) -> Result<(), String> {
        let [_, width] = self.extent();
        let fault = match self {
            // Half of the channels that a stage adds go before the others, half behind them.
            Self::ResnetCifar { .. } if width % 2 != 0 => Some("even"),
            Self::ImagenetResnet { depth: 18 | 34, .. } if width != 64 => Some("64 where the depth is below 50"),
            _ => None,
        };
        match fault {
            _ if width == 0 || width > MOST => Err(format!("must be from 1 to {MOST}, not {width}")),
            Some(fault) => Err(format!("must be {fault}, not {width}")),
            None => Ok(()),
        }
    }

    /// The member, if the family has it.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn checked(self) -> Result<Self, String> {
        self.check_depth().map_err(|fault| format!("the depth {fault}"))?;
        self.check_width().map_err(|fault| format!("the width {fault}"))?;
        Ok(self)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match *self {
            Self::ResnetCifar { depth, width } | Self::Vgg { depth, width } | Self::ImagenetResnet { depth, width } => {
                write!(f, "{name} depth={depth} width={width}")
            }
            Self::WideResnet { depth, width, dropout } => {
                write!(f, "{name} depth={depth} width={width} dropout={}", dropout.value())
            }
        }
    }
}

impl FromStr for Family {
    type Err = String;

    /// Reads what `Display` writes; what is left out is as in [`Family::ALL`].
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let mut family = Self::ALL
            .into_iter()
            .find(|(own, _)| *own == name)
            .map(|(_, family)| family)
            .ok_or_else(|| format!("there is no architecture `{name}`"))?;
        let mut extent = family.extent();
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is not KEY=VALUE"))?;
            let unlike = || format!("`{value}` is no {key}");
            match (key, &mut family) {
                ("depth", _) => extent[0] = value.parse().map_err(|_| unlike())?,
                ("width", _) => extent[1] = value.parse().map_err(|_| unlike())?,
                ("dropout", Self::WideResnet { dropout, .. }) => {
                    *dropout = value.parse::<f64>().map_err(|_| unlike())?.try_into()?;
                }
                _ => return Err(format!("`{name}` has no `{key}`")),
            }
        }
        family.sized(extent).checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_a_family_lacks_are_refused_with_what_it_has() {
        let refused = |text: &str| text.parse::<Family>().unwrap_err();
        assert_eq!(
            refused("resnet-cifar depth=21"),
            "the depth cannot be 21: depths of `resnet-cifar` are 6n + 2: 8, 14, 20, 32, 44, 56, 110"
        );
        assert_eq!(refused("resnet-cifar width=15"), "the width must be even, not 15");
        assert_eq!(refused("wide-resnet depth=28 width=0"), "the width must be from 1 to 2048, not 0");
        assert!(refused("imagenet-resnet depth=34 width=128").contains("64 where the depth is below 50"));
        assert!(refused("vgg depth=12").contains("11, 13, 16 or 19"));
        assert_eq!(refused("vgg dropout=.5"), "`vgg` has no `dropout`");
        assert_eq!(refused("vgg depth"), "`depth` is not KEY=VALUE");
        assert_eq!(refused("alexnet"), "there is no architecture `alexnet`");
        assert!(refused("wide-resnet dropout=1").contains("below 1"));
        assert!(refused("wide-resnet dropout=.12345678").contains("six decimals"));
        for (name, family) in Family::ALL {
            assert_eq!(name.parse(), Ok(family));
            assert_eq!(family.to_string().parse(), Ok(family));
        }
        assert_eq!(Rate::WIDE_RESNET.value().to_bits(), 0.3_f64.to_bits());
    }
}
