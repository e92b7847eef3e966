//! Weights as people have them: what other tools put before their names and beside them, and files that are none.

use std::fs;
use std::time::{Duration, Instant};

use safetensors::tensor::{Dtype, TensorView};

use crate::bench::Bench;

/// A bench whose file `weights` has the tensors of its network behind each prefix, and more of one zero each.
fn bench(prefixes: &[&str], more: &[&str], keys: &str) -> Bench {
    let bench = Bench::new();
    let events = bench.run("--stage full");
    let file = fs::read(bench.step_dir("cache", &events, "full").join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let mut named = Vec::new();
    for prefix in prefixes {
        named.extend(tensors.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    }
    let zero = [0; 4];
    for name in more {
        named.push(((*name).to_owned(), TensorView::new(Dtype::F32, vec![1], &zero).unwrap()));
    }
    fs::write(bench.path("weights"), safetensors::serialize(named, None).unwrap()).unwrap();
    found(&bench, "weights", keys);
    bench
}

/// Adds an import of a file.
fn found(bench: &Bench, file: &str, keys: &str) {
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let stage =
        format!("\n[stage.found]\nkind = \"import\"\nfile = \"{file}\"\narch = \"cnn\"\ndata = \"fashion\"\n{keys}\n");
    fs::write(bench.path("tiny.toml"), format!("{text}{stage}")).unwrap();
}

#[test]
fn what_is_taken_and_what_is_passed_over_is_said_at_a_run() {
    let said = bench(&["model."], &["criterion.pos_weight"], "").ok("run tiny.toml --stage found").err;
    assert!(said.contains("is no weight of `cnn` and is passed over: `criterion.pos_weight`"), "{said}");
    assert!(said.contains("begin with `model.`"), "{said}");

    let bench = bench(&["params.", "params_ema."], &[], "");
    let said = bench.ok("run tiny.toml --stage found").err;
    assert!(said.contains("`params` are taken, and not `params_ema`; write `weights = \"params_ema\"`"), "{said}");
    bench.edit("file = \"weights\"", "file = \"weights\"\nweights = \"params_ema\"");
    let said = bench.ok("run tiny.toml --stage found").err;
    assert!(!said.contains("are taken"), "{said}");
    bench.edit("\"params_ema\"", "\"ema\"");
    let refused = bench.say("run tiny.toml --stage found");
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("no tensors under `ema`; there are `params`, `params_ema`"), "{}", refused.err);
}

#[test]
fn a_file_of_many_other_tensors_is_refused_at_once_and_its_names_reach_no_terminal_raw() {
    let names: Vec<String> = (0..5000).map(|number| format!("\u{1b}[2J\u{7}layer.{number}.\u{9b}weight")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bench = bench(&[], &names, "");
    let start = Instant::now();
    let refused = bench.say("run tiny.toml --stage found");
    let taken = start.elapsed();
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(taken < Duration::from_secs(10), "it took {taken:?}, unoptimised");
    assert!(
        refused.err.contains("5032 tensors do not fit") && refused.err.contains("and 5022 more"),
        "{}",
        refused.err
    );
    assert!(!refused.err.contains(|letter: char| letter.is_control() && letter != '\n'), "{:?}", refused.err);
}

#[test]
fn a_pointer_and_a_page_in_place_of_the_weights_are_named() {
    let bench = Bench::new();
    found(&bench, "w.pth", "");
    for (content, words) in [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "this is a Git LFS pointer"),
        ("<!DOCTYPE html>\n<html><title>Sign in</title>", "this is an HTML page"),
    ] {
        fs::write(bench.path("w.pth"), content).unwrap();
        let refused = bench.say("run tiny.toml --stage found");
        assert_eq!(refused.code, Some(3), "{}", refused.err);
        assert!(refused.err.contains("w.pth") && refused.err.contains(words), "{}", refused.err);
    }
}
