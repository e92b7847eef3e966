//! Normalisation belongs to the model: it is given, recorded, exported, imported, and used wherever the model is asked.

use std::fs;

use overinterp_artifacts::Model;
use overinterp_spec::Normalise;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::bench::{Bench, Events};
use crate::blind_models::artifacts;

const EXPERIMENT: &str = r#"name = "tiny"

[data.fashion]
kind = "fashion-mnist"
root = "DATA"
limit = { train = 64, test = 16 }

[stage.own]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 0
recipe = { epochs = 1, batch = 64, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }

[stage.other]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 0
recipe = { like = "own" }
normalise = { mean = [0.5], deviation = [0.25] }

[stage.ranking]
kind = "select"
model = "own"
images = ["fashion.test"]
method = { kind = "batched-gradient", per-round = 196 }

[stage.subset]
kind = "mask"
ranking = "ranking"
keep = 0.1

[stage.both]
kind = "ensemble"
members = ["own", "other"]

[stage.by-both]
kind = "select"
model = "both"
images = ["fashion.test"]
method = { kind = "gradient", per-step = 196 }

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "own", images = "subset.test" },
  { model = "other", images = "subset.test" },
  { model = "both", images = "subset.test" },
]
"#;

/// What is added, by the name of the stage.
const FURTHER: [(&str, &str); 8] = [
    // What the data set has, written out.
    (
        "as-data",
        "kind = \"train\"\nimages = \"fashion.train\"\narch = \"cnn\"\nseed = 0\nrecipe = { like = \"own\" }\nnormalise = { mean = [MEAN], deviation = [STD] }",
    ),
    // Goes on from a network in its way, without a word, and in another.
    (
        "on",
        "kind = \"train\"\nimages = \"fashion.train\"\narch = \"cnn\"\nseed = 1\nrecipe = { like = \"own\" }\ninit = \"other\"",
    ),
    (
        "on-own",
        "kind = \"train\"\nimages = \"fashion.train\"\narch = \"cnn\"\nseed = 1\nrecipe = { like = \"own\" }\ninit = \"own\"",
    ),
    (
        "on-given",
        "kind = \"train\"\nimages = \"fashion.train\"\narch = \"cnn\"\nseed = 1\nrecipe = { like = \"own\" }\ninit = \"other\"\nnormalise = { mean = [0.25], deviation = [0.5] }",
    ),
    (
        "exported",
        "kind = \"import\"\nfile = \"out/checkpoints/checkpoint.safetensors\"\narch = \"cnn\"\ndata = \"fashion\"",
    ),
    (
        "overruled",
        "kind = \"import\"\nfile = \"out/checkpoints/checkpoint.safetensors\"\narch = \"cnn\"\ndata = \"fashion\"\nnormalise = { mean = [0.25], deviation = [0.5] }",
    ),
    ("foreign", "kind = \"import\"\nfile = \"foreign.safetensors\"\narch = \"cnn\"\ndata = \"fashion\""),
    (
        "told",
        "kind = \"import\"\nfile = \"foreign.safetensors\"\narch = \"cnn\"\ndata = \"fashion\"\nnormalise = { mean = [0.5], deviation = [0.25] }",
    ),
];

fn bench() -> Bench {
    let bench = Bench::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-small");
    fs::write(bench.path("tiny.toml"), EXPERIMENT.replace("DATA", data)).unwrap();
    bench
}

fn add(bench: &Bench, stages: &[&str]) {
    let mut text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    for (name, keys) in FURTHER.iter().filter(|(name, _)| stages.contains(name)) {
        let keys = keys.replace("MEAN", &(72.94 / 255.0).to_string()).replace("STD", &(90.02 / 255.0).to_string());
        text = format!("{text}\n[stage.{name}]\n{keys}\n");
    }
    fs::write(bench.path("tiny.toml"), text).unwrap();
}

fn normalise(bench: &Bench, events: &Events, stage: &str) -> Normalise {
    artifacts::<Model>(bench, events, stage).remove(0).networks.remove(0).normalise
}

