//! Reads the `method` of a selection.

use overinterp_spec::{RandomSeeds, Selection};

use super::field::{Field, number, one_of, table, whole};
use super::read::{Item, Reader};

/// `method` of a selection, whatever its kind.
pub(super) const METHOD: &[Field] = &[KIND, PER_ROUND, NOISE, STEPS_FIELD, PER_STEP_FIELD, SEEDS_FIELD];

const KIND: Field = one_of("kind", "Which", "\"backward\"", || MethodKind::ALL.map(|(name, _)| name).to_vec());
const PER_ROUND: Field =
    whole("per-round", "For `batched-gradient`: pixels masked at a time", "16").depends("`batched-gradient` needs it");
const NOISE: Field = number("noise", "For `batched-gradient`: the variance of noise on what is masked", "0.0").or("0");
const STEPS_FIELD: Field =
    whole("steps", "For `integrated-gradients`: points on the way from the masked image to the whole one", "50")
        .or("50");
const PER_STEP_FIELD: Field =
    whole("per-step", "For both gradients: pixels between two recorded values of f", "8").or("8");
const SEEDS_FIELD: Field =
    table("seeds", "For `random`: which draw, of each half", "{ train = 1234, test = 5678 }", SEEDS)
        .or("the authors', as in the example");

const BACKWARD: &[Field] = &[KIND];
const BATCHED_GRADIENT: &[Field] = &[KIND, PER_ROUND, NOISE];
const GRADIENT: &[Field] = &[KIND, PER_STEP_FIELD];
const INTEGRATED_GRADIENTS: &[Field] = &[KIND, STEPS_FIELD, PER_STEP_FIELD];
const RANDOM: &[Field] = &[KIND, SEEDS_FIELD];

/// `seeds` of a random selection.
const SEEDS: &[Field] = &[whole("train", "Of the training half", "1234"), whole("test", "Of the test half", "5678")];

/// How a selection ranks pixels.
#[derive(Clone, Copy)]
enum MethodKind {
    Backward,
    BatchedGradient,
    Gradient,
    IntegratedGradients,
    Random,
}

overinterp_spec::named! {
    pairs
    /// Every method with its name in TOML.
    MethodKind {
        Backward = "backward",
        BatchedGradient = "batched-gradient",
        Gradient = "gradient",
        IntegratedGradients = "integrated-gradients",
        Random = "random",
    }
}

/// Seeds of the authors' random subsets (paper code, `RandomState(1234)` and `RandomState(5678)`).
const AUTHORS_SEEDS: RandomSeeds = RandomSeeds { train: Some(1234), test: Some(5678) };

/// Points on the way from the fully masked image to the whole one (Sundararajan et al. 2017 find 20 to 300 enough).
const STEPS: usize = 50;
/// Pixels between two recorded values of f: 128 values of a 32x32 image.
const PER_STEP: usize = 8;

/// Reads a method. `noise` may be left out (none), and `steps`, `per-step` and `seeds` (the authors').
pub(super) fn method(item: &Item<'_>) -> Option<Selection> {
    let Some(kind) = item.node.get("kind") else {
        return item.table(METHOD)?.required("kind").and(None);
    };
    let kind = Item::new(kind, format!("{}.kind", item.path), item.sink()).choice("methods", &MethodKind::ALL)?;
    match kind {
        MethodKind::Backward => item.table(BACKWARD).map(|_| Selection::Backward),
        MethodKind::BatchedGradient => {
            let table = item.table(BATCHED_GRADIENT)?;
            let per_round = table.required("per-round").and_then(|item| item.whole(1));
            let noise = table.or("noise", 0.0, |item| item.number_where("at least 0", |value| value >= 0.0));
            Some(Selection::BatchedGradient { per_round: per_round?, noise: noise? })
        }
        MethodKind::Gradient => {
            let table = item.table(GRADIENT)?;
            Some(Selection::Gradient { per_step: per_step(&table)? })
        }
        MethodKind::IntegratedGradients => {
            let table = item.table(INTEGRATED_GRADIENTS)?;
            let steps = table.or("steps", STEPS, |item| item.whole(1));
            let per_step = per_step(&table);
            Some(Selection::IntegratedGradients { steps: steps?, per_step: per_step? })
        }
        MethodKind::Random => {
            let table = item.table(RANDOM)?;
            let seeds = table.or("seeds", AUTHORS_SEEDS, |item| {
                let table = item.table(SEEDS)?;
                let train = table.required("train").and_then(|item| item.whole(0));
                let test = table.required("test").and_then(|item| item.whole(0));
                Some(RandomSeeds { train: Some(train?), test: Some(test?) })
            });
            Some(Selection::Random { seeds: seeds? })
        }
    }
}

fn per_step(table: &Reader<'_>) -> Option<usize> {
    table.or("per-step", PER_STEP, |item| item.whole(1))
}
