//! Ensembles and networks with input dropout, through every step of a run: the same bytes however it is run, each image
//! looked at through its own draw, and imports that say what a network was trained not to see.

use std::collections::BTreeMap;
use std::fs;
#[cfg(unix)]
use std::time::Duration;

use image::GrayImage;
use overinterp_artifacts::{Collections, ImageSet, Model, Ranking};
use overinterp_kernels::engine::Purpose;
use overinterp_nn::cpu::compiled_model::{CompiledModel, ModelWorkspace};
use overinterp_nn::cpu::scorer::{argmax, predict, probability};
use overinterp_nn::images::batches::{Levels, Samples};
use overinterp_nn::input_dropout::Use;
use overinterp_workflow::stage::Artifact;
use serde_json::Value;

use crate::bench::{Bench, Events};
use crate::runs::files;

/// Pixels of a row and of a column.
const SIDE: usize = 8;
const CLASSES: [&str; 3] = ["a", "b", "c"];
/// Images of a class in each split: so many test images that an exact selection has two shards.
const TRAIN: usize = 8;
const TEST: usize = 6;

/// Three networks of two kinds as one model, which is asked in every way.
const EXPERIMENT: &str = r#"name = "tiny"

[sweep]
seed = [0, 1]

[data.small]
kind = "folder"
root = "small"

[stage.full]
kind = "train"
images = "small.train"
arch = "cnn"
seed = "${seed}"
recipe = { epochs = 1, batch = 8, lr = 0.05, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }

[stage.blind]
kind = "train"
images = "small.train"
arch = "cnn"
seed = 5
recipe = { like = "full", epochs = 40, input-dropout = { keep = 0.7, samples = 2 } }

[stage.ensemble]
kind = "ensemble"
members = ["full", "blind"]
over = ["seed"]

[stage.exact]
kind = "select"
model = "ensemble"
images = ["small.test"]
method = { kind = "backward" }

[stage.gradient]
kind = "select"
model = "ensemble"
images = ["small.train", "small.test"]
method = { kind = "batched-gradient", per-round = 8 }

[stage.all]
kind = "collection"
model = "blind"
images = ["small.test"]
threshold = 0.4
count = 6

[stage.subset]
kind = "mask"
ranking = "gradient"
keep = 0.1

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "ensemble", images = "small.test" },
  { model = "blind", images = "subset.test" },
]
"#;

/// What a network's own file, and one with the authors' names, are imported as.
const IMPORTS: &str = r#"name = "tiny"

[data.small]
kind = "folder"
root = "small"

[stage.silent]
kind = "import"
file = "own.safetensors"
arch = "cnn"
data = "small"

[stage.seeing]
kind = "import"
file = "own.safetensors"
arch = "cnn"
data = "small"
input-dropout = { keep = 1.0 }

[stage.blind]
kind = "import"
file = "own.safetensors"
arch = "cnn"
data = "small"
input-dropout = { keep = 0.7, samples = 2, seed = 5 }

[stage.wrapped]
kind = "import"
file = "wrapped.safetensors"
arch = "cnn"
data = "small"

[stage.wrapped-blind]
kind = "import"
file = "wrapped.safetensors"
arch = "cnn"
data = "small"
input-dropout = { keep = 0.7, samples = 2, seed = 5 }

[stage.confidence]
kind = "evaluate"
pairs = [
  { model = "seeing", images = "small.test" },
  { model = "blind", images = "small.test" },
  { model = "wrapped", images = "small.test" },
  { model = "wrapped-blind", images = "small.test" },
]
"#;

/// The same network as it is exported for the authors.
const SILENT: &str = r#"
[stage.silent]
kind = "import"
file = "out/checkpoints/checkpoint.safetensors"
arch = "cnn"
data = "small"
"#;
/// It in the place of the silent one, of which `seeing` would otherwise be the same step.
const EXPORTED: &str = r#"
[stage.seeing]
kind = "import"
file = "out/checkpoints/checkpoint.safetensors"
arch = "cnn"
data = "small"
input-dropout = { keep = 1.0 }

[stage.again]
kind = "import"
file = "out/checkpoints/checkpoint.safetensors"
arch = "cnn"
data = "small"
input-dropout = { keep = 0.7, samples = 2, seed = 5 }
"#;