fn given(mean: f64, std: f64) -> Normalise {
    Normalise { mean: vec![255.0 * mean], std: vec![255.0 * std] }
}

fn data() -> Normalise {
    Normalise { mean: vec![72.94], std: vec![90.02] }
}

fn key(events: &Events, stage: &str) -> String {
    events.steps(stage).next().unwrap()["key"].as_str().unwrap().to_owned()
}

/// A confidence of the evaluation, as it is written.
fn confidence(results: &str, model: &str) -> f64 {
    let start = format!("accuracy,{model},subset.test,confidence,");
    let row = results.lines().find_map(|line| line.strip_prefix(&start));
    row.unwrap_or_else(|| panic!("{start}\n{results}")).split(',').next().unwrap().parse().unwrap()
}

#[test]
fn subsets_of_one_model_are_shown_to_another_in_its_own_normalisation() {
    let bench = bench();
    let events = bench.run("");
    assert_eq!(events.total("failed") + events.total("skipped"), 0);
    let both = artifacts::<Model>(&bench, &events, "both").remove(0);
    let ways: Vec<&Normalise> = both.networks.iter().map(|network| &network.normalise).collect();
    assert_eq!(ways, [&data(), &given(0.5, 0.25)]);
    // Training saw images in either way, so that the first step already differs.
    assert_ne!(both.networks[0].tensors, both.networks[1].tensors);
    let results = bench.ok("results tiny.toml --format csv").out;
    let [own, other, both] = ["own", "other", "both"].map(|model| confidence(&results, model));
    assert!(own > 0.0 && other > 0.0 && both > 0.0, "{results}");
    let shown = bench.ok(&format!("show {}", key(&events, "other"))).out;
    assert!(shown.contains("normalise = { mean = [0.5], deviation = [0.25] }"), "{shown}");
    let shown = bench.ok(&format!("show {}", key(&events, "both"))).out;
    assert!(shown.contains("mean = [0.286039]") && shown.contains("mean = [0.5]"), "{shown}");
}

