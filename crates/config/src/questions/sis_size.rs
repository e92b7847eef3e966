//! `sis-size`: how large sufficient input subsets are.

use overinterp_spec::{Bootstrap, Metric};

use super::{BOOTSTRAP, Declaration, RANKING, RANKING_WHERE, bootstrap, ranking};
use crate::experiment::{Half, StageRef};
use crate::field::list;
use crate::kinds::{THRESHOLD, threshold};
use crate::map::Choose;
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const DECLARATION: Declaration = Declaration {
    name: "sis-size",
    about: "How large sufficient input subsets are: of all images, of the correctly classified, and of the misclassified",
    keys: &[
        RANKING,
        RANKING_WHERE,
        THRESHOLD,
        list("thresholds", "The points of the curves", "[0.5, 0.7, 0.9, 0.99]", "numbers above 0 and at most 1")
            .or("no curves"),
        BOOTSTRAP,
    ],
    metrics: &[
        Metric::SisSize,
        Metric::SisSizeCorrect,
        Metric::SisSizeMisclassified,
        Metric::SisSizeDifference,
        Metric::SisAbsent,
        Metric::SisEmpty,
    ],
    drawings: &["sis-size", "sis-size-difference", "sis-found"],
    draws_maps: false,
    needs_confidence: true,
};

/// How large sufficient input subsets are, of all images, of the correctly classified, and of the others.
#[derive(Clone, Debug, PartialEq)]
pub struct SisSize<R = StageRef> {
    /// A `select` stage that asks a model.
    pub ranking: Half<R>,
    /// The confidence that a subset must reach, for the numbers.
    pub threshold: f64,
    /// The same for the points of the curves, in ascending order.
    pub thresholds: Vec<f64>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<SisSize<Reference>> {
    let ranking = ranking(scope, table);
    let (threshold, thresholds, bootstrap) = (threshold(table), thresholds(table), bootstrap(table));
    let (ranking, threshold) = (ranking?, threshold?);
    Some(SisSize { ranking, threshold, thresholds: thresholds?, bootstrap: bootstrap? })
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

impl<R> SisSize<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<SisSize<S>> {
        let (ranking, thresholds) = (self.ranking.map(choose)?, self.thresholds.clone());
        Some(SisSize { ranking, threshold: self.threshold, thresholds, bootstrap: self.bootstrap })
    }
}
