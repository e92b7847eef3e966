//! `kind = "human"`: what people answered to pictures of subsets.

use std::path::PathBuf;

use overinterp_spec::Cell;

use super::{Kind, Makes, Measures, StageKind};
use crate::experiment::{ImagesRef, StageRef};
use crate::field::{Field, half, path, pins};
use crate::map::Choose;
use crate::read::{Item, Reader};
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::{Scope, split_name};

pub(super) const KIND: Kind = Kind {
    name: "human",
    about: "Scores what people saw in pictures of subsets",
    makes: Makes::Answers,
    keys: || KEYS,
    rows: None,
    measures: Measures::Itself,
};

const KEYS: &[Field] = &[
    NAME,
    half("images", "The subsets that they were shown", "\"subset.test\"", &[Makes::Subsets]),
    pins("images-where"),
    path("answers", "The sheet in which they answered, a CSV file", "\"human_study/answers.csv\""),
    path("key", "Which picture was of which image, a CSV file", "\"human_study.key.csv\""),
];

/// A study of people.
#[derive(Clone, Debug, PartialEq)]
pub struct Human<R = StageRef> {
    /// What they were shown: subsets.
    pub images: ImagesRef<R>,
    /// The sheet in which they answered, resolved against the folder of the file that names it.
    pub answers: PathBuf,
    /// Which picture was of which image.
    pub key: PathBuf,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Human<Reference>> {
    let table = item.table(KEYS)?;
    let images = subset_images(scope, &table);
    let [answers, key] = ["answers", "key"].map(|file| {
        let item = table.required(file)?;
        let path = scope.folders.resolve(&item)?;
        if path.is_dir() { item.fault("is a folder, not a CSV file") } else { Some(path) }
    });
    Some(Human { images: images?, answers: answers?, key: key? })
}

/// `images = "NAME.split"` of a `mask` stage, with its `images-where`.
fn subset_images(scope: &Scope<'_>, table: &Reader<'_>) -> Option<ImagesRef<Reference>> {
    let pins = scope.pins(table, "images-where");
    let item = table.required("images")?;
    let (name, split) = split_name(&item)?;
    scope.catalog.find_stage(name, &StageKind::making(&[Makes::Subsets]), &item)?;
    Some(ImagesRef::Subset { mask: Reference::new(name, &item, Some(split), pins?), split })
}

impl<R> Human<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Human<S>> {
        let images = self.images.map(choose)?;
        Some(Human { images, answers: self.answers.clone(), key: self.key.clone() })
    }
}