/// A bright bar whose place tells the class, on noise that tells the images apart.
fn pixel(class: usize, number: usize, row: usize, column: usize) -> u8 {
    let noise = ((row * 31 + column * 17 + number * 101 + class * 57) * 7919 % 127) as u8;
    if row / 3 == class { 128 + noise } else { noise }
}

/// Images in the order that the program gives them: the first of each class, then the second of each.
fn numbers(each: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..each).flat_map(|turn| (0..CLASSES.len()).map(move |class| (turn, class)))
}

fn bench() -> Bench {
    let bench = Bench::new();
    for (split, each, first) in [("train", TRAIN, 0), ("test", TEST, TRAIN)] {
        for (turn, class) in numbers(each) {
            let folder = bench.path("small").join(split).join(CLASSES[class]);
            fs::create_dir_all(&folder).unwrap();
            let value = |x, y| image::Luma([pixel(class, first + turn, y as usize, x as usize)]);
            let image = GrayImage::from_fn(SIDE as u32, SIDE as u32, value);
            image.save(folder.join(format!("{turn}.png"))).unwrap();
        }
    }
    fs::write(bench.path("tiny.toml"), EXPERIMENT).unwrap();
    bench
}

/// The test images, as a model is shown them.
fn test_images(model: &Model) -> Vec<Vec<f32>> {
    let pixels = numbers(TEST).flat_map(|(turn, class)| {
        (0..SIDE * SIDE).map(move |place| pixel(class, TRAIN + turn, place / SIDE, place % SIDE))
    });
    let set = ImageSet {
        shape: model.shape,
        classes: CLASSES.map(str::to_owned).to_vec(),
        normalise: model.networks[0].normalise.clone(),
        pixels: pixels.collect(),
        labels: numbers(TEST).map(|(_, class)| class as u16).collect(),
    };
    let levels = Levels::of(model);
    (0..set.len() as u32).map(|index| Samples::whole(&set).input(&levels, &[index], None).unwrap()).collect()
}

#[test]
fn plan_and_bench_know_the_size_of_images_in_folders() {
    let bench = bench();
    let said = bench.ok("bench tiny.toml --stage gradient --seconds 0").out;
    assert!(said.contains("cnn on images of 8x8x1"), "{said}");
    // Once, and again from what is remembered of the files.
    for _ in 0..2 {
        let plan = bench.ok("plan tiny.toml --format json").json();
        for step in plan["steps"].as_array().unwrap() {
            let is_of_networks = ["full", "blind", "exact", "gradient"].contains(&step["stage"].as_str().unwrap());
            // How many candidates a backward selection evaluates depends on the network.
            let basis = if step["stage"] == "exact" { "at-most" } else { "rates" };
            assert!(!is_of_networks || step["basis"] == basis && step["estimate"].as_f64() > Some(0.0), "{step}");
        }
    }
}

/// The artifacts of a stage's steps, in the order of their shards.
pub fn artifacts<A: Artifact>(bench: &Bench, events: &Events, stage: &str) -> Vec<A> {
    let mut steps: Vec<&Value> = events.steps(stage).collect();
    steps.sort_by_key(|step| step["shard"][0].as_u64());
    let load = |step: &&Value| {
        let (kind, hash) = step["key"].as_str().unwrap().split_once(':').unwrap();
        let (kind, _) = kind.rsplit_once("-v").unwrap();
        A::load(&bench.path("cache/v1/steps").join(kind).join(hash)).unwrap()
    };
    steps.iter().map(load).collect()
}

#[test]
fn steps_of_ensembles_and_blind_models_have_the_same_bytes_for_any_number_of_threads() {
    let bench = bench();
    let events = bench.run("--threads 1 --jobs 1 --cache one");
    assert_eq!(events.total("failed") + events.total("skipped"), 0);
    assert_eq!(events.count("exact", "ran"), 2, "there are two shards");
    bench.run("--threads 2 --jobs 2 --cache two");
    let [one, two] = ["one", "two"].map(|cache| files(&bench.path(cache).join("v1/steps")));
    for part in ["ensemble.json", "ranking.safetensors", "collections.json", "model.safetensors"] {
        assert!(one.keys().any(|file| file.ends_with(part)), "{part}: {:?}", one.keys());
    }
    assert!(one.keys().eq(two.keys()), "{:?}\n{:?}", one.keys(), two.keys());
    for (file, bytes) in &one {
        assert!(bytes == &two[file], "{file} differs");
    }
}

