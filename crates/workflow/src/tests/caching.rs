//! What runs, what does not, and what an edit reruns.

use crate::cancel::Cancel;
use crate::executor::{RunError, RunMode, RunOptions};
use crate::plan::Plan;
use crate::toys::{Bench, GiveAnew, Lab, Number, diamond, give, label, options, sum};

#[test]
fn a_second_run_does_no_work() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [.., double]) = diamond(1.0);
    assert_eq!(lab.run(&plan, &bench).counts(), [4, 0, 0, 0]);
    assert_eq!(bench.take(), ["give 1 a", "give 2 b", "sum x1", "sum x2"]);
    let told = lab.run(&diamond(1.0).0, &bench);
    assert_eq!(told.counts(), [0, 4, 0, 0]);
    assert!(bench.take().is_empty());
    let order: Vec<&str> = told.finished.iter().map(|(stage, ..)| stage.as_str()).collect();
    assert_eq!(order, ["a", "b", "sum", "double"]);
    assert_eq!(lab.store.load(&double).unwrap(), Number(6));
}

#[test]
fn an_edit_reruns_only_what_it_touches() {
    let (lab, bench) = (Lab::new(), Bench::default());
    lab.run(&diamond(1.0).0, &bench);
    bench.take();
    let (plan, [.., double]) = diamond(10.0);
    assert_eq!(lab.run(&plan, &bench).counts(), [2, 2, 0, 0]);
    assert_eq!(bench.take(), ["sum x10", "sum x2"]);
    assert_eq!(lab.store.load(&double).unwrap(), Number(60));
}

#[test]
fn adding_a_value_changes_no_key_and_reruns_nothing() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let sweep = |values: &[i64]| {
        let mut plan = Plan::<Bench>::new();
        for &value in values {
            let given = plan.add(give(value, "sweep"), label("given"));
            plan.add(sum(&[&given], 2.0), label("double"));
        }
        plan
    };
    let before = sweep(&[1, 2]);
    lab.run(&before, &bench);
    bench.take();
    let after = sweep(&[3, 1, 2]);
    assert!(after.keys().is_superset(&before.keys()));
    assert_eq!(lab.run(&after, &bench).counts(), [2, 4, 0, 0]);
    assert_eq!(bench.take(), ["give 3 sweep", "sum x2"]);
}

#[test]
fn a_new_stage_version_reruns_the_step_and_cuts_off_what_follows() {
    let (lab, bench) = (Lab::new(), Bench::default());
    lab.run(&diamond(1.0).0, &bench);
    bench.take();
    let mut plan = Plan::new();
    let a = plan.add(GiveAnew(give(1, "a")), label("a"));
    let b = plan.add(give(2, "b"), label("b"));
    plan.add(sum(&[&a, &b], 1.0), label("sum"));
    assert_eq!(lab.run(&plan, &bench).counts(), [1, 2, 0, 0]);
    assert_eq!(bench.take(), ["give 1 a"]);
}

#[test]
fn a_rerun_that_yields_the_same_bytes_stops_there() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let plan = |note| {
        let mut plan = Plan::<Bench>::new();
        let one = plan.add(give(1, note), label("one"));
        let double = plan.add(sum(&[&one], 2.0), label("double"));
        let total = plan.add(sum(&[&one, &double], 1.0), label("total"));
        (plan, total)
    };
    lab.run(&plan("first words").0, &bench);
    bench.take();
    let (edited, total) = plan("other words");
    assert_eq!(lab.run(&edited, &bench).counts(), [1, 2, 0, 0]);
    assert_eq!(bench.take(), ["give 1 other words"]);
    assert_eq!(lab.store.load(&total).unwrap(), Number(3));
    assert_eq!(lab.run(&edited, &bench).counts(), [0, 3, 0, 0]);
    let (_, record) = lab.store.verified(total.step()).unwrap();
    assert_eq!(record.taken_from.as_ref(), Some(plan("first words").1.step()));
}

#[test]
fn a_plan_shares_its_steps_with_other_plans() {
    let (lab, bench) = (Lab::new(), Bench::default());
    lab.run(&diamond(1.0).0, &bench);
    bench.take();
    let mut other = Plan::new();
    let b = other.add(give(2, "b"), label("under another name"));
    other.add(sum(&[&b], 5.0), label("quintuple"));
    assert_eq!(lab.run(&other, &bench).counts(), [1, 1, 0, 0]);
}

#[test]
fn a_frozen_run_runs_nothing_and_says_what_it_would_run() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let frozen = RunOptions { mode: RunMode::Frozen, ..options() };
    let (plan, _) = diamond(1.0);
    let error = lab.try_run(&plan, &bench, &frozen, &Cancel::default()).unwrap_err();
    let RunError::Frozen { steps: 4, would_run, damaged: 0 } = &error else { panic!("{error}") };
    assert!(would_run[0].starts_with("a (give-v1:") && would_run[0].ends_with("): never run"), "{would_run:?}");
    assert_eq!(would_run.len(), 4);
    assert!(bench.take().is_empty());
    assert!(!lab.base().exists());
    lab.run(&plan, &bench);
    assert_eq!(lab.try_run(&plan, &bench, &frozen, &Cancel::default()).unwrap().counts(), [0, 4, 0, 0]);
}

#[test]
fn absent_data_are_all_named_before_anything_runs() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let mut plan = Plan::new();
    plan.add(give(1, "there"), label("there"));
    let absent = plan.add_without_data(give(2, ""), label("absent"), "no twos in /data".to_owned());
    plan.add_without_data(give(3, ""), label("absent too"), "no threes in /data".to_owned());
    plan.add(sum(&[&absent], 1.0), label("sum"));
    let error = lab.try_run(&plan, &bench, &options(), &Cancel::default()).unwrap_err();
    assert_eq!(error.to_string(), "no twos in /data\nno threes in /data");
    assert!(bench.take().is_empty());
}

#[test]
fn a_plan_of_ten_thousand_steps_reads_each_record_once_and_hashes_the_last_step_alone() {
    let (lab, bench) = (Lab::in_memory(), Bench::default());
    let chain = |steps: usize| {
        let mut plan = Plan::<Bench>::new();
        let mut last = plan.add(give(0, ""), label("start"));
        for index in 1..steps {
            last = plan.add(sum(&[&last], index as f64), label("next"));
        }
        plan
    };
    let plan = chain(10_000);
    assert_eq!(lab.run(&plan, &bench).counts(), [10_000, 0, 0, 0]);
    let (read, hashed) = lab.store.work();
    assert_eq!(lab.run(&plan, &bench).counts(), [0, 10_000, 0, 0]);
    let (read_after, hashed_after) = lab.store.work();
    assert_eq!((read_after - read, hashed_after - hashed), (10_000, 2));
}
