//! An edit reruns what it touches and nothing else.

use crate::bench::{Bench, STEPS};

#[test]
fn a_further_fraction_runs_only_its_own_masks_retraining_and_evaluations() {
    let bench = Bench::new();
    bench.run("");
    let events = bench.run("--set sweep.fraction=[0.05,0.1,0.2]");
    let ran = |stage| events.count(stage, "ran");
    assert_eq!((ran("subset"), ran("random-subset"), ran("retrained"), ran("accuracy")), (2, 2, 1, 2));
    assert_eq!((events.total("ran"), events.total("cached")), (7, STEPS));
    for stage in ["full", "ranking", "random-ranking"] {
        assert_eq!(ran(stage), 0, "{stage}");
    }
}

#[test]
fn another_recipe_runs_the_trainings_and_what_hangs_on_them() {
    let bench = Bench::new();
    bench.run("");
    let events = bench.run("--set stage.full.recipe.epochs=2");
    for stage in ["full", "ranking", "retrained"] {
        assert_eq!(events.count(stage, "cached"), 0, "{stage}");
    }
    for stage in ["random-ranking", "random-subset"] {
        assert_eq!(events.count(stage, "ran"), 0, "{stage}");
    }
    assert_eq!(events.total("cached") + events.total("ran"), STEPS);
}

#[test]
fn what_is_only_shown_or_named_changes_nothing() {
    let bench = Bench::new();
    bench.run("");
    bench.edit("Accuracy: trained on / tested on", "Another title");
    bench.edit("name = \"tiny\"", "name = \"renamed\"");
    bench.edit("subset", "pixels");
    assert_eq!(bench.run("").total("ran"), 0);
}

#[test]
fn explain_names_the_setting_that_changed() {
    let bench = Bench::new();
    bench.run("");
    let said = bench.ok("explain tiny.toml full --set stage.full.recipe.epochs=2").out;
    assert!(said.contains("settings.recipe.epochs changed: 1 -> 2"), "{said}");
    assert!(said.contains("\"epochs\": 2") && said.contains("nearest  full seed=0"), "{said}");
    let said = bench.ok("explain tiny.toml subset --cell fraction=0.1").out;
    assert!(said.contains("subset fraction=0.1 seed=0 test") && !said.contains("fraction=0.05"), "{said}");
    assert!(said.contains("status   cached"), "{said}");
}

#[test]
fn a_plan_says_why_a_step_would_run() {
    let bench = Bench::new();
    bench.run("");
    let plan = bench.ok("plan tiny.toml --format json --set stage.full.recipe.lr=0.2").json();
    let full = plan["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "full").unwrap();
    assert_eq!((full["status"].as_str(), full["maybe"].as_bool()), (Some("run"), Some(false)));
    assert!(full["why"].as_str().unwrap().contains("settings.recipe.lr changed: 0.1 -> 0.2"), "{full}");
}

#[test]
fn other_test_images_change_the_log_of_a_training_but_no_selection_from_training_images() {
    let bench = Bench::new();
    bench.run("");
    let events = bench.run("--set data.fashion.limit.test=12");
    assert_eq!(events.count("full", "ran"), 1);
    let ended = |part: &str| {
        let steps: Vec<_> = events.steps("ranking").filter(|step| step["part"] == part).collect();
        assert!(!steps.is_empty());
        steps.iter().map(|step| step["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(ended("train").iter().all(|status| status == "cached"));
    assert!(ended("test").iter().all(|status| status == "ran"));
}

#[test]
fn a_file_that_extends_another_runs_only_what_it_changes_and_can_be_written_out() {
    let bench = Bench::new();
    bench.run("");
    std::fs::create_dir(bench.path("built")).unwrap();
    let built = "extends = '../tiny.toml'\nname = 'built'\n[stage.retrained.recipe]\nbatch = 32\n";
    std::fs::write(bench.path("built/built.toml"), built).unwrap();
    let plan = bench.ok("plan built/built.toml --format json").json();
    let run: std::collections::BTreeSet<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["status"] == "run")
        .map(|step| step["stage"].as_str().unwrap())
        .collect();
    assert_eq!(run.into_iter().collect::<Vec<_>>(), ["accuracy", "retrained"]);
    let written = bench.ok("plan built/built.toml --format toml --set sweep.seed=[0]").out;
    std::fs::write(bench.path("built/whole.toml"), &written).unwrap();
    assert!(written.contains("[stage.retrained]") && !written.contains("extends"), "{written}");
    assert_eq!(bench.ok("plan built/whole.toml --format json").json()["steps"], plan["steps"]);
}
