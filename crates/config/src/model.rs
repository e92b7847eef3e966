//! Reads the stages that make a network or put several together: `train`, `import` and `ensemble`.

use std::path::PathBuf;

use overinterp_spec::{Arch, Cell, Seed, Split};

use super::experiment::ImagesRef;
use super::normalise::normalise;
use super::read::{Item, Reader};
use super::recipe::{input_dropout, recipe};
use super::reference::{Draft, Reference, written};
use super::schema::{SEEDED_DROPOUT, StageKind};
use super::stage::Scope;

/// Kinds of stages that make one network: those that may vote in an ensemble or start a training.
const WEIGHTS: &[StageKind] = &[StageKind::Train, StageKind::Import];

impl Scope<'_> {
    pub(super) fn train(&self, table: &Reader<'_>) -> Option<Draft> {
        let images = self.images(table);
        let arch = table.required("arch").and_then(|item| arch(&item));
        let seed = table.required("seed").and_then(|item| item.whole(0)).map(Seed);
        let recipe = table.required("recipe").and_then(|item| recipe(&item));
        let init = match table.optional("init") {
            Some(_) => self.stage(table, "init", WEIGHTS).map(Some),
            None => self.pins(table, "init-where").map(|_| None),
        };
        let channels = match &images {
            Some(ImagesRef::Data { source, .. }) => self.channels(&source.stage),
            Some(ImagesRef::Subset { .. }) | None => None,
        };
        let normalise = table.or("normalise", None, |item| normalise(&item, channels).map(Some));
        let (arch, seed, recipe, normalise) = (arch?, seed?, recipe?, normalise?);
        Some(Draft::Train { images: images?, arch, seed, recipe, init: init?, normalise })
    }

    /// Channels of a data set's images, if its kind tells.
    fn channels(&self, data: &str) -> Option<usize> {
        let source = self.data.iter().find(|source| source.name == data)?;
        source.kind.image_shape().map(|shape| shape.channels)
    }

    pub(super) fn import(&self, table: &Reader<'_>) -> Option<Draft> {
        let file = table.required("file").and_then(|item| self.weights_file(&item));
        let arch = table.required("arch").and_then(|item| arch(&item));
        let data = table.required("data").and_then(|item| {
            let name = item.text()?;
            self.catalog.find_images(name, &[], &item)?;
            if self.lacks(name, Split::Train) {
                let problem = item.problem(format!("names `{name}`, which has no training half"));
                item.sink().report(problem.help("name the data set that the network was trained on"));
                return None;
            }
            Some(Reference::new(name, &item, None, Cell::new()))
        });
        let seed = table.optional("seed");
        if let (Some(item), None) = (&seed, table.optional("input-dropout")) {
            let problem = item.problem("has no use without `input-dropout`, whose draws come from it");
            item.sink().report(problem.help("leave it out, or add `input-dropout`"));
        }
        let input_dropout = table.or("input-dropout", None, |item| {
            let table = item.table(SEEDED_DROPOUT)?;
            let dropout = input_dropout(&table);
            // It stands beside `input-dropout` or in it.
            let seed = match (&seed, table.optional("seed")) {
                (Some(_), Some(inner)) => inner.fault("cannot stand beside the `seed` of the stage: keep one of them"),
                (Some(item), None) => item.whole(0),
                (None, Some(inner)) => inner.whole(0),
                (None, None) => Some(0),
            };
            dropout.zip(seed).map(|(dropout, seed)| Some(dropout.seeded(Seed(seed))))
        });
        let transform_input = arch.map(|arch| transform_input(arch, table));
        let channels = data.as_ref().and_then(|data| self.channels(&data.stage));
        let normalise = table.or("normalise", None, |item| normalise(&item, channels).map(Some));
        let weights = table.or("weights", None, |item| item.words().map(Some));
        let (file, arch, data) = (file?, arch?, data?);
        let (input_dropout, transform_input) = (input_dropout?, transform_input?.ok()?);
        let (normalise, weights) = (normalise?, weights?);
        Some(Draft::Import { file, arch, data, input_dropout, transform_input, normalise, weights })
    }

    pub(super) fn ensemble(&self, cell: &Cell, table: &Reader<'_>) -> Option<Draft> {
        let pins = self.pins(table, "members-where");
        let over = table.or("over", Vec::new(), |item| {
            let axes = self.axes(&item)?;
            let fixed = |axis: &String| pins.as_ref().is_some_and(|pins| pins.contains_key(axis));
            for (axis, item) in &axes {
                if cell.contains_key(axis) {
                    return item.fault(format!("cannot be `{axis}`, of which this stage mentions the value itself"));
                }
                if fixed(axis) {
                    return item.fault(format!("cannot be `{axis}`, which `members-where` fixes"));
                }
            }
            Some(axes.into_iter().map(|(axis, item)| (axis, written(&item))).collect())
        });
        let members = table.required("members").and_then(|item| self.members(&item));
        let (mut members, pins, over) = (members?, pins?, over?);
        for member in &mut members {
            member.pins.clone_from(&pins);
            member.over.clone_from(&over);
        }
        Some(Draft::Ensemble { members })
    }

    /// The stages that make an ensemble's members.
    fn members(&self, item: &Item<'_>) -> Option<Vec<Reference>> {
        let mut members: Vec<Reference> = Vec::new();
        let mut sound = true;
        for item in item.full_list()? {
            let name = item.text().filter(|name| self.catalog.find_stage(name, WEIGHTS, &item).is_some());
            match name {
                Some(name) if members.iter().any(|known| known.stage == name) => {
                    sound = false;
                    item.fault::<()>("is there twice");
                }
                Some(name) => members.push(Reference::new(name, &item, None, Cell::new())),
                None => sound = false,
            }
        }
        sound.then_some(members)
    }

    fn weights_file(&self, item: &Item<'_>) -> Option<PathBuf> {
        let file = self.folders.resolve(item)?;
        if file.is_dir() {
            return item.fault("is a folder, not a file of weights");
        }
        Some(file)
    }
}

/// Whether imported weights expect the input that torchvision's `transform_input` makes. Nothing in a file tells, so
/// that Inception v3 needs it said; no other network has it, and to say so is to say nothing.
fn transform_input(arch: Arch, table: &Reader<'_>) -> Result<Option<bool>, Reported> {
    if arch == Arch::ImagenetInceptionV3 {
        return table.required("transform-input").and_then(|item| item.boolean()).map(Some).ok_or(Reported);
    }
    match table.optional("transform-input") {
        None => Ok(None),
        Some(item) => match item.boolean() {
            Some(false) => Ok(None),
            Some(true) => {
                let problem = item.problem(format!("is for `{}`, not for `{arch}`", Arch::ImagenetInceptionV3));
                item.sink().report(problem.help("write `transform-input = false`, or leave it out"));
                Err(Reported)
            }
            None => Err(Reported),
        },
    }
}

/// A problem that was reported.
struct Reported;

fn arch(item: &Item<'_>) -> Option<Arch> {
    item.choice("architectures", &Arch::ALL.map(|arch| (arch.name(), arch)))
}
