//! Files of others in, and files for others out: `fixtures/selections/reference.py` made the selections that are read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use overinterp_artifacts::Ranking;
use overinterp_exchange::{GradientFile, SelectionFile, read_predictions};
use overinterp_workflow::stage::Artifact;
use serde_json::Value;

use crate::bench::{Bench, Events};
use crate::blind_models::artifacts;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/selections")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// The reference, as the bench's experiment.
fn bench() -> Bench {
    let bench = Bench::new();
    copy(&fixtures().join("reference"), bench.path("").as_path());
    fs::rename(bench.path("experiment.toml"), bench.path("tiny.toml")).unwrap();
    bench
}

/// What the files of the training images are called, and those of their selections.
const IMAGES: [&str; 8] = ["a0", "b0", "c0", "d0", "a1", "b1", "c1", "d1"];

fn reference_file(bench: &Bench, image: usize) -> PathBuf {
    bench.path(&format!("sis/{}.npz", IMAGES[image]))
}

fn ranking(bench: &Bench, events: &Events, stage: &str) -> Ranking {
    Ranking::load(&bench.step_dir("cache", events, stage)).unwrap()
}

fn compare(bench: &Bench, options: &str) -> (Option<i32>, Vec<Value>) {
    let said = bench.say(&format!("compare-selection tiny.toml reference --format json {options}"));
    assert!(said.code != Some(2), "{}", said.err);
    (said.code, Events::of(&said).0)
}

#[test]
fn every_candidate_of_every_step_is_within_tolerance_of_the_reference() {
    let bench = bench();
    let early = bench.say("compare-selection tiny.toml reference");
    assert_eq!(early.code, Some(2), "{}", early.err);
    assert!(early.err.contains("overinterp run tiny.toml --stage net"), "{}", early.err);
    bench.run("--stage net");
    let (code, events) = compare(&bench, "");
    assert_eq!((code, events.len()), (Some(0), 9), "{events:?}");
    for (image, event) in events[..8].iter().enumerate() {
        assert_eq!((event["image"].as_u64(), &event["agrees"]), (Some(image as u64), &Value::Bool(true)), "{event}");
        assert_eq!(event["compared"].as_u64(), Some(64 * 65 / 2), "{event}");
        assert_eq!(event["class"], event["reference-class"], "{event}");
        assert!(event["candidate"]["difference"].as_f64().unwrap() <= 1e-4, "{event}");
        assert!(event["pick"]["difference"].as_f64().unwrap() <= 1e-6, "{event}");
        assert!(event["full-difference"].as_f64().unwrap() <= 1e-4, "{event}");
    }
    assert_eq!((events[8]["images"].as_u64(), events[8]["agreeing"].as_u64()), (Some(8), Some(8)), "{}", events[8]);
    let (_, two) = compare(&bench, "--images 2");
    assert_eq!(two.len(), 3);
    // Of nothing, nothing agrees.
    let none = bench.say("compare-selection tiny.toml reference --images 0");
    assert_eq!(none.code, Some(2), "{}{}", none.out, none.err);
    assert!(none.err.contains("at least 1"), "{}", none.err);
    let human = bench.ok("compare-selection tiny.toml reference").out;
    assert!(human.contains("8 of 8 images agree"), "{human}");
}

#[test]
fn a_value_an_order_and_a_class_that_are_off_are_found() {
    let bench = bench();
    bench.run("--stage net");
    let change = |image: usize, change: fn(&mut [u32], &mut [f64])| {
        let path = reference_file(&bench, image);
        let file = SelectionFile::read(&path).unwrap();
        let (mut order, mut values) = (file.order().to_vec(), file.values().to_vec());
        change(&mut order, &mut values);
        SelectionFile::new(8, 8, order, values, Vec::new()).unwrap().write(&path).unwrap();
    };
    change(1, |_, values| values[30] += 2e-4);
    // The last pixel, which f needs most, as the first to go.
    change(2, |order, _| order.rotate_right(1));
    let predictions = fs::read_to_string(bench.path("predictions.csv")).unwrap();
    fs::write(bench.path("predictions.csv"), predictions.replace("\n4,1,", "\n4,2,")).unwrap();
    let (code, events) = compare(&bench, "");
    assert_eq!(code, Some(3));
    let agrees: Vec<bool> = events[..8].iter().map(|event| event["agrees"].as_bool().unwrap()).collect();
    assert_eq!(agrees, [true, false, false, true, false, true, true, true]);
    assert_eq!(events[1]["candidate"]["step"].as_u64(), Some(30), "{}", events[1]);
    // Without the values of candidates only picks are compared.
    assert_eq!(events[1]["compared"].as_u64(), Some(64), "{}", events[1]);
    assert!(events[2]["pick"]["difference"].as_f64().unwrap() > 1e-6, "{}", events[2]);
    assert_eq!(events[4]["reference-class"].as_u64(), Some(2), "{}", events[4]);
    assert_eq!(events[8]["agreeing"].as_u64(), Some(5), "{}", events[8]);
}

