//! Finished steps that go to a folder which several caches share, and come back.

use std::fs;
use std::path::Path;

use crate::bench::{Bench, STEPS, Said};

/// `--remote` of a folder of the bench.
fn remote(bench: &Bench) -> String {
    format!("--remote file://{}", bench.path("shared").display())
}

/// Every file of a cache's steps with its bytes, but for records, which hold times.
fn results(steps: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![steps.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("step.json") {
                let name = path.strip_prefix(steps).unwrap().display().to_string();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_one_cache_pushes_another_pulls_and_nothing_runs() {
    let bench = Bench::new();
    bench.run("--cache one");
    let pushed = bench.ok(&format!("cache push tiny.toml --cache one {}", remote(&bench)));
    assert!(pushed.out.starts_with(&format!("pushed {STEPS} steps, ")), "{}", pushed.out);
    let again = bench.ok(&format!("cache push tiny.toml --cache one {}", remote(&bench)));
    assert!(again.out.starts_with(&format!("pushed 0 steps, 0 B; {STEPS} already on file://")), "{}", again.out);
    let pulled = bench.ok(&format!("cache pull tiny.toml --cache two --format json {}", remote(&bench)));
    let said = pulled.json();
    assert_eq!(
        (said["pulled"].as_u64(), said["there"].as_u64(), said["left"].as_u64()),
        (Some(STEPS), Some(0), Some(0))
    );
    assert_eq!(bench.run("--cache two").total("cached"), STEPS);
    assert_eq!(results(&bench.path("two/v1/steps")), results(&bench.path("one/v1/steps")));
    let verified = bench.ok("cache verify --cache two");
    assert!(verified.out.starts_with(&format!("{STEPS} entries intact")), "{}", verified.out);
}

#[test]
fn damage_on_the_remote_is_named_and_mended_by_a_push() {
    let bench = Bench::new();
    bench.run("--cache one");
    bench.ok(&format!("cache push tiny.toml --cache one {}", remote(&bench)));
    let file = results(&bench.path("shared/v1/files")).into_iter().find(|(_, bytes)| !bytes.is_empty()).unwrap().0;
    let damaged = bench.path("shared/v1/files").join(file);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[0] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let pulled = bench.say(&format!("cache pull tiny.toml --cache two {}", remote(&bench)));
    assert_eq!(pulled.code, Some(3), "{}", pulled.err);
    assert!(pulled.err.contains("but damaged: the bytes of file"), "{}", pulled.err);
    assert!(pulled.out.starts_with(&format!("pulled {} steps", STEPS - 1)), "{}", pulled.out);
    bench.ok(&format!("cache push tiny.toml --cache one --replace {}", remote(&bench)));
    bench.ok(&format!("cache pull tiny.toml --cache two {}", remote(&bench)));
    assert_eq!(bench.run("--cache two").total("cached"), STEPS);
}

/// Runs the binary with credentials in its environment.
fn with_secrets(bench: &Bench, line: &str, more: &[(&str, &str)]) -> Said {
    let mut words = vec!["env".to_owned()];
    let secrets = [("AWS_ACCESS_KEY_ID", "AKIASECRETKEYID"), ("AWS_SECRET_ACCESS_KEY", "tops3cretaccess")];
    words.extend(secrets.iter().chain(more).map(|(name, value)| format!("{name}={value}")));
    words.push(env!("CARGO_BIN_EXE_overinterp").to_owned());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    bench.say_by(&words, line)
}

#[test]
fn no_credential_is_told_whatever_is_logged_and_whatever_fails() {
    let bench = Bench::new();
    bench.run("--cache one");
    let nobody = [("AWS_ENDPOINT", "http://127.0.0.1:9"), ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0YXp1cmVrZXk=")];
    for (line, more) in [
        ("--log trace cache push tiny.toml --cache one --remote s3://bucket/folder", &nobody[..]),
        ("--log trace cache push tiny.toml --cache one --remote s3://AKIASECRETKEYID:tops3cretaccess@bucket", &[]),
        ("--log trace cache push tiny.toml --cache one --remote az://box/a?sv=2024&sig=tops3cretaccess", &[]),
        ("--log trace cache push tiny.toml --cache one", &[("OVERINTERP_REMOTE", "s3://b/?sig=tops3cretaccess")]),
        ("help cache push", &[("OVERINTERP_REMOTE", "s3://b/?sig=tops3cretaccess")]),
    ] {
        let said = with_secrets(&bench, line, more);
        let told = format!("{}{}", said.out, said.err);
        for secret in ["AKIASECRETKEYID", "tops3cretaccess", "c2VjcmV0YXp1cmVrZXk="] {
            assert!(!told.contains(secret), "{line}\n{told}");
        }
        let refused = if line.starts_with("help") { Some(0) } else { Some(2) };
        assert_eq!(said.code, refused, "{told}");
    }
}

#[test]
fn a_verb_that_needs_a_remote_says_how_to_name_one() {
    let bench = Bench::new();
    bench.run("--cache one");
    let said = bench.say("cache push tiny.toml --cache one");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("add --remote URL, or set OVERINTERP_REMOTE"), "{}", said.err);
    let url = format!("OVERINTERP_REMOTE=file://{}", bench.path("shared").display());
    let pushed = bench.say_by(&["env", &url, env!("CARGO_BIN_EXE_overinterp")], "cache push tiny.toml --cache one");
    assert_eq!(pushed.code, Some(0), "{}", pushed.err);
}

#[test]
fn nothing_is_pulled_from_a_folder_that_is_not_there_and_none_is_made() {
    let bench = Bench::new();
    let refused = bench.say(&format!("cache pull tiny.toml {}-mistyped", remote(&bench)));
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("there is no remote at "), "{}", refused.err);
    assert!(
        fs::read_dir(bench.folder())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("mistyped") })
    );
}

#[test]
fn a_run_takes_from_the_remote_what_is_there_and_leaves_what_it_made() {
    let bench = Bench::new();
    let first = bench.run(&format!("--cache one {}", remote(&bench)));
    assert_eq!(first.total("ran"), STEPS);
    let second = bench.ok(&format!("run tiny.toml --cache two {}", remote(&bench)));
    assert!(second.err.contains(&format!("fetched {STEPS} steps")), "{}", second.err);
    assert!(second.err.contains(&format!("ran 0, cached {STEPS}")), "{}", second.err);
    assert_eq!(results(&bench.path("two/v1/steps")), results(&bench.path("one/v1/steps")));
    for left in ["claims", "workers"] {
        let there = fs::read_dir(bench.path("shared/v1").join(left)).map_or(0, Iterator::count);
        assert_eq!(there, 0, "{left}");
    }
}

#[test]
fn a_remote_that_does_not_answer_stops_no_run() {
    let bench = Bench::new();
    let nobody = [("AWS_ENDPOINT", "http://127.0.0.1:9")];
    let said = with_secrets(&bench, "run tiny.toml --cache one --remote s3://bucket/folder", &nobody);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("going on without the remote"), "{}", said.err);
    let left =
        format!("{STEPS} finished steps not pushed: `overinterp cache push tiny.toml --remote s3://bucket/folder`");
    assert!(said.err.contains(&left), "{}", said.err);
    assert_eq!(bench.run("--cache one").total("cached"), STEPS);
}
