//! `heat-map`: where subsets lie.

use overinterp_spec::Metric;

use super::{Declaration, SUBSET, SUBSET_WHERE};
use crate::experiment::{Half, StageRef};
use crate::field::flag;
use crate::map::Choose;
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const DECLARATION: Declaration = Declaration {
    name: "heat-map",
    about: "Where subsets lie, and what share of them is in the border, a tenth of the shorter side wide",
    keys: &[
        SUBSET,
        SUBSET_WHERE,
        flag("per-class", "Whether each class has a map of its own, too", "true").or("`true`"),
    ],
    metrics: &[Metric::Border, Metric::BorderChance],
    drawings: &["kept-pixels"],
    draws_maps: true,
    needs_confidence: false,
};

/// Where subsets lie.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap<R = StageRef> {
    /// A `mask` stage.
    pub subset: Half<R>,
    /// Whether each class has a map of its own, too.
    pub per_class: bool,
}

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<HeatMap<Reference>> {
    let subset = scope.half(table, "subset");
    let per_class = table.or("per-class", true, |item| item.boolean());
    Some(HeatMap { subset: subset?, per_class: per_class? })
}

impl<R> HeatMap<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<HeatMap<S>> {
        Some(HeatMap { subset: self.subset.map(choose)?, per_class: self.per_class })
    }
}
