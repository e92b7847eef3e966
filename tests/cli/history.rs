//! What ran, when, why, and what came of it: records of runs, and what is made of them.

use std::path::Path;
use std::process::Stdio;

use assert_cmd::Command;

use crate::bench::{Bench, STEPS};

#[test]
fn a_finished_run_is_found_from_elsewhere() {
    let bench = Bench::new();
    bench.run("");
    let elsewhere = tempfile::tempdir().unwrap();
    let plan = |variable: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overinterp"));
        command.current_dir(elsewhere.path()).arg("plan").arg(bench.path("tiny.toml")).env_remove("OVERINTERP_CACHE");
        if let Some(cache) = variable {
            command.env("OVERINTERP_CACHE", cache);
        }
        let output = command.output().unwrap();
        assert!(output.status.success());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let (out, err) = plan(None);
    assert!(out.contains(&format!("0 to run, {STEPS} cached")), "{out}");
    assert!(err.lines().next().unwrap().contains("(found from "), "{err}");
    // What the variable names goes first.
    let (out, err) = plan(Some(&elsewhere.path().join("other")));
    assert!(out.contains("never run: ") && out.contains(", 0 cached"), "{out}");
    assert!(err.contains("(by OVERINTERP_CACHE)"), "{err}");
    assert!(!elsewhere.path().join("other").exists());
}

#[test]
fn a_dry_run_says_what_plan_says_and_runs_nothing() {
    let bench = Bench::new();
    let dry = bench.ok("run tiny.toml -n");
    assert_eq!(dry.out, bench.ok("plan tiny.toml").out);
    assert!(!bench.path("cache").exists());
}

#[test]
fn a_quiet_run_prints_tables_and_nothing_of_steps() {
    let bench = Bench::new();
    let said = bench.ok("run tiny.toml -q");
    assert!(said.out.contains("full / full"), "{}", said.out);
    assert!(!said.err.contains("start ") && !said.err.contains("ran     full"), "{}", said.err);
}

#[test]
fn a_plan_is_told_by_its_first_causes_in_the_words_of_the_file() {
    let bench = Bench::new();
    let first = bench.ok("plan tiny.toml").out;
    assert!(first.lines().next().unwrap().starts_with("never run: "), "{first}");
    bench.run("");
    let edited = bench.ok("plan tiny.toml --set stage.full.recipe.lr=0.05").out;
    let lines: Vec<&str> = edited.lines().collect();
    let changed: Vec<&&str> = lines.iter().filter(|line| line.contains(" -> ")).collect();
    assert!(changed.iter().any(|line| line.starts_with("stage.full.recipe.lr 0.1 -> 0.05: ")), "{edited}");
    // What only depends on it is folded into it.
    assert!(!edited.contains("must run"), "{edited}");
    let listed = bench.ok("plan tiny.toml --steps --set stage.full.recipe.lr=0.05").out;
    assert!(listed.contains("must run"), "{listed}");
    let more = bench.ok("plan tiny.toml --set sweep.seed=[0,1]").out;
    assert!(more.contains("sweep.seed = 1 is new: "), "{more}");
    let cells = bench.ok("plan tiny.toml --set sweep.seed={from=0,to=99}").out;
    assert!(cells.lines().count() <= 24, "200 cells are more than a screen:\n{cells}");
    let explained = bench.ok("explain tiny.toml accuracy --set stage.full.recipe.lr=0.05").out;
    assert!(explained.contains("cause    stage.full.recipe.lr 0.1 -> 0.05 (of full"), "{explained}");
}

#[test]
fn each_edit_is_named_as_the_file_has_it() {
    let bench = Bench::new();
    let pinned = "--set sweep.seed=[0,1] --set stage.ranking.model-where={seed=0}";
    bench.run(pinned);
    let told = |set: &str| bench.ok(&format!("plan tiny.toml {pinned} {set}")).out;
    let edits = "--set stage.full.recipe.lr=0.05 --set stage.ranking.method.per-round=98";
    for (set, expected) in [
        ("--set stage.retrained.recipe.lr=0.2", &["stage.retrained.recipe.lr 0.1 -> 0.2: "][..]),
        ("--set data.fashion.limit.test=10", &["data.fashion.test: the images are others than before: "]),
        ("--set stage.ranking.model-where={seed=1}", &["stage.ranking.model-where.seed 0 -> 1: "]),
        // What it needs was edited, too.
        (edits, &["stage.full.recipe.lr 0.1 -> 0.05: ", "stage.ranking.method.per-round 196 -> 98: "]),
    ] {
        let told = told(set);
        for expected in expected {
            assert!(told.lines().any(|line| line.starts_with(expected)), "{set}\n{told}");
        }
        assert!(!told.contains("stage.full.images") && !told.contains("never run"), "{set}\n{told}");
    }
}