#[cfg(unix)]
#[test]
fn steps_of_ensembles_and_blind_models_have_the_same_bytes_after_interruptions() {
    let bench = bench();
    // The training of `blind`, which takes longest, and then the selections.
    let mut finished = interrupted_after(&bench, Some("full"), Duration::from_millis(150));
    // All selections together take little more than that.
    let later = interrupted_after(&bench, None, Duration::ZERO);
    assert!(later > finished, "{later} steps after {finished}");
    finished = later;
    let rest = bench.run("");
    assert_eq!(rest.total("cached"), finished);
    assert!(rest.total("ran") > 0);
    bench.run("--cache undisturbed");
    let [cut, whole] = ["cache", "undisturbed"].map(|cache| files(&bench.path(cache).join("v1/steps")));
    assert!(cut.keys().eq(whole.keys()), "{:?}\n{:?}", cut.keys(), whole.keys());
    for (file, bytes) in &cut {
        assert!(bytes == &whole[file], "{file} differs");
    }
}

/// Interrupts a run so long after a step, of that stage or of any, has run; says how many steps are then in the cache.
#[cfg(unix)]
fn interrupted_after(bench: &Bench, stage: Option<&str>, wait: Duration) -> u64 {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let mut child = Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(["run", "tiny.toml", "--format", "json"])
        .current_dir(bench.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut events = Events(Vec::new());
    let mut sent = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if event["status"] == "ran" && stage.is_none_or(|stage| event["stage"] == stage) && !sent {
            sent = true;
            std::thread::sleep(wait);
            assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        }
        events.0.push(event);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130), "{:?}", events.0);
    assert_eq!(events.total("failed"), 0);
    assert!(events.total("skipped") > 0, "it was too late to interrupt anything");
    events.total("ran") + events.total("cached")
}

/// The class and its probability that a model gives an image, through what input dropout keeps for that use.
fn asked(workspace: &mut ModelWorkspace, purpose: Use, number: usize, image: &[f32]) -> (u16, u32) {
    workspace.draw(purpose, number);
    let logits = predict(workspace, image);
    let class = argmax(logits);
    (class as u16, probability(logits, class).to_bits())
}

#[test]
fn selections_look_at_each_image_through_its_own_draw_for_selections() {
    let bench = bench();
    let events = bench.run("--device cpu");
    let check = |model: &Model, purpose: Purpose, what: &str, found: &BTreeMap<usize, (u16, u32)>| {
        let mut workspace = ModelWorkspace::new(&CompiledModel::new(model, purpose).unwrap());
        let images = test_images(model);
        let (mut by_use, mut by_number) = (0, 0);
        for (number, found) in found {
            let image = &images[*number];
            assert_eq!(*found, asked(&mut workspace, Use::Selection, *number, image), "{what}, image {number}");
            by_use += usize::from(*found != asked(&mut workspace, Use::Evaluation, *number, image));
            by_number += usize::from(*found != asked(&mut workspace, Use::Selection, *number + 1, image));
        }
        // Otherwise this would not tell a wrong draw from the right one.
        assert!(by_use.min(by_number) + 1 >= found.len(), "{what}: {by_use} and {by_number} of {}", found.len());
    };
    let ensemble = &artifacts::<Model>(&bench, &events, "ensemble")[0];
    for (stage, purpose) in [("exact", Purpose::Scores), ("gradient", Purpose::Gradients)] {
        let mut found = BTreeMap::new();
        let mut shards: Vec<Ranking> = artifacts(&bench, &events, stage);
        if stage == "gradient" {
            // The training images come first.
            shards.remove(0);
        }
        for ranking in shards {
            for place in 0..ranking.len() {
                let curve = ranking.curve(place).unwrap();
                found.insert(ranking.first() + place, (curve.class, curve.full.to_bits()));
            }
        }
        assert_eq!(found.len(), CLASSES.len() * TEST, "{stage}");
        check(ensemble, purpose, stage, &found);
    }
    let mut found = BTreeMap::new();
    for collections in artifacts::<Collections>(&bench, &events, "all") {
        for (place, image) in collections.images.iter().enumerate() {
            if let Some(first) = image.members.first() {
                found.insert(collections.first + place, (image.class, first.full.to_bits()));
            }
        }
    }
    assert!(found.keys().any(|number| *number >= 4), "the second shard has a subset: {found:?}");
    check(&artifacts::<Model>(&bench, &events, "blind")[0], Purpose::Scores, "all", &found);
}

