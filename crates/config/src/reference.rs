//! What a stage names: other stages and data sets, until their instances are chosen.

use overinterp_spec::{Cell, Split};

use super::kinds::Settings;
use super::problem::Place;
use super::read::Item;

/// The settings of a stage before the instances of what it names are chosen.
pub(super) type Draft = Settings<Reference>;

/// A stage or a data set that a stage names.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// The name of the stage or data set, such as `full`.
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

impl Reference {
    /// What `item` names.
    pub fn new(name: &str, item: &Item<'_>, split: Option<Split>, pins: Cell) -> Self {
        Self { stage: name.to_owned(), place: written(item), split, pins, over: Vec::new() }
    }
}

impl Draft {
    /// What the settings name.
    pub(super) fn references(&self) -> Vec<&Reference> {
        let mut references = Vec::new();
        self.map(&mut |reference| {
            references.push(reference);
            vec![()]
        });
        references
    }
}

/// Where a value is written, also if it came from an axis.
pub(super) fn written(item: &Item<'_>) -> Place {
    item.node.via.unwrap_or(item.node.place)
}