#[test]
fn the_log_of_a_step_is_that_of_the_run_that_has_it() {
    let bench = Bench::new();
    let line = "run tiny.toml --stage full --set stage.full.recipe.epochs=40";
    let start = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_overinterp"));
        command.args(line.split(' ')).current_dir(bench.folder());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut first = start();
    while std::fs::read_dir(bench.path("cache/v1/partial/train")).map_or(0, Iterator::count) == 0 {
        assert!(first.try_wait().unwrap().is_none(), "it has ended at once");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // It waits for the first.
    assert!(start().wait().unwrap().success() && first.wait().unwrap().success());
    let said = bench.ok("log full").out;
    assert!(said.contains("epoch 40/40") && !said.contains("waiting"), "{said}");
}

#[test]
fn a_plan_without_data_says_so_once_with_what_to_do() {
    let bench = Bench::new();
    let said = bench.ok("plan tiny.toml --set data.fashion.root=\"nowhere\"").out;
    assert_eq!(said.matches("no usable data").count(), 1, "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("looked in nowhere")).count(), 1, "{said}");
    assert!(said.lines().count() < 12, "{said}");
}

#[test]
fn runs_are_recorded_with_settings_and_outcome_and_show_their_results_after_the_file_has_changed() {
    let bench = Bench::new();
    assert_eq!(bench.say("runs").code, Some(2));
    bench.run("--set stage.full.recipe.epochs=2");
    let before = bench.ok("results tiny.toml --format csv --set stage.full.recipe.epochs=2").out;
    bench.edit("lr = 0.1", "lr = 0.2");
    bench.run("");
    // One that computes nothing leaves no record.
    bench.run("");
    let runs = bench.ok("runs").out;
    let lines: Vec<&str> = runs.lines().collect();
    assert_eq!(lines.len(), 2, "{runs}");
    assert!(lines[0].contains("done: ran ") && lines[0].ends_with("--set stage.full.recipe.epochs=2"), "{runs}");
    let id = lines[0].split(' ').next().unwrap();
    let one = bench.ok(&format!("runs {id}")).out;
    assert!(one.contains("set      stage.full.recipe.epochs=2") && one.contains("ran      full "), "{one}");
    assert!(bench.ok(&format!("runs {id} --toml")).out.contains("epochs = 2"));
    assert_eq!(bench.ok(&format!("results --run {id} --format csv")).out, before);
    let log = bench.ok("log full seed=0").out;
    assert!(log.contains("epoch 1/") && log.contains("  ran in "), "{log}");
    let stats = bench.ok("cache stats").out;
    assert!(stats.contains("2 runs recorded") && !stats.contains("no part of the cache"), "{stats}");
    bench.ok("cache gc tiny.toml");
    assert_eq!(bench.ok("runs").out.lines().count(), 2);
    // Two runs beside each other.
    let diff = bench.ok(&format!("diff {id} last")).out;
    assert!(diff.contains("stage.full.recipe.lr 0.1 -> 0.2"), "{diff}");
    assert!(diff.contains("stage.full.recipe.epochs 2 -> 1"), "{diff}");
}

#[test]
fn a_run_whose_process_was_killed_did_not_end() {
    let bench = Bench::new();
    bench.run("");
    let runs = bench.path("cache/v1/runs");
    let run = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(run.join("end.json")).unwrap();
    assert!(bench.ok("runs").out.contains("did not end"));
    let status = bench.ok("status").out;
    assert!(status.contains("nobody works with this cache") && status.contains("did not end"), "{status}");
}

#[test]
fn two_settings_are_held_beside_each_other_without_a_run() {
    let bench = Bench::new();
    bench.run("");
    let diff = bench.ok("diff tiny.toml --set stage.full.recipe.lr=0.3").out;
    assert!(diff.contains("stage.full.recipe.lr 0.1 -> 0.3") && diff.contains("-> not there"), "{diff}");
}

#[test]
fn a_step_is_computed_again_beside_the_cache() {
    let bench = Bench::new();
    let events = bench.run("");
    let key = events.steps("full").next().unwrap()["key"].as_str().unwrap().to_owned();
    let said = bench.ok(&format!("replay tiny.toml {key}")).out;
    assert!(said.contains("the same bytes"), "{said}");
    let verified = bench.ok("cache verify tiny.toml --rerun 4").out;
    assert!(verified.contains("computed again 4: 0 came out otherwise"), "{verified}");
    assert_eq!(bench.run("").total("ran"), 0);
}

#[test]
fn a_number_is_traced_to_what_it_was_made_of() {
    let bench = Bench::new();
    bench.run("");
    let said = bench.ok("trace tiny.toml accuracy --column 0.05").out;
    for heading in ["0.050", "fraction=0.05"] {
        assert_eq!(bench.ok(&format!("trace tiny.toml accuracy --column {heading}")).out, said, "{heading}");
    }
    let refused = bench.say("trace tiny.toml accuracy --row nobody");
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
    for expected in
        ["table accuracy (tiny.toml:", "retrained", "(tiny.toml:", "train-v1:", "select-v1:", "content ", "made "]
    {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn a_bundle_shows_its_results_where_there_are_no_data_and_a_changed_one_is_refused() {
    let bench = Bench::new();
    bench.run("");
    let there = bench.ok("results tiny.toml --format markdown").out;
    bench.ok("bundle tiny.toml -o tiny.tar.gz");
    let elsewhere = tempfile::tempdir().unwrap();
    let results = |archive: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overinterp"));
        command.current_dir(elsewhere.path()).args(["results", "--format", "markdown", "--bundle"]).arg(archive);
        command.output().unwrap()
    };
    let archive = elsewhere.path().join("tiny.tar.gz");
    std::fs::rename(bench.path("tiny.tar.gz"), &archive).unwrap();
    let text = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    std::fs::write(bench.path("tiny.toml"), text.replace("fashion-mnist-small", "gone")).unwrap();
    let output = results(&archive);
    assert_eq!(String::from_utf8_lossy(&output.stdout), there, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("have the bytes of their records"));

    // One byte of a result, packed anew.
    let changed = elsewhere.path().join("changed.tar.gz");
    let mut reader = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(&archive).unwrap()));
    let writer = flate2::write::GzEncoder::new(std::fs::File::create(&changed).unwrap(), flate2::Compression::fast());
    let mut writer = tar::Builder::new(writer);
    let mut touched = false;
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (mut header, path) = (entry.header().clone(), entry.path().unwrap().into_owned());
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes).unwrap();
        if !touched && path.starts_with("v1/steps/evaluate") && !path.ends_with("step.json") && !bytes.is_empty() {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            touched = true;
        }
        header.set_size(bytes.len() as u64);
        writer.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    writer.into_inner().unwrap().finish().unwrap();
    assert!(touched);
    let output = results(&changed);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("the bundle is damaged: evaluate-v2:") && !told.contains("cache"), "{told}");
    // A bundle is checked as a whole.
    let refused = bench.say("results --bundle changed.tar.gz --stage full");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
}

