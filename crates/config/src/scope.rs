//! What stages, tables and claims are read against, and the kinds of values that several of them hold.

use overinterp_spec::{AxisValue, Cell, DataSource, Fraction, ImageShape, Split};

use super::axis::axis_value;
use super::catalog::{Catalog, Referent};
use super::document::Value;
use super::experiment::{Half, ImagesRef};
use super::field::Holds;
use super::folders::Folders;
use super::kinds::{Makes, StageKind};
use super::read::{Item, Reader};
use super::reference::{Draft, Reference};
use super::sweep::Sweep;

/// A stage at one value of each axis that it mentions itself; the axes of its inputs are still to be joined.
#[derive(Clone, Debug)]
pub(super) struct StageDraft {
    /// The axes it mentions, with their values.
    pub cell: Cell,
    /// Its settings, with references that have no cell yet.
    pub settings: Draft,
}

/// What stages are read against.
pub(super) struct Scope<'a> {
    /// The names that the file defines.
    pub catalog: &'a Catalog<'a>,
    /// The axes that `${axis}` may mention, with their values.
    pub sweep: &'a Sweep,
    /// The data sets in which no problem was found.
    pub data: &'a [DataSource],
    /// What paths are relative to.
    pub folders: Folders<'a>,
}

/// Halves of one data set.
type Splits = Vec<(Reference, Split)>;

