//! Reads an architecture: one by its name, or a member of a family.

use overinterp_spec::{Arch, Family, ImageShape, Rate};

use super::document::Value;
use super::field::{Field, number, one_of, table_or, whole};
use super::layers::{OWN, own_arch};
use super::nearest::suggestion;
use super::read::Item;
use super::scope::Scope;

/// `arch`, whatever it names.
pub(super) const ARCH: Field = table_or(
    "arch",
    "The network: by its name, one of `cnn`, `resnet20`, `resnet18`, `vgg16`, `wideresnet`, `imagenet-resnet18`, \
     `imagenet-resnet34`, `imagenet-resnet50`, `imagenet-resnet101`, `imagenet-inception-v3`, or of `[arch.NAME]`; a member of a family; or layers",
    "\"resnet18\"",
    "a table, or a name",
    KEYS,
);

/// `arch` as a table.
const KEYS: &[Field] = &[FAMILY_NAME, DEPTH, WIDTH, DROPOUT, OWN[0], OWN[1], OWN[2]];

/// `arch` as a member of a family.
const FAMILY: &[Field] = &[FAMILY_NAME, DEPTH, WIDTH, DROPOUT];

const FAMILY_NAME: Field = one_of("family", "Which", "\"resnet-cifar\"", || Family::ALL.map(|(name, _)| name).to_vec());
const DEPTH: Field = whole(
    "depth",
    "Layers with weights: 6n + 2 of `resnet-cifar`, 6n + 4 of `wide-resnet`, 11, 13, 16 or 19 of `vgg`, 18, 34, 50, 101 or 152 of \
     `imagenet-resnet`",
    "56",
);
const WIDTH: Field = whole(
    "width",
    "Channels of the first stage; of `wide-resnet`, how many times as many as 16; of `imagenet-resnet` from a depth of 50, of \
     the first 3x3 convolutions: 128 are torchvision's wide networks",
    "16",
)
.or("16 of `resnet-cifar`, 10 of `wide-resnet`, 64 of the others");
const DROPOUT: Field = number("dropout", "For `wide-resnet`: dropout between the two convolutions of a block", "0.3")
    .or("0.3, the authors'");

const OTHERS: &[Field] = &[FAMILY_NAME, DEPTH, WIDTH];

/// Reads an architecture, which is shown images of that shape, if it is known.
pub(super) fn arch(item: &Item<'_>, scope: &Scope<'_>, image: Option<ImageShape>) -> Option<Arch> {
    if !matches!(item.node.value, Value::Table(_)) {
        let name = item.text()?;
        if let Some(arch) = Arch::from_name(name) {
            return Some(arch);
        }
        let own = scope.catalog.archs.iter().map(|entry| entry.key.as_str());
        let help = suggestion(name, "architectures", Arch::NAMED.map(|(name, _)| name).into_iter().chain(own));
        item.sink().report(item.problem(format!("cannot be `{name}`")).help(help));
        return None;
    }
    if item.node.get("layers").is_some() {
        return own_arch(item, image).map(Arch::Own);
    }
    let Some(name) = item.node.get("family") else {
        // Whoever calls it by a name writes layers.
        let is_own = item.node.get("name").is_some() || item.node.get("blocks").is_some();
        let (fields, key) = if is_own { (OWN, "layers") } else { (FAMILY, "family") };
        return item.table(fields)?.required(key).and(None);
    };
    let name = Item::new(name, format!("{}.family", item.path), item.sink());
    let family = name.choice("families", &Family::ALL)?;
    let table = item.table(if matches!(family, Family::WideResnet { .. }) { FAMILY } else { OTHERS })?;
    let [_, usual_width] = family.extent();
    let depth_item = table.required("depth");
    let width_item = table.optional("width");
    let dropout = match &family {
        Family::WideResnet { dropout, .. } => table.or("dropout", *dropout, |item| {
            let value = item.number()?;
            Rate::try_from(value).map_or_else(|fault| item.fault(fault), Some)
        }),
        _ => Some(Rate::default()),
    };
    let depth_item = depth_item?;
    let depth = depth_item.whole(1);
    let width = width_item.as_ref().map_or(Some(usual_width), |item| item.whole(1));
    let (depth, width, dropout) = (depth?, width?, dropout?);
    let family = match family.sized([depth, width]) {
        Family::WideResnet { depth, width, .. } => Family::WideResnet { depth, width, dropout },
        other => other,
    };
    let sound_depth = family.check_depth().map_err(|fault| depth_item.fault::<()>(fault));
    let at_width = width_item.as_ref().unwrap_or(&depth_item);
    let sound_width = family.check_width().map_err(|fault| at_width.fault::<()>(fault));
    sound_depth.and(sound_width).ok().map(|()| family.arch())
}
