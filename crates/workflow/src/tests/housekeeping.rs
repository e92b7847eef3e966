//! Counting, verifying and cleaning a cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::key::{Key, StepKey};
use crate::plan::Plan;
use crate::stage::StageError;
use crate::store::{Damage, Entry, Garbage, GcMode, RecordFault, StoreError, Wanted};
use crate::toys::{Bench, Lab, Number, diamond, give, label, sum};

fn tree(dir: &Path) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(tree(&path));
        }
        paths.insert(path);
    }
    paths
}

#[test]
fn statistics_count_steps_bytes_and_seconds_by_kind() {
    let lab = Lab::new();
    assert_eq!(lab.store.stats().unwrap().kinds.len(), 0);
    lab.run(&diamond(10.0).0, &Bench::default());
    let stats = lab.store.stats().unwrap();
    assert_eq!(stats.kinds.keys().collect::<Vec<_>>(), ["give", "sum"]);
    // Each artifact is a number and its sign: 1 and 1, 2 and 1; 30 and 1, 60 and 1.
    assert_eq!((stats.kinds["give"].steps, stats.kinds["give"].bytes), (2, 4));
    assert_eq!((stats.kinds["sum"].steps, stats.kinds["sum"].bytes), (2, 6));
    assert!(stats.kinds["sum"].seconds > 0.0);
    assert_eq!((stats.in_place.len(), stats.partial.count, stats.damaged.count), (0, 0, 0));
}

#[test]
fn verifying_finds_what_times_hide_and_sets_it_aside() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    let path = lab.store.dir(a.step()).join("number.txt");
    let time = path.metadata().unwrap().modified().unwrap();
    fs::write(&path, "9").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let mut calls = Vec::new();
    let found = lab.store.verify(&mut |done, all| calls.push((done, all))).unwrap();
    assert_eq!(calls, [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]);
    assert_eq!((found.intact, found.damaged.len()), (3, 1));
    assert_eq!(found.damaged[0].damage, "the bytes of file number.txt have changed");
    assert!(Path::new(found.damaged[0].aside.as_ref().unwrap()).join("step.json").exists());
    assert_eq!(lab.store.verify(&mut |_, _| {}).unwrap().damaged, []);
    assert_eq!(lab.run(&plan, &Bench::default()).counts(), [1, 3, 0, 0]);
}

/// The diamond, run at two factors; the keys of the second, and those of the first that the second lacks.
fn edited(lab: &Lab) -> (Plan<Bench>, [Key<Number>; 2]) {
    let (old, [_, _, total, double]) = diamond(1.0);
    lab.run(&old, &Bench::default());
    let (new, _) = diamond(2.0);
    lab.run(&new, &Bench::default());
    (new, [total, double])
}

#[test]
fn a_dry_run_says_what_each_thing_is_and_removes_nothing() {
    let lab = Lab::new();
    let (plan, [total, double]) = edited(&lab);
    let before = tree(&lab.base());
    let found = lab.store.gc(&plan.keys().into(), GcMode::DryRun).unwrap();
    assert_eq!(tree(&lab.base()), before);
    assert_eq!((found.kept.count, found.removed.len()), (4, 2));
    let labels: BTreeSet<&str> = found.removed.iter().filter_map(|removal| removal.label.as_deref()).collect();
    assert_eq!(labels, ["double", "sum"].into());
    let keys: BTreeSet<&StepKey> = found.removed.iter().filter_map(|removal| removal.key.as_ref()).collect();
    assert_eq!(keys, [total.step(), double.step()].into());
    let of_double = found.removed.iter().find(|removal| removal.key.as_ref() == Some(double.step())).unwrap();
    assert_eq!(of_double.about, format!("factor=2 of=[{}]", total.step().short()));
    assert_eq!((of_double.garbage, of_double.bytes), (Garbage::Step, 2));
    assert!(of_double.age < 60);
}

#[test]
fn collecting_removes_what_no_root_needs_and_keeps_the_rest_usable() {
    let lab = Lab::new();
    let (plan, [total, _]) = edited(&lab);
    let name = format!("give-{}", "0".repeat(64));
    fs::create_dir_all(lab.base().join("damaged").join(format!("{name}-1"))).unwrap();
    fs::create_dir_all(lab.base().join("tmp").join(name)).unwrap();
    fs::create_dir_all(lab.store.scratch(total.step())).unwrap();
    let found = lab.store.gc(&plan.keys().into(), GcMode::Remove).unwrap();
    let kinds: Vec<Garbage> = found.removed.iter().map(|removal| removal.garbage).collect();
    let expected = [Garbage::Step, Garbage::Step, Garbage::Partial, Garbage::Damaged, Garbage::Temporary];
    assert_eq!(kinds, expected);
    assert!(found.removed.iter().all(|removal| !removal.path.exists()));
    assert!(!lab.store.dir(total.step()).exists());
    assert_eq!(lab.run(&plan, &Bench::default()).counts(), [0, 4, 0, 0]);
    assert_eq!(lab.store.gc(&plan.keys().into(), GcMode::Remove).unwrap().removed, []);
    assert_eq!(lab.run(&diamond(1.0).0, &Bench::default()).counts(), [2, 2, 0, 0]);
}

