//! A valid experiment: sweeps expanded, references joined, every value of its right type.
//!
//! What is here can be turned into a plan without a further question; the program's `pipeline` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use overinterp_spec::{AxisValue, Cell, Claim, DataSource, Figure, Resources, Split, Table};

pub use super::kinds::Settings;

/// One experiment file, with what it extends, `--set` overrides applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// `name`, by which reports are called, in one line.
    pub name: String,
    /// `description`, empty if there is none.
    pub description: String,
    /// The file it came from.
    pub file: PathBuf,
    /// The sweep's axes in file order.
    pub axes: Vec<Axis>,
    /// `[data.*]` in file order, each at every value of the axes that it mentions.
    pub data: Vec<DataSource>,
    /// `[stage.*]`, each after those it refers to, otherwise in file order.
    pub stages: Vec<StageSpec>,
    /// `[table.*]` in file order.
    pub tables: Vec<Table>,
    /// `[figure.*]` in file order.
    pub figures: Vec<Figure>,
    /// `[claim.*]` in file order.
    pub claims: Vec<Claim>,
    /// Of each stage whose recipe is `like` another's: that stage, and the keys that it writes itself.
    pub likes: BTreeMap<String, (String, BTreeSet<String>)>,
    /// `[resources.*]`: what jobs of a cluster are given, by the kind of stage, or for `all`.
    pub resources: BTreeMap<String, Resources>,
}

/// An axis of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name, `NAME` where `${NAME}` stands for its value.
    pub name: String,
    /// Its values in file order.
    pub values: Vec<AxisValue>,
}

/// A `[stage.NAME]` table, expanded over the axes that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct StageSpec {
    /// Its name in the file.
    pub name: String,
    /// One entry a cell (for `evaluate`: a pair and cell), in the order of the axes' values.
    pub instances: Vec<Instance>,
}

/// A stage at one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The axes that this instance depends on, directly or through its inputs, with their values.
    pub cell: Cell,
    /// What it does.
    pub settings: Settings,
}

/// Another stage, or a data set, at one of its cells. The instance exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageRef {
    /// The stage's or data set's name.
    pub stage: String,
    /// The instance's cell.
    pub cell: Cell,
}

/// Images that a stage reads; `R` is what it names them by.
#[derive(Clone, Debug, PartialEq)]
pub enum ImagesRef<R = StageRef> {
    /// A split of a data set as it is: `cifar10.train`.
    Data {
        /// The data set.
        source: R,
        /// The half whose images are read.
        split: Split,
    },
    /// A split with all but a subset of pixels masked: `subset.test`.
    Subset {
        /// The `mask` stage.
        mask: R,
        /// The half whose masked images are read.
        split: Split,
    },
}

/// One half of what a stage hands on: `ranking.test`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Half<R = StageRef> {
    /// The stage that makes it, `ranking` in the example.
    pub stage: R,
    /// The half of the data set whose images it is about.
    pub split: Split,
}
