//! The architectures that can be named in an experiment.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Family, ImageShape, OwnArch};

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
///
/// A member of a family that has a name of its own is that name's variant: [`Family::arch`] sees to it, so that both have one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Another member of a family.
    Of(Family),
    /// Layers that the experiment spells out.
    Own(OwnArch),
}

/// The architectures with a name of their own, in the order in which messages list them.
const NAMED: [(&str, Arch); 10] = [
    ("cnn", Arch::Cnn),
    ("resnet20", Arch::Resnet20),
    ("resnet18", Arch::Resnet18),
    ("vgg16", Arch::Vgg16),
    ("wideresnet", Arch::Wideresnet),
    ("imagenet-resnet18", Arch::ImagenetResnet18),
    ("imagenet-resnet34", Arch::ImagenetResnet34),
    ("imagenet-resnet50", Arch::ImagenetResnet50),
    ("imagenet-resnet101", Arch::ImagenetResnet101),
    ("imagenet-inception-v3", Arch::ImagenetInceptionV3),
];

impl Arch {
    /// Every architecture with a name of its own, by that name, in the order in which messages list them.
    pub const NAMED: [(&str, Self); 10] = NAMED;

    /// The same without names.
    pub const ALL: [Self; 10] = {
        let mut all = [Self::Cnn; 10];
        let mut place = 0;
        while place < all.len() {
            all[place] = NAMED[place].1;
            place += 1;
        }
        all
    };

    /// The name, or what `FAMILY KEY=VALUE ...` says.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match (NAMED.iter().find(|(_, arch)| *arch == self), self) {
            (Some((name, _)), _) => Cow::Borrowed(name),
            (None, Self::Of(family)) => Cow::Owned(family.to_string()),
            (None, Self::Own(own)) => Cow::Borrowed(own.name()),
            // Every other has a name, which a test checks.
            (None, _) => Cow::Borrowed(""),
        }
    }

    /// As it is written in an experiment.
    #[must_use]
    pub fn toml(self) -> String {
        match self {
            Self::Of(family) => family.toml(),
            // The experiment that spells it out calls it so.
            named => format!("\"{named}\""),
        }
    }

    /// Those that a file of weights is likely to be of: all with a name, and the published members of families.
    pub fn published() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Family::published().map(Self::Of))
    }

    /// The family that it is of, and as which member.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Of(family) => Some(family),
            Self::Own(_) => None,
            named => Family::NAMED.into_iter().find(|(_, arch)| *arch == named).map(|(family, _)| family),
        }
    }

    /// Those for images of a few dozen pixels a side.
    pub const SMALL: [Self; 5] = [Self::Cnn, Self::Resnet20, Self::Resnet18, Self::Vgg16, Self::Wideresnet];

    /// The height and width of the images that it is made for, and their channels.
    #[must_use]
    pub fn usual_images(self) -> ImageShape {
        let (side, channels) = match (self.family(), self) {
            (Some(Family::ImagenetResnet { .. }), _) => (224, 3),
            (None, Self::Cnn) => (28, 1),
            (None, Self::ImagenetInceptionV3) => (299, 3),
            (_, _) => (32, 3),
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
            | Self::ImagenetInceptionV3
            | Self::Of(_)
            | Self::Own(_) => Scoring::FIRST,
        }
    }

    /// The architecture with that name of its own, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMED.iter().find(|(own, _)| *own == name).map(|(_, arch)| *arch)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for Arch {
    type Err = String;

    /// Reads what [`Arch::name`] writes.
    fn from_str(text: &str) -> Result<Self, String> {
        match Self::from_name(text) {
            Some(arch) => Ok(arch),
            None => text.parse().map(Family::arch),
        }
    }
}

impl Serialize for Arch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Of(family) => family.serialize(serializer),
            Self::Own(own) => own.serialize(serializer),
            named => serializer.serialize_str(&named.name()),
        }
    }
}

impl<'de> Deserialize<'de> for Arch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Name(String),
            Family(Family),
            Own(OwnArch),
        }
        match Written::deserialize(deserializer)? {
            Written::Name(name) => {
                Self::from_name(&name).ok_or_else(|| D::Error::custom(format!("there is no architecture `{name}`")))
            }
            Written::Own(own) => Ok(Self::Own(own)),
            Written::Family(family) => family.checked().map(Family::arch).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_name_is_written_by_it_and_what_has_none_as_a_member_of_its_family() {
        for (name, arch) in NAMED {
            assert_eq!(arch.to_string(), name);
            assert_eq!(serde_json::to_string(&arch).unwrap(), format!("\"{name}\""));
            assert_eq!(name.parse(), Ok(arch));
            if let Some(family) = arch.family() {
                assert_eq!(family.arch(), arch, "{name} has one key");
            }
        }
        let deep = Family::ResnetCifar { depth: 56, width: 16 }.arch();
        assert_eq!(deep.to_string(), "resnet-cifar depth=56 width=16");
        assert_eq!(deep.to_string().parse(), Ok(deep));
        assert_eq!(deep.toml(), r#"{ family = "resnet-cifar", depth = 56, width = 16 }"#);
        assert_eq!(Arch::Cnn.toml(), "\"cnn\"");
        assert!(Arch::published().all(|arch| arch.to_string().parse() == Ok(arch)));
        let written = serde_json::to_string(&deep).unwrap();
        assert_eq!(written, r#"{"family":"resnet-cifar","depth":56,"width":16}"#);
        assert_eq!(serde_json::from_str::<Arch>(&written).unwrap(), deep);
        let twenty = r#"{"family":"resnet-cifar","depth":20,"width":16}"#;
        assert_eq!(serde_json::from_str::<Arch>(twenty).unwrap(), Arch::Resnet20);
        assert!(serde_json::from_str::<Arch>(&twenty.replace("20", "21")).is_err());
        assert!(serde_json::from_str::<Arch>("\"resnet21\"").is_err());
    }
}
