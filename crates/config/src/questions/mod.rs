//! The questions of `analyse`, each declared in a file of its own: its name, its keys, its numbers and drawings, and how it
//! is read.
//!
//! A new question is a file here and a line in [`overinterp_spec::each_question`].

use std::sync::LazyLock;

use overinterp_spec::{Bootstrap, Metric, Seed};

use super::experiment::{Half, StageRef};
use super::field::{Field, half, one_of, pins, table, whole};
use super::kinds::Makes;
use super::map::Choose;
use super::read::{Item, Reader};
use super::reference::Reference;
use super::schema::KIND;
use super::scope::Scope;

/// What a question is declared as.
pub(super) struct Declaration {
    /// Its name in TOML.
    pub name: &'static str,
    /// What it asks, in a sentence without a full stop.
    pub about: &'static str,
    /// Its keys, without those of every analysis.
    pub keys: &'static [Field],
    /// The numbers that the answer has.
    pub metrics: &'static [Metric],
    /// The drawings that the answer has: curves, or maps.
    pub drawings: &'static [&'static str],
    /// Whether its drawings are maps, not curves.
    pub draws_maps: bool,
    /// Whether it asks for f, which random rankings do not record.
    pub needs_confidence: bool,
}

macro_rules! questions {
    ($($(#[$about:meta])* $module:ident::$question:ident),+ $(,)?) => {
        $(mod $module;)+
        $(pub use $module::$question;)+

        /// What an analysis is asked; `R` is what it names other stages by.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Question<R = StageRef> {
            $($(#[$about])* $question($question<R>)),+
        }

        /// Every question, as it is declared.
        pub(super) const ALL: &[&Declaration] = &[$(&$module::DECLARATION),+];

        /// The reader of each.
        const READERS: &[(&str, Read)] = &[$(
            ($module::DECLARATION.name, |scope, table| $module::read(scope, table).map(Question::$question))
        ),+];

        impl<R> Question<R> {
            pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Question<S>> {
                Some(match self {
                    $(Self::$question(question) => Question::$question(question.map(choose)?)),+
                })
            }

            pub(super) const fn asked(&self) -> &'static Declaration {
                match self {
                    $(Self::$question(_) => &$module::DECLARATION),+
                }
            }
        }
    };
}

overinterp_spec::each_question!(questions);

type Read = fn(&Scope<'_>, &Reader<'_>) -> Option<Question<Reference>>;

impl<R> Question<R> {
    /// The numbers that the answer has.
    #[must_use]
    pub const fn metrics(&self) -> &'static [Metric] {
        self.asked().metrics
    }
}

/// What every analysis has.
const ALWAYS: [Field; 2] =
    [KIND, one_of("question", "What is asked", "\"sis-size\"", || ALL.iter().map(|asked| asked.name).collect())];

/// The keys of each question, in the order of [`ALL`].
static KEYS: LazyLock<Vec<Vec<Field>>> =
    LazyLock::new(|| ALL.iter().map(|asked| ALWAYS.iter().chain(asked.keys).copied().collect()).collect());

/// The keys of any question, each once.
static ANY: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let mut any: Vec<Field> = Vec::new();
    for field in KEYS.iter().flatten() {
        if any.iter().all(|known| known.name != field.name) {
            any.push(*field);
        }
    }
    any
});

/// The keys that an analysis may have, whatever the question.
pub(super) fn keys() -> &'static [Field] {
    &ANY
}

/// Reads the question of an analysis.
pub(super) fn read(scope: &Scope<'_>, item: &Item<'_>) -> Option<Question<Reference>> {
    let Some(question) = item.node.get("question") else {
        return item.table(keys())?.required("question").and(None);
    };
    let path = format!("{}.question", item.path);
    let choices: Vec<(&str, usize)> = ALL.iter().enumerate().map(|(place, asked)| (asked.name, place)).collect();
    let place = Item::new(question, path, item.sink()).choice("questions", &choices)?;
    let table = item.table(&KEYS[place])?;
    READERS[place].1(scope, &table)
}

/// One half of a ranking.
const RANKING: Field = half("ranking", "One half of a ranking", "\"ranking.test\"", &[Makes::Ranking]);
const RANKING_WHERE: Field = pins("ranking-where");
/// One half of a mask's subsets.
const SUBSET: Field = half("subset", "One half of a mask's subsets", "\"subset.test\"", &[Makes::Subsets]);
const SUBSET_WHERE: Field = pins("subset-where");

/// `bootstrap` of an analysis.
const BOOTSTRAP: Field = table(
    "bootstrap",
    "How 95 % intervals are found: by means of so many samples of the images",
    "{ resamples = 1000, seed = 0 }",
    BOOTSTRAP_KEYS,
)
.or("as in the example");

const BOOTSTRAP_KEYS: &[Field] = &[
    whole("resamples", "How many samples; with 0 there is no interval", "1000").or("1000"),
    whole("seed", "Where their draws start", "0").or("0"),
];

/// More would take hours and change no digit that is printed.
const MOST_RESAMPLES: usize = 1_000_000;

/// Reads [`BOOTSTRAP`].
fn bootstrap(table: &Reader<'_>) -> Option<Bootstrap> {
    let default = Bootstrap::default();
    table.or("bootstrap", default, |item| {
        let table = item.table(BOOTSTRAP_KEYS)?;
        let resamples = table.or("resamples", default.resamples, |item| {
            let resamples = item.whole(0)?;
            if resamples > MOST_RESAMPLES {
                return item.fault(format!("cannot be more than {MOST_RESAMPLES}, but is {resamples}"));
            }
            Some(resamples)
        });
        let seed = table.or("seed", default.seed, |item| item.whole(0).map(Seed));
        Some(Bootstrap { resamples: resamples?, seed: seed? })
    })
}

/// Reads [`RANKING`].
fn ranking(scope: &Scope<'_>, table: &Reader<'_>) -> Option<Half<Reference>> {
    scope.half(table, "ranking")
}