#[test]
fn imported_selections_are_rankings_like_any_other() {
    let bench = bench();
    let events = bench.run("");
    assert_eq!(events.total("failed") + events.total("skipped"), 0);
    let imported = ranking(&bench, &events, "reference");
    assert_eq!((imported.len(), imported.first(), imported.pixels()), (8, 0, 64));
    let said = read_predictions(&bench.path("predictions.csv")).unwrap();
    for (image, said) in said.iter().enumerate() {
        let file = SelectionFile::read(&reference_file(&bench, image)).unwrap();
        let curve = imported.curve(image).unwrap();
        assert_eq!(imported.order(image), file.order());
        let values: Vec<f32> = file.values().iter().map(|&value| value as f32).collect();
        assert_eq!((curve.class, curve.full, curve.values), (said.class, said.confidence, &values[..]));
    }
    for stage in ["subset", "sufficient-reference", "accuracy"] {
        assert!(events.steps(stage).all(|step| step["status"] == "ran"), "{stage}");
    }
    assert_eq!(bench.run("").total("ran"), 0);
    // Keyed by what the files contain, not by how they are called.
    fs::rename(reference_file(&bench, 5), bench.path("sis/renamed.npz")).unwrap();
    fs::rename(bench.path("images/train/b/b1.png"), bench.path("images/train/b/renamed.png")).unwrap();
    assert_eq!(bench.run("").total("ran"), 0);
    fs::copy(bench.path("sis/renamed.npz"), reference_file(&bench, 4)).unwrap();
    assert_eq!(bench.run("").count("reference", "ran"), 1);
}

#[test]
fn without_predictions_the_model_says_class_and_confidence() {
    let bench = bench();
    let first = bench.run("--stage reference");
    let said = ranking(&bench, &first, "reference");
    bench.edit("predictions = { train = \"predictions.csv\" }\n", "");
    let events = bench.run("--stage reference");
    assert_eq!(events.count("reference", "ran"), 1);
    let asked = ranking(&bench, &events, "reference");
    for image in 0..8 {
        let (said, asked) = (said.curve(image).unwrap(), asked.curve(image).unwrap());
        assert_eq!((said.class, said.values), (asked.class, asked.values));
        assert!((said.full - asked.full).abs() < 1e-5, "{image}");
    }
}

