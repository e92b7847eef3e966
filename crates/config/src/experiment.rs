//! A valid experiment: sweeps expanded, references joined, every value of its right type.
//!
//! What is here can be turned into a plan without a further question; the program's `pipeline` does.

use std::path::PathBuf;

use super::analysis::Question;
use overinterp_spec::{
    Appearance, Arch, AxisValue, Cell, Claim, DataSource, Figure, Keep, Normalise, Recipe, Seed, SeededDropout,
    Selection, Split, Table,
};

/// One experiment file, with what it extends, `--set` overrides applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// `name`.
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
}

/// An axis of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name.
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        /// Which half.
        split: Split,
    },
    /// A split with all but a subset of pixels masked: `subset.test`.
    Subset {
        /// The `mask` stage.
        mask: R,
        /// Which half.
        split: Split,
    },
}

/// The settings of each kind of stage. `R` is what they name other stages and data sets by: instances that exist, in
/// an experiment.
#[derive(Clone, Debug, PartialEq)]
pub enum Settings<R = StageRef> {
    /// `kind = "train"`.
    Train {
        /// What it is trained on.
        images: ImagesRef<R>,
        /// The network.
        arch: Arch,
        /// Where its randomness starts.
        seed: Seed,
        /// How.
        recipe: Recipe,
        /// Whose weights it starts from; without it, from random ones.
        init: Option<R>,
        /// How the network is shown images; without it, as that of `init`, or else as the data set says.
        normalise: Option<Normalise>,
    },
    /// `kind = "import"`: weights from a file.
    Import {
        /// A file of safetensors or by `torch.save`, resolved against the folder of the file that names it.
        file: PathBuf,
        /// The network that the file's tensors must fit.
        arch: Arch,
        /// The data set whose shape and classes the network takes.
        data: R,
        /// What it was trained not to see, if the file says; it may say that it saw every pixel.
        input_dropout: Option<SeededDropout>,
        /// For Inception v3: whether the weights expect its input to be brought to -1..1.
        transform_input: Option<bool>,
        /// How the network is shown images; without it, as the file records, or else as the data set says.
        normalise: Option<Normalise>,
        /// Which of several sets of weights in the file: the first parts of their names.
        weights: Option<String>,
    },
    /// `kind = "ensemble"`: models whose logits are averaged.
    Ensemble {
        /// At least one, in file order, and of one stage in the order of its axes' values.
        members: Vec<R>,
    },
    /// `kind = "temperature"`: a model whose logits are divided by what makes its confidence right.
    Temperature {
        /// The model.
        model: R,
        /// The half of a data set whose images the temperature is fitted to.
        images: (R, Split),
        /// Only so many of its last images.
        last: Option<usize>,
    },
    /// `kind = "select"`: rank every pixel of every image.
    Select {
        /// The model that is asked; none for `random`.
        model: Option<R>,
        /// The splits whose images are ranked: data set and half.
        images: Vec<(R, Split)>,
        /// How.
        method: Selection,
        /// Only so many of the first images of each split.
        count: Option<usize>,
    },
    /// `kind = "import-selection"`: rankings from files in the authors' layout.
    ImportSelection {
        /// The data set whose images were ranked.
        data: R,
        /// By half: a folder with one file an image, or a packed file.
        files: Vec<(Split, PathBuf)>,
        /// By half: which class the model predicts on each image, and with which confidence.
        predictions: Vec<(Split, PathBuf)>,
        /// The model that ranked them, which is asked for what the files leave out.
        model: Option<R>,
        /// How.
        method: Selection,
        /// Only so many of the first images of each split.
        count: Option<usize>,
    },
    /// `kind = "mask"`: keep the pixels that a ranking masks last.
    Mask {
        /// The `select` stage.
        ranking: R,
        /// How many.
        keep: Keep,
        /// What kept and masked pixels show.
        appearance: Appearance,
    },
    /// `kind = "evaluate"`: one pair.
    Evaluate {
        /// The model.
        model: R,
        /// The images.
        images: ImagesRef<R>,
    },
    /// `kind = "analyse"`.
    Analyse {
        /// What is asked.
        question: Question<R>,
    },
    /// `kind = "sis"`: the sufficient input subset of each ranked image (`FindSIS`), from stored rankings.
    Sis {
        /// The `select` stage, whose method asks a model.
        ranking: R,
        /// The confidence that a subset must reach.
        threshold: f64,
    },
    /// `kind = "collection"`: all disjoint SIS of each image, each by a backward selection of its own.
    Collection {
        /// The model that is asked.
        model: R,
        /// The splits whose images are used.
        images: Vec<(R, Split)>,
        /// The confidence that a subset must reach.
        threshold: f64,
        /// Only so many of the first images of each split.
        count: Option<usize>,
    },
    /// `kind = "human"`: what people answered to pictures of subsets.
    Human {
        /// What they were shown: subsets.
        images: ImagesRef<R>,
        /// The sheet in which they answered, resolved against the folder of the file that names it.
        answers: PathBuf,
        /// Which picture was of which image.
        key: PathBuf,
    },
}
