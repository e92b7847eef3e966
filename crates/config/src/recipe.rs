//! Reads the `recipe` of a training.

use overinterp_spec::{Augment, Cosine, Fraction, InputDropout, OneCycle, Recipe};

use super::document::Value;
use super::field::{Field, flag, list, number, one_of, table, table_or, text, whole};
use super::read::{Item, Reader};

/// `recipe` of a training.
pub(super) const RECIPE: &[Field] = &[
    text("like", "A `train` stage whose recipe this one takes and changes", "\"full\"").or("nothing is taken"),
    whole("epochs", "Epochs", "200").depends(LIKE),
    whole("batch", "Images of a step", "128").or("128"),
    number("lr", "The learning rate at the start, or the highest of a schedule", "0.1").or("0.1"),
    number("momentum", "Momentum, below 1", "0.9").or("0.9"),
    flag("nesterov", "Whether momentum is Nesterov's", "true").or("`true` if there is momentum"),
    number("weight-decay", "Weight decay", "5e-4").or("5e-4"),
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
    table_or(
        "schedule",
        "How `lr` changes from step to step: `\"one-cycle\"`, or `\"cosine\"`, which falls by half a cosine after a warm-up along a line",
        "{ kind = \"cosine\", warm-up = 0.05 }",
        "a table, or the name of a kind",
        SCHEDULE,
    )
    .or("`lr` stays, or falls at `milestones`"),
    number("label-smoothing", "How much of each label is told by all classes alike, below 1", "0.1").or("0"),
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

/// `schedule` of a recipe, whatever its kind.
const SCHEDULE: &[Field] = &[
    SCHEDULE_KIND,
    number("warm-up", "The share of the steps in which it climbs", "0.05").or("0.3 of one cycle, 0 of a cosine"),
    number("start", "Where it starts, as a share of `lr`", "0.01")
        .or("0.04 of one cycle, 0.01 of a cosine with a warm-up"),
    number("end", "Where it ends, as a share of `lr`", "0").or("4e-6 of one cycle, 0 of a cosine"),
];
const SCHEDULE_KIND: Field = one_of("kind", "Which", "\"cosine\"", || ScheduleKind::ALL.map(|(name, _)| name).to_vec());

/// How the learning rate changes from step to step.
#[derive(Clone, Copy)]
enum ScheduleKind {
    OneCycle,
    Cosine,
}

overinterp_spec::named! {
    pairs
    /// Every schedule with its name in TOML.
    ScheduleKind { OneCycle = "one-cycle", Cosine = "cosine" }
}

/// `input-dropout` of a recipe.
pub(super) const INPUT_DROPOUT: &[Field] = &[
    number("keep", "The probability that a pixel is seen, above 0 and at most 1", "0.8"),
    whole("samples", "How many draws the logits are averaged over, at most 1000", "10").or("1"),
];

/// What every recipe has.
pub(super) const REQUIRED: [&str; 1] = ["epochs"];

/// Reads a recipe whose `like` is resolved. Only `epochs` must be there, and `gamma` beside `milestones`.
pub(super) fn recipe(item: &Item<'_>) -> Option<Recipe> {
    let table = item.table(RECIPE)?;
    let number = |key: &str, usual: f64, requirement: &str, holds: fn(f64) -> bool| {
        table.or(key, usual, |item| item.number_where(requirement, holds))
    };
    let epochs = table.required("epochs").and_then(|item| item.whole(1));
    let usual = Recipe::usual(1);
    let batch = table.or("batch", usual.batch, |item| item.whole(1));
    let lr = number("lr", usual.lr, "above 0", |value| value > 0.0);
    let momentum = number("momentum", usual.momentum, "at least 0 and below 1", |value| (0.0..1.0).contains(&value));
    let nesterov = table.or("nesterov", momentum.is_none_or(|momentum| momentum > 0.0), |item| item.boolean());
    let weight_decay = number("weight-decay", usual.weight_decay, "at least 0", |value| value >= 0.0);
    let milestones = table.or("milestones", Vec::new(), |item| milestones(&item));
    let gamma = match (table.optional("gamma"), &milestones) {
        (None, Some(milestones)) if milestones.is_empty() => Some(1.0),
        (None, None) => None,
        _ => table.required("gamma").and_then(|item| item.number_where("above 0", |value| value > 0.0)),
    };
    let one_cycle = table.or("one-cycle", None, |item| one_cycle(&item, ONE_CYCLE).map(Some));
    // What is faulty was reported, and contradicts nothing.
    let given = |key: &str| table.optional(key).filter(|item| !matches!(item.node.value, Value::Faulty));
    let other = ["one-cycle", "milestones", "gamma"].into_iter().find(|key| given(key).is_some());
    let (one_cycle, cosine) = match (table.optional("schedule"), other) {
        (None, _) => (one_cycle, Some(None)),
        (Some(item), Some(other)) if given("schedule").is_some() => {
            (one_cycle, item.fault(format!("stands beside `{other}`, which changes `lr` otherwise: leave one out")))
        }
        (Some(item), _) => match schedule(&item) {
            None => (None, None),
            Some(Schedule::OneCycle(cycle)) => (Some(Some(cycle)), Some(None)),
            Some(Schedule::Cosine(cosine)) => (one_cycle, Some(Some(cosine))),
        },
    };
    let label_smoothing = table.or("label-smoothing", 0.0, |item| {
        item.number_where("at least 0 and below 1", |value| (0.0..1.0).contains(&value))
    });
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
        cosine: cosine?,
        label_smoothing: label_smoothing?,
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

/// How the learning rate changes from step to step.
enum Schedule {
    OneCycle(OneCycle),
    Cosine(Cosine),
}

/// Reads a schedule: the name of a kind, or a table with it.
fn schedule(item: &Item<'_>) -> Option<Schedule> {
    if let Value::Text(_) = item.node.value {
        return Some(match item.choice("schedules", &ScheduleKind::ALL)? {
            ScheduleKind::OneCycle => Schedule::OneCycle(OneCycle::default()),
            ScheduleKind::Cosine => Schedule::Cosine(Cosine::default()),
        });
    }
    let table = item.table(SCHEDULE)?;
    match table.required("kind")?.choice("schedules", &ScheduleKind::ALL)? {
        ScheduleKind::OneCycle => one_cycle(item, SCHEDULE).map(Schedule::OneCycle),
        ScheduleKind::Cosine => {
            let usual = Cosine::default();
            let warm_up = table.or("warm-up", usual.warm_up, |item| {
                item.number_where("at least 0 and below 1", |value| (0.0..1.0).contains(&value))
            });
            let (start, end) = (share(&table, "start", usual.start), share(&table, "end", usual.end));
            Some(Schedule::Cosine(Cosine { warm_up: warm_up?, start: start?, end: end? }))
        }
    }
}

/// Reads `warm-up`, `start` and `end`, all of which may be left out.
fn one_cycle(item: &Item<'_>, fields: &'static [Field]) -> Option<OneCycle> {
    let table = item.table(fields)?;
    let OneCycle { warm_up, start, end } = OneCycle::default();
    let warm_up = table
        .or("warm-up", warm_up, |item| item.number_where("above 0 and below 1", |value| value > 0.0 && value < 1.0));
    let (start, end) = (share(&table, "start", start), share(&table, "end", end));
    Some(OneCycle { warm_up: warm_up?, start: start?, end: end? })
}

/// A share of the learning rate.
fn share(table: &Reader<'_>, key: &str, usual: f64) -> Option<f64> {
    table.or(key, usual, |item| item.number_where("at least 0 and at most 1", |value| (0.0..=1.0).contains(&value)))
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