#[test]
fn what_the_data_set_has_anyway_changes_no_key_and_a_start_from_weights_keeps_their_normalisation() {
    let bench = bench();
    add(&bench, &["as-data", "on", "on-own", "on-given"]);
    let said =
        bench.ok("run tiny.toml --stage own --stage other --stage as-data --stage on --stage on-own --stage on-given");
    let told: Vec<&str> = said.err.lines().filter(|line| line.contains("images are normalised by")).collect();
    assert!(told.len() == 1 && told[0].contains("on: ") && told[0].contains("mean = [0.5]"), "{}", said.err);
    let events = bench.run("--stage own --stage other --stage as-data --stage on --stage on-own --stage on-given");
    assert_eq!(normalise(&bench, &events, "own"), data());
    assert_eq!(normalise(&bench, &events, "on-own"), data());
    assert_eq!(normalise(&bench, &events, "on"), given(0.5, 0.25));
    assert_eq!(normalise(&bench, &events, "on-given"), given(0.25, 0.5));
    let plan = bench.ok("plan tiny.toml --format json --stage own --stage as-data").json();
    let keys: Vec<&str> = plan["steps"].as_array().unwrap().iter().map(|step| step["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 1, "both are one step: {keys:?}");
}

#[test]
fn an_export_tells_its_normalisation_and_a_foreign_file_has_one_assumed() {
    let bench = bench();
    bench.run("--stage own --stage other");
    bench.ok("export tiny.toml other --to out --layout authors");
    let exported = fs::read(bench.path("out/checkpoints/checkpoint.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&exported).unwrap();
    fs::write(bench.path("foreign.safetensors"), safetensors::serialize(tensors.iter(), None).unwrap()).unwrap();
    add(&bench, &["exported", "overruled", "foreign", "told"]);
    let said = bench.ok("run tiny.toml --stage exported --stage overruled --stage foreign --stage told");
    let lines = |part: &str| -> Vec<&str> { said.err.lines().filter(|line| line.contains(part)).collect() };
    let assumed = lines("tells how its network normalises images");
    assert!(
        assumed.len() == 1 && assumed[0].contains("foreign: ") && assumed[0].contains("of `fashion`"),
        "{}",
        said.err
    );
    let overruled = lines("records `normalise = { mean = [0.5], deviation = [0.25] }`; here the network has");
    assert!(overruled.len() == 1 && overruled[0].contains("overruled: "), "{}", said.err);
    let events = bench.run("--stage other --stage exported --stage overruled --stage foreign --stage told");
    for (stage, expected) in [
        ("exported", given(0.5, 0.25)),
        ("overruled", given(0.25, 0.5)),
        ("foreign", data()),
        ("told", given(0.5, 0.25)),
    ] {
        assert_eq!(normalise(&bench, &events, stage), expected, "{stage}");
    }
    // The round trip is the same bytes but for the log.
    let file = |stage: &str| fs::read(bench.step_dir("cache", &events, stage).join("model.safetensors")).unwrap();
    assert!(file("other") == file("exported") && file("told") == file("exported"));
}

#[test]
fn a_normalisation_that_cannot_be_meant_is_refused_when_the_file_is_read() {
    let normalise = "normalise = { mean = [0.5], deviation = [0.25] }";
    for (other, said) in [
        ("normalise = { mean = [127.5], deviation = [64] }", "if it is of pixels from 0 to 255, divide it by 255"),
        ("normalise = { mean = [0.5], deviation = [64] }", "must be at most 1, not 64: it is of pixels from 0 to 1"),
        (
            "normalise = { mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }",
            "is for 3 channels, but the images have 1",
        ),
        ("normalise = { mean = [0.5], deviation = [0.2, 0.2] }", "has 1 in `mean` and 2 in `deviation`"),
        ("normalise = { mean = [0.5], deviation = [0.0] }", "must be above 0, not 0"),
        ("normalise = { mean = [-0.5], deviation = [0.2] }", "must be at least 0, not -0.5"),
        ("normalise = { mean = [nan], deviation = [0.2] }", "this number is not finite"),
        ("normalise = { mean = [], deviation = [] }", "is an empty list"),
        ("normalise = { mean = [0.5] }", "lacks `deviation`"),
        ("normalise = { mean = [0.5], std = [0.2] }", "there is no key `std`"),
    ] {
        let bench = bench();
        bench.edit(normalise, other);
        let refused = bench.say("plan tiny.toml");
        assert!(refused.code == Some(2) && refused.err.contains(said), "{other}\n{}", refused.err);
    }
}

/// The weights of a network with those of some tensors changed.
fn with(file: &[u8], changed: &[&str], change: impl Fn(&mut [f32])) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let mut all: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    for (name, view) in tensors.iter() {
        let (chunks, _) = view.data().as_chunks();
        let mut data: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if changed.contains(&name) {
            change(&mut data);
        }
        all.push((name.to_owned(), view.shape().to_vec(), data));
    }
    let bytes: Vec<Vec<u8>> =
        all.iter().map(|(_, _, data)| data.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = all
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

const OWN_EXACT: &str = r#"
[stage.own-exact]
kind = "select"
model = "own"
images = ["fashion.test"]
method = { kind = "backward" }
count = 1
"#;

const ASKING: &str = r#"
[stage.bad]
kind = "import"
file = "bad.safetensors"
arch = "cnn"
data = "fashion"

[stage.exact]
kind = "select"
model = "bad"
images = ["fashion.test"]
method = { kind = "backward" }
count = 1

[stage.rounds]
kind = "select"
model = "bad"
images = ["fashion.test"]
method = { kind = "batched-gradient", per-round = 196 }

[stage.slopes]
kind = "select"
model = "bad"
images = ["fashion.test"]
method = { kind = "gradient", per-step = 196 }

[stage.integrated]
kind = "select"
model = "bad"
images = ["fashion.test"]
method = { kind = "integrated-gradients", steps = 2, per-step = 196 }

[stage.taken]
kind = "import-selection"
data = "fashion"
files = { test = "out/sis/fashion_test" }
model = "bad"
method = { kind = "backward" }
count = 1

[stage.read-rounds]
kind = "import-selection"
data = "fashion"
files = { test = "rounds/sis/fashion_test" }
model = "bad"
method = { kind = "batched-gradient", per-round = 196 }

[stage.all]
kind = "collection"
model = "bad"
images = ["fashion.test"]
threshold = 0.9
count = 1

[stage.said]
kind = "evaluate"
pairs = [{ model = "bad", images = "fashion.test" }]

[stage.cool]
kind = "temperature"
model = "bad"
images = "fashion.train"

[stage.curve]
kind = "analyse"
question = "deletion-insertion"
ranking = "ranking.test"
model = "bad"

[stage.reliability]
kind = "analyse"
question = "calibration"
model = "bad"
images = "fashion.test"

[stage.on]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 0
recipe = { like = "own" }
init = "bad"
"#;

#[test]
fn no_stage_takes_what_is_not_a_number_for_an_answer() {
    let bench = bench();
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    fs::write(bench.path("tiny.toml"), format!("{text}{OWN_EXACT}")).unwrap();
    let events = bench.run("--stage own --stage ranking --stage own-exact");
    bench.ok("export tiny.toml own-exact --to out --layout authors");
    bench.ok("export tiny.toml ranking --to rounds --layout authors");
    let sound = fs::read(bench.step_dir("cache", &events, "own").join("model.safetensors")).unwrap();
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    fs::write(bench.path("tiny.toml"), format!("{text}{ASKING}")).unwrap();
    let stages = [
        "exact",
        "rounds",
        "slopes",
        "integrated",
        "taken",
        "read-rounds",
        "all",
        "said",
        "cool",
        "curve",
        "reliability",
        "on",
    ];
    let asked = stages.map(|stage| format!(" --stage {stage}")).concat();
    // A ReLU would hide the first of these.
    for (tensors, value, expected) in [
        (&["conv1.weight"][..], f32::NAN, "the model's weights are not finite: `conv1.weight` holds NaN"),
        (&["linear.bias"], f32::NEG_INFINITY, "the model's weights are not finite: `linear.bias` holds -inf"),
        (&["bn6.weight", "linear.weight"], 1e25, "although its weights are"),
    ] {
        let change = |data: &mut [f32]| {
            if value.is_finite() { data.fill(value) } else { data[1] = value }
        };
        fs::write(bench.path("bad.safetensors"), with(&sound, tensors, change)).unwrap();
        let said = bench.say(&format!("run tiny.toml{asked}"));
        assert_eq!(said.code, Some(3), "{}", said.err);
        // That of calibration asks by an evaluation, which has failed by then.
        for stage in stages.into_iter().filter(|stage| *stage != "reliability") {
            // The loss of a training is looked at, too.
            let expected = if stage == "on" && value.is_finite() { "the loss is" } else { expected };
            // Why they failed stands at the end.
            let line = said
                .err
                .lines()
                .rfind(|line| line.strip_prefix("failed").is_some_and(|rest| rest.trim().starts_with(stage)));
            let line = line.unwrap_or_else(|| panic!("{stage} did not fail on {tensors:?}\n{}", said.err));
            assert!(line.contains(expected), "{line}");
            if expected.starts_with("although") {
                let asked =
                    if stage == "read-rounds" { "logits of the fully masked image" } else { "logits of image " };
                assert!(line.contains(asked), "{line}");
            }
        }
        let compared = bench.say("compare-selection tiny.toml taken");
        assert_eq!(compared.code, Some(3), "{}{}", compared.out, compared.err);
        assert!(compared.err.contains(expected), "{}", compared.err);
    }
}
