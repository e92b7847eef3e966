//! The architectures, one file each, named and shaped as the authors' PyTorch modules are (`docs/method.md`, section 2), those
//! for ImageNet as torchvision's.

mod cnn;
mod imagenet_resnet;
mod inception_v3;
mod own;
mod resnet18;
mod resnet_cifar;
pub mod summary;
mod vgg;
mod wide_resnet;

use super::graph::{Graph, Init};
use overinterp_spec::{Arch, Family, ImageShape, Misfit};

/// Why an architecture cannot be built for some images.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchError {
    /// The images would shrink to nothing on the way.
    #[error(
        "{arch} takes images of at least {least}x{least} pixels, not {height}x{width}: choose another architecture"
    )]
    TooSmall {
        /// The architecture that was asked for.
        arch: Arch,
        /// Its smallest height and width.
        least: usize,
        /// Rows of the images.
        height: usize,
        /// Columns of the images.
        width: usize,
    },
    /// The images show nothing.
    #[error("{arch} takes images of at least 1 channel")]
    Channels {
        /// The architecture that was asked for.
        arch: Arch,
    },
    /// Layers that an experiment spells out do not fit each other.
    #[error("layer {} of `{arch}` {} on images of {shape}", place_text(&.misfit.at), .misfit.why)]
    Misfit {
        /// The architecture that was asked for.
        arch: Arch,
        /// The layer.
        misfit: Box<Misfit>,
        /// The images.
        shape: ImageShape,
    },
    /// There is nothing to tell apart.
    #[error("{arch} needs at least 2 classes, not {classes}: check the labels of the data set")]
    Classes {
        /// The architecture that was asked for.
        arch: Arch,
        /// Classes of the images.
        classes: usize,
    },
}

/// `3.0.1`, counted from 0.
fn place_text(at: &[usize]) -> String {
    at.iter().map(usize::to_string).collect::<Vec<_>>().join(".")
}

/// Builds the network of that architecture for images of `shape` in `classes` classes.
///
/// Where the authors average the last map with a fixed window that covers it at 32x32, this takes the mean over
/// the whole map, whatever its size.
///
/// # Errors
/// When the architecture cannot take such images.
pub fn build(arch: Arch, shape: ImageShape, classes: usize) -> Result<Graph, ArchError> {
    let ImageShape { height, width, channels } = shape;
    let least = smallest_side(arch);
    if height.min(width) < least {
        return Err(ArchError::TooSmall { arch, least, height, width });
    }
    if channels == 0 {
        return Err(ArchError::Channels { arch });
    }
    if classes < 2 {
        return Err(ArchError::Classes { arch, classes });
    }
    Ok(match (arch.family(), arch) {
        (Some(family), _) => member(family, shape, classes),
        (None, Arch::Own(own)) => own::build(own, shape, classes).map_err(|misfit| ArchError::Misfit {
            arch,
            misfit: Box::new(misfit),
            shape,
        })?,
        (None, Arch::Cnn) => cnn::build(shape, classes),
        (None, Arch::Resnet18) => resnet18::build(shape, classes),
        // All that are of no family are above.
        (None, _) => inception_v3::build(shape, classes),
    })
}

fn member(family: Family, shape: ImageShape, classes: usize) -> Graph {
    let [depth, width] = family.extent().map(usize::from);
    match family {
        Family::ResnetCifar { .. } => resnet_cifar::build(depth, width, shape, classes),
        Family::WideResnet { dropout, .. } => wide_resnet::build(depth, width, dropout.value(), shape, classes),
        Family::Vgg { .. } => vgg::build(depth, width, shape, classes),
        Family::ImagenetResnet { .. } => imagenet_resnet::build(depth, width, shape, classes),
    }
}

/// Prefixes of tensors that model files may hold and that the network does without: what only helps training.
#[must_use]
pub const fn left_out(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::ImagenetInceptionV3 => &["AuxLogits."],
        Arch::Cnn
        | Arch::Resnet20
        | Arch::Resnet18
        | Arch::Vgg16
        | Arch::Wideresnet
        | Arch::ImagenetResnet18
        | Arch::ImagenetResnet34
        | Arch::ImagenetResnet50
        | Arch::ImagenetResnet101
        | Arch::Of(_)
        | Arch::Own(_) => &[],
    }
}

