//! Reads the `recipe` of a training.

use overinterp_spec::{Augment, Fraction, InputDropout, OneCycle, Recipe};

use super::field::{Field, flag, list, number, one_of, table, text, whole};
use super::read::{Item, Reader};

/// `recipe` of a training.
pub(super) const RECIPE: &[Field] = &[
    text("like", "A `train` stage whose recipe this one takes and changes", "\"full\"").or("nothing is taken"),
    whole("epochs", "Epochs", "200").depends(LIKE),
    whole("batch", "Images of a step", "128").depends(LIKE),
    number("lr", "The learning rate at the start, or the highest of one cycle", "0.1").depends(LIKE),
    number("momentum", "Momentum, below 1", "0.9").depends(LIKE),
    flag("nesterov", "Whether momentum is Nesterov's", "true").depends(LIKE),
    number("weight-decay", "Weight decay", "5e-4").depends(LIKE),
    list("milestones", "Epochs after which `lr` is multiplied by `gamma`", "[60, 120, 160]", "whole numbers")
        .or("none"),
    number("gamma", "The factor at milestones", "0.2").depends("needed with `milestones`"),
    table(
        "one-cycle",
        "`lr` climbs and falls once, a step at a time, each by half a cosine",
        "{ warm-up = 0.3 }",
        ONE_CYCLE,
    )
    .or("`lr` stays, or falls at `milestones`"),
    one_of("augment", "What is done to images: `crop-flip` pads by 4, crops and mirrors", "\"none\"", || {
        Augment::ALL.map(|(name, _)| name).to_vec()
    })
    .or("`\"none\"`"),
    table(
        "input-dropout",
        "Hides pixels at random, in training and ever after",
        "{ keep = 0.8, samples = 10 }",
        INPUT_DROPOUT,
    )
    .or("none"),
];

const LIKE: &str = "needed without `like`";

/// `one-cycle` of a recipe.
const ONE_CYCLE: &[Field] = &[
    number("warm-up", "The share of the steps in which it climbs", "0.3").or("0.3"),
    number("start", "Where it starts, as a share of `lr`", "0.04").or("0.04"),
    number("end", "Where it ends, as a share of `lr`", "4e-6").or("4e-6"),
];

/// `input-dropout` of a recipe.
pub(super) const INPUT_DROPOUT: &[Field] = &[
    number("keep", "The probability that a pixel is seen, above 0 and at most 1", "0.8"),
    whole("samples", "How many draws the logits are averaged over, at most 1000", "10").or("1"),
];

/// What every recipe has.
pub(super) const REQUIRED: [&str; 6] = ["epochs", "batch", "lr", "momentum", "nesterov", "weight-decay"];

