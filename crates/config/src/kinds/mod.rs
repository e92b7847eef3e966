//! The kinds of stages, each declared in a file of its own: its name, what it is for, its keys, what it makes, its settings
//! and how they are read. What else knows of kinds (messages, `--set`, paths, references, the reference page) goes by these.
//!
//! A new kind is a file here and a line in each of the two lists below.

mod analyse;
mod collection;
mod ensemble;
mod evaluate;
mod human;
mod import;
mod import_selection;
mod mask;
mod select;
mod sis;
mod temperature;
mod train;

use overinterp_spec::{Cell, Metric};

use super::experiment::StageRef;
use super::field::{Field, number, whole};
use super::map::Choose;
use super::read::{Item, Reader};
use super::reference::{Draft, Reference};
use super::scope::Scope;

/// What a kind of stage is declared as.
pub(super) struct Kind {
    /// Its name in TOML.
    pub name: &'static str,
    /// What it does, in a sentence without a full stop.
    pub about: &'static str,
    /// What other stages can use it as.
    pub makes: Makes,
    /// Its keys, whatever else they depend on.
    pub keys: fn() -> &'static [Field],
    /// The key whose tables are instances of their own, if it is not the stage.
    pub rows: Option<&'static str>,
    /// What tables and claims may ask of it.
    pub measures: Measures,
}

/// What a stage hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Makes {
    /// One network, which may vote in an ensemble and start a training.
    Network,
    /// Another model, which can only be asked: an ensemble, or a model at another temperature.
    Model,
    /// Rankings of pixels.
    Ranking,
    /// Subsets of pixels, which serve as images.
    Subsets,
    /// Sufficient input subsets.
    Sufficient,
    /// All disjoint sufficient input subsets.
    Collections,
    /// Accuracy and confidence.
    Evaluation,
    /// What people answered.
    Answers,
    /// Numbers, curves and maps.
    Analysis,
}

/// Anything that can be asked what it sees.
pub(super) const MODELS: &[Makes] = &[Makes::Network, Makes::Model];

/// What tables and claims may ask of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measures {
    /// Nothing, as of a `train` stage: its models have numbers only where another stage evaluates them.
    Nothing,
    /// Accuracy and confidence of its pairs of `model` and `images`.
    Pairs,
    /// Accuracy and confidence on its `images`, for which its own name stands for a model.
    Itself,
    /// Numbers of its own.
    Numbers,
}

macro_rules! kinds {
    ($($(#[$about:meta])* $module:ident::$kind:ident),+ $(,)?) => {
        $(pub use $module::$kind;)+

        /// The settings of each kind of stage. `R` is what they name other stages and data sets by: instances that exist,
        /// in an experiment.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Settings<R = StageRef> {
            $($(#[$about])* $kind($kind<R>)),+
        }

        /// Kinds of stages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum StageKind {
            $($(#[$about])* $kind),+
        }

        impl StageKind {
            /// Every kind with its name in TOML.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($module::KIND.name, Self::$kind)),+];

            /// What it is declared as.
            pub const fn declared(self) -> &'static Kind {
                match self {
                    $(Self::$kind => &$module::KIND),+
                }
            }

            /// Reads a stage, or the part of it that is an instance of its own, at one value of each axis that it mentions.
            pub fn read(self, scope: &Scope<'_>, cell: &Cell, item: &Item<'_>) -> Option<Draft> {
                match self {
                    $(Self::$kind => $module::read(scope, cell, item).map(Settings::$kind)),+
                }
            }
        }

        impl<R> Settings<R> {
            /// The same settings with what `choose` makes of each reference in its place: one thing, but any number for a
            /// member of an ensemble. `None` if it makes another number.
            pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Settings<S>> {
                Some(match self {
                    $(Self::$kind(settings) => Settings::$kind(settings.map(choose)?)),+
                })
            }

            /// The name of its kind in TOML.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $module::KIND.name),+
                }
            }
        }
    };
}

// In the order in which messages list them.
kinds! {
    /// `kind = "train"`.
    train::Train,
    /// `kind = "import"`.
    import::Import,
    /// `kind = "ensemble"`.
    ensemble::Ensemble,
    /// `kind = "temperature"`.
    temperature::Temperature,
    /// `kind = "select"`.
    select::Select,
    /// `kind = "import-selection"`.
    import_selection::ImportSelection,
    /// `kind = "mask"`.
    mask::Mask,
    /// `kind = "evaluate"`: one pair.
    evaluate::Evaluate,
    /// `kind = "sis"`.
    sis::Sis,
    /// `kind = "collection"`.
    collection::Collection,
    /// `kind = "analyse"`.
    analyse::Analyse,
    /// `kind = "human"`.
    human::Human,
}

impl StageKind {
    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, kind)| kind)
    }

    /// Its name in TOML.
    pub const fn name(self) -> &'static str {
        self.declared().name
    }

    /// The keys that such a stage takes.
    pub fn fields(self) -> &'static [Field] {
        (self.declared().keys)()
    }

    /// The kinds that make one of `makes`, in the order of `makes`.
    pub fn making(makes: &[Makes]) -> Vec<Self> {
        let all = Self::ALL.iter().map(|&(_, kind)| kind);
        makes.iter().flat_map(|made| all.clone().filter(|kind| kind.declared().makes == *made)).collect()
    }
}

impl Settings<Reference> {
    /// The numbers of its own that tables may ask for.
    pub(super) fn numbers(&self) -> &'static [Metric] {
        match self {
            Self::Analyse(analyse) => analyse.question.metrics(),
            Self::Temperature(_) => &[Metric::Temperature],
            _ => &[],
        }
    }
}

/// `count` of what goes through images one by one.
const COUNT: Field = whole("count", "Only so many of the first images of each half", "100").or("all");

/// `threshold` of sufficient input subsets.
pub(super) const THRESHOLD: Field =
    number("threshold", "The confidence that a subset must reach, above 0 and at most 1", "0.99");

/// Reads [`COUNT`].
fn count(table: &Reader<'_>) -> Option<Option<usize>> {
    table.or("count", None, |item| item.whole(1).map(Some))
}

/// Reads [`THRESHOLD`].
pub(super) fn threshold(table: &Reader<'_>) -> Option<f64> {
    table.required("threshold")?.number_where("above 0 and at most 1", |value| value > 0.0 && value <= 1.0)
}
