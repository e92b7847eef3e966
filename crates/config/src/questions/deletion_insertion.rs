//! `deletion-insertion`: a model's confidence as the pixels ranked highest go or come first.

use overinterp_spec::{Bootstrap, Fraction, Metric};

use super::{BOOTSTRAP, Declaration, RANKING, RANKING_WHERE, bootstrap, ranking};
use crate::experiment::{Half, StageRef};
use crate::field::{list, pins, stage};
use crate::kinds::MODELS;
use crate::map::{Choose, one};
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::{Scope, fraction};

pub(super) const DECLARATION: Declaration = Declaration {
    name: "deletion-insertion",
    about: "Any model's confidence as the pixels ranked highest are deleted first, and as they are inserted first",
    keys: &[
        RANKING,
        RANKING_WHERE,
        stage("model", "The model that is asked", "\"full\"", MODELS),
        pins("model-where"),
        list(
            "fractions",
            "Shares of the pixels at which it is asked",
            "[0.05, 0.1, 0.5]",
            "numbers above 0 and at most 1",
        )
        .or("every twentieth"),
        BOOTSTRAP,
    ],
    metrics: &[Metric::DeletionArea, Metric::InsertionArea],
    drawings: &["deletion-insertion"],
    draws_maps: false,
    needs_confidence: false,
};

/// A model's confidence as the pixels ranked highest go or come first.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletionInsertion<R = StageRef> {
    /// A `select` stage.
    pub ranking: Half<R>,
    /// The model that is asked, whether or not it was asked for the ranking.
    pub model: R,
    /// Shares of the pixels, in ascending order.
    pub fractions: Vec<Fraction>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

/// Parts of the pixels between the points of a curve.
const POINTS: u32 = 20;

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<DeletionInsertion<Reference>> {
    let (ranking, model) = (ranking(scope, table), scope.stage(table, "model"));
    let (fractions, bootstrap) = (fractions(table), bootstrap(table));
    let (ranking, model) = (ranking?, model?);
    Some(DeletionInsertion { ranking, model, fractions: fractions?, bootstrap: bootstrap? })
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

impl<R> DeletionInsertion<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<DeletionInsertion<S>> {
        let (ranking, model) = (self.ranking.map(choose)?, one(&self.model, choose)?);
        Some(DeletionInsertion { ranking, model, fractions: self.fractions.clone(), bootstrap: self.bootstrap })
    }
}
