//! `masked-confidence`: f with everything masked, by predicted class.

use overinterp_spec::Metric;

use super::{Declaration, RANKING, RANKING_WHERE, ranking};
use crate::experiment::{Half, StageRef};
use crate::map::Choose;
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const DECLARATION: Declaration = Declaration {
    name: "masked-confidence",
    about: "f with everything masked, by predicted class",
    keys: &[RANKING, RANKING_WHERE],
    metrics: &[Metric::MaskedConfidence],
    drawings: &["masked-confidence"],
    draws_maps: false,
    needs_confidence: true,
};

/// f with everything masked, by predicted class.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedConfidence<R = StageRef> {
    /// A `select` stage that asks a model.
    pub ranking: Half<R>,
}

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<MaskedConfidence<Reference>> {
    ranking(scope, table).map(|ranking| MaskedConfidence { ranking })
}

impl<R> MaskedConfidence<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<MaskedConfidence<S>> {
        Some(MaskedConfidence { ranking: self.ranking.map(choose)? })
    }
}