impl Scope<'_> {
    /// A list of axes, each with the item that names it.
    pub fn axes<'a>(&self, item: &Item<'a>) -> Option<Vec<(String, Item<'a>)>> {
        let mut axes: Vec<(String, Item<'a>)> = Vec::new();
        let mut sound = true;
        for item in item.list()? {
            match self.axis(&item) {
                Some(axis) if axes.iter().any(|(known, _)| *known == axis) => {
                    sound = false;
                    item.fault::<()>("is there twice");
                }
                Some(axis) => axes.push((axis, item)),
                None => sound = false,
            }
        }
        sound.then_some(axes)
    }

    /// The name of an axis that there is.
    pub fn axis(&self, item: &Item<'_>) -> Option<String> {
        let name = item.text()?;
        if !self.sweep.has(name) {
            self.sweep.unknown(name, item.node.place, item.sink());
            return None;
        }
        Some(name.to_owned())
    }

    /// The stage that `key` names, with its `key-where`. What it must make is declared with the key.
    pub fn stage(&self, table: &Reader<'_>, key: &str) -> Option<Reference> {
        let pins = self.pins(table, &format!("{key}-where"));
        let item = table.required(key)?;
        self.named(table, key, &item, pins)
    }

    /// The same of a key that may be left out; its `key-where` is read in any case.
    pub fn perhaps_stage(&self, table: &Reader<'_>, key: &str) -> Option<Option<Reference>> {
        let pins = self.pins(table, &format!("{key}-where"));
        let Some(item) = table.optional(key) else { return pins.map(|_| None) };
        self.named(table, key, &item, pins).map(Some)
    }

    fn named(&self, table: &Reader<'_>, key: &str, item: &Item<'_>, pins: Option<Cell>) -> Option<Reference> {
        let name = item.text()?;
        self.catalog.find_stage(name, &StageKind::making(makes(table, key)), item)?;
        Some(Reference::new(name, item, None, pins?))
    }

    /// `key = "STAGE.split"` with its `key-where`.
    pub fn half(&self, table: &Reader<'_>, key: &str) -> Option<Half<Reference>> {
        let pins = self.pins(table, &format!("{key}-where"));
        let item = table.required(key)?;
        let (name, split) = split_name(&item)?;
        self.catalog.find_stage(name, &StageKind::making(makes(table, key)), &item)?;
        Some(Half { stage: Reference::new(name, &item, Some(split), pins?), split })
    }

    /// The data set that a value names.
    pub fn data_set(&self, item: &Item<'_>) -> Option<Reference> {
        let name = item.text()?;
        self.catalog.find_images(name, &[], item)?;
        Some(Reference::new(name, item, None, Cell::new()))
    }

    /// The shape of a data set's images, if its kind tells.
    pub fn image_shape(&self, data: &str) -> Option<ImageShape> {
        self.data.iter().find(|source| source.name == data)?.kind.image_shape()
    }

    /// `images = "NAME.split"` with its `images-where`.
    pub fn images(&self, table: &Reader<'_>) -> Option<ImagesRef<Reference>> {
        let pins = self.pins(table, "images-where");
        let item = table.required("images")?;
        let (name, split) = split_name(&item)?;
        match self.catalog.find_images(name, &StageKind::making(&[Makes::Subsets]), &item)? {
            Referent::Data => {
                self.check_half(name, split, &item)?;
                Some(ImagesRef::Data { source: Reference::new(name, &item, Some(split), pins?), split })
            }
            Referent::Stage | Referent::Unclear => {
                Some(ImagesRef::Subset { mask: Reference::new(name, &item, Some(split), pins?), split })
            }
        }
    }

    /// `images = ["NAME.split", ...]`, splits of one data set, with its `images-where`.
    pub fn splits(&self, table: &Reader<'_>) -> Option<Splits> {
        let pins = self.pins(table, "images-where");
        let mut splits = Splits::new();
        let mut sound = true;
        for item in table.required("images")?.full_list()? {
            let Some((name, split)) = split_name(&item) else {
                sound = false;
                continue;
            };
            if self.catalog.find_images(name, &[], &item).is_none() || self.check_half(name, split, &item).is_none() {
                sound = false;
            } else if splits.iter().any(|(known, half)| known.stage == name && *half == split) {
                sound = false;
                item.fault::<()>("is there twice");
            } else if let Some((first, _)) = splits.first()
                && first.stage != name
            {
                sound = false;
                item.fault::<()>(format!("is of another data set than `{}`: write one stage for each", first.stage));
            } else {
                let source = Reference::new(name, &item, Some(split), pins.clone().unwrap_or_default());
                splits.push((source, split));
            }
        }
        pins?;
        sound.then_some(splits)
    }

    /// Reports a half that a data set does not have.
    pub fn check_half(&self, name: &str, split: Split, item: &Item<'_>) -> Option<()> {
        if !self.lacks(name, split) {
            return Some(());
        }
        let problem = item.problem(format!("names the {split} half of `{name}`, which has none"));
        let halves = Split::ALL.into_iter().filter(|half| !self.lacks(name, *half));
        let halves: Vec<String> = halves.map(|half| format!("write `{name}.{half}`")).collect();
        item.sink().report(problem.help(halves.join(" or ")));
        None
    }

    /// Whether a data set has no such half.
    pub fn lacks(&self, name: &str, split: Split) -> bool {
        self.data.iter().any(|source| source.name == name && !source.kind.has(split))
    }

    /// A `where`: axes with the values that they must have.
    pub fn pins(&self, table: &Reader<'_>, key: &str) -> Option<Cell> {
        let Some(item) = table.optional(key) else { return Some(Cell::new()) };
        let Value::Table(entries) = &item.node.value else {
            return item.fault(format!("must be a table such as `{{ seed = 0 }}`, not {}", item.node.type_name()));
        };
        let mut pins = Cell::new();
        let mut sound = true;
        for entry in entries {
            let entry_item = Item::new(&entry.node, format!("{}.{}", item.path, entry.key), item.sink());
            let value = axis_value(&entry_item);
            if !self.sweep.has(&entry.key) {
                self.sweep.unknown(&entry.key, entry.place, item.sink());
                sound = false;
            }
            match value {
                Some(value) => {
                    if let Some(known) = self.sweep.other_kind(&entry.key, &value) {
                        let kind = if matches!(known, AxisValue::Text(_)) { "names" } else { "numbers" };
                        let fault = format!("must be of the axis' kind, whose values are {kind}, like {known}");
                        let help = self.sweep.values_help(&entry.key, &value);
                        entry_item.sink().report(entry_item.problem(fault).help(help));
                        sound = false;
                    } else if self.sweep.check_value(&entry.key, &value, &entry_item).is_none() {
                        sound = false;
                    }
                    let value = self.sweep.canonical(&entry.key, &value).unwrap_or(value);
                    pins.insert(entry.key.clone(), value);
                }
                None => sound = false,
            }
        }
        sound.then_some(pins)
    }
}

/// A share of an image's pixels.
pub(super) fn fraction(item: &Item<'_>) -> Option<Fraction> {
    let value = item.number()?;
    let fault = |_| item.fault(format!("must be above 0 and at most 1, not {value}"));
    Fraction::try_from(value).map_or_else(fault, Some)
}

/// Takes `cifar10.train` apart.
pub(super) fn split_name<'a>(item: &Item<'a>) -> Option<(&'a str, Split)> {
    let text = item.text()?;
    let found = text.rsplit_once('.').and_then(|(name, split)| {
        Split::ALL.into_iter().find(|known| known.name() == split).map(|split| (name, split))
    });
    if found.is_none() {
        let name = text.split('.').next().unwrap_or(text);
        let problem = item.problem(format!("must name the training or the test half, which `{text}` does not"));
        item.sink().report(problem.help(format!("write `{name}.train` or `{name}.test`")));
    }
    found
}

/// What a stage that `key` names must make, as it is declared.
fn makes(table: &Reader<'_>, key: &str) -> &'static [Makes] {
    match table.declared(key).map(|field| field.holds) {
        Some(Holds::Stage(makes) | Holds::Half(makes)) => makes,
        _ => &[],
    }
}
