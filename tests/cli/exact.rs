//! Exact selection by a network that is sure: what it takes, and what is left of it when it is killed.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::bench::{Bench, Events};

/// Exact selections of 40 images, in three parts, by the bench's network with logits ten thousand times as far apart.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.edit("test = 16", "test = 40");
    let events = bench.run("--stage full");
    let file = fs::read(bench.step_dir("cache", &events, "full").join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let scaled: Vec<(String, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let factor = if name.starts_with("linear.") { 1e4 } else { 1.0 };
            let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            (name.to_owned(), values.flat_map(|value| (value * factor).to_le_bytes()).collect())
        })
        .collect();
    let named = scaled.iter().map(|(name, bytes)| {
        let tensor = tensors.tensor(name).unwrap();
        (name.clone(), TensorView::new(tensor.dtype(), tensor.shape().to_vec(), bytes).unwrap())
    });
    fs::write(bench.path("sure"), safetensors::serialize(named, None).unwrap()).unwrap();
    let stages = r#"
[stage.sure]
kind = "import"
file = "sure"
arch = "cnn"
data = "fashion"

[stage.exact]
kind = "select"
model = "sure"
images = ["fashion.test"]
method = { kind = "backward" }
"#;
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    fs::write(bench.path("tiny.toml"), text + stages).unwrap();
    bench
}

/// The first file of that name somewhere in a folder.
fn find(folder: &Path, ends: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        if path.ends_with(ends) { Some(path) } else { find(&path, ends) }
    })
}

/// The exact selection in a cache has the bytes of one that nothing disturbed.
fn selected_as_undisturbed(bench: &Bench, cache: &str, events: &Events) {
    let undisturbed = bench.run("--stage exact --cache undisturbed");
    for file in ["ranking.safetensors", "effort.csv"] {
        let own = fs::read(bench.step_dir(cache, events, "exact").join(file)).unwrap();
        let whole = fs::read(bench.step_dir("undisturbed", &undisturbed, "exact").join(file)).unwrap();
        assert!(own == whole, "{file} differs");
    }
}

#[test]
fn a_killed_selection_goes_on_behind_the_images_that_it_had_finished() {
    let bench = bench();
    let mut child = Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(["run", "tiny.toml", "--stage", "exact"])
        .current_dir(bench.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (partial, whole) = (bench.path("cache/v1/partial/select"), Path::new("images-0-16/whole"));
    while find(&partial, whole).is_none() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended without a part");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = bench.ok("run tiny.toml --stage exact").err;
    assert!(said.contains("images 0 to 15 are there from before"), "{said}");
    assert!(said.contains("x fewer), of which"), "{said}");

    let events = bench.run("--stage exact");
    assert_eq!(events.total("ran"), 0);
    selected_as_undisturbed(&bench, "cache", &events);
    assert!(find(&partial, Path::new("whole")).is_none(), "what is finished leaves no parts");
}

#[test]
fn a_worker_with_nothing_else_to_do_helps_with_parts_of_the_step_that_another_has() {
    let bench = bench();
    bench.ok("run tiny.toml --stage sure --cache shared");
    let start = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overinterp"));
        command.args(line.split_whitespace()).current_dir(bench.path(""));
        // However slow the machine: the one that stands still keeps its step.
        command.env("OVERINTERP_SILENT_AFTER", "600");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let line = "work tiny.toml --stage exact --until-done --threads 1 --cache shared";
    let mut first = start(line);
    let partial = bench.path("shared/v1/partial/select");
    while find(&partial, Path::new("shared")).is_none() {
        assert!(first.try_wait().unwrap().is_none(), "it has ended without a part");
        std::thread::sleep(Duration::from_millis(1));
    }
    // It stands still, so that the other has the time to do all parts but the one that this one is at.
    let pid = Pid::from_raw(first.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let second = start(line);
    let scratch = find(&partial, Path::new("shared")).unwrap().parent().unwrap().to_owned();
    let parts = || {
        let names = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("images-")).count()
    };
    let waited = (0..3600).find(|_| {
        std::thread::sleep(Duration::from_millis(50));
        parts() >= 2
    });
    assert!(waited.is_some(), "nobody helps");
    kill_process(pid, Signal::CONT).unwrap();
    let told = |child: Child| {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        told
    };
    let (first, second) = (told(first), told(second));
    assert!(first.contains("are there from another worker"), "{first}");
    assert!(second.contains("helping exact") && second.contains("helped  exact"), "{second}");
    let events = bench.run("--stage exact --cache shared");
    assert_eq!(events.total("ran"), 0);
    selected_as_undisturbed(&bench, "shared", &events);
    assert!(find(&partial, Path::new("whole")).is_none(), "what is finished leaves no parts");
    for part in ["claims", "workers", "tmp"] {
        assert_eq!(fs::read_dir(bench.path("shared/v1").join(part)).map_or(0, Iterator::count), 0, "{part}");
    }
}

#[test]
fn first_images_tell_how_long_selections_take_that_have_not_begun() {
    let bench = bench();
    bench.ok("run tiny.toml --stage sure");
    let timed = |more: &str| -> Vec<Value> {
        let said = bench.ok(&format!("bench tiny.toml --stage exact --threads 2 --seconds 0 --format json {more}")).out;
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let learnt = |lines: &[Value]| lines.iter().find(|line| line["model"] == "sure").cloned();
    let exact = |lines: &[Value]| lines.iter().find(|line| line["stage"] == "exact").cloned().unwrap();
    let basis = || {
        let plan = bench.ok("plan tiny.toml --stage exact --threads 2 --format json").json();
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().find(|step| step["stage"] == "exact").unwrap()["basis"].clone()
    };
    // A stage that selects nothing needs none.
    let other = bench.ok("bench tiny.toml --stage sure --seconds 0 --format json").out;
    assert!(!other.contains("first"), "{other}");
    let none = timed("--first-images 0");
    assert_eq!((learnt(&none), &exact(&none)["at-most"]), (None, &json!(true)));
    assert_eq!(basis(), "at-most");

    let lines = timed("");
    let first = learnt(&lines).unwrap();
    assert_eq!((&first["first"], &first["images"]), (&json!(2), &json!("fashion.test")));
    let effort = |name: &str| first["effort"][name].as_u64().unwrap();
    assert_eq!((effort("exhaustive"), effort("steps")), (784 * 785, 2 * 784));
    assert!(effort("evaluated") < effort("exhaustive") && effort("steps-at-ceiling") > 0, "{first}");
    let share = effort("evaluated") as f64 / effort("exhaustive") as f64;
    let rate = lines.iter().find(|line| line["arch"] == "cnn").unwrap()["candidates_per_second"].as_f64().unwrap();
    let foretold = exact(&lines)["seconds"].as_f64().unwrap();
    let expected = share * f64::from(40 * 784 * 785 / 2) / rate;
    assert!((foretold / expected - 1.0).abs() < 1e-6, "{foretold} s for {expected} s");
    assert_eq!((basis(), &exact(&lines)["at-most"]), (json!("alike"), &json!(false)));

    // Once is enough, unless somebody asks for more, and a note that cannot be read is as good as none.
    assert_eq!(learnt(&timed("")), None);
    assert_eq!(learnt(&timed("--first-images 1")).unwrap()["first"], 1);
    fs::write(bench.path("cache/v1/first-images.json"), "{").unwrap();
    assert_eq!(basis(), "at-most");
    bench.ok("cache verify");
    // What is in the cache says the same of what was selected, and no image is selected for the sake of knowing it.
    bench.ok("run tiny.toml --stage exact");
    assert_eq!(learnt(&timed("--first-images 1")), None);
}