#[test]
fn a_run_goes_on_after_a_failure_and_says_so_unless_it_is_to_stop() {
    let bench = Bench::new();
    let text = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let bad = "\n[stage.bad]\nkind = \"import\"\nfile = \"bad.pt\"\narch = \"cnn\"\ndata = \"fashion\"\n";
    std::fs::write(bench.path("tiny.toml"), text + bad).unwrap();
    std::fs::write(bench.path("bad.pt"), "no weights").unwrap();
    let stopped = bench.say("run tiny.toml --fail-fast --cache other --stage bad --stage full");
    assert_eq!(stopped.code, Some(3), "{}", stopped.err);
    assert!(stopped.err.contains("stopped at the first failure (--fail-fast)"), "{}", stopped.err);
    let went_on = bench.say("run tiny.toml");
    assert_eq!(went_on.code, Some(3));
    assert!(went_on.err.contains(&format!("ran {STEPS}, cached 0, failed 1")), "{}", went_on.err);
    assert!(went_on.err.contains("--keep-going, the default"), "{}", went_on.err);
    let runs = bench.ok("runs").out;
    assert!(runs.contains("failed: ran ") && runs.contains("failed 1"), "{runs}");
    assert!(bench.ok("runs last").out.contains("failed   bad"), "{runs}");
}
