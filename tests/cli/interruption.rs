//! Ctrl-C, hang-ups, and a standard error that takes nothing.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Events, STEPS};

#[test]
fn ctrl_c_keeps_finished_steps_and_the_same_command_goes_on() {
    let bench = Bench::new();
    // Long enough selections to be caught in the first.
    bench.edit("per-round = 196", "per-round = 8");
    let mut child = Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(["run", "tiny.toml", "--format", "json"])
        .current_dir(bench.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    let first: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((first["event"].as_str(), first["stage"].as_str()), (Some("step"), Some("full")), "{first}");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    out.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");

    let events = Events(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
    let finished = events.total("ran");
    assert!((1..STEPS).contains(&finished), "{text}");
    let all = ["ran", "cached", "failed", "skipped"].map(|status| events.total(status));
    assert_eq!((all.iter().sum::<u64>(), events.total("failed")), (STEPS, 0), "{text}");

    let damaged = bench.ok("cache verify --format json").json();
    assert_eq!(damaged["intact"].as_u64(), Some(finished), "{damaged}");
    let rest = bench.run("");
    assert_eq!((rest.total("cached"), rest.total("ran")), (finished, STEPS - finished));

    let undisturbed = bench.run("--cache undisturbed");
    for stage in ["ranking", "retrained"] {
        let file = if stage == "ranking" { "ranking.safetensors" } else { "model.safetensors" };
        let interrupted = std::fs::read(bench.step_dir("cache", &rest, stage).join(file)).unwrap();
        let whole = std::fs::read(bench.step_dir("undisturbed", &undisturbed, stage).join(file)).unwrap();
        assert!(interrupted == whole, "{stage} differs");
    }
}

/// Sends a signal to a run in its first selection, which has rounds of so many pixels; `trap` is what the shell that starts
/// it says before. Gives the exit code and the closing line.
fn signalled(trap: &str, signal: &str, per_round: usize) -> (Option<i32>, Value) {
    let bench = Bench::new();
    bench.edit("per-round = 196", &format!("per-round = {per_round}"));
    let script = format!("{trap} exec '{}' run tiny.toml --format json", env!("CARGO_BIN_EXE_overinterp"));
    // As a terminal that is gone, this takes nothing.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(bench.path(""))
        .env("RUST_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(full)
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    assert!(text.contains("\"full\""), "{text}");
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    out.read_to_string(&mut text).unwrap();
    let code = child.wait().unwrap().code();
    (code, serde_json::from_str(text.lines().last().unwrap()).unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn a_hang_up_ends_a_run_in_good_order_unless_it_was_ignored_at_the_start() {
    // So long that no signal comes too late, however busy the machine is.
    let (code, last) = signalled("", "-HUP", 2);
    assert_eq!((code, last["event"].as_str()), (Some(130), Some("run")), "{last}");
    for (trap, signal) in [("trap '' HUP;", "-HUP"), ("trap '' INT;", "-INT")] {
        let (code, last) = signalled(trap, signal, 28);
        assert_eq!((code, last["ran"].as_u64()), (Some(0), Some(STEPS)), "{trap} {last}");
    }
}

#[test]
fn ctrl_c_tells_of_the_rest_in_one_line() {
    let bench = Bench::new();
    bench.edit("per-round = 196", "per-round = 8");
    let mut child = Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(["run", "tiny.toml"])
        .current_dir(bench.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let before: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("ran     full")).collect();
    assert_eq!(before[0], format!("{STEPS} of {STEPS} steps to run, time left unknown"));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:#?}");
    let told: Vec<&String> = rest.iter().filter(|line| line.contains("skipped") || line.contains("left")).collect();
    let (sum, left) = (told[0], told[1]);
    assert!(sum.starts_with("ran ") && left.starts_with("stopped: ") && told.len() == 2, "{rest:#?}");
    assert!(left.ends_with(&format!("of {STEPS} steps are left, and the same command goes on from here")), "{left}");
    // No terminal, so nothing that moves a cursor.
    assert!(before.iter().chain(&rest).all(|line| !line.contains('\u{1b}')), "{rest:#?}");
}