#[test]
fn what_is_exported_for_the_authors_is_imported_as_the_same_ranking() {
    let bench = bench();
    bench.ok("run tiny.toml --stage ranking --stage rounds");
    let said = bench.ok("export tiny.toml ranking --to out --layout authors").out;
    assert_eq!(said.lines().collect::<Vec<_>>(), ["out/sis/small_train", "out/preds/small_train.csv"]);
    bench.ok("export tiny.toml ranking --to packed --layout authors --packed");
    bench.ok("export tiny.toml rounds --to rounds --layout authors");
    bench.edit(
        "[stage.subset]",
        "[stage.single]
kind = \"import-selection\"
data = \"small\"
files = { train = \"out/sis/small_train\" }
predictions = { train = \"out/preds/small_train.csv\" }
method = { kind = \"backward\" }

[stage.packed]
kind = \"import-selection\"
data = \"small\"
files = { train = \"packed/sis/small_train.npz\" }
predictions = { train = \"packed/preds/small_train.csv\" }
method = { kind = \"backward\" }

[stage.again]
kind = \"import-selection\"
data = \"small\"
files = { train = \"rounds/sis/small_train\" }
model = \"net\"
method = { kind = \"batched-gradient\", per-round = 5 }

[stage.subset]",
    );
    let events = bench.run("--stage ranking --stage rounds --stage single --stage packed --stage again");
    let bytes = |stage| fs::read(bench.step_dir("cache", &events, stage).join("ranking.safetensors")).unwrap();
    assert!(bytes("single") == bytes("ranking"), "one file an image");
    assert!(bytes("packed") == bytes("ranking"), "one file of all");

    let (rounds, again) = (ranking(&bench, &events, "rounds"), ranking(&bench, &events, "again"));
    for image in 0..8 {
        let sorted = |ranking: &Ranking| -> Vec<Vec<u32>> {
            let rounds = ranking.order(image).chunks(5).map(|round| {
                let mut round = round.to_vec();
                round.sort_unstable();
                round
            });
            rounds.collect()
        };
        assert_eq!(sorted(&rounds), sorted(&again));
        let (own, again) = (rounds.curve(image).unwrap(), again.curve(image).unwrap());
        assert_eq!((own.class, own.full, own.values.len()), (again.class, again.full, again.values.len()));
        let (last, before) = own.values.split_last().unwrap();
        assert_eq!(before, &again.values[..before.len()]);
        // The files lack it, so that the model was asked.
        assert!((last - again.fully_masked()).abs() < 1e-6, "{last} {}", again.fully_masked());
    }
    let file = GradientFile::read(&bench.path("rounds/sis/small_train/d0.npz")).unwrap();
    assert_eq!(file.confidences()[0].to_bits(), file.full().to_bits());
}

#[test]
fn selections_of_images_without_files_of_their_own_go_by_numbers() {
    let bench = Bench::new();
    bench.run("--stage ranking");
    bench.ok("export tiny.toml ranking --to out --layout authors");
    bench.edit(
        "[stage.subset]",
        "[stage.again]
kind = \"import-selection\"
data = \"fashion\"
files = { test = \"out/seed=0/sis/fashion_test\" }
model = \"full\"
method = { kind = \"batched-gradient\", per-round = 196 }

[stage.subset]",
    );
    let [tenth, other] =
        ["fashion_test_9.npz", "other_9.npz"].map(|name| bench.path("out/seed=0/sis/fashion_test").join(name));
    fs::copy(&tenth, &other).unwrap();
    let refused = bench.say("run tiny.toml --stage again");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(
        refused.err.contains("fashion_test_9.npz and") && refused.err.contains("both of image 9"),
        "{}",
        refused.err
    );
    fs::remove_file(&tenth).unwrap();
    // What stands before the number does not count.
    let events = bench.run("--stage ranking --stage again");
    let (own, again) = (&artifacts::<Ranking>(&bench, &events, "ranking")[1], ranking(&bench, &events, "again"));
    assert_eq!((own.len(), again.len()), (16, 16));
    for image in 0..16 {
        let first = |ranking: &Ranking| BTreeSet::from_iter(ranking.order(image)[..196].to_vec());
        assert_eq!(first(own), first(&again), "{image}");
    }
}

#[test]
fn what_cannot_be_exported_leaves_nothing_behind() {
    let bench = bench();
    bench.edit(
        "[stage.subset]",
        "[stage.random]\nkind = \"select\"\nimages = [\"small.train\"]\nmethod = { kind = \"random\" }\n\n[stage.subset]",
    );
    bench.ok("run tiny.toml --stage rounds --stage random");
    for (export, why) in [
        ("rounds --to out --layout authors --packed", "only backward selections can be packed: leave `--packed` out"),
        ("random --to out --layout authors", "selections by `backward` and `batched-gradient` alone"),
    ] {
        let refused = bench.say(&format!("export tiny.toml {export}"));
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(refused.err.contains(why), "{}", refused.err);
        assert!(!bench.path("out").exists(), "{export}");
    }
}

#[test]
fn sufficient_subsets_and_models_and_predictions_are_exported_for_the_authors() {
    let bench = bench();
    let events = bench.run("");
    bench.ok("export tiny.toml sufficient --to out --layout authors");
    let set = fs::read(bench.step_dir("cache", &events, "sufficient").join("sis.json")).unwrap();
    let set: Value = serde_json::from_slice(&set).unwrap();
    let mut without = 0;
    for (image, entry) in set["images"].as_array().unwrap().iter().enumerate() {
        let path = bench.path(&format!("out/sis/small_train/{}.npz", IMAGES[image]));
        let Some(subset) = entry["subset"].as_array() else {
            // As in the authors' own folders, there is no file where nothing suffices.
            assert!(!path.exists());
            without += 1;
            continue;
        };
        let subset: Vec<u64> = subset.iter().map(|pixel| pixel.as_u64().unwrap()).collect();
        let file = SelectionFile::read(&path).unwrap();
        assert_eq!(file.sis().iter().map(|&pixel| u64::from(pixel)).collect::<Vec<_>>(), subset);
    }
    assert_eq!(without, 1, "f(x) of one image is below .5");
    // A file of an export before, which this one does not have, would be read with them.
    fs::write(bench.path("out/sis/small_train/old.npz"), b"").unwrap();
    let refused = bench.say("export tiny.toml sufficient --to out --layout authors");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("holds old.npz"), "{}", refused.err);
    fs::remove_file(bench.path("out/sis/small_train/old.npz")).unwrap();

    let said = bench.ok("export tiny.toml net --to out --layout authors").out;
    assert_eq!(said.trim(), "out/checkpoints/checkpoint.safetensors");
    let bytes = fs::read(bench.path(said.trim())).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    assert_eq!(
        (metadata["format"].as_str(), metadata["arch"].as_str(), metadata["classes"].as_str()),
        ("pt", "cnn", "4")
    );
    assert_eq!(header.info("conv1.weight").unwrap().shape, [8, 3, 3, 3]);
    // It is a model for this program, too, and the same one.
    bench.edit("file = \"net.pt\"", "file = \"out/checkpoints/checkpoint.safetensors\"");
    let again = bench.run("");
    assert_eq!((again.count("net", "ran"), again.total("ran")), (1, 1), "{:?}", again.0);

    bench.ok("export tiny.toml accuracy --to out --layout authors");
    let said = read_predictions(&bench.path("out/net/preds/small_train.csv")).unwrap();
    let expected = read_predictions(&fixtures().join("reference/predictions.csv")).unwrap();
    assert_eq!(said.len(), 8);
    for (said, expected) in said.iter().zip(expected) {
        assert_eq!((said.image, said.class), (expected.image, expected.class));
        assert!((said.confidence - expected.confidence).abs() < 1e-5);
    }
    let refused = bench.say("export tiny.toml subset --to out --layout authors");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("has no form in the authors' layout"), "{}", refused.err);
}

#[test]
fn selections_that_are_missing_twice_there_or_of_other_images_are_named() {
    let bench = bench();
    let refused = |code: i32, words: &[&str]| {
        let said = bench.say("run tiny.toml --stage reference");
        assert_eq!(said.code, Some(code), "{}", said.err);
        for word in words {
            assert!(said.err.contains(word), "{word}: {}", said.err);
        }
    };
    let (third, aside) = (reference_file(&bench, 3), bench.path("aside.npz"));
    fs::rename(&third, &aside).unwrap();
    refused(2, &["image 3", "sis/d0.npz", "1 of 8 are missing"]);
    let plan = bench.ok("plan tiny.toml --format json --stage subset").json();
    for step in plan["steps"].as_array().unwrap().iter().filter(|step| step["stage"] != "net") {
        assert!(step["key"].is_null() && step["why"].as_str().unwrap().contains("sis/d0.npz"), "{step}");
    }
    fs::copy(&aside, &third).unwrap();
    let [fourth, twin] = ["images/train/d/d0.png", "images/train/d/a0.png"].map(|photograph| bench.path(photograph));
    fs::rename(&fourth, &twin).unwrap();
    refused(2, &["train/a/a0.png and", "train/d/a0.png would both", "`a0.npz`"]);
    fs::rename(&twin, &fourth).unwrap();
    fs::copy(fixtures().join("cifar10_0.npz"), &third).unwrap();
    refused(3, &["d0.npz is of no use", "4x5", "8x8"]);
    fs::write(&third, &fs::read(&aside).unwrap()[..2000]).unwrap();
    refused(3, &["d0.npz"]);
    let file = SelectionFile::read(&aside).unwrap();
    let mut values = file.values().to_vec();
    values[5] = 3.5;
    let sure = SelectionFile::new(8, 8, file.order().to_vec(), values, file.sis().to_vec()).unwrap();
    sure.write(&third).unwrap();
    refused(3, &["d0.npz is of no use", "value number 5 is 3.5, which is no confidence"]);
    fs::copy(&aside, &third).unwrap();
    let predictions = fs::read_to_string(bench.path("predictions.csv")).unwrap();
    fs::write(bench.path("predictions.csv"), predictions.replace("\n6,2,", "\n16,2,")).unwrap();
    refused(3, &["predictions.csv: fault in its lines: there is none for image 6"]);
    fs::write(bench.path("predictions.csv"), predictions.replace("\n6,2,", "\n6,7,")).unwrap();
    refused(3, &["predictions.csv: fault in line 7: it predicts class 7 for image 6, but there are only 4 classes"]);
}

#[test]
fn a_checkpoint_of_another_architecture_is_named_with_the_one_that_it_fits() {
    let bench = bench();
    let said = bench.say("run tiny.toml --stage net --set stage.net.arch=resnet20");
    assert_eq!(said.code, Some(3), "{}", said.err);
    for word in ["net.pt", "resnet20", "its tensors are those of `cnn`"] {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
}
