//! Files that are not what they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

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

/// The files of an entry, by name.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Puts an entry back as it was, whatever became of it.
fn restore(dir: &Path, files: &[(PathBuf, Vec<u8>)]) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
    fs::create_dir_all(dir).unwrap();
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

/// A file of an entry that is not its record.
fn content(dir: &Path) -> PathBuf {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| !path.ends_with("step.json")).min().unwrap()
}

/// What can happen to an entry.
type Harm = (&'static str, fn(&Path));

const DAMAGES: [Harm; 5] = [
    ("a changed byte", |dir| {
        corrupt(&content(dir));
        let file = fs::File::options().write(true).open(content(dir)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(2)).unwrap();
    }),
    ("another size", |dir| {
        let bytes = fs::read(content(dir)).unwrap();
        fs::write(content(dir), &bytes[..bytes.len() - 5]).unwrap();
    }),
    ("a file gone", |dir| fs::remove_file(content(dir)).unwrap()),
    ("a broken record", |dir| corrupt(&dir.join("step.json"))),
    ("no record", |dir| fs::remove_file(dir.join("step.json")).unwrap()),
];

/// A verb may leave out what it cannot show, but it says so, by name, also of what it has no need to load.
#[test]
fn every_verb_names_a_damaged_entry_once_and_ends_with_status_3() {
    let bench = Bench::new();
    let events = bench.run("");
    for stage in ["full", "subset", "accuracy"] {
        let dir = bench.step_dir("cache", &events, stage);
        let hash = dir.file_name().unwrap().to_str().unwrap();
        let right = files(&dir);
        for (name, damage) in DAMAGES {
            for verb in [
                "plan tiny.toml",
                "plan tiny.toml --format json",
                "explain tiny.toml accuracy",
                "results tiny.toml",
                "results tiny.toml --format csv",
                "results tiny.toml --format json",
                "report tiny.toml --out page",
                "export tiny.toml full --to weights --layout authors",
                "export tiny.toml subset --to subsets",
                "export tiny.toml accuracy --to copied --probabilities npz",
                "export tiny.toml accuracy --to authors --layout authors",
                "export tiny.toml fashion --to images",
                "bench tiny.toml --seconds 0",
                "run tiny.toml --frozen",
                "show HASH",
                "cache stats",
                "cache stats --format json",
                "cache gc tiny.toml --dry-run",
                "cache gc tiny.toml",
                "cache gc tiny.toml --format json",
                "cache verify",
                "cache verify --format json",
            ] {
                restore(&dir, &right);
                damage(&dir);
                let said = bench.say(&verb.replace("HASH", hash));
                let case = format!("{name} of {stage}, {verb}:\n{}\n{}", said.out, said.err);
                assert_eq!(said.code, Some(3), "{case}");
                let naming = said.err.lines().filter(|line| line.contains("damaged"));
                // What would run is told by what people call it.
                let sign = if verb.contains("--frozen") { stage } else { hash };
                assert_eq!(naming.filter(|line| line.contains(sign)).count(), 1, "{case}");
            }
        }
        restore(&dir, &right);
        bench.ok("plan tiny.toml");
    }
    assert_eq!(bench.ok("results tiny.toml --format json").json()["damaged"], json!([]));
    assert_eq!(bench.run("").total("ran"), 0);
}

#[test]
fn what_people_are_shown_rests_on_sound_subsets() {
    let bench = Bench::new();
    let events = bench.run("");
    // The training half's subsets are damaged, and the study is of the test half.
    fs::remove_file(content(&bench.step_dir("cache", &events, "subset"))).unwrap();
    let said = bench.say("export tiny.toml subset --human-study study --images 2");
    assert_eq!(said.code, Some(3), "{}\n{}", said.out, said.err);
    assert!(said.err.contains("damaged subset") && bench.path("study/answers.csv").is_file(), "{}", said.err);
    for step in events.steps("subset").filter(|step| step["part"].as_str().unwrap().contains("test")) {
        let (_, hash) = step["key"].as_str().unwrap().split_once(':').unwrap();
        fs::remove_file(content(&bench.path("cache/v1/steps/mask").join(hash))).unwrap();
    }
    let said = bench.say("export tiny.toml subset --human-study other --images 2");
    assert_eq!(said.code, Some(3), "{}\n{}", said.out, said.err);
    assert!(said.err.contains("the subsets are not in the cache") && !bench.path("other").exists(), "{}", said.err);
}

/// As a fault of another version would leave it: every byte is as it was written.
#[test]
fn a_result_that_is_none_is_named_with_what_mends_it() {
    let bench = Bench::new();
    let events = bench.run("");
    let dir = bench.step_dir("cache", &events, "accuracy");
    let (record, metrics) = (dir.join("step.json"), dir.join("metrics.json"));
    let (right, text) = (fs::read(&metrics).unwrap(), fs::read_to_string(&record).unwrap());
    let wrong = vec![b'x'; right.len()];
    fs::write(&metrics, &wrong).unwrap();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let text = text.replace(&hash(&right), &hash(&wrong));
    let (body, _) = text.rsplit_once(",\n  \"seal\"").unwrap();
    fs::write(&record, format!("{body},\n  \"seal\": \"{}\"\n}}\n", hash(body.as_bytes()))).unwrap();
    let key = events.steps("accuracy").next().unwrap()["key"].as_str().unwrap().to_owned();
    let said = bench.say(&format!("show {key}"));
    assert_eq!(said.code, Some(3), "{}\n{}", said.out, said.err);
    assert!(
        said.err.contains(&format!("damaged ({key}): cannot read")) && said.err.contains("metrics.json"),
        "{}",
        said.err
    );
    assert!(said.err.contains("remove cache/v1/steps/evaluate/"), "{}", said.err);
    let said = bench.say("results tiny.toml");
    assert_eq!(said.code, Some(3), "{}\n{}", said.out, said.err);
    let (named, mended) = (format!("({key}): cannot read"), "remove cache/v1/steps/evaluate/");
    assert!(said.err.contains(&named) && said.err.contains(mended), "{}", said.err);
    fs::remove_dir_all(dir).unwrap();
    assert_eq!(bench.run("").count("accuracy", "ran"), 1);
    bench.ok("results tiny.toml");
}

#[test]
fn what_a_file_manager_leaves_in_an_entry_is_listed_and_does_no_harm() {
    let bench = Bench::new();
    let events = bench.run("");
    let dir = bench.step_dir("cache", &events, "full");
    let names = [".DS_Store", "._model.safetensors", "Thumbs.db", "desktop.ini", "model.safetensors~", ".nfs0001"];
    for name in names {
        fs::write(dir.join(name), "not ours").unwrap();
    }
    fs::write(bench.path("cache/.DS_Store"), "not ours").unwrap();
    bench.ok("plan tiny.toml");
    bench.ok("results tiny.toml");
    assert_eq!(bench.run("").total("ran"), 0);
    for line in ["cache stats", "cache verify", "cache gc tiny.toml --dry-run", "cache gc tiny.toml"] {
        let said = bench.ok(line);
        let listed = said.out.lines().filter(|line| line.starts_with("passed over: cache/")).count();
        assert_eq!(listed, names.len() + 1, "{line}: {}", said.out);
    }
    assert!(names.iter().all(|name| dir.join(name).is_file()));
    assert_eq!(bench.run("").total("ran"), 0);
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

/// Somebody moved an entry, or copied it: its record is that of another step.
#[test]
fn show_names_an_entry_that_has_the_record_of_another_step() {
    let bench = Bench::new();
    let events = bench.run("");
    let dir = bench.step_dir("cache", &events, "full");
    let other = dir.with_file_name("a".repeat(64));
    let check = |case: &str| {
        let said = bench.say("show train-v1:aaaaaaaa");
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{case}: {}", said.err);
        assert!(
            said.err.contains("aaaaaaaa") && said.err.contains("step.json is that of another step"),
            "{case}: {}",
            said.err
        );
        assert!(said.err.contains("`overinterp run` sets it aside"), "{case}: {}", said.err);
    };
    fs::create_dir(&other).unwrap();
    for (path, bytes) in files(&dir) {
        fs::write(other.join(path.file_name().unwrap()), bytes).unwrap();
    }
    check("copied");
    fs::remove_dir_all(&dir).unwrap();
    check("moved");
}
