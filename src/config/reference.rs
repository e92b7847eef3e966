//! What a stage names: other stages and data sets, until their instances are chosen.

use crate::spec::{Cell, Split};

use super::experiment::{ImagesRef, Settings, StageRef};
use super::problem::Place;
use super::read::Item;

/// A stage or a data set that a stage names.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// Its name.
    pub stage: String,
    /// Where it is named.
    pub place: Place,
    /// The split that is used of it, for images.
    pub split: Option<Split>,
    /// Axes with the values that they must have (`*-where`).
    pub pins: Cell,
    /// Axes whose values are taken together (`over`), and where they are named.
    pub over: Vec<(String, Place)>,
}

impl Settings {
    /// Puts the instances that were chosen in place of the references: model before images, one for each; any number
    /// for a member of an ensemble.
    pub(super) fn resolve(&mut self, chosen: Vec<Vec<StageRef>>) {
        let chosen = chosen.into_iter().flatten();
        if let Self::Ensemble { members } = self {
            *members = chosen.collect();
        } else {
            self.references_mut().into_iter().zip(chosen).for_each(|(slot, stage)| *slot = stage);
        }
    }

    fn references_mut(&mut self) -> Vec<&mut StageRef> {
        match self {
            Self::Train { images, init, .. } => std::iter::once(images.reference_mut()).chain(init).collect(),
            Self::Human { images, .. } => vec![images.reference_mut()],
            Self::Import { data, .. } => vec![data],
            Self::Ensemble { members } => members.iter_mut().collect(),
            Self::Select { model, images, .. } => model.iter_mut().chain(sources_mut(images)).collect(),
            Self::ImportSelection { model, data, .. } => model.iter_mut().chain([data]).collect(),
            Self::Mask { ranking, .. } | Self::Sis { ranking, .. } => vec![ranking],
            Self::Evaluate { model, images } => vec![model, images.reference_mut()],
            Self::Collection { model, images, .. } => std::iter::once(model).chain(sources_mut(images)).collect(),
            Self::Temperature { model, images, .. } => vec![model, &mut images.0],
            Self::Analyse { question } => question.references_mut(),
        }
    }
}

impl ImagesRef {
    /// The stage or data set that it refers to.
    pub(super) const fn reference_mut(&mut self) -> &mut StageRef {
        match self {
            Self::Data { source: reference, .. } | Self::Subset { mask: reference, .. } => reference,
        }
    }
}

impl Reference {
    /// A data set, as `item` names it.
    pub fn to_data(name: &str, item: &Item<'_>, split: Option<Split>, pins: Cell) -> Self {
        Self { stage: name.to_owned(), place: written(item), split, pins, over: Vec::new() }
    }
}

fn sources_mut(images: &mut [(StageRef, Split)]) -> impl Iterator<Item = &mut StageRef> {
    images.iter_mut().map(|(source, _)| source)
}

/// A stage whose cell is not known yet.
pub(super) fn unjoined(name: &str) -> StageRef {
    StageRef { stage: name.to_owned(), cell: Cell::new() }
}

/// Where a value is written, also if it came from an axis.
pub(super) fn written(item: &Item<'_>) -> Place {
    item.node.via.unwrap_or(item.node.place)
}