/// Reads a recipe whose `like` is resolved. `milestones` may be left out (none), with them `gamma` (no fall), and
/// `one-cycle`, `augment` and `input-dropout` (none); every other key must be there.
pub(super) fn recipe(item: &Item<'_>) -> Option<Recipe> {
    let table = item.table(RECIPE)?;
    let whole = |key: &str| table.required(key).and_then(|item| item.whole(1));
    let number = |key: &str, requirement: &str, holds: fn(f64) -> bool| {
        table.required(key).and_then(|item| item.number_where(requirement, holds))
    };
    let epochs = whole("epochs");
    let batch = whole("batch");
    let lr = number("lr", "above 0", |value| value > 0.0);
    let momentum = number("momentum", "at least 0 and below 1", |value| (0.0..1.0).contains(&value));
    let nesterov = table.required("nesterov").and_then(|item| item.boolean());
    let weight_decay = number("weight-decay", "at least 0", |value| value >= 0.0);
    let milestones = table.or("milestones", Vec::new(), |item| milestones(&item));
    let gamma = match (table.optional("gamma"), &milestones) {
        (None, Some(milestones)) if milestones.is_empty() => Some(1.0),
        (None, None) => None,
        _ => number("gamma", "above 0", |value| value > 0.0),
    };
    let one_cycle = table.or("one-cycle", None, |item| one_cycle(&item).map(Some));
    let augment = table.or("augment", Augment::None, |item| item.choice("kinds of augmentation", &Augment::ALL));
    let input_dropout = table.or("input-dropout", None, |item| {
        let table = item.table(INPUT_DROPOUT)?;
        input_dropout(&table).map(|dropout| Some(dropout).filter(InputDropout::drops))
    });
    if let (Some(true), Some(0.0)) = (nesterov, momentum) {
        return item.fault("has `nesterov` without `momentum`: set one to false or the other above 0");
    }
    if let (Some(Some(_)), true) = (one_cycle, milestones.as_ref().is_some_and(|list| !list.is_empty())) {
        return item.fault("has both `one-cycle` and `milestones`: leave one out");
    }
    if let (Some(Some(_)), true) = (one_cycle, table.optional("gamma").is_some()) {
        return item.fault("has both `one-cycle` and `gamma`, which is a factor at milestones: leave one out");
    }
    Some(Recipe {
        epochs: epochs?,
        batch: batch?,
        lr: lr?,
        momentum: momentum?,
        nesterov: nesterov?,
        weight_decay: weight_decay?,
        milestones: milestones?,
        gamma: gamma?,
        one_cycle: one_cycle?,
        augment: augment?,
        input_dropout: input_dropout?,
    })
}

/// How many draws the authors average (the default of their `num_samples`).
const AUTHORS_SAMPLES: usize = 1;
/// The most draws: each has its own set of a network's maps in memory, on every thread.
const MOST_SAMPLES: usize = 1000;

/// Reads `keep` and `samples`. What keeps every pixel is no dropout, and no part of a manifest.
pub(super) fn input_dropout(table: &Reader<'_>) -> Option<InputDropout> {
    let keep = table.required("keep").and_then(|item| {
        let value = item.number()?;
        let fault = || item.fault(format!("must be above 0 and at most 1, not {value}"));
        Fraction::try_from(value).map_or_else(|_| fault(), Some)
    });
    let samples = table.or("samples", AUTHORS_SAMPLES, |item| {
        let samples = item.whole(1)?;
        if samples > MOST_SAMPLES {
            return item.fault(format!(
                "must be at most {MOST_SAMPLES}, not {samples}: each sample keeps the network's maps in memory and takes a pass"
            ));
        }
        Some(samples)
    });
    Some(InputDropout { keep: keep?, samples: samples? })
}

/// Reads `warm-up`, `start` and `end`, all of which may be left out.
fn one_cycle(item: &Item<'_>) -> Option<OneCycle> {
    let table = item.table(ONE_CYCLE)?;
    let number = |key: &str, default: f64, requirement: &str, holds: fn(f64) -> bool| {
        table.or(key, default, |item| item.number_where(requirement, holds))
    };
    let OneCycle { warm_up, start, end } = OneCycle::default();
    let warm_up = number("warm-up", warm_up, "above 0 and below 1", |value| value > 0.0 && value < 1.0);
    let share = |key: &str, default: f64| {
        number(key, default, "at least 0 and at most 1", |value| (0.0..=1.0).contains(&value))
    };
    let (start, end) = (share("start", start), share("end", end));
    Some(OneCycle { warm_up: warm_up?, start: start?, end: end? })
}

fn milestones(item: &Item<'_>) -> Option<Vec<usize>> {
    let mut milestones: Vec<usize> = Vec::new();
    let mut sound = true;
    for item in item.list()? {
        match item.whole(1) {
            Some(epoch) if milestones.last().is_some_and(|&last| last >= epoch) => {
                sound = false;
                item.fault::<()>("must be later than the milestone before it");
            }
            Some(epoch) => milestones.push(epoch),
            None => sound = false,
        }
    }
    sound.then_some(milestones)
}
