//! `collections`: how many disjoint sufficient input subsets there are.

use overinterp_spec::{Bootstrap, Metric};

use super::{BOOTSTRAP, Declaration, bootstrap};
use crate::experiment::{Half, StageRef};
use crate::field::{half, pins};
use crate::kinds::Makes;
use crate::map::Choose;
use crate::read::Reader;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const DECLARATION: Declaration = Declaration {
    name: "collections",
    about: "How many disjoint sufficient input subsets an image has, and how large they are",
    keys: &[
        half("collection", "One half of all disjoint subsets", "\"collection.test\"", &[Makes::Collections]),
        pins("collection-where"),
        BOOTSTRAP,
    ],
    metrics: &[Metric::CollectionCount, Metric::CollectionSize, Metric::CollectionCoverage],
    drawings: &["collection-counts", "collection-sizes"],
    draws_maps: false,
    needs_confidence: false,
};

/// How many disjoint sufficient input subsets there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Collections<R = StageRef> {
    /// A `collection` stage.
    pub collection: Half<R>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

pub(super) fn read(scope: &Scope<'_>, table: &Reader<'_>) -> Option<Collections<Reference>> {
    let collection = scope.half(table, "collection");
    let bootstrap = bootstrap(table);
    Some(Collections { collection: collection?, bootstrap: bootstrap? })
}

impl<R> Collections<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Collections<S>> {
        Some(Collections { collection: self.collection.map(choose)?, bootstrap: self.bootstrap })
    }
}
