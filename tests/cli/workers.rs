//! Workers that share a plan: `work`, several at once, by kinds, for a while, and one on each GPU.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::bench::{Bench, Events, STEPS};

/// Starts the binary in the folder.
fn start(bench: &Bench, line: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(line.split_whitespace())
        .current_dir(bench.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a process that was started has printed; it must end well.
fn events(child: Child) -> Events {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout).unwrap();
    Events(out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn ran(events: &Events) -> BTreeSet<String> {
    let ran = events.steps("").filter(|step| step["status"] == "ran");
    ran.map(|step| step["key"].as_str().unwrap().to_owned()).collect()
}

/// The content of every step in a cache, by its place.
pub fn contents(cache: &Path) -> BTreeSet<(String, String)> {
    let folders = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let steps = folders(&cache.join("v1/steps")).into_iter().flat_map(|kind| folders(&kind));
    steps
        .map(|step| {
            let record: Value = serde_json::from_slice(&fs::read(step.join("step.json")).unwrap()).unwrap();
            (step.file_name().unwrap().to_string_lossy().into_owned(), record["content"].to_string())
        })
        .collect()
}

#[test]
fn three_workers_compute_each_step_once_and_the_same() {
    let bench = Bench::new();
    let line = "work tiny.toml --until-done --threads 1 --format json --cache shared";
    let workers: Vec<Child> = (0..3).map(|_| start(&bench, line)).collect();
    let events: Vec<Events> = workers.into_iter().map(events).collect();
    let ran: Vec<BTreeSet<String>> = events.iter().map(ran).collect();
    assert_eq!(ran.iter().map(BTreeSet::len).sum::<usize>() as u64, STEPS);
    assert_eq!(ran.iter().flatten().collect::<BTreeSet<_>>().len() as u64, STEPS);
    for events in &events {
        assert_eq!(events.steps("").count() as u64, STEPS, "each hears of every step's end");
    }
    bench.ok("run tiny.toml --cache alone");
    assert_eq!(contents(&bench.path("shared")), contents(&bench.path("alone")));
    // Nothing is left of them.
    for part in ["workers", "claims", "failures", "tmp", "partial/train"] {
        assert_eq!(fs::read_dir(bench.path("shared/v1").join(part)).map_or(0, Iterator::count), 0, "{part}");
    }
    assert_eq!(Events::of(&bench.ok("run tiny.toml --cache shared --format json")).total("cached"), STEPS);
}

#[test]
fn workers_of_different_kinds_do_their_parts() {
    let bench = Bench::new();
    let first = start(&bench, "work tiny.toml --until-done --format json --only train --only evaluate");
    let second = start(&bench, "work tiny.toml --until-done --format json --only select --only mask");
    let (first, second) = (ran(&events(first)), ran(&events(second)));
    let kinds = |keys: &BTreeSet<String>| -> BTreeSet<String> {
        keys.iter().map(|key| key.split_once("-v").unwrap().0.to_owned()).collect()
    };
    assert_eq!(kinds(&first), ["evaluate".to_owned(), "train".to_owned()].into());
    assert_eq!(kinds(&second), ["mask".to_owned(), "select".to_owned()].into());
    assert_eq!(bench.run("").total("cached"), STEPS);
}

#[test]
fn a_kind_that_no_step_has_is_refused_with_those_that_there_are() {
    let bench = Bench::new();
    let refused = bench.say("work tiny.toml --only training");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    let expected = "error: no step is of kind `training`: there are evaluate, mask, select, train";
    assert!(refused.err.contains(expected), "{}", refused.err);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let bench = Bench::new();
    let refused = bench.say("run tiny.toml --gpus 0,1,0");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("--gpus names GPU 0 twice"), "{}", refused.err);
    let refused =
        bench.say_by(&["env", "OVERINTERP_SILENT_AFTER=abc", env!("CARGO_BIN_EXE_overinterp")], "plan tiny.toml");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("OVERINTERP_SILENT_AFTER is `abc`"), "{}", refused.err);
}

#[test]
fn a_worker_without_an_end_takes_up_what_an_edit_adds_and_outlives_a_mistake() {
    let bench = Bench::new();
    let worker = start(&bench, "work tiny.toml");
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let waited = (0..1200).find(|_| {
            thread::sleep(Duration::from_millis(50));
            done()
        });
        assert!(waited.is_some(), "{what}");
    };
    let cached = || bench.ok("plan tiny.toml --format json").json()["cached"].as_u64().unwrap();
    until("the plan is done", &|| cached() == STEPS);
    let right = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    bench.edit("fraction = [0.05, 0.1]", "fraction = [0.05, 0.1");
    thread::sleep(Duration::from_secs(6));
    fs::write(bench.path("tiny.toml"), right.replace("fraction = [0.05, 0.1]", "fraction = [0.05, 0.1, 0.2]")).unwrap();
    until("the edit is computed", &|| cached() > STEPS && bench.ok("plan tiny.toml --format json").json()["run"] == 0);
    rustix::process::kill_process(rustix::process::Pid::from_child(&worker), rustix::process::Signal::INT).unwrap();
    let output = worker.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("going on with the files as they were"), "{err}");
}

