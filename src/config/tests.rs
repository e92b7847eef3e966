//! What valid files become.

use std::path::Path;

use crate::spec::{AxisValue, Cell};

use super::experiment::{ImagesRef, Instance, Settings};
use super::{Experiment, Override, load, parse};

/// Reads a file with a data set and a recipe put in front of `rest`, which may start with `[sweep]`.
fn experiment(rest: &str) -> Experiment {
    let text = format!("name = 'test'\ndata.set.kind = 'cifar10'\n{rest}");
    parse(&text, Path::new("test.toml"), &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

const RECIPE: &str = "recipe = { epochs = 1, batch = 2, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 0 }";

fn instances<'a>(experiment: &'a Experiment, stage: &str) -> &'a [Instance] {
    &experiment.stages.iter().find(|spec| spec.name == stage).expect("the stage is there").instances
}

fn show(cell: &Cell) -> String {
    let shown: Vec<String> = cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    shown.join(",")
}

fn cells(experiment: &Experiment, stage: &str) -> Vec<String> {
    instances(experiment, stage).iter().map(|instance| show(&instance.cell)).collect()
}

fn shipped(name: &str, sets: &[&str]) -> Experiment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments").join(name);
    let sets: Vec<Override> = sets.iter().map(|set| Override::new(*set)).collect();
    load(&path, &sets).unwrap_or_else(|problems| panic!("{problems}"))
}

fn counts(experiment: &Experiment) -> Vec<(&str, usize)> {
    experiment.stages.iter().map(|spec| (spec.name.as_str(), spec.instances.len())).collect()
}

#[test]
fn the_quickstart_expands_each_stage_over_the_axes_it_depends_on() {
    let experiment = shipped("quickstart.toml", &[]);
    let expected = [
        ("full", 2),
        ("ranking", 2),
        ("random-ranking", 1),
        ("subset", 6),
        ("random-subset", 3),
        ("retrained", 6),
        ("random-retrained", 6),
        ("accuracy", 2 + 6 + 6 + 6 + 6),
        ("exact", 1),
        ("sufficient", 1),
    ];
    assert_eq!(counts(&experiment), expected);
    assert_eq!(cells(&experiment, "exact"), [""]);
    assert_eq!(cells(&experiment, "ranking"), ["seed=0", "seed=1"]);
    assert_eq!(experiment.tables[0].over, ["seed"]);
    assert_eq!(experiment.claims.len(), 4);
}

#[test]
fn an_override_of_the_fraction_leaves_trainings_on_full_images_and_selections_as_they_are() {
    let before = shipped("quickstart.toml", &[]);
    let after = shipped("quickstart.toml", &["sweep.fraction=[0.15]"]);
    for stage in ["full", "ranking", "random-ranking", "exact", "sufficient"] {
        assert_eq!(instances(&before, stage), instances(&after, stage), "{stage}");
    }
    assert_eq!(cells(&after, "subset"), ["fraction=0.15,seed=0", "fraction=0.15,seed=1"]);
}

#[test]
fn references_join_on_equal_axis_names() {
    let experiment = shipped("quickstart.toml", &[]);
    for instance in instances(&experiment, "accuracy") {
        let Settings::Evaluate { model, images } = &instance.settings else { panic!("not an evaluation") };
        let ImagesRef::Subset { mask, .. } = images else { continue };
        for (axis, value) in &model.cell {
            assert_eq!(instance.cell.get(axis), Some(value));
            assert!(mask.cell.get(axis).is_none_or(|other| other == value), "{model:?} on {mask:?}");
        }
    }
}

#[test]
fn a_range_is_inclusive_and_may_have_a_step() {
    let experiment = experiment(&format!(
        "[sweep]\nseed = {{ from = 0, to = 6, step = 3 }}\nlr = {{ from = 0.1, to = 0.5, step = 0.2 }}\n\
         [stage.full]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = '${{seed}}'\n\
         recipe = {{ like = 'base', lr = '${{lr}}' }}\n\
         [stage.base]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 7\n{RECIPE}\n"
    ));
    let values = |axis: usize| experiment.axes[axis].values.clone();
    assert_eq!(values(0), [0, 3, 6].map(AxisValue::Int));
    assert_eq!(values(1), [0.1, 0.3, 0.5].map(AxisValue::Float));
    assert_eq!(instances(&experiment, "full").len(), 9);
    assert_eq!(cells(&experiment, "full")[..3], ["lr=0.1,seed=0", "lr=0.3,seed=0", "lr=0.5,seed=0"]);
    assert_eq!(cells(&experiment, "base"), [""]);
}
