//! Reads `kind = "analyse"`: a question to what earlier stages left.

use overinterp_spec::{Bootstrap, Fraction, Metric, Seed, Split};

use super::experiment::{ImagesRef, StageRef};
use super::read::{Item, Reader};
use super::reference::{Draft, Reference};
use super::schema::{ANALYSE, BOOTSTRAP, QUESTIONS, QuestionKind, StageKind};
use super::stage::{MODELS, RANKINGS, Scope, fraction, split_name, threshold};

/// One half of what a stage hands on: `ranking.test`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Half<R = StageRef> {
    /// The stage.
    pub stage: R,
    /// Which half.
    pub split: Split,
}

/// What an analysis is asked; `R` is what it names other stages by.
#[derive(Clone, Debug, PartialEq)]
pub enum Question<R = StageRef> {
    /// `sis-size`: how large sufficient input subsets are, of all images, of the correctly classified, and of the others.
    SisSize {
        /// A `select` stage that asks a model.
        ranking: Half<R>,
        /// The confidence that a subset must reach, for the numbers.
        threshold: f64,
        /// The same for the points of the curves, in ascending order.
        thresholds: Vec<f64>,
        /// How intervals are found.
        bootstrap: Bootstrap,
    },
    /// `confidence-curve`: how f falls while pixels are masked.
    ConfidenceCurve {
        /// A `select` stage that asks a model.
        ranking: Half<R>,
        /// How intervals are found.
        bootstrap: Bootstrap,
    },
    /// `masked-confidence`: f with everything masked, by predicted class.
    MaskedConfidence {
        /// A `select` stage that asks a model.
        ranking: Half<R>,
    },
    /// `heat-map`: where subsets lie.
    HeatMap {
        /// A `mask` stage.
        subset: Half<R>,
        /// Whether each class has a map of its own, too.
        per_class: bool,
    },
    /// `overlap`: how far two models' subsets of the same images agree.
    Overlap {
        /// A `mask` stage.
        subset: Half<R>,
        /// Another one, or another cell of it.
        with: Half<R>,
        /// How intervals are found.
        bootstrap: Bootstrap,
    },
    /// `collections`: how many disjoint sufficient input subsets there are.
    Collections {
        /// A `collection` stage.
        collection: Half<R>,
        /// How intervals are found.
        bootstrap: Bootstrap,
    },
    /// `deletion-insertion`: a model's confidence as the pixels ranked highest go or come first.
    DeletionInsertion {
        /// A `select` stage.
        ranking: Half<R>,
        /// The model that is asked, whether or not it was asked for the ranking.
        model: R,
        /// Shares of the pixels, in ascending order.
        fractions: Vec<Fraction>,
        /// How intervals are found.
        bootstrap: Bootstrap,
    },
    /// `calibration`: how far a model's confidence is its accuracy.
    Calibration {
        /// The model.
        model: R,
        /// The images that it classifies.
        images: ImagesRef<R>,
        /// Into how many intervals of equal width confidences are sorted.
        bins: usize,
    },
}

impl<R> Question<R> {
    /// The numbers that the answer has.
    #[must_use]
    pub const fn metrics(&self) -> &'static [Metric] {
        match self {
            Self::SisSize { .. } => &[
                Metric::SisSize,
                Metric::SisSizeCorrect,
                Metric::SisSizeMisclassified,
                Metric::SisSizeDifference,
                Metric::SisAbsent,
                Metric::SisEmpty,
            ],
            Self::ConfidenceCurve { .. } => &[Metric::ConfidenceArea],
            Self::MaskedConfidence { .. } => &[Metric::MaskedConfidence],
            Self::HeatMap { .. } => &[Metric::Border, Metric::BorderChance],
            Self::Overlap { .. } => {
                &[Metric::Overlap, Metric::OverlapUnion, Metric::OverlapChance, Metric::OverlapElsewhere]
            }
            Self::Collections { .. } => &[Metric::CollectionCount, Metric::CollectionSize, Metric::CollectionCoverage],
            Self::DeletionInsertion { .. } => &[Metric::DeletionArea, Metric::InsertionArea],
            Self::Calibration { .. } => &[Metric::CalibrationError],
        }
    }

    /// The drawings that the answer has: curves, or, of a heat map, maps.
    pub(super) const fn drawings(&self) -> &'static [&'static str] {
        match self {
            Self::SisSize { .. } => &["sis-size", "sis-size-difference", "sis-found"],
            Self::ConfidenceCurve { .. } => &["confidence"],
            Self::MaskedConfidence { .. } => &["masked-confidence"],
            Self::HeatMap { .. } => &["kept-pixels"],
            Self::Overlap { .. } => &[],
            Self::Collections { .. } => &["collection-counts", "collection-sizes"],
            Self::DeletionInsertion { .. } => &["deletion-insertion"],
            Self::Calibration { .. } => &["reliability"],
        }
    }

    /// Whether its drawings are maps, not curves.
    pub(super) const fn draws_maps(&self) -> bool {
        matches!(self, Self::HeatMap { .. })
    }

    /// Whether it asks for f, which random rankings do not record.
    pub(super) const fn needs_confidence(&self) -> bool {
        match self {
            Self::SisSize { .. } | Self::ConfidenceCurve { .. } | Self::MaskedConfidence { .. } => true,
            Self::HeatMap { .. }
            | Self::Overlap { .. }
            | Self::Collections { .. }
            | Self::DeletionInsertion { .. }
            | Self::Calibration { .. } => false,
        }
    }
}

