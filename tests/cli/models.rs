//! Ensembles and models with input dropout, as models like any other.

use std::fs;

use serde_json::{Value, json};

use crate::bench::Bench;

/// Two networks, one of which never sees a fifth of the pixels, and both as one.
const MODELS: &str = r#"name = "models"

[sweep]
seed = [0, 1]

[data.fashion]
kind = "fashion-mnist"
root = "DATA"
limit = { train = 64, test = 16 }

[stage.full]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = "${seed}"
recipe = { epochs = 1, batch = 64, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }

[stage.blind]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 0
recipe = { like = "full", input-dropout = { keep = 0.8, samples = 2 } }

[stage.ensemble]
kind = "ensemble"
members = ["full", "blind"]
over = ["seed"]

[stage.alone]
kind = "ensemble"
members = ["full"]

[stage.ranking]
kind = "select"
model = "ensemble"
images = ["fashion.train", "fashion.test"]
method = { kind = "batched-gradient", per-round = 196 }

[stage.exact]
kind = "select"
model = "blind"
images = ["fashion.test"]
method = { kind = "backward" }
count = 1

[stage.sufficient]
kind = "sis"
ranking = "exact"
threshold = 0.2

[stage.all]
kind = "collection"
model = "ensemble"
images = ["fashion.test"]
threshold = 0.9
count = 1

[stage.subset]
kind = "mask"
ranking = "ranking"
keep = 0.05

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "ensemble", images = "fashion.test" },
  { model = "ensemble", images = "subset.test" },
  { model = "blind", images = "subset.test" },
  { model = "full", images = "fashion.test" },
  { model = "alone", images = "fashion.test" },
]

[table.accuracy]
title = "Accuracy"
rows = [
  { label = "single", model = "full", images = "fashion.test" },
  { label = "ensemble", model = "ensemble", images = "fashion.test" },
]
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-small");
    fs::write(bench.path("tiny.toml"), MODELS.replace("DATA", data)).unwrap();
    bench
}

/// The content of one of a step's files.
fn content(bench: &Bench, event: &Value, file: &str) -> Vec<u8> {
    let (kind, hash) = event["key"].as_str().unwrap().split_once(':').unwrap();
    let (kind, _) = kind.rsplit_once("-v").unwrap();
    fs::read(bench.path("cache/v1/steps").join(kind).join(hash).join(file)).unwrap()
}

#[test]
fn ensembles_and_blind_models_are_trained_selected_collected_and_evaluated_like_any_other() {
    let bench = bench();
    let events = bench.run("");
    assert_eq!(events.total("failed") + events.total("skipped"), 0);
    let ensembles: Vec<&Value> = events.steps("ensemble").collect();
    assert_eq!(ensembles.len(), 1);
    assert_eq!(ensembles[0]["cell"], json!({}));
    let members = content(&bench, ensembles[0], "ensemble.json");
    let members: Value = serde_json::from_slice(&members).unwrap();
    assert_eq!(members["members"], json!(["member-1.safetensors", "member-2.safetensors", "member-3.safetensors"]));
    // An ensemble of one has its member's weights, to the byte.
    let weights = |stage| -> Vec<Vec<u8>> {
        events.steps(stage).map(|step| content(&bench, step, "model.safetensors")).collect()
    };
    assert_eq!(weights("alone"), weights("full"));
    for stage in ["ranking", "exact", "sufficient", "all", "subset"] {
        assert!(events.steps(stage).all(|step| step["status"] == "ran"), "{stage}");
    }
    // full and alone with two seeds, ensemble twice, blind once.
    assert_eq!(events.steps("accuracy").count(), 7);
    let results = bench.ok("results tiny.toml --format csv").out;
    let values = |model: &str| -> Vec<String> {
        let rows = results.lines().filter(|line| line.starts_with(&format!("accuracy,{model},fashion.test,")));
        rows.map(|line| line.rsplit_once(',').unwrap().0.replace(model, "")).collect()
    };
    assert_eq!(values("alone"), values("full"));
    assert_eq!(values("full").len(), 4, "{results}");
    let second = bench.run("");
    assert_eq!(second.total("ran"), 0);
    // What selections took is noted: of one image of 28x28, by input dropout with two samples.
    let key = events.steps("exact").next().unwrap()["key"].as_str().unwrap();
    let shown = bench.ok(&format!("show {key}")).out;
    assert!(shown.contains(" of 307720 candidates evaluated"), "{shown}");
    let timed = bench.ok("bench tiny.toml --seconds 0 --format json").out;
    let mut timed = timed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let exact = timed.find(|line| line["stage"] == "exact").unwrap();
    assert_eq!((&exact["effort"]["exhaustive"], &exact["effort"]["steps"]), (&json!(784 * 785 / 2), &json!(784)));
    // Its time is what it took, not what it would take at most.
    assert_eq!(exact["at-most"], false);
}

#[test]
fn an_ensemble_reruns_when_a_value_joins_the_axis_that_it_goes_over() {
    let bench = bench();
    let before = bench.ok("plan tiny.toml --format json --stage ensemble").json();
    bench.edit("seed = [0, 1]", "seed = [0, 1, 2]");
    let after = bench.ok("plan tiny.toml --format json --stage ensemble").json();
    let key = |plan: &Value| {
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().find(|step| step["stage"] == "ensemble").unwrap()["key"].clone()
    };
    assert_ne!(key(&before), key(&after), "it has a member more");
}
