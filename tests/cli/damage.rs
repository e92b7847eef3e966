//! Files that are not what they were.

use std::fs;
use std::path::Path;

use crate::bench::{Bench, Events, STEPS};

/// Changes one byte in the middle of a file.
fn corrupt(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_cache_entry_is_set_aside_and_computed_again() {
    let bench = Bench::new();
    let first = bench.run("");
    let model = bench.step_dir("cache", &first, "full").join("model.safetensors");
    let right = fs::read(&model).unwrap();
    corrupt(&model);
    // Another selection has to load the model.
    let events = bench.run("--set stage.ranking.method.per-round=98");
    assert_eq!(events.count("full", "ran"), 1, "{:?}", events.0);
    assert!(fs::read(&model).unwrap() == right, "the model is not what it was");
    assert_eq!(fs::read_dir(bench.path("cache/v1/damaged")).unwrap().count(), 1);
    let damage = bench.ok("cache stats --format json").json();
    assert_eq!(damage["damaged"]["count"].as_u64(), Some(1), "{damage}");
    // Its bytes are as before, so nothing that was made from it runs again.
    assert_eq!(bench.run("").total("ran"), 0);
}

#[test]
fn verify_finds_damage_and_the_next_run_repairs_it() {
    let bench = Bench::new();
    let first = bench.run("");
    let model = bench.step_dir("cache", &first, "retrained").join("model.safetensors");
    corrupt(&model);
    let said = bench.say("cache verify --format json");
    assert_eq!(said.code, Some(3), "{}", said.err);
    let found = said.json();
    assert_eq!(found["intact"].as_u64(), Some(STEPS - 1), "{found}");
    assert!(found["damaged"].to_string().contains("model.safetensors"), "{found}");
    let events = bench.run("");
    assert_eq!((events.total("ran"), events.count("retrained", "ran")), (1, 1));
    assert_eq!(bench.ok("cache verify --format json").json()["intact"].as_u64(), Some(STEPS));
}

#[test]
fn a_truncated_file_of_a_cached_step_is_never_a_hit() {
    let bench = Bench::new();
    let first = bench.run("");
    let ranking = bench.step_dir("cache", &first, "ranking").join("ranking.safetensors");
    let bytes = fs::read(&ranking).unwrap();
    fs::write(&ranking, &bytes[..bytes.len() - 5]).unwrap();
    let events = bench.run("");
    assert_eq!((events.total("ran"), events.count("ranking", "ran")), (1, 1), "{:?}", events.0);
    assert!(fs::read(&ranking).unwrap() == bytes, "the ranking is not what it was");
}

#[test]
fn a_corrupt_data_set_ends_with_status_3_and_the_name_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let carried = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-small");
    for file in ["train-images", "train-labels", "t10k-images", "t10k-labels"] {
        let file = if file.ends_with("images") { format!("{file}-idx3-ubyte") } else { format!("{file}-idx1-ubyte") };
        fs::copy(carried.join(&file), folder.path().join(file)).unwrap();
    }
    let images = folder.path().join("train-images-idx3-ubyte");
    let bytes = fs::read(&images).unwrap();
    fs::write(&images, &bytes[..1000]).unwrap();
    let bench = Bench::on(folder.path());
    let said = bench.say("run tiny.toml --format json");
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains(images.to_str().unwrap()), "{}", said.err);
    assert_eq!(Events::of(&said).total("ran"), 0);
}

#[test]
fn a_data_set_that_changes_runs_again_what_used_it() {
    let folder = tempfile::tempdir().unwrap();
    let carried = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-small");
    for entry in fs::read_dir(carried).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with("ubyte") {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let bench = Bench::on(folder.path());
    bench.run("");
    // The first pixel of the first test image.
    let images = folder.path().join("t10k-images-idx3-ubyte");
    let mut bytes = fs::read(&images).unwrap();
    bytes[16] ^= 0xff;
    fs::write(&images, bytes).unwrap();
    let events = bench.run("");
    let evaluated: Vec<_> = events.steps("accuracy").filter(|step| step["status"] == "ran").collect();
    assert_eq!(evaluated.len(), events.steps("accuracy").count(), "{:?}", events.0);
    bytes = fs::read(&images).unwrap();
    bytes[16] ^= 0xff;
    fs::write(&images, bytes).unwrap();
    assert_eq!(bench.run("").total("ran"), 0, "the old content is still cached");
}

/// A verb may leave out what it cannot show, but it says so, by name.
#[test]
fn every_verb_names_a_damaged_entry_and_ends_with_status_3() {
    let bench = Bench::new();
    let events = bench.run("");
    for (stage, verbs) in [
        (
            "accuracy",
            &[
                "results tiny.toml",
                "results tiny.toml --format json",
                "report tiny.toml --out page",
                "plan tiny.toml",
                "plan tiny.toml --format json",
                "explain tiny.toml accuracy",
                "export tiny.toml accuracy --to copied",
                "export tiny.toml accuracy --to authors --layout authors",
                "run tiny.toml --frozen",
                "show",
            ][..],
        ),
        ("subset", &["export tiny.toml subset --to subsets"]),
        ("full", &["export tiny.toml full --to weights --layout authors", "plan tiny.toml", "run tiny.toml --frozen"]),
    ] {
        let dir = bench.step_dir("cache", &events, stage);
        let hash = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let file = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        let file = file.filter(|path| !path.ends_with("step.json")).min().unwrap();
        let right = fs::read(&file).unwrap();
        corrupt(&file);
        for verb in verbs {
            let said = bench.say(&if *verb == "show" { format!("show {hash}") } else { (*verb).to_owned() });
            let all = format!("{}{}", said.out, said.err);
            assert_eq!(said.code, Some(3), "{stage}, {verb}: {all}");
            assert!(said.err.contains("damaged"), "{stage}, {verb}: {all}");
            assert!(all.contains(&hash[..12]) || all.contains(stage), "{stage}, {verb}: {all}");
        }
        fs::write(&file, right).unwrap();
    }
    assert_eq!(bench.ok("results tiny.toml --format json").json()["damaged"], serde_json::json!([]));
}

#[test]
fn what_is_not_damaged_is_shown_all_the_same() {
    let bench = Bench::new();
    let events = bench.run("");
    let dir = bench.step_dir("cache", &events, "accuracy");
    let file = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    corrupt(&file.filter(|path| !path.ends_with("step.json")).min().unwrap());
    let said = bench.say("results tiny.toml --format json");
    let results = said.json();
    let values = results["measurements"].as_array().unwrap().iter().filter(|one| !one["value"].is_null()).count();
    assert_eq!(values, 8, "{results}");
    assert_eq!(results["damaged"].as_array().map(Vec::len), Some(1), "{results}");
    // Once, and with what mends it.
    assert_eq!(said.err.matches("damaged accuracy").count(), 1, "{}", said.err);
    assert!(said.err.contains("`overinterp run` sets it aside and computes it again"), "{}", said.err);
    bench.ok("run tiny.toml");
    bench.ok("results tiny.toml");
}
