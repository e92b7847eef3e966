//! `kind = "sis"`: the sufficient input subset of each ranked image (`FindSIS`), from stored rankings.

use overinterp_spec::Cell;

use super::{Kind, Makes, Measures, THRESHOLD, threshold};
use crate::experiment::StageRef;
use crate::field::{Field, pins, stage};
use crate::map::{Choose, one};
use crate::read::Item;
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "sis",
    about: "Finds one sufficient input subset of each ranked image",
    makes: Makes::Sufficient,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    stage("ranking", "The ranking, whose method must ask a model", "\"ranking\"", &[Makes::Ranking]),
    pins("ranking-where"),
    THRESHOLD,
];

/// Sufficient input subsets.
#[derive(Clone, Debug, PartialEq)]
pub struct Sis<R = StageRef> {
    /// The stage that ranks, whose method asks a model.
    pub ranking: R,
    /// The confidence that a subset must reach.
    pub threshold: f64,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Sis<Reference>> {
    let table = item.table(KEYS)?;
    let ranking = scope.stage(&table, "ranking");
    let threshold = threshold(&table);
    Some(Sis { ranking: ranking?, threshold: threshold? })
}

impl<R> Sis<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Sis<S>> {
        Some(Sis { ranking: one(&self.ranking, choose)?, threshold: self.threshold })
    }
}
