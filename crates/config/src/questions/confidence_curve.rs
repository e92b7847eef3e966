//! `confidence-curve`: how f falls while pixels are masked.

use overinterp_spec::{Bootstrap, Metric};

use super::{BOOTSTRAP, Declaration, RANKING, RANKING_WHERE, bootstrap, ranking};
use crate::experiment::{Half, StageRef};
use crate::map::Choose;
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const DECLARATION: Declaration = Declaration {
    name: "confidence-curve",
    about: "How f falls while pixels are masked",
    keys: &[RANKING, RANKING_WHERE, BOOTSTRAP],
    metrics: &[Metric::ConfidenceArea],
    drawings: &["confidence"],
    draws_maps: false,
    needs_confidence: true,
};

/// How f falls while pixels are masked.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfidenceCurve<R = StageRef> {
    /// A `select` stage that asks a model.
    pub ranking: Half<R>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<ConfidenceCurve<Reference>> {
    let (ranking, bootstrap) = (ranking(scope, table), bootstrap(table));
    Some(ConfidenceCurve { ranking: ranking?, bootstrap: bootstrap? })
}

impl<R> ConfidenceCurve<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<ConfidenceCurve<S>> {
        Some(ConfidenceCurve { ranking: self.ranking.map(choose)?, bootstrap: self.bootstrap })
    }
}