/// The smallest height and width that leave every map at least one pixel: the product of the strides, more where
/// convolutions have no border.
fn smallest_side(arch: Arch) -> usize {
    match (arch.family(), arch) {
        (Some(Family::ResnetCifar { .. } | Family::WideResnet { .. }), _) | (None, Arch::Cnn) => 4,
        (Some(Family::Vgg { .. } | Family::ImagenetResnet { .. }), _) => 32,
        (None, Arch::Resnet18) => 8,
        // Its layers say.
        (None, Arch::Own(_)) => 1,
        // Inception: all others are of families.
        (None, _) => 75,
    }
}

/// PyTorch's default start of a convolution's weights.
fn default_conv(area: usize, inputs: usize, _outputs: usize) -> Init {
    Init::pytorch_default(area * inputs)
}

/// Kaiming normal over what one output reads.
fn kaiming_conv(area: usize, inputs: usize, _outputs: usize) -> Init {
    Init::kaiming_normal(area * inputs)
}

/// Normal of deviation sqrt(2 / (area x outputs)), as VGG's and WideResNet's authors wrote it.
fn fan_out_conv(area: usize, _inputs: usize, outputs: usize) -> Init {
    Init::kaiming_normal(area * outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIFAR: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };

    fn names(arch: Arch) -> Vec<String> {
        build(arch, CIFAR, 10).unwrap().parameters().iter().map(|parameter| parameter.name.clone()).collect()
    }

    #[test]
    fn architectures_have_as_many_trained_values_as_the_published_ones() {
        // `docs/method.md`, section 2. The small net: 9 x (3x8 + 8x8 + 8x16 + 16x16 + 16x32 + 32x32) weights,
        // 2 x 112 batch-norm values, 33 x 10 of the linear layer.
        let expected = [18_626, 269_722, 11_173_962, 14_728_266, 36_479_194];
        for (arch, expected) in Arch::SMALL.into_iter().zip(expected) {
            assert_eq!(build(arch, CIFAR, 10).unwrap().trained_values(), expected, "{arch}");
        }
    }

    #[test]
    fn architectures_for_imagenet_have_as_many_trained_values_as_torchvisions() {
        // As torchvision publishes them; Inception's 27,161,264 without the 3,326,696 of its auxiliary classifier.
        let expected = [11_689_512, 21_797_672, 25_557_032, 44_549_160, 23_834_568];
        for (arch, expected) in Arch::ALL[Arch::SMALL.len()..].iter().zip(expected) {
            let graph = build(*arch, arch.usual_images(), 1000).unwrap();
            assert_eq!(graph.trained_values(), expected, "{arch}");
            assert_eq!(graph.nodes().last().unwrap().shape, ImageShape { height: 1, width: 1, channels: 1000 });
        }
    }

    #[test]
    fn members_of_families_have_as_many_trained_values_as_the_published_ones() {
        // He et al. 2016, table 6, in millions: .27, .46, .66, .85, 1.7; VGG and ResNets by PyTorch's modules
        // (`tests/fixtures/models/make.py`), whose classifiers of VGG are one linear layer.
        let of = |text: &str, shape, classes| build(text.parse().unwrap(), shape, classes).unwrap().trained_values();
        let cifar = [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)];
        for (depth, expected) in cifar {
            assert_eq!(of(&format!("resnet-cifar depth={depth}"), CIFAR, 10), expected, "{depth}");
        }
        let imagenet = Arch::ImagenetResnet18.usual_images();
        // As torchvision publishes resnet152, wide_resnet50_2 and wide_resnet101_2.
        assert_eq!(of("imagenet-resnet depth=152", imagenet, 1000), 60_192_808);
        assert_eq!(of("imagenet-resnet depth=50 width=128", imagenet, 1000), 68_883_240);
        assert_eq!(of("imagenet-resnet depth=101 width=128", imagenet, 1000), 126_886_696);
        // The authors' models: WRN-16-8 has 10.96 and WRN-40-4 8.95 million.
        assert_eq!(of("wide-resnet depth=16 width=8", CIFAR, 10), 10_961_370);
        assert_eq!(of("wide-resnet depth=40 width=4", CIFAR, 10), 8_949_210);
        // torchvision's `features` of vgg11_bn, vgg13_bn and vgg19_bn, and 5,130 values of a linear layer.
        assert_eq!(of("vgg depth=11", CIFAR, 10), 9_225_984 + 5_130);
        assert_eq!(of("vgg depth=13", CIFAR, 10), 9_410_880 + 5_130);
        assert_eq!(of("vgg depth=19", CIFAR, 10), 20_035_392 + 5_130);
    }

    #[test]
    fn the_smallest_images_of_an_architecture_leave_every_map_a_pixel() {
        for arch in Arch::ALL {
            let side = smallest_side(arch);
            let graph = build(arch, ImageShape { height: side, width: side, channels: 3 }, 10).unwrap();
            assert!(graph.nodes().iter().all(|node| node.shape.pixels() > 0), "{arch}");
        }
    }

    #[test]
    fn every_network_ends_in_one_value_a_class() {
        for arch in Arch::SMALL {
            for classes in [2, 10, 100] {
                let graph = build(arch, CIFAR, classes).unwrap();
                let last = graph.nodes().last().unwrap().shape;
                assert_eq!(last, ImageShape { height: 1, width: 1, channels: classes }, "{arch}");
            }
        }
    }

    #[test]
    fn parameters_carry_the_names_of_the_authors_modules() {
        let expected = [
            (Arch::Cnn, "conv6.weight"),
            (Arch::Resnet20, "layer3.2.bn2.running_var"),
            (Arch::Resnet18, "layer2.0.shortcut.0.weight"),
            (Arch::Resnet18, "layer4.0.shortcut.1.running_mean"),
            (Arch::Vgg16, "features.0.bias"),
            (Arch::Vgg16, "features.41.running_mean"),
            (Arch::Vgg16, "classifier.weight"),
            (Arch::Wideresnet, "block1.layer.0.convShortcut.weight"),
            (Arch::Wideresnet, "block3.layer.3.bn2.weight"),
            (Arch::Wideresnet, "fc.bias"),
        ];
        for (arch, name) in expected {
            assert!(names(arch).iter().any(|known| known == name), "{arch} has no {name}");
        }
        assert!(!names(Arch::Resnet18).iter().any(|name| name.starts_with("layer1.0.shortcut")));
        assert!(!names(Arch::Wideresnet).iter().any(|name| name == "block1.layer.1.convShortcut.weight"));
    }

    #[test]
    fn no_two_parameters_share_a_name() {
        for arch in Arch::ALL {
            let graph = build(arch, arch.usual_images(), 10).unwrap();
            let mut sorted: Vec<&str> = graph.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
            let all = sorted.len();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), all, "{arch}");
        }
    }

    #[test]
    fn refuses_images_that_would_shrink_to_nothing() {
        let grey = ImageShape { height: 28, width: 28, channels: 1 };
        let error = build(Arch::Vgg16, grey, 10).unwrap_err();
        assert_eq!(
            error.to_string(),
            "vgg16 takes images of at least 32x32 pixels, not 28x28: choose another architecture"
        );
        assert!(build(Arch::Resnet20, grey, 10).is_ok());
        assert!(build(Arch::Resnet18, ImageShape { height: 7, ..CIFAR }, 10).is_err());
    }

    #[test]
    fn takes_any_channels_but_none_and_any_classes_but_one() {
        for channels in [1, 2, 4, 7, 13] {
            let graph = build(Arch::Cnn, ImageShape { channels, ..CIFAR }, 7).unwrap();
            assert_eq!(graph.nodes()[0].shape.channels, channels);
        }
        assert!(build(Arch::Cnn, ImageShape { channels: 0, ..CIFAR }, 10).is_err());
        assert!(build(Arch::Cnn, CIFAR, 1).is_err());
    }
}
