//! Order, failures, cancellation, and several runs at once.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::event::Status;
use crate::executor::RunOptions;
use crate::plan::Plan;
use crate::stage::StageError;
use crate::store::Store;
use crate::toys::{Bench, Lab, Number, diamond, give, label, options, sum};

#[test]
fn a_failed_step_skips_its_dependants_only_and_is_not_cached() {
    let lab = Lab::new();
    let bench = Bench::with(|name, _| match name {
        "give 1 a" => {
            let cause = std::io::Error::other("the deeper cause");
            Err(StageError::failed(crate::stage::ArtifactError::reading("some/file", cause)))
        }
        _ => Ok(()),
    });
    let (plan, _) = diamond(1.0);
    for _ in 0..2 {
        let told = lab.run(&plan, &bench);
        let ended: BTreeMap<&str, (Status, Option<&str>)> =
            told.finished.iter().map(|(stage, status, error)| (stage.as_str(), (*status, error.as_deref()))).collect();
        assert_eq!(ended["a"], (Status::Failed, Some("cannot read some/file: the deeper cause")));
        assert!(matches!(ended["b"].0, Status::Ran | Status::Cached));
        let (status, why) = ended["double"];
        assert_eq!(status, Status::Skipped);
        assert!(why.unwrap().starts_with("input a (give-v1:"), "{why:?}");
        assert_eq!(told.summary.failed, 1);
        assert_eq!(told.counts().iter().sum::<usize>(), 4);
    }
    assert_eq!(bench.take(), ["give 1 a", "give 1 a", "give 2 b"]);
    assert_eq!(lab.run(&plan, &Bench::default()).counts(), [3, 1, 0, 0]);
}

#[test]
fn a_panic_is_a_failed_step_with_its_message() {
    let lab = Lab::new();
    let bench = Bench::with(|name, _| {
        assert!(name != "give 2 b", "something impossible");
        Ok(())
    });
    let told = lab.run(&diamond(1.0).0, &bench);
    assert_eq!(told.counts(), [1, 0, 1, 2]);
    let error = told.finished.iter().find_map(|(_, _, error)| error.clone()).unwrap();
    assert_eq!(error, "internal error, please report it: something impossible");
}

#[test]
fn cancelling_keeps_finished_steps_and_the_scratch_of_the_running_one() {
    let (lab, cancel) = (Lab::new(), Cancel::default());
    let (plan, [_, _, total, _]) = diamond(1.0);
    let stop = cancel.clone();
    let bench = Bench::with(move |name, context| {
        if name == "sum x1" {
            fs::write(context.scratch().join("checkpoint"), "half").unwrap();
            stop.cancel();
        }
        if context.cancelled() { Err(StageError::Cancelled) } else { Ok(()) }
    });
    let told = lab.try_run(&plan, &bench, &options(), &cancel).unwrap();
    assert_eq!(told.counts(), [2, 0, 0, 2]);
    assert!(told.finished.iter().all(|(_, status, _)| *status != Status::Failed));
    assert!(!lab.store.dir(total.step()).exists());
    let checkpoint = lab.store.scratch(total.step()).join("checkpoint");
    assert_eq!(fs::read_to_string(&checkpoint).unwrap(), "half");

    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let resumed = Bench::with(move |_, context| {
        count.fetch_add(usize::from(context.scratch().join("checkpoint").exists()), Ordering::Relaxed);
        Ok(())
    });
    assert_eq!(lab.run(&plan, &resumed).counts(), [2, 2, 0, 0]);
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    assert!(!checkpoint.parent().unwrap().exists());
}

#[test]
fn a_stage_that_stops_although_nobody_asked_has_failed() {
    let bench = Bench::with(|_, _| Err(StageError::Cancelled));
    assert_eq!(Lab::new().run(&diamond(1.0).0, &bench).counts(), [0, 0, 2, 2]);
}

#[test]
fn a_run_cancelled_before_it_starts_runs_nothing() {
    let (lab, bench, cancel) = (Lab::new(), Bench::default(), Cancel::default());
    cancel.cancel();
    let told = lab.try_run(&diamond(1.0).0, &bench, &options(), &cancel).unwrap();
    assert_eq!(told.counts(), [0, 0, 0, 4]);
    assert!(bench.take().is_empty());
}

#[test]
fn several_jobs_run_independent_steps_at_the_same_time() {
    let lab = Lab::new();
    let both = Arc::new(Barrier::new(2));
    let bench = Bench::with(move |name, _| {
        if name.starts_with("give") {
            both.wait();
        }
        Ok(())
    });
    let two = RunOptions { jobs: 2, ..options() };
    let told = lab.try_run(&diamond(1.0).0, &bench, &two, &Cancel::default()).unwrap();
    assert_eq!(told.counts(), [4, 0, 0, 0]);
}