#[test]
fn a_pin_keeps_a_step_and_what_it_was_made_from() {
    let lab = Lab::new();
    let (_, [_, double]) = edited(&lab);
    lab.store.pin(double.step()).unwrap();
    assert_eq!(lab.store.pins().unwrap(), [double.step().clone()].into());
    let found = lab.store.gc(&Wanted::default(), GcMode::Remove).unwrap();
    assert_eq!((found.kept.count, found.removed.len()), (4, 2));
    assert_eq!(lab.run(&diamond(1.0).0, &Bench::default()).counts(), [0, 4, 0, 0]);
    lab.store.unpin(double.step()).unwrap();
    assert_eq!(lab.store.gc(&Wanted::default(), GcMode::Remove).unwrap().kept.count, 0);
}

#[test]
fn checkpoints_of_a_step_that_is_still_wanted_stay() {
    let lab = Lab::new();
    let bench = Bench::with(|name, context| {
        if name == "sum x1" {
            fs::write(context.scratch().join("checkpoint"), "half").unwrap();
            return Err(StageError::failed("no more"));
        }
        Ok(())
    });
    let (plan, [_, _, total, _]) = diamond(1.0);
    lab.run(&plan, &bench);
    assert_eq!(lab.store.stats().unwrap().partial.count, 1);
    assert_eq!(lab.store.gc(&plan.keys().into(), GcMode::Remove).unwrap().removed, []);
    assert!(lab.store.scratch(total.step()).join("checkpoint").exists());
    let found = lab.store.gc(&Wanted::default(), GcMode::Remove).unwrap();
    assert!(found.removed.iter().any(|removal| removal.garbage == Garbage::Partial && removal.bytes == 4));
    assert!(!lab.store.scratch(total.step()).exists());
}

#[test]
fn garbage_is_not_collected_under_a_run() {
    let lab = std::sync::Arc::new(Lab::new());
    let inner = std::sync::Arc::clone(&lab);
    let bench = Bench::with(move |_, _| {
        let refused = inner.store.gc(&Wanted::default(), GcMode::Remove);
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
        Ok(())
    });
    assert_eq!(lab.run(&diamond(1.0).0, &bench).counts(), [4, 0, 0, 0]);
}

#[test]
fn early_cutoff_still_works_after_the_step_that_it_took_from_is_gone() {
    let lab = Lab::new();
    let plan = |note| {
        let mut plan = Plan::<Bench>::new();
        let one = plan.add(give(1, note), label("one"));
        plan.add(sum(&[&one], 2.0), label("double"));
        plan
    };
    lab.run(&plan("first"), &Bench::default());
    let second = plan("second");
    assert_eq!(lab.run(&second, &Bench::default()).counts(), [1, 1, 0, 0]);
    lab.store.gc(&second.keys().into(), GcMode::Remove).unwrap();
    assert_eq!(lab.run(&second, &Bench::default()).counts(), [0, 2, 0, 0]);
    assert_eq!(lab.run(&plan("third"), &Bench::default()).counts(), [1, 1, 0, 0]);
}

#[test]
fn steps_are_found_by_the_first_digits_of_their_key() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    let digits = &a.step().hash()[..12];
    let entry = |key| Entry { place: format!("give/{}", a.step().hash()), key };
    assert_eq!(lab.store.find_by_prefix(None, digits).unwrap(), [entry(Ok(a.step().clone()))]);
    assert_eq!(lab.store.find_by_prefix(Some("sum"), digits).unwrap(), []);
    assert_eq!(lab.store.find_by_prefix(None, "").unwrap().len(), 4);
    fs::remove_file(lab.store.dir(a.step()).join("step.json")).unwrap();
    let found = lab.store.find_by_prefix(None, digits).unwrap();
    assert_eq!(found, [entry(Err(RecordFault::Missing))]);
}

#[test]
fn counting_and_collecting_name_what_is_damaged_and_keep_what_is_needed() {
    let lab = Lab::new();
    let (plan, [a, b, total, _]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    fs::write(lab.store.dir(a.step()).join("number.txt"), "12").unwrap();
    fs::remove_file(lab.store.dir(b.step()).join("sign.txt")).unwrap();
    fs::write(lab.store.dir(total.step()).join("step.json"), "{}").unwrap();
    let place = |key: &Key<Number>| format!("{}/{}", key.step().kind(), key.step().hash());
    let damages = |found: Vec<Damage>| -> BTreeSet<(String, String)> {
        found.into_iter().map(|Damage { entry, damage, .. }| (entry, damage)).collect()
    };
    let expected: BTreeSet<(String, String)> = [
        (place(&a), "file number.txt has 2 bytes instead of 1".to_owned()),
        (place(&b), "file sign.txt is missing".to_owned()),
        (place(&total), "step.json is unusable: it is cut off or was changed".to_owned()),
    ]
    .into();
    let stats = lab.store.stats().unwrap();
    assert_eq!((damages(stats.in_place), stats.kinds["sum"].steps), (expected.clone(), 1));
    assert!(!stats.kinds.contains_key("give"));
    for mode in [GcMode::DryRun, GcMode::Remove] {
        let found = lab.store.gc(&plan.keys().into(), mode).unwrap();
        assert_eq!((damages(found.damaged), found.kept.count, found.removed.len()), (expected.clone(), 3, 1));
    }
    assert!(lab.store.dir(a.step()).exists() && !lab.store.dir(total.step()).exists());
    assert_eq!(lab.run(&plan, &Bench::default()).counts(), [3, 1, 0, 0]);
}
