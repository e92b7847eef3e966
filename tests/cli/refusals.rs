//! What cannot be done: exit 2, and what to do about it.

use serde_json::Value;

use crate::bench::{Bench, Events};

fn refused(bench: &Bench, line: &str, words: &[&str]) {
    let said = bench.say(line);
    assert_eq!(said.code, Some(2), "{line}\n{}\n{}", said.out, said.err);
    for word in words {
        assert!(said.err.contains(word), "{line} does not say {word}:\n{}", said.err);
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_right_one() {
    let bench = Bench::new();
    for verb in ["run tiny.toml --stage", "plan tiny.toml --stage", "explain tiny.toml", "export --to x tiny.toml"] {
        refused(&bench, &format!("{verb} rankin"), &["there is no stage", "`rankin`", "did you mean `ranking`?"]);
    }
    refused(&bench, "run tiny.toml --set sweep.fractoin=[0.1]", &["sweep.fractoin", "did you mean `sweep.fraction`?"]);
    refused(&bench, "data fetch cifar11", &["no published data set `cifar11`", "did you mean `cifar10`?"]);
    refused(&bench, "run tiny.toml --device gpu", &["there is no device `gpu`", "auto, cpu, cuda"]);
    refused(&bench, "resluts tiny.toml", &["resluts", "'results'"]);
    refused(&bench, "tiny.toml", &["tiny.toml", "`overinterp run tiny.toml`"]);
    refused(
        &bench,
        "calculate tiny.toml",
        &["calculate", "there are run, work, cancel, why-waiting, plan, explain, results"],
    );
    refused(&bench, "run tiny.toml --jbos 2", &["--jbos", "'--jobs'"]);
    refused(
        &bench,
        "explain tiny.toml full --cell seed=9",
        &["stage `full` has no cell seed=9", "its cells are seed=0"],
    );
    refused(&bench, "show train-v1:123 --cache no", &["there is no cache in no", "`overinterp run FILE` makes one"]);
    refused(&bench, "show train-v1:123", &["no step in the cache", "train-v1:123"]);
    refused(&bench, "cache clean", &["in `cache` there are stats, verify, gc", "`overinterp help cache VERB`"]);
    refused(&bench, "--log warn cache verfy", &["'verify'", "in `cache` there are stats, verify, gc"]);
    refused(&bench, "data fech mnist", &["'fetch'", "in `data` there is fetch"]);
}

#[test]
fn every_problem_of_a_file_comes_with_its_file_line_and_text() {
    let bench = Bench::new();
    bench.edit("epochs = 1", "epoch = 1");
    bench.edit("keep = \"${fraction}\"", "keep = 1.5");
    for verb in ["run", "plan", "results"] {
        refused(&bench, &format!("{verb} tiny.toml"), &["tiny.toml:18:", "epoch", "did you mean", "keep = 1.5"]);
    }
    refused(&bench, "run absent.toml", &["absent.toml"]);
}

#[test]
fn problems_of_a_base_come_with_the_bases_own_file_and_line() {
    let bench = Bench::new();
    bench.edit("epochs = 1", "epoch = 1");
    std::fs::write(bench.path("built.toml"), "extends = 'tiny.toml'\nname = 'built'\n[sweep]\nseed = 3\n").unwrap();
    refused(&bench, "run built.toml", &["tiny.toml:18:", "did you mean", "built.toml:4:8"]);
    refused(&bench, "plan built.toml --set extends=x", &["--set:1:1", "`extends` cannot be set"]);
}

#[test]
fn missing_data_are_planned_for_but_not_run_and_the_message_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::on(&folder.path().join("nowhere"));
    let plan = bench.ok("plan tiny.toml --format json").json();
    for step in plan["steps"].as_array().unwrap() {
        assert_eq!((&step["key"], step["status"].as_str()), (&Value::Null, Some("run")), "{step}");
        assert!(step["why"].is_string(), "{step}");
    }
    let run = bench.say("run tiny.toml --format json");
    assert_eq!(run.code, Some(2), "{}", run.err);
    assert_eq!(Events::of(&run).total("ran"), 0);
    for word in ["overinterp data fetch fashion-mnist", "nowhere"] {
        assert!(run.err.contains(word), "{word}: {}", run.err);
    }
}

#[test]
fn a_cache_that_is_a_file_is_refused() {
    let bench = Bench::new();
    std::fs::write(bench.path("taken"), "a file").unwrap();
    refused(&bench, "run tiny.toml --cache taken", &["taken"]);
    assert_eq!(std::fs::read_to_string(bench.path("taken")).unwrap(), "a file");
}

#[test]
fn masks_of_the_first_images_alone_cannot_stand_for_all_which_is_said_at_the_start() {
    let bench = Bench::new();
    bench.edit("per-round = 196, noise = 0.0 }", "per-round = 196, noise = 0.0 }\ncount = 4");
    let words =
        ["`subset` masks the first 4 of 64 images of fashion.train alone", "`ranking` ranks no more", "train = 4"];
    refused(&bench, "run tiny.toml", &words);
    refused(&bench, "run tiny.toml --stage accuracy", &["4 of 16 images of fashion.test", "test = 4"]);
    // As many as there are will do, and so does what is not asked for more.
    bench.ok("run tiny.toml --stage subset");
    bench.edit("limit = { train = 64, test = 16 }", "limit = { train = 4, test = 4 }");
    bench.run("");
}

#[test]
fn what_sound_data_do_not_have_is_a_mistake_and_no_damage() {
    let bench = Bench::new();
    bench.edit("limit = { train = 64,", "limit = { train = 64000,");
    refused(&bench, "run tiny.toml", &["asks for the first 64000 train images, but it has 4000"]);
    let bench = Bench::new();
    bench.edit("kind = \"fashion-mnist\"", "kind = \"mnist\"");
    let words = ["of kind `mnist`, but its train images are those of Fashion-MNIST", "kind = \"fashion-mnist\""];
    refused(&bench, "run tiny.toml", &words);
}

#[test]
fn a_data_set_in_place_of_a_stage_is_told_apart() {
    let bench = Bench::new();
    refused(&bench, "plan tiny.toml --stage fashion", &["no stage `fashion`, it is the name of a data set", "full"]);
    refused(&bench, "export tiny.toml fashon --to out", &["did you mean `fashion`?", "full, ranking"]);
}
