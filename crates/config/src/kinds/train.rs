//! `kind = "train"`.

use overinterp_spec::{Arch, Cell, Normalise, Recipe, Seed};

use super::{Kind, Makes, Measures};
use crate::architecture::{ARCH, arch};
use crate::experiment::{ImagesRef, StageRef};
use crate::field::{Field, images, pins, stage, table, whole};
use crate::map::{Choose, perhaps};
use crate::normalise::{NORMALISATION, normalise};
use crate::read::Item;
use crate::recipe::{RECIPE, recipe};
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "train",
    about: "Trains a network",
    makes: Makes::Network,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    images("images", "What it is trained on", "\"cifar10.train\""),
    pins("images-where"),
    ARCH,
    whole("seed", "Where its randomness starts: weights, order of images, augmentation, input dropout", "0"),
    table(
        "recipe",
        "How it is trained",
        "{ epochs = 10, batch = 128, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }",
        RECIPE,
    ),
    stage("init", "The stage whose weights it starts from", "\"imported\"", &[Makes::Network]).or("random weights"),
    pins("init-where"),
    NORMALISATION.or("as `init`'s, or else the data set's"),
];

/// A stage that trains one network on images.
#[derive(Clone, Debug, PartialEq)]
pub struct Train<R = StageRef> {
    /// What it is trained on.
    pub images: ImagesRef<R>,
    /// The architecture of the network.
    pub arch: Arch,
    /// Where its randomness starts.
    pub seed: Seed,
    /// How it is trained: the epochs, batches, learning rates and augmentation.
    pub recipe: Recipe,
    /// Whose weights it starts from; without it, from random ones.
    pub init: Option<R>,
    /// How the network is shown images; without it, as that of `init`, or else as the data set says.
    pub normalise: Option<Normalise>,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Train<Reference>> {
    let table = item.table(KEYS)?;
    let images = scope.images(&table);
    let named = table.required("arch");
    let seed = table.required("seed").and_then(|item| item.whole(0)).map(Seed);
    let recipe = table.required("recipe").and_then(|item| recipe(&item));
    let init = scope.perhaps_stage(&table, "init");
    let shape = match &images {
        Some(ImagesRef::Data { source, .. }) => scope.image_shape(&source.stage),
        Some(ImagesRef::Subset { .. }) | None => None,
    };
    let channels = shape.map(|shape| shape.channels);
    let arch = named.and_then(|item| arch(&item, scope, shape));
    let normalise = table.or("normalise", None, |item| normalise(&item, channels).map(Some));
    let (arch, seed, recipe, normalise) = (arch?, seed?, recipe?, normalise?);
    Some(Train { images: images?, arch, seed, recipe, init: init?, normalise })
}

impl<R> Train<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Train<S>> {
        Some(Train {
            images: self.images.map(choose)?,
            arch: self.arch,
            seed: self.seed,
            recipe: self.recipe.clone(),
            init: perhaps(self.init.as_ref(), choose)?,
            normalise: self.normalise.clone(),
        })
    }
}
