//! Reads the `method` of a selection.

use crate::spec::{RandomSeeds, Selection};

use super::read::Item;
use super::schema::{BACKWARD, BATCHED_GRADIENT, METHOD, RANDOM, SEEDS};

/// How a selection ranks pixels.
#[derive(Clone, Copy)]
enum MethodKind {
    Backward,
    BatchedGradient,
    Random,
}

const METHODS: [(&str, MethodKind); 3] = [
    ("backward", MethodKind::Backward),
    ("batched-gradient", MethodKind::BatchedGradient),
    ("random", MethodKind::Random),
];

/// Seeds of the authors' random subsets (paper code, `RandomState(1234)` and `RandomState(5678)`).
const AUTHORS_SEEDS: RandomSeeds = RandomSeeds { train: 1234, test: 5678 };

/// Reads a method. `noise` may be left out (none), and `seeds` (the authors').
pub(super) fn method(item: &Item<'_>) -> Option<Selection> {
    let Some(kind) = item.node.get("kind") else {
        return item.table(METHOD)?.required("kind").and(None);
    };
    let kind = Item::new(kind, format!("{}.kind", item.path), item.sink()).choice("methods", &METHODS)?;
    match kind {
        MethodKind::Backward => item.table(BACKWARD).map(|_| Selection::Backward),
        MethodKind::BatchedGradient => {
            let table = item.table(BATCHED_GRADIENT)?;
            let per_round = table.required("per-round").and_then(|item| item.whole(1));
            let noise = table.or("noise", 0.0, |item| item.number_where("at least 0", |value| value >= 0.0));
            Some(Selection::BatchedGradient { per_round: per_round?, noise: noise? })
        }
        MethodKind::Random => {
            let table = item.table(RANDOM)?;
            let seeds = table.or("seeds", AUTHORS_SEEDS, |item| {
                let table = item.table(SEEDS)?;
                let train = table.required("train").and_then(|item| item.whole(0));
                let test = table.required("test").and_then(|item| item.whole(0));
                Some(RandomSeeds { train: train?, test: test? })
            });
            Some(Selection::Random { seeds: seeds? })
        }
    }
}