impl Scope<'_> {
    /// Reads an analysis.
    pub fn analysis(&self, item: &Item<'_>) -> Option<Draft> {
        let Some(question) = item.node.get("question") else {
            return item.table(ANALYSE)?.required("question").and(None);
        };
        let path = format!("{}.question", item.path);
        let kind = Item::new(question, path, item.sink()).choice("questions", &QUESTIONS)?;
        let table = item.table(kind.fields())?;
        let question = match kind {
            QuestionKind::SisSize => {
                let ranking = self.ranking(&table);
                let (threshold, thresholds, bootstrap) = (threshold(&table), thresholds(&table), bootstrap(&table));
                let (ranking, threshold) = (ranking?, threshold?);
                Question::SisSize { ranking, threshold, thresholds: thresholds?, bootstrap: bootstrap? }
            }
            QuestionKind::ConfidenceCurve => {
                let (ranking, bootstrap) = (self.ranking(&table), bootstrap(&table));
                Question::ConfidenceCurve { ranking: ranking?, bootstrap: bootstrap? }
            }
            QuestionKind::MaskedConfidence => Question::MaskedConfidence { ranking: self.ranking(&table)? },
            QuestionKind::HeatMap => {
                let subset = self.half(&table, "subset", &[StageKind::Mask]);
                let per_class = table.or("per-class", true, |item| item.boolean());
                Question::HeatMap { subset: subset?, per_class: per_class? }
            }
            QuestionKind::Overlap => {
                let subset = self.half(&table, "subset", &[StageKind::Mask]);
                let with = self.half(&table, "with", &[StageKind::Mask]);
                let bootstrap = bootstrap(&table);
                let (subset, with) = (subset?, with?);
                if subset.split != with.split {
                    let fault =
                        format!("must be {} images, as `subset` is: others have no pixels in common", subset.split);
                    return table.optional("with")?.fault(fault);
                }
                Question::Overlap { subset, with, bootstrap: bootstrap? }
            }
            QuestionKind::Collections => {
                let collection = self.half(&table, "collection", &[StageKind::Collection]);
                let bootstrap = bootstrap(&table);
                Question::Collections { collection: collection?, bootstrap: bootstrap? }
            }
            QuestionKind::DeletionInsertion => {
                let (ranking, model) = (self.ranking(&table), self.stage(&table, "model", MODELS));
                let (fractions, bootstrap) = (fractions(&table), bootstrap(&table));
                let (ranking, model) = (ranking?, model?);
                Question::DeletionInsertion { ranking, model, fractions: fractions?, bootstrap: bootstrap? }
            }
            QuestionKind::Calibration => {
                let (model, images) = (self.stage(&table, "model", MODELS), self.images(&table));
                let bins = table.or("bins", BINS, |item| match item.whole(1)? {
                    bins if bins > MOST_BINS => item.fault(format!("cannot be more than {MOST_BINS}, but is {bins}")),
                    bins => Some(bins),
                });
                Question::Calibration { model: model?, images: images?, bins: bins? }
            }
        };
        Some(Draft::Analyse { question })
    }

    fn ranking(&self, table: &Reader<'_>) -> Option<Half<Reference>> {
        self.half(table, "ranking", RANKINGS)
    }

    /// `key = "STAGE.split"` with its `key-where`.
    fn half(&self, table: &Reader<'_>, key: &str, kinds: &[StageKind]) -> Option<Half<Reference>> {
        let pins = self.pins(table, &format!("{key}-where"));
        let item = table.required(key)?;
        let (name, split) = split_name(&item)?;
        self.catalog.find_stage(name, kinds, &item)?;
        Some(Half { stage: Reference::new(name, &item, Some(split), pins?), split })
    }
}

/// The points of a curve over thresholds, in ascending order; none without the key.
fn thresholds(table: &Reader<'_>) -> Option<Vec<f64>> {
    table.or("thresholds", Vec::new(), |item| {
        let mut thresholds: Vec<f64> = Vec::new();
        let mut sound = true;
        for item in item.full_list()? {
            match item.number_where("above 0 and at most 1", |value| value > 0.0 && value <= 1.0) {
                Some(value) if thresholds.iter().any(|known| known.total_cmp(&value).is_eq()) => {
                    sound = false;
                    item.fault::<()>("is there twice");
                }
                Some(value) => thresholds.push(value),
                None => sound = false,
            }
        }
        thresholds.sort_by(f64::total_cmp);
        sound.then_some(thresholds)
    })
}

/// The points of curves over shares of the pixels, in ascending order; without the key every twentieth.
fn fractions(table: &Reader<'_>) -> Option<Vec<Fraction>> {
    let Some(item) = table.optional("fractions") else {
        return (1..POINTS).map(|part| Fraction::try_from(f64::from(part) / f64::from(POINTS)).ok()).collect();
    };
    let mut fractions: Vec<Fraction> = Vec::new();
    let mut sound = true;
    for item in item.full_list()? {
        match fraction(&item) {
            Some(value) if fractions.contains(&value) => {
                sound = false;
                item.fault::<()>("is there twice");
            }
            Some(value) => fractions.push(value),
            None => sound = false,
        }
    }
    fractions.sort_by(|a, b| a.get().total_cmp(&b.get()));
    sound.then_some(fractions)
}

fn bootstrap(table: &Reader<'_>) -> Option<Bootstrap> {
    let default = Bootstrap::default();
    table.or("bootstrap", default, |item| {
        let table = item.table(BOOTSTRAP)?;
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

/// Parts of the pixels between the points of a curve.
const POINTS: u32 = 20;

/// Intervals of confidence (Guo et al. 2017), and the most that make sense.
const BINS: usize = 15;
const MOST_BINS: usize = 1000;

/// More would take hours and change no digit that is printed.
const MOST_RESAMPLES: usize = 1_000_000;
