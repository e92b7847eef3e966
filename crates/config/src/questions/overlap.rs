//! `overlap`: how far two models' subsets of the same images agree.

use overinterp_spec::{Bootstrap, Metric};

use super::{BOOTSTRAP, Declaration, SUBSET, SUBSET_WHERE, bootstrap};
use crate::experiment::{Half, StageRef};
use crate::field::{half, pins};
use crate::kinds::Makes;
use crate::map::Choose;
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const DECLARATION: Declaration = Declaration {
    name: "overlap",
    about: "What share of a subset's pixels another model's subset of the same image keeps, beside chance and other images",
    keys: &[
        SUBSET,
        SUBSET_WHERE,
        half("with", "The other subsets, of the same half", "\"other-subset.test\"", &[Makes::Subsets]),
        pins("with-where"),
        BOOTSTRAP,
    ],
    metrics: &[Metric::Overlap, Metric::OverlapUnion, Metric::OverlapChance, Metric::OverlapElsewhere],
    drawings: &[],
    draws_maps: false,
    needs_confidence: false,
};

/// How far two models' subsets of the same images agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlap<R = StageRef> {
    /// A `mask` stage.
    pub subset: Half<R>,
    /// Another one, or another cell of it.
    pub with: Half<R>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<Overlap<Reference>> {
    let subset = scope.half(table, "subset");
    let with = scope.half(table, "with");
    let bootstrap = bootstrap(table);
    let (subset, with) = (subset?, with?);
    if subset.split != with.split {
        let fault = format!("must be {} images, as `subset` is: others have no pixels in common", subset.split);
        return table.optional("with")?.fault(fault);
    }
    Some(Overlap { subset, with, bootstrap: bootstrap? })
}

impl<R> Overlap<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Overlap<S>> {
        let (subset, with) = (self.subset.map(choose)?, self.with.map(choose)?);
        Some(Overlap { subset, with, bootstrap: self.bootstrap })
    }
}
