//! Controls: masks alone, other fills, rankings by gradients, curves, calibration and temperature.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::bench::Bench;

/// All of them on a few images and a network of three epochs.
const CONTROLS: &str = r#"name = "controls"

[sweep]
fill = ["black", "blur", "noise"]

[data.fashion]
kind = "fashion-mnist"
root = "DATA"
limit = { train = 192, test = 24 }

[data.held]
kind = "fashion-mnist"
root = "DATA"
limit = { train = 256, test = 24 }

[stage.full]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 0
recipe = { epochs = 3, batch = 32, lr = 0.05, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }

[stage.ranking]
kind = "select"
model = "full"
images = ["fashion.train", "fashion.test"]
method = { kind = "gradient", per-step = 56 }

[stage.integrated]
kind = "select"
model = "cool"
images = ["fashion.test"]
method = { kind = "integrated-gradients", steps = 4, per-step = 98 }

[stage.random]
kind = "select"
images = ["fashion.test"]
method = { kind = "random" }

[stage.sufficient]
kind = "sis"
ranking = "ranking"
threshold = 0.2

[stage.mask-only]
kind = "mask"
ranking = "ranking"
keep = 0.1
content = "mask-only"

[stage.filled]
kind = "mask"
ranking = "ranking"
keep = 0.1
fill = "${fill}"

[stage.retrained]
kind = "train"
images = "filled.train"
arch = "cnn"
seed = 0
recipe = { like = "full", epochs = 1 }

[stage.by-position]
kind = "train"
images = "mask-only.train"
arch = "cnn"
seed = 0
recipe = { like = "full", epochs = 1 }

[stage.cool]
kind = "temperature"
model = "full"
images = "held.train"
last = 64

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "full", images = "fashion.test" },
  { model = "cool", images = "fashion.test" },
  { model = "by-position", images = "mask-only.test" },
  { model = "retrained", images = "filled.test" },
]

[stage.curve]
kind = "analyse"
question = "deletion-insertion"
ranking = "ranking.test"
model = "full"

[stage.curve-of-another]
kind = "analyse"
question = "deletion-insertion"
ranking = "random.test"
model = "cool"
fractions = [0.25, 0.5]

[stage.reliability]
kind = "analyse"
question = "calibration"
model = "full"
images = "fashion.test"

[stage.reliability-of-subsets]
kind = "analyse"
question = "calibration"
model = "full"
images = "mask-only.test"
bins = 5

[table.areas]
title = "Areas"
rows = [
  { label = "deletion", analysis = "curve", metric = "deletion-area" },
  { label = "temperature", analysis = "cool", metric = "temperature" },
]

[claim.calibrated]
says = "It is calibrated."
check = [{ analysis = "reliability", metric = "calibration-error", within = 1, of = 0 }]
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-small");
    fs::write(bench.path("tiny.toml"), CONTROLS.replace("DATA", data)).unwrap();
    bench
}

/// Where a step's files lie.
fn directory(bench: &Bench, event: &Value) -> PathBuf {
    let (kind, hash) = event["key"].as_str().unwrap().split_once(':').unwrap();
    let (kind, _) = kind.rsplit_once("-v").unwrap();
    bench.path("cache/v1/steps").join(kind).join(hash)
}

fn analysis(bench: &Bench, event: &Value) -> Value {
    serde_json::from_slice(&fs::read(directory(bench, event).join("analysis.json")).unwrap()).unwrap()
}

fn number(analysis: &Value, metric: &str) -> f64 {
    let mut numbers = analysis["numbers"].as_array().unwrap().iter();
    numbers.find(|number| number["metric"] == metric).unwrap()["value"].as_f64().unwrap()
}

#[test]
fn controls_run_and_their_numbers_are_results() {
    let bench = bench();
    let events = bench.run("");
    assert_eq!(events.total("failed") + events.total("skipped"), 0);
    // A half of each fill, and one training of each.
    assert_eq!((events.steps("filled").count(), events.steps("retrained").count()), (6, 3));
    // The evaluation that a calibration needs is the one of the `evaluate` stage.
    assert_eq!((events.steps("accuracy").count(), events.steps("reliability").count()), (6, 1));
    assert_eq!(events.steps("reliability-of-subsets").count(), 2);

    let curve = analysis(&bench, events.steps("curve").next().unwrap());
    let ends = |series: usize| {
        let points = curve["series"][series]["points"].as_array().unwrap();
        assert_eq!(points.len(), 21);
        [points[0]["y"].as_f64().unwrap(), points[20]["y"].as_f64().unwrap()]
    };
    let (deletion, insertion) = (ends(0), ends(1));
    assert!((deletion[0] - insertion[1]).abs() < 1e-9 && (deletion[1] - insertion[0]).abs() < 1e-9, "{curve}");
    let other = analysis(&bench, events.steps("curve-of-another").next().unwrap());
    assert_eq!(other["series"][0]["points"].as_array().unwrap().len(), 4);

    let fit = analysis(
        &bench,
        events.steps("cool").find(|step| !step["key"].as_str().unwrap().starts_with("scale")).unwrap(),
    );
    let temperature = number(&fit, "temperature");
    assert!(temperature > 0.0);
    let results = bench.ok("results tiny.toml --format csv").out;
    let row = |start: &str| {
        let line = results.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {results}"));
        line.to_owned()
    };
    assert!(row("cool,full,held.train,").contains("temperature"));
    assert!(row("curve,full,fashion.test,").contains("deletion-area"));
    assert!(row("reliability-of-subsets,full,mask-only.test,").contains("calibration-error"));
    // Dividing logits changes no class.
    let accuracy = |model: &str| {
        let row = row(&format!("accuracy,{model},fashion.test,"));
        row.split(',').skip(4).take(2).collect::<Vec<_>>().join(",")
    };
    assert_eq!(accuracy("full"), accuracy("cool"), "{results}");
    assert_eq!(bench.run("").total("ran"), 0);

    bench.ok("export tiny.toml filled --to pictures");
    for fill in ["black", "blur", "noise"] {
        let path = bench.path(&format!("pictures/filled-filled-test-fill={fill}.png"));
        assert!(path.exists(), "{}", path.display());
    }
}

#[test]
fn the_number_of_threads_changes_no_byte_of_a_control() {
    let (one, two) = (bench(), bench());
    let (first, second) = (one.run("--threads 1"), two.run("--threads 2"));
    for stage in ["ranking", "integrated", "filled", "retrained", "cool", "curve", "reliability"] {
        for (a, b) in first.steps(stage).zip(second.steps(stage)) {
            assert_eq!(a["key"], b["key"]);
            let (from, other) = (directory(&one, a), directory(&two, b));
            for entry in fs::read_dir(&from).unwrap() {
                let name = entry.unwrap().file_name();
                // What is recorded of a run has its date.
                if name != "step.json" && from.join(&name).is_file() {
                    assert_eq!(fs::read(from.join(&name)).unwrap(), fs::read(other.join(&name)).unwrap(), "{stage}");
                }
            }
        }
    }
}
