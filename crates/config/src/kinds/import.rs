//! `kind = "import"`: weights from a file.

use std::path::PathBuf;

use overinterp_spec::{Arch, Cell, Normalise, Seed, SeededDropout, Split};

use super::{Kind, Makes, Measures};
use crate::architecture::{ARCH, arch};
use crate::experiment::StageRef;
use crate::field::{Field, data, flag, path, table, text, whole};
use crate::map::{Choose, one};
use crate::normalise::{NORMALISATION, normalise};
use crate::read::{Item, Reader};
use crate::recipe::{INPUT_DROPOUT, input_dropout};
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "import",
    about: "Takes a network's weights from a file",
    makes: Makes::Network,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    path("file", "The file of weights: safetensors, or what `torch.save` writes", "\"checkpoint.pt\""),
    ARCH,
    data("data", "The data set whose size and classes the network takes", "\"cifar10\""),
    table(
        "input-dropout",
        "What it was trained not to see; `{ keep = 1.0 }` says that it saw everything",
        "{ keep = 0.8, samples = 10, seed = 0 }",
        SEEDED_DROPOUT,
    )
    .depends("needed where the file, if this program exported it, records some"),
    whole("seed", "The same as `seed` in `input-dropout`", "0").or("0"),
    flag("transform-input", "Whether weights of Inception v3 expect torchvision's `transform_input`", "true")
        .depends("needed for `imagenet-inception-v3`, and `false` for all others"),
    NORMALISATION.or("as the file records, or else the data set's"),
    text("weights", "Which of several sets of weights: the first parts of their names", "\"params_ema\"")
        .or("the one that fits; the run says which, if several do"),
];

/// `input-dropout` of an import.
const SEEDED_DROPOUT: &[Field] =
    &[INPUT_DROPOUT[0], INPUT_DROPOUT[1], whole("seed", "Where its draws start", "0").or("0")];

/// An import of weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Import<R = StageRef> {
    /// A file of safetensors or by `torch.save`, resolved against the folder of the file that names it.
    pub file: PathBuf,
    /// The network that the file's tensors must fit.
    pub arch: Arch,
    /// The data set whose shape and classes the network takes.
    pub data: R,
    /// What it was trained not to see, if the file says; it may say that it saw every pixel.
    pub input_dropout: Option<SeededDropout>,
    /// For Inception v3: whether the weights expect its input to be brought to -1..1.
    pub transform_input: Option<bool>,
    /// How the network is shown images; without it, as the file records, or else as the data set says.
    pub normalise: Option<Normalise>,
    /// Which of several sets of weights in the file: the first parts of their names.
    pub weights: Option<String>,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Import<Reference>> {
    let table = item.table(KEYS)?;
    let file = table.required("file").and_then(|item| weights_file(scope, &item));
    let named = table.required("arch");
    let data = table.required("data").and_then(|item| {
        let data = scope.data_set(&item)?;
        if scope.lacks(&data.stage, Split::Train) {
            let problem = item.problem(format!("names `{}`, which has no training half", data.stage));
            item.sink().report(problem.help("name the data set that the network was trained on"));
            return None;
        }
        Some(data)
    });
    let input_dropout = seeded_dropout(&table);
    let shape = data.as_ref().and_then(|data| scope.image_shape(&data.stage));
    let arch = named.and_then(|item| arch(&item, scope, shape));
    let transform_input = arch.map(|arch| transform_input(arch, &table));
    let channels = shape.map(|shape| shape.channels);
    let normalise = table.or("normalise", None, |item| normalise(&item, channels).map(Some));
    let weights = table.or("weights", None, |item| item.words().map(Some));
    let (file, arch, data) = (file?, arch?, data?);
    let (input_dropout, transform_input) = (input_dropout?, transform_input?.ok()?);
    let (normalise, weights) = (normalise?, weights?);
    Some(Import { file, arch, data, input_dropout, transform_input, normalise, weights })
}

fn seeded_dropout(table: &Reader<'_>) -> Option<Option<SeededDropout>> {
    let seed = table.optional("seed");
    if let (Some(item), None) = (&seed, table.optional("input-dropout")) {
        let problem = item.problem("has no use without `input-dropout`, whose draws come from it");
        item.sink().report(problem.help("leave it out, or add `input-dropout`"));
    }
    table.or("input-dropout", None, |item| {
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
    })
}

fn weights_file(scope: &Scope<'_>, item: &Item<'_>) -> Option<PathBuf> {
    let file = scope.folders.resolve(item)?;
    if file.is_dir() {
        return item.fault("is a folder, not a file of weights");
    }
    Some(file)
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

impl<R> Import<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Import<S>> {
        Some(Import {
            file: self.file.clone(),
            arch: self.arch,
            data: one(&self.data, choose)?,
            input_dropout: self.input_dropout,
            transform_input: self.transform_input,
            normalise: self.normalise.clone(),
            weights: self.weights.clone(),
        })
    }
}
