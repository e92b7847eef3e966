//! What an experiment draws.

use serde::Serialize;

use super::{Cell, Split};

/// A figure as the paper has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name in the file.
    pub name: String,
    /// What stands above it, in one line.
    pub title: String,
    /// What it shows.
    pub kind: FigureKind,
}

/// Kinds of figures, each with what it shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FigureKind {
    /// Curves of analyses.
    Curves(Drawings),
    /// Heat maps of analyses.
    HeatMaps(Drawings),
    /// Images beside what subsets leave of them.
    Images {
        /// One row of pictures each, repeated for every value of axes that it does not fix.
        shows: Vec<PicturedStage>,
        /// How many of the first images of the split.
        count: usize,
    },
}

/// What a figure takes from analyses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drawings {
    /// The analyses that it draws, in file order.
    pub shows: Vec<ShownStage>,
    /// The drawing of that name only; all that there are if none is named.
    pub drawing: Option<String>,
    /// Axes averaged over.
    pub over: Vec<String>,
}

/// An analysis that a figure shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownStage {
    /// The name of the `analyse` stage.
    pub stage: String,
    /// What the figure calls it.
    pub label: Option<String>,
    /// Values that axes must have (`where`).
    pub pins: Cell,
    /// Which curves or maps of it, by name; all if none is named.
    pub names: Vec<String>,
}

/// Subsets that a figure shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PicturedStage {
    /// The name of the `sis` or `mask` stage.
    pub stage: String,
    /// What the figure calls it.
    pub label: Option<String>,
    /// Values that axes must have (`where`).
    pub pins: Cell,
    /// The half of the data set.
    pub split: Split,
    /// The stage whose models say what they see in the subsets of a `mask` stage.
    pub model: Option<String>,
}