#[test]
fn a_worker_ends_with_its_time_and_another_goes_on() {
    let bench = Bench::new();
    bench.edit("epochs = 1", "epochs = 4000");
    let first = Events::of(&bench.ok("work tiny.toml --until-done --time-limit 2s --format json --stage full"));
    assert_eq!((first.total("ran"), first.total("skipped")), (0, 1));
    let step = first.steps("full").next().unwrap();
    assert_eq!(step["error"], "the worker has no time left for it");
    // What it had done is there for the next one.
    let partial = fs::read_dir(bench.path("cache/v1/partial/train")).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read_dir(partial).unwrap().next().is_some());
    let second = bench.ok("work tiny.toml --until-done --time-limit 2s --stage full");
    assert!(second.err.contains("goes on") || second.err.contains("going on"), "{}", second.err);
}

#[test]
fn a_worker_on_each_gpu_computes_what_needs_one_beside_this_process() {
    let bench = Bench::new();
    // On a machine without GPUs the workers are told to use the CPU; they are processes of their own all the same.
    let run = Events::of(&bench.ok("run tiny.toml --gpus 0,1 --device cpu --threads 1 --format json"));
    assert_eq!((run.total("ran"), run.total("cached")), (STEPS, 0));
    let by_workers: Vec<&Value> = run.0.iter().filter(|event| event["event"] == "step-of-worker").collect();
    let kinds: BTreeSet<&str> =
        by_workers.iter().map(|step| step["key"].as_str().unwrap().split_once("-v").unwrap().0).collect();
    assert_eq!(kinds, ["evaluate", "select", "train"].into());
    assert!(by_workers.iter().all(|step| step["gpu"] == 0 || step["gpu"] == 1));
    let here: BTreeSet<String> = ran(&run).iter().map(|key| key.split_once("-v").unwrap().0.to_owned()).collect();
    assert_eq!(here, ["mask".to_owned()].into());
    assert_eq!(run.0.iter().filter(|event| event["event"] == "claim").count(), 2);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn workers_that_find_no_gpu_end_the_run_with_what_they_said() {
    let bench = Bench::new();
    let refused = bench.say("run tiny.toml --gpus 0,7");
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("GPU 7: error: cannot use --device cuda"), "{}", refused.err);
    assert!(
        refused.err.contains("every worker on a GPU has ended, and steps are left that need one"),
        "{}",
        refused.err
    );
}

#[test]
fn a_killed_worker_holds_nobody_up() {
    let bench = Bench::new();
    bench.edit("epochs = 1", "epochs = 400");
    let mut first = start(&bench, "work tiny.toml --stage full --threads 1");
    let claims = bench.path("cache/v1/claims");
    while fs::read_dir(&claims).map_or(0, Iterator::count) == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(fs::read_dir(&claims).unwrap().count(), 1);
    let events = Events::of(&bench.ok("run tiny.toml --stage full --format json --set stage.full.recipe.epochs=400"));
    assert_eq!(events.total("ran"), 1);
    assert_eq!(fs::read_dir(&claims).unwrap().count(), 0);
}
