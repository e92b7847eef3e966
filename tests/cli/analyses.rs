//! Analyses: numbers, curves and maps from what earlier stages left.

use std::fs;

use serde_json::{Value, json};

use crate::bench::Bench;

/// Every question, on 16 images ranked by a network of one epoch.
const ANALYSES: &str = r#"name = "analyses"

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

[stage.ranking]
kind = "select"
model = "full"
images = ["fashion.test"]
method = { kind = "batched-gradient", per-round = 56 }

[stage.subset]
kind = "mask"
ranking = "ranking"
keep = 0.25

[stage.collection]
kind = "collection"
model = "full"
model-where = { seed = 0 }
images = ["fashion.test"]
threshold = 0.2
count = 1

[stage.size]
kind = "analyse"
question = "sis-size"
ranking = "ranking.test"
threshold = 0.1 # which the highest of ten probabilities always reaches
thresholds = [0.1, 0.2, 0.9]

[stage.fall]
kind = "analyse"
question = "confidence-curve"
ranking = "ranking.test"

[stage.blank]
kind = "analyse"
question = "masked-confidence"
ranking = "ranking.test"

[stage.places]
kind = "analyse"
question = "heat-map"
subset = "subset.test"

[stage.shared]
kind = "analyse"
question = "overlap"
subset = "subset.test"
subset-where = { seed = 0 }
with = "subset.test"
with-where = { seed = 1 }

[stage.disjoint]
kind = "analyse"
question = "collections"
collection = "collection.test"

[table.size]
title = "SIS size"
columns = "seed"
over = []
rows = [
  { label = "all", analysis = "size", metric = "sis-size" },
  { label = "absent", analysis = "size", metric = "sis-absent" },
]

[claim.overlap]
says = "Two networks keep pixels in common."
check = [
  { analysis = "shared", metric = "overlap", at-least = 0, above = "chance" },
  { analysis = "size", metric = "sis-size", at-least = 0, above = 0 },
]
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-small");
    fs::write(bench.path("analyses.toml"), ANALYSES.replace("DATA", data)).unwrap();
    bench
}

/// What an analysis left, by stage and seed.
fn analysis(bench: &Bench, stage: &str, seed: Option<i64>) -> Value {
    let plan = bench.ok("plan analyses.toml --format json").json();
    let cell = seed.map_or_else(|| json!({}), |seed| json!({ "seed": seed }));
    let mut steps = plan["steps"].as_array().unwrap().iter();
    let step = steps.find(|step| step["stage"] == stage && step["cell"] == cell).unwrap();
    let shown = bench.ok(&format!("show {} --format json", step["key"].as_str().unwrap())).json();
    let file = bench.path(shown["directory"].as_str().unwrap()).join("analysis.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn number(analysis: &Value, metric: &str) -> Value {
    let mut numbers = analysis["numbers"].as_array().unwrap().iter();
    numbers.find(|number| number["metric"] == metric).unwrap().clone()
}

#[test]
fn analyses_answer_from_the_cache_and_their_numbers_are_results() {
    let bench = bench();
    assert_eq!(bench.ok("results analyses.toml").out, "");
    bench.ok("run analyses.toml --threads 2");
    let again = bench.ok("run analyses.toml --format json").out;
    assert!(again.lines().last().unwrap().contains("\"ran\":0"), "{again}");

    let size = analysis(&bench, "size", Some(0));
    let (all, absent, empty) = (number(&size, "sis-size"), number(&size, "sis-absent"), number(&size, "sis-empty"));
    assert_eq!(absent["count"], 16);
    let with_sis = all["count"].as_u64().unwrap() as f64;
    assert!((absent["value"].as_f64().unwrap() * 16.0 + with_sis - 16.0).abs() < 1e-9, "{size}");
    assert!(empty["value"].as_f64().unwrap() <= with_sis / 16.0, "{size}");
    let curve = size["series"].as_array().unwrap().iter().find(|series| series["name"] == "all").unwrap();
    let point = curve["points"].as_array().unwrap().iter().find(|point| point["x"] == 0.1).unwrap();
    assert_eq!((&point["y"], &point["interval"]), (&all["value"], &all["interval"]), "one threshold, one answer");

    let fall = analysis(&bench, "fall", Some(1));
    let last = fall["series"][0]["points"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["x"], &last["count"]), (&json!(784.0), &json!(16)));
    let blank = analysis(&bench, "blank", Some(1));
    let masked = number(&blank, "masked-confidence")["value"].as_f64().unwrap();
    assert!((masked - last["y"].as_f64().unwrap()).abs() < 1e-6, "{masked} {last}");

    let places = analysis(&bench, "places", Some(0));
    let kept: f64 = places["maps"][0]["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).sum();
    assert!((kept - 196.0).abs() < 1e-3, "a quarter of 784 pixels of each image: {kept}");

    let shared = analysis(&bench, "shared", None);
    assert_eq!(number(&shared, "overlap-chance")["value"], 0.25);
    let disjoint = analysis(&bench, "disjoint", None);
    assert_eq!(number(&disjoint, "collection-count")["count"], 1);

    let csv = bench.ok("results analyses.toml --format csv").out;
    assert_eq!(csv.lines().next(), Some("stage,model,images,seed,metric,value,n,key,low,high"));
    assert!(csv.contains("size,full,fashion.test,0,sis-size,"), "{csv}");
    assert!(csv.contains("shared,full,subset.test and subset.test,,overlap,"), "{csv}");
    let human = bench.ok("results analyses.toml").out;
    assert!(human.contains("size seed=0 (full on fashion.test): sis-size ") && human.contains("of 16"), "{human}");
    assert!(human.contains("in brackets: 95 % intervals over images; sizes in pixels"), "{human}");
    let json = bench.ok("results analyses.toml --format json").json();
    let comparisons = &json["claims"][0]["comparisons"];
    assert_eq!((&comparisons[0]["of"], &comparisons[1]["verdict"]), (&json!(0.25), &json!("holds")), "{json}");
    assert_eq!(json["tables"][0]["rows"][0]["metric"], "sis-size");
}

#[test]
fn one_thread_and_two_leave_the_same_bytes() {
    let [one, two] = [1, 2].map(|threads| {
        let bench = bench();
        bench.ok(&format!("run analyses.toml --stage size --stage shared --threads {threads}"));
        [analysis(&bench, "size", Some(0)), analysis(&bench, "size", Some(1)), analysis(&bench, "shared", None)]
    });
    assert_eq!(one, two);
}