#[test]
fn many_steps_on_many_jobs_keep_their_order() {
    let (lab, bench) = (Lab::in_memory(), Bench::default());
    let mut plan = Plan::<Bench>::new();
    let mut layer: Vec<_> = (0..12).map(|value| plan.add(give(value, ""), label("give"))).collect();
    for depth in 2..8 {
        layer =
            layer.windows(2).map(|pair| plan.add(sum(&[&pair[0], &pair[1]], f64::from(depth)), label("sum"))).collect();
    }
    let eight = RunOptions { jobs: 8, ..options() };
    let told = lab.try_run(&plan, &bench, &eight, &Cancel::default()).unwrap();
    assert_eq!(told.counts(), [plan.len(), 0, 0, 0]);
    assert_eq!(told.finished.len(), plan.len());
}

#[test]
fn two_runs_on_one_cache_compute_each_step_once() {
    let lab = Lab::new();
    let started = Arc::new(AtomicUsize::new(0));
    let bench = {
        let started = Arc::clone(&started);
        Bench::with(move |_, _| {
            started.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(100));
            Ok(())
        })
    };
    let counts: Vec<[usize; 4]> = thread::scope(|scope| {
        let run = || {
            let (plan, [.., double]) = diamond(1.0);
            let told = lab.run(&plan, &bench);
            assert_eq!(lab.store.load(&double).unwrap(), Number(6));
            told.counts()
        };
        let runs = [scope.spawn(run), scope.spawn(run), scope.spawn(run)];
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(started.load(Ordering::Relaxed), 4);
    assert_eq!(counts.iter().map(|[ran, ..]| ran).sum::<usize>(), 4);
    assert_eq!(counts.iter().map(|[_, cached, ..]| cached).sum::<usize>(), 8);
}

#[test]
fn a_run_waits_for_another_process_that_holds_a_step() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    let entry = lab.store.dir(a.step());
    let away = lab.base().join("tmp/away");
    fs::rename(&entry, &away).unwrap();
    // Another process has claimed the step, puts the entry there, and lets go.
    let claim = lab.base().join("claims").join(format!("give-{}", a.step().hash()));
    let worker = lab.base().join("workers/elsewhere-1-abcdef01");
    let script = format!("sleep 0.3; mv '{}' '{}'; rm '{}'", away.display(), entry.display(), claim.display());
    let mut other = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
    fs::write(&worker, "").unwrap();
    fs::write(&claim, "elsewhere-1-abcdef01").unwrap();
    let bench = Bench::default();
    let told = lab.run(&plan, &bench);
    assert!(other.wait().unwrap().success());
    assert_eq!(told.counts(), [0, 4, 0, 0]);
    assert!(bench.take().is_empty());
}

#[test]
fn a_second_store_on_the_same_place_sees_the_steps() {
    let lab = Lab::new();
    let (plan, [.., double]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    let second = Store::open(lab.base().parent().unwrap()).unwrap();
    assert_eq!(second.load(&double).unwrap(), Number(6));
}

#[test]
fn a_stage_that_loads_what_it_did_not_declare_fails() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    let a = plan.add(give(1, "a"), label("a"));
    let b = plan.add(give(2, "b"), label("b"));
    plan.add(sum(&[&b], 3.0), label("sum"));
    let bench = Bench::with(move |name, context| {
        if name == "sum x3" {
            context.load(&a)?;
        }
        Ok(())
    });
    let told = lab.run(&plan, &bench);
    assert_eq!(told.counts(), [2, 0, 1, 0]);
    let error = told.finished.iter().find_map(|(_, _, error)| error.clone()).unwrap();
    assert!(error.ends_with("is not among the stage's inputs"), "{error}");
}

#[test]
fn a_cache_that_cannot_be_written_to_stops_the_run_before_anything_is_told() {
    let lab = Lab::new();
    fs::create_dir_all(lab.base()).unwrap();
    fs::write(lab.base().join("claims"), "").unwrap();
    let told = AtomicUsize::new(0);
    let observer = |_: crate::event::Event<'_>| {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let (plan, _) = diamond(1.0);
    let run = crate::executor::run(&plan, &lab.store, &Bench::default(), &options(), &observer, &Cancel::default());
    let error = run.unwrap_err().to_string();
    assert!(error.contains("claims is not a directory: remove it"), "{error}");
    assert_eq!(told.load(Ordering::Relaxed), 0);
}