#[test]
fn an_import_does_not_lose_input_dropout_silently() {
    let bench = bench();
    let events = bench.run("--stage blind");
    let file = fs::read(bench.step_dir("cache", &events, "blind").join("model.safetensors")).unwrap();
    fs::write(bench.path("own.safetensors"), &file).unwrap();
    // The same weights as the authors name them, and without this program's header.
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let wrapped = tensors.iter().map(|(name, tensor)| (format!("model.{name}"), tensor));
    fs::write(bench.path("wrapped.safetensors"), safetensors::serialize(wrapped, None).unwrap()).unwrap();
    fs::write(bench.path("tiny.toml"), IMPORTS).unwrap();

    let refused = bench.say("run tiny.toml --stage silent");
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("add `input-dropout = { keep = 0.7, samples = 2, seed = 5 }`"), "{}", refused.err);
    assert!(refused.err.contains("`input-dropout = { keep = 1.0 }`"), "{}", refused.err);

    let (stages, _) = IMPORTS.split_once("[stage.silent]").unwrap();
    let (_, others) = IMPORTS.split_once("[stage.seeing]").unwrap();
    fs::write(bench.path("tiny.toml"), format!("{stages}[stage.seeing]{others}")).unwrap();
    let said = bench.ok("run tiny.toml").err;
    let lines = |part: &str| -> Vec<&str> { said.lines().filter(|line| line.contains(part)).collect() };
    let told = lines("begin with `model.`");
    assert!(told.len() == 1 && told[0].contains("wrapped:") && told[0].contains("wrapped.safetensors"), "{said}");
    let told = lines("own.safetensors records");
    assert!(told.len() == 1 && told[0].contains("seeing:") && told[0].contains("keep = 1.0"), "{said}");

    let results = bench.ok("results tiny.toml --format csv").out;
    let confidence = |model: &str| {
        let start = format!("confidence,{model},small.test,confidence,");
        let row = results.lines().find_map(|line| line.strip_prefix(&start));
        row.unwrap_or_else(|| panic!("{start}\n{results}")).split_once(',').unwrap().0
    };
    assert_eq!(confidence("wrapped"), confidence("seeing"));
    assert_eq!(confidence("wrapped-blind"), confidence("blind"));
    assert_ne!(confidence("seeing"), confidence("blind"));
}

#[test]
fn an_exported_network_does_not_lose_input_dropout_silently() {
    let bench = bench();
    bench.run("--stage blind");
    bench.ok("export tiny.toml blind --to out --layout authors");
    bench.edit("[stage.ensemble]", &format!("{SILENT}\n[stage.ensemble]"));
    let refused = bench.say("run tiny.toml --stage silent");
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("checkpoint.safetensors records a network with input dropout"), "{}", refused.err);
    assert!(refused.err.contains("add `input-dropout = { keep = 0.7, samples = 2, seed = 5 }`"), "{}", refused.err);
    assert!(refused.err.contains("`input-dropout = { keep = 1.0 }`"), "{}", refused.err);

    bench.edit(SILENT, EXPORTED);
    let said = bench.ok("run tiny.toml --stage seeing --stage again").err;
    let told: Vec<&str> = said.lines().filter(|line| line.contains("checkpoint.safetensors records")).collect();
    assert!(told.len() == 1 && told[0].contains("seeing:") && told[0].contains("keep = 1.0"), "{said}");
    let events = bench.run("--stage blind --stage seeing --stage again");
    let network = |stage| artifacts::<Model>(&bench, &events, stage).remove(0).networks.remove(0);
    let [own, seeing, again] = ["blind", "seeing", "again"].map(network);
    assert_eq!((&own.tensors, own.input_dropout), (&again.tensors, again.input_dropout));
    assert_eq!((&own.tensors, None), (&seeing.tensors, seeing.input_dropout));
}
