//! Running, running again, and what the lines of a run say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::bench::{Bench, Events, STEPS, copy_data};

fn keys_of(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_first_run_reports_every_step_every_claim_and_last_the_sum() {
    let bench = Bench::new();
    let events = bench.run("");
    assert_eq!(events.steps("").count() as u64, STEPS);
    for step in events.steps("") {
        for key in ["event", "stage", "cell", "shard", "key", "status", "seconds"] {
            assert!(keys_of(step).contains(&key), "{key}: {step}");
        }
        assert_eq!(step["status"], "ran", "{step}");
        let (kind, hash) = step["key"].as_str().unwrap().split_once(':').unwrap();
        assert!(kind.contains("-v") && hash.len() == 64, "{step}");
    }
    let full: Vec<&Value> = events.steps("full").collect();
    assert_eq!((&full[0]["cell"], &full[0]["shard"]), (&json!({"seed": 0}), &Value::Null));
    let shards: Vec<&Value> = events.steps("ranking").map(|step| &step["shard"]).collect();
    assert_eq!(shards, [&json!([0, 2]), &json!([1, 2])]);
    let cells: Vec<&Value> = events.steps("retrained").map(|step| &step["cell"]).collect();
    assert_eq!(cells, [&json!({"fraction": 0.05, "seed": 0}), &json!({"fraction": 0.1, "seed": 0})]);

    let claims: BTreeMap<&str, &str> = events
        .0
        .iter()
        .filter(|event| event["event"] == "claim")
        .map(|claim| (claim["name"].as_str().unwrap(), claim["verdict"].as_str().unwrap()))
        .collect();
    // A claim that fails is a result: the run has succeeded.
    assert_eq!(claims, BTreeMap::from([("impossible", "fails"), ("never-above-one", "holds")]));

    let summary = events.summary();
    assert_eq!(keys_of(summary), ["cached", "event", "failed", "ran", "seconds", "skipped"]);
    assert_eq!(events.total("ran"), STEPS);
    assert_eq!(events.total("cached") + events.total("failed") + events.total("skipped"), 0);
}

#[test]
fn a_second_run_runs_nothing_and_says_the_same() {
    let bench = Bench::new();
    let first = bench.ok("run tiny.toml");
    let second = bench.ok("run tiny.toml");
    assert!(first.err.contains(&format!("ran {STEPS}, cached 0")), "{}", first.err);
    assert!(second.err.contains(&format!("ran 0, cached {STEPS}")), "{}", second.err);
    assert_eq!(first.out, second.out);
    let events = bench.run("");
    assert_eq!((events.total("ran"), events.total("cached")), (0, STEPS));
    assert_eq!(events.count("", "cached") as u64, STEPS, "a cached step is told of as well");
}

#[test]
fn a_run_that_finds_all_as_it_was_says_it_again_without_a_plan_and_one_that_does_not_plans() {
    let data = tempfile::tempdir().unwrap();
    copy_data(data.path());
    let bench = Bench::on(data.path());
    let first = bench.ok("run tiny.toml");
    // Records are a while old before the index vouches for them.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let receipts = || fs::read_dir(bench.path("cache/v1/receipts")).map_or(0, Iterator::count);
    let plans = |line: &str| {
        let said = bench.ok(&format!("{line} --log overinterp=debug"));
        assert_eq!(said.out, first.out, "{line}");
        assert!(said.err.contains(&format!("ran 0, cached {STEPS} in")), "{}", said.err);
        !said.err.contains("as a run before found them")
    };
    assert!(plans("run tiny.toml --frozen"));
    assert_eq!(receipts(), 0, "what leaves no trace leaves none");
    assert!(plans("run tiny.toml"));
    assert_eq!(receipts(), 1);
    assert!(!plans("run tiny.toml") && !plans("run tiny.toml --frozen") && !plans("run tiny.toml --jobs 2 --quiet"));

    // The same experiment in other words, and asked for otherwise.
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    fs::write(bench.path("tiny.toml"), format!("# Another text.\n{text}")).unwrap();
    assert!(plans("run tiny.toml"));
    assert!(plans("run tiny.toml --set description=\"other\""));
    assert!(!plans("run tiny.toml"));

    // A result that somebody changed, and one that is gone.
    let events = bench.run("");
    let dir = bench.step_dir("cache", &events, "full");
    let spoil: [fn(&Path); 2] =
        [|dir| fs::write(dir.join("model.safetensors"), "other").unwrap(), |dir| fs::remove_dir_all(dir).unwrap()];
    for spoil in spoil {
        spoil(&dir);
        let said = bench.ok("run tiny.toml");
        assert_eq!(said.out, first.out);
        assert!(said.err.contains("ran 1, "), "{}", said.err);
    }
    // Other images.
    assert!(bench.ok("run tiny.toml").err.contains("ran 0, "));
    let images = data.path().join("t10k-images-idx3-ubyte");
    let mut bytes = fs::read(&images).unwrap();
    bytes[16] ^= 1;
    fs::write(&images, bytes).unwrap();
    let said = bench.ok("run tiny.toml").err;
    assert!(!said.contains("ran 0, "), "{said}");
    fs::remove_file(&images).unwrap();
    assert_eq!(bench.say("run tiny.toml").code, Some(2));
    assert!(bench.ok("cache stats").err.is_empty());
}

#[test]
fn a_frozen_run_ends_with_status_4_until_everything_is_cached() {
    let bench = Bench::new();
    let refused = bench.say("run tiny.toml --frozen --format json");
    assert_eq!(refused.code, Some(4), "{}", refused.err);
    assert_eq!(Events::of(&refused).total("ran"), 0);
    assert!(refused.err.contains("--frozen"), "{}", refused.err);
    bench.run("");
    let events = bench.run("--frozen");
    assert_eq!((events.total("ran"), events.total("cached")), (0, STEPS));
}

#[test]
fn a_plan_counts_what_a_run_then_does() {
    let bench = Bench::new();
    let plan = bench.ok("plan tiny.toml --format json").json();
    assert_eq!((&plan["cached"], &plan["run"]), (&json!(0), &json!(STEPS)));
    let planned: Vec<&Value> = plan["steps"].as_array().unwrap().iter().collect();
    assert_eq!(planned.len() as u64, STEPS);
    for step in &planned {
        for key in ["stage", "cell", "shard", "key", "status", "maybe", "why"] {
            assert!(keys_of(step).contains(&key), "{key}: {step}");
        }
        assert!(step["status"] == "run" && step["why"].is_string(), "{step}");
    }
    let events = bench.run("");
    let mut keys: Vec<&str> = planned.iter().map(|step| step["key"].as_str().unwrap()).collect();
    let mut ran: Vec<&str> = events.steps("").map(|step| step["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    ran.sort_unstable();
    assert_eq!(keys, ran);
    let plan = bench.ok("plan tiny.toml --format json").json();
    assert_eq!((&plan["cached"], &plan["run"]), (&json!(STEPS), &json!(0)));
    assert!(plan["steps"].as_array().unwrap().iter().all(|step| step["why"].is_null()), "{plan}");
}

#[test]
fn a_plan_can_be_drawn() {
    let bench = Bench::new();
    let dot = bench.ok("plan tiny.toml --format dot").out;
    assert!(dot.starts_with("digraph") && dot.contains("->"), "{dot}");
    let mermaid = bench.ok("plan tiny.toml --format mermaid").out;
    assert!(mermaid.contains("-->"), "{mermaid}");
    let human = bench.ok("plan tiny.toml").out;
    assert!(human.contains(&format!("{STEPS} to run")), "{human}");
}

#[test]
fn one_stage_is_run_with_what_it_needs() {
    let bench = Bench::new();
    let events = bench.run("--stage ranking");
    assert_eq!((events.count("full", "ran"), events.count("ranking", "ran"), events.steps("").count()), (1, 2, 3));
    let rest = bench.run("");
    assert_eq!((rest.total("cached"), rest.total("ran")), (3, STEPS - 3));
}

/// Every file below `dir` but the records, which say when and where a step was made.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else if name != "step.json" {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn results_are_the_same_bytes_for_any_number_of_threads() {
    let bench = Bench::new();
    for (threads, cache) in [(1, "one"), (2, "two"), (3, "three")] {
        bench.run(&format!("--threads {threads} --jobs {threads} --cache {cache}"));
    }
    let one = files(&bench.path("one/v1/steps"));
    assert!(one.keys().any(|file| file.ends_with("model.safetensors")), "{:?}", one.keys());
    assert!(one.keys().any(|file| file.ends_with("ranking.safetensors")), "{:?}", one.keys());
    for other in ["two", "three"] {
        let other = files(&bench.path(other).join("v1/steps"));
        assert!(one.keys().eq(other.keys()), "{:?}\n{:?}", one.keys(), other.keys());
        for (file, bytes) in &one {
            assert!(bytes == &other[file], "{file} differs");
        }
    }
}

#[test]
fn a_run_whose_readers_have_gone_goes_on_to_its_end() {
    use std::process::{Command, Stdio};
    let bench = Bench::new();
    let mut run = Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(["run", "tiny.toml"])
        .current_dir(bench.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((run.stdout.take(), run.stderr.take()));
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_eq!(bench.run("").total("ran"), 0);
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    use std::process::{Command, Stdio};
    let bench = Bench::new();
    for verb in ["plan tiny.toml", "plan tiny.toml --format dot", "results tiny.toml --format csv", "completions bash"]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_overinterp"))
            .args(verb.split(' '))
            .current_dir(bench.path(""))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{verb}");
    }
}

#[test]
fn rates_that_were_measured_estimate_steps_that_never_ran() {
    let bench = Bench::new();
    let estimates = |bench: &Bench| {
        let plan = bench.ok("plan tiny.toml --format json").json();
        let steps = plan["steps"].as_array().unwrap().clone();
        steps.into_iter().map(|step| (step["stage"].clone(), step["basis"].clone(), step["estimate"].clone()))
    };
    assert!(estimates(&bench).all(|(_, basis, estimate)| basis.is_null() && estimate.is_null()));
    let rates = bench.ok("bench --arch cnn --seconds 0 --format json").json();
    assert_eq!((&rates["arch"], rates["batch"].as_u64()), (&"cnn".into(), Some(128)));
    for rate in ["candidates_per_second", "train_step_ms", "images_per_second", "gradient_round_ms"] {
        assert!(rates[rate].as_f64().unwrap() > 0.0, "{rates}");
    }
    assert!(rates["isa"].is_string() && rates["threads"].is_u64(), "{rates}");
    for (stage, basis, estimate) in estimates(&bench) {
        if ["full", "ranking", "retrained", "accuracy"].contains(&stage.as_str().unwrap()) {
            assert_eq!(basis, "rates", "{stage}");
            assert!(estimate.as_f64().unwrap() > 0.0, "{stage}");
        } else {
            assert!(basis.is_null(), "{stage}");
        }
    }
    // What another machine did says nothing of this one.
    let kept = bench.path("cache/v1/rates.json");
    let processor = format!(r#""processor": {}"#, rates["processor"]);
    let text = fs::read_to_string(&kept).unwrap();
    assert!(text.contains(&processor), "{text}");
    fs::write(&kept, text.replace(&processor, r#""processor": "another""#)).unwrap();
    assert!(estimates(&bench).all(|(_, basis, estimate)| basis.is_null() && estimate.is_null()));
    fs::write(&kept, text).unwrap();
    // A run says more than the rates, of other work of the same network too.
    bench.ok("run tiny.toml --stage full");
    let retrained: Vec<_> = estimates(&bench).filter(|(stage, ..)| stage == "retrained").collect();
    assert!(!retrained.is_empty() && retrained.iter().all(|(_, basis, _)| basis == "alike"), "{retrained:?}");
    let text = bench.ok("bench tiny.toml --seconds 0").out;
    for stage in ["full", "ranking", "random-ranking", "accuracy"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(stage)), "{stage}: {text}");
    }
    assert!(estimates(&bench).any(|(_, basis, _)| basis == "rates"));
}

#[test]
fn one_stage_can_be_timed_with_what_it_needs() {
    let bench = Bench::new();
    let said = bench.ok("bench tiny.toml --stage ranking --seconds 0 --format json").out;
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stages: Vec<&str> = lines.iter().filter_map(|line| line["stage"].as_str()).collect();
    assert_eq!(stages, ["full", "ranking"]);
    assert_eq!(lines.iter().filter(|line| line["arch"] == "cnn").count(), 1);
    let parts: Vec<f64> =
        lines.iter().filter(|line| !line["stage"].is_null()).map(|line| line["seconds"].as_f64().unwrap()).collect();
    let total = lines.last().unwrap()["total"]["seconds"].as_f64().unwrap();
    assert!((total / parts.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{total} is not the sum of {parts:?}");
    // Random orders ask no network, so there is none to measure.
    let said = bench.ok("bench tiny.toml --stage random-ranking --seconds 0 --format json").out;
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["stage"]), (2, &"random-ranking".into()));
    // No GPU was measured, and random orders take no time that is known.
    let total = serde_json::json!({ "seconds": null, "at-most": false, "unknown": 0 });
    assert_eq!(lines[1], serde_json::json!({ "total": total }));
    assert_eq!(bench.say("bench tiny.toml --stage rankng").code, Some(2));
    assert_eq!(bench.say("bench --arch cnn --stage full").code, Some(2));
}

#[test]
fn a_device_that_is_not_there_is_an_error_in_json_too() {
    let bench = Bench::new();
    let said = bench.say("doctor --device cuda:99 --format json");
    assert_eq!(said.code, Some(2), "{}", said.err);
    let report = said.json();
    assert_eq!((&report["device"], &report["kernels"]), (&Value::Null, &json!([])));
    assert!(report["error"].as_str().unwrap().contains("cuda:99"), "{report}");
    assert!(report["machine"]["processor"].is_string(), "{report}");
    assert!(said.err.contains("cuda:99"), "{}", said.err);
}
