//! Reads one variant of a `[stage.NAME]` table.

use overinterp_spec::{AxisValue, Cell, DataSource, Fraction, Keep, Selection, Split};

use super::appearance::appearance;
use super::axis::axis_value;
use super::catalog::{Catalog, Found};
use super::document::Value;
use super::experiment::ImagesRef;
use super::folders::Folders;
use super::method::method;
use super::read::{Item, Reader};
use super::reference::{Draft, Reference};
use super::schema::{KEEP, PAIR, StageKind};
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
    /// The axes.
    pub sweep: &'a Sweep,
    /// The data sets in which no problem was found.
    pub data: &'a [DataSource],
    /// What paths are relative to.
    pub folders: Folders<'a>,
}

/// Halves of one data set.
type Splits = Vec<(Reference, Split)>;

/// Kinds of stages that rank pixels.
pub(super) const RANKINGS: &[StageKind] = &[StageKind::Select, StageKind::ImportSelection];
/// Kinds of stages that make models.
pub(super) const MODELS: &[StageKind] =
    &[StageKind::Train, StageKind::Import, StageKind::Ensemble, StageKind::Temperature];

impl Scope<'_> {
    /// Reads a stage other than an evaluation.
    pub fn read(&self, kind: StageKind, cell: Cell, item: &Item<'_>) -> Option<StageDraft> {
        if kind == StageKind::Analyse {
            return self.analysis(item).map(|settings| StageDraft { cell, settings });
        }
        let table = item.table(kind.fields())?;
        let settings = match kind {
            StageKind::Train => self.train(&table),
            StageKind::Import => self.import(&table),
            StageKind::Ensemble => self.ensemble(&cell, &table),
            StageKind::Temperature => self.temperature(&table),
            StageKind::Select => self.select(&table),
            StageKind::ImportSelection => self.import_selection(&table),
            StageKind::Mask => self.mask(&table),
            StageKind::Sis => self.sis(&table),
            StageKind::Collection => self.collection(&table),
            StageKind::Human => self.human(&table),
            StageKind::Evaluate | StageKind::Analyse => None,
        }?;
        Some(StageDraft { cell, settings })
    }

    /// Reads one of the pairs of an evaluation.
    pub fn read_pair(&self, cell: Cell, item: &Item<'_>) -> Option<StageDraft> {
        let table = item.table(PAIR)?;
        let model = self.stage(&table, "model", MODELS);
        let images = self.images(&table);
        Some(StageDraft { cell, settings: Draft::Evaluate { model: model?, images: images? } })
    }

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

    fn select(&self, table: &Reader<'_>) -> Option<Draft> {
        let images = self.splits(table);
        let method = table.required("method").and_then(|item| method(&item));
        let count = table.or("count", None, |item| item.whole(1).map(Some));
        let model = match (&method, table.optional("model")) {
            (Some(Selection::Random { .. }), Some(model)) => {
                for item in [Some(model), table.optional("model-where")].into_iter().flatten() {
                    item.fault::<()>("has no place here: the method `random` asks no model");
                }
                None
            }
            (Some(Selection::Random { .. }), None) => Some(None),
            (None, None) => None,
            _ => self.stage(table, "model", MODELS).map(Some),
        };
        Some(Draft::Select { model: model?, images: images?, method: method?, count: count? })
    }

    fn mask(&self, table: &Reader<'_>) -> Option<Draft> {
        let ranking = self.stage(table, "ranking", RANKINGS);
        let keep = table.required("keep").and_then(|item| match &item.node.value {
            Value::Table(_) => item.table(KEEP)?.required("rounds").and_then(|item| fraction(&item)).map(Keep::Rounds),
            _ => fraction(&item).map(Keep::Share),
        });
        let appearance = appearance(table);
        Some(Draft::Mask { ranking: ranking?, keep: keep?, appearance: appearance? })
    }

    fn sis(&self, table: &Reader<'_>) -> Option<Draft> {
        let ranking = self.stage(table, "ranking", RANKINGS);
        let threshold = threshold(table);
        Some(Draft::Sis { ranking: ranking?, threshold: threshold? })
    }

    fn collection(&self, table: &Reader<'_>) -> Option<Draft> {
        let model = self.stage(table, "model", MODELS);
        let images = self.splits(table);
        let threshold = threshold(table);
        let count = table.or("count", None, |item| item.whole(1).map(Some));
        Some(Draft::Collection { model: model?, images: images?, threshold: threshold?, count: count? })
    }

    fn human(&self, table: &Reader<'_>) -> Option<Draft> {
        let images = self.subset_images(table);
        let [answers, key] = ["answers", "key"].map(|file| {
            let item = table.required(file)?;
            let path = self.folders.resolve(&item)?;
            if path.is_dir() { item.fault("is a folder, not a CSV file") } else { Some(path) }
        });
        Some(Draft::Human { images: images?, answers: answers?, key: key? })
    }

    /// `images = "NAME.split"` of a `mask` stage, with its `images-where`.
    fn subset_images(&self, table: &Reader<'_>) -> Option<ImagesRef<Reference>> {
        let pins = self.pins(table, "images-where");
        let item = table.required("images")?;
        let (name, split) = split_name(&item)?;
        self.catalog.find_stage(name, &[StageKind::Mask], &item)?;
        Some(ImagesRef::Subset { mask: Reference::new(name, &item, Some(split), pins?), split })
    }

    /// The stage that `key` names, with its `key-where`.
    pub fn stage(&self, table: &Reader<'_>, key: &str, kinds: &[StageKind]) -> Option<Reference> {
        let pins = self.pins(table, &format!("{key}-where"));
        let item = table.required(key)?;
        let name = item.text()?;
        self.catalog.find_stage(name, kinds, &item)?;
        Some(Reference::new(name, &item, None, pins?))
    }

    /// `images = "NAME.split"` with its `images-where`.
    pub fn images(&self, table: &Reader<'_>) -> Option<ImagesRef<Reference>> {
        let pins = self.pins(table, "images-where");
        let item = table.required("images")?;
        let (name, split) = split_name(&item)?;
        match self.catalog.find_images(name, &[StageKind::Mask], &item)? {
            Found::Data => {
                self.check_half(name, split, &item)?;
                Some(ImagesRef::Data { source: Reference::new(name, &item, Some(split), pins?), split })
            }
            Found::Stage | Found::Unclear => {
                Some(ImagesRef::Subset { mask: Reference::new(name, &item, Some(split), pins?), split })
            }
        }
    }

    /// `images = ["NAME.split", ...]`, splits of one data set, with its `images-where`.
    fn splits(&self, table: &Reader<'_>) -> Option<Splits> {
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
    pub(super) fn check_half(&self, name: &str, split: Split, item: &Item<'_>) -> Option<()> {
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
    pub(super) fn lacks(&self, name: &str, split: Split) -> bool {
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

/// The confidence that a sufficient subset must reach.
pub(super) fn threshold(table: &Reader<'_>) -> Option<f64> {
    table.required("threshold")?.number_where("above 0 and at most 1", |value| value > 0.0 && value <= 1.0)
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
