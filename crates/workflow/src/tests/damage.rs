//! Whatever happens to the files of a cache: a damaged entry is set aside and computed again, never used.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::plan::Plan;
use crate::store::{Lookup, Scrutiny, Store, StoreError};
use crate::toys::{Bench, Draw, Lab, Number, diamond, give, label, sum};

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs the diamond, does `damage` to the entry of `sum`, and expects that step alone to run again.
fn repaired_after(damage: impl Fn(&Path), expected: &str) {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [_, _, total, double]) = diamond(1.0);
    lab.run(&plan, &bench);
    bench.take();
    damage(&lab.store.dir(total.step()));
    let told = lab.run(&plan, &bench);
    assert_eq!(told.counts(), [1, 3, 0, 0], "{expected}");
    assert_eq!(bench.take(), ["sum x1"]);
    assert_eq!(told.warnings.len(), 1);
    assert!(told.warnings[0].contains(expected), "{told:?}");
    assert_eq!(files_in(&lab.base().join("damaged")).len(), 1);
    assert_eq!(lab.store.load(&total).unwrap(), Number(3));
    assert_eq!(lab.store.load(&double).unwrap(), Number(6));
    assert_eq!(lab.run(&plan, &bench).counts(), [0, 4, 0, 0]);
}

#[test]
fn a_changed_byte_of_any_file_is_repaired() {
    for name in ["number.txt", "sign.txt"] {
        let damage = |dir: &Path| {
            let path = dir.join(name);
            fs::write(&path, "7").unwrap();
            // Where a file system's clock is coarse, the time would else be that of the first writing.
            set_time(&path, time_of(&path) + Duration::from_secs(1));
        };
        repaired_after(damage, &format!("the bytes of file {name} have changed"));
    }
}

#[test]
fn a_truncated_file_is_repaired() {
    repaired_after(|dir| fs::write(dir.join("number.txt"), "").unwrap(), "file number.txt has 0 bytes instead of 1");
}

#[test]
fn a_missing_file_is_repaired() {
    repaired_after(|dir| fs::remove_file(dir.join("sign.txt")).unwrap(), "file sign.txt is missing");
}

#[test]
fn a_damaged_record_is_repaired() {
    let record = |dir: &Path| dir.join("step.json");
    repaired_after(|dir| fs::write(record(dir), "{}").unwrap(), "step.json is unusable: it is cut off or was changed");
    repaired_after(|dir| fs::remove_file(record(dir)).unwrap(), "step.json is missing");
    repaired_after(|dir| fs::write(record(dir), [0xff]).unwrap(), "step.json is not text");
    repaired_after(
        |dir| {
            let text = fs::read_to_string(record(dir)).unwrap();
            fs::write(record(dir), text.replace("\"sum\"", "\"Sum\"")).unwrap();
        },
        "step.json is unusable",
    );
}

#[test]
fn an_entry_that_is_a_file_is_repaired() {
    repaired_after(
        |dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::write(dir, "").unwrap();
        },
        "it is not a directory with a record",
    );
}

#[test]
fn the_entry_of_another_step_is_not_taken_for_this_one() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [a, b, ..]) = diamond(1.0);
    lab.run(&plan, &bench);
    let (of_a, of_b) = (lab.store.dir(a.step()), lab.store.dir(b.step()));
    fs::remove_dir_all(&of_b).unwrap();
    fs::rename(of_a, of_b).unwrap();
    let told = lab.run(&plan, &bench);
    assert_eq!(told.counts(), [2, 2, 0, 0]);
    assert!(told.warnings[0].contains("step.json is that of another step"), "{told:?}");
    assert_eq!(lab.store.load(&b).unwrap(), Number(2));
}

fn time_of(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

fn set_time(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn an_input_changed_behind_its_times_is_repaired_before_it_is_used() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &bench);
    bench.take();
    let path = lab.store.dir(a.step()).join("number.txt");
    let time = time_of(&path);
    fs::write(&path, "9").unwrap();
    set_time(&path, time);
    let (edited, [_, _, total, _]) = diamond(5.0);
    let told = lab.run(&edited, &bench);
    assert_eq!(told.counts(), [3, 1, 0, 0]);
    assert_eq!(bench.take(), ["give 1 a", "sum x2", "sum x5"]);
    assert_eq!(lab.store.load(&total).unwrap(), Number(15));
}

#[test]
fn a_result_that_no_step_loads_is_repaired_however_its_damage_hides() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [.., double]) = diamond(1.0);
    lab.run(&plan, &bench);
    let path = lab.store.dir(double.step()).join("number.txt");
    let time = time_of(&path);
    fs::write(&path, "9").unwrap();
    set_time(&path, time);
    let told = lab.run(&plan, &bench);
    assert_eq!(told.counts(), [1, 3, 0, 0]);
    assert!(told.warnings[0].contains("the bytes of file number.txt have changed"), "{told:?}");
    assert_eq!(lab.store.load(&double).unwrap(), Number(6));
}

#[test]
fn an_input_damaged_during_the_run_is_computed_again_in_the_same_run() {
    let lab = Lab::new();
    let dir = {
        let (plan, [a, ..]) = diamond(1.0);
        lab.run(&plan, &Bench::default());
        lab.store.dir(a.step())
    };
    let spoiled = AtomicBool::new(false);
    let bench = Bench::with(move |name, _| {
        if name == "sum x5" && !spoiled.swap(true, Ordering::Relaxed) {
            fs::write(dir.join("sign.txt"), "22").unwrap();
        }
        Ok(())
    });
    let (edited, [_, _, total, _]) = diamond(5.0);
    let told = lab.run(&edited, &bench);
    assert_eq!(told.counts(), [3, 1, 0, 0], "{told:?}");
    assert_eq!(bench.take(), ["give 1 a", "sum x2", "sum x5", "sum x5"]);
    assert_eq!(lab.store.load(&total).unwrap(), Number(15));
}

#[test]
fn a_step_whose_input_is_spoiled_again_and_again_gives_up() {
    let lab = Lab::new();
    let (plan, [a, _, total, _]) = diamond(1.0);
    let path = lab.store.dir(a.step()).join("sign.txt");
    let bench = Bench::with(move |name, _| {
        if name == "sum x1" {
            fs::write(&path, "22").unwrap();
        }
        Ok(())
    });
    assert_eq!(lab.run(&plan, &bench).counts(), [2, 0, 1, 1]);
    assert!(lab.store.load(&total).is_err());
    assert_eq!(lab.run(&plan, &Bench::default()).counts(), [2, 2, 0, 0]);
}

#[test]
fn loading_a_damaged_or_absent_step_says_so() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [a, ..]) = diamond(1.0);
    assert!(matches!(lab.store.load(&a), Err(StoreError::Absent { .. })));
    lab.run(&plan, &bench);
    let path = lab.store.dir(a.step()).join("number.txt");
    let time = time_of(&path);
    fs::write(&path, "9").unwrap();
    set_time(&path, time);
    let error = lab.store.load(&a).unwrap_err();
    assert!(error.to_string().contains("the bytes of file number.txt have changed"), "{error}");
}

#[test]
fn a_copied_cache_is_verified_once_and_then_used() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &bench);
    set_time(&lab.store.dir(a.step()).join("number.txt"), SystemTime::UNIX_EPOCH);
    let before = lab.store.work().1;
    // The two files of the last step are hashed in each run, as no step would notice damage to them.
    assert_eq!(lab.run(&plan, &bench).counts(), [0, 4, 0, 0]);
    assert_eq!(lab.store.work().1, before + 1 + 2);
    assert_eq!(lab.run(&plan, &bench).counts(), [0, 4, 0, 0]);
    assert_eq!(lab.store.work().1, before + 1 + 2 + 2);
}

#[test]
fn what_a_crash_leaves_behind_is_never_a_hit() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &bench);
    bench.take();
    // A crash before the rename: a private directory, complete but for its record, and a claim.
    let entry = lab.store.dir(a.step());
    let claim = format!("give-{}", a.step().hash());
    let name = format!("{claim}.host-1-abcdef01");
    fs::rename(&entry, lab.base().join("tmp").join(&name)).unwrap();
    fs::remove_file(lab.base().join("tmp").join(&name).join("step.json")).unwrap();
    fs::write(lab.base().join("tmp").join(&name).join("number.txt"), "99").unwrap();
    fs::write(lab.base().join("claims").join(&claim), "host-1-abcdef01").unwrap();
    assert_eq!(lab.run(&plan, &bench).counts(), [1, 3, 0, 0]);
    assert_eq!(bench.take(), ["give 1 a"]);
    assert_eq!(lab.store.load(&a).unwrap(), Number(1));
    assert!(files_in(&lab.base().join("tmp")).is_empty());
    assert!(files_in(&lab.base().join("claims")).is_empty());
}

#[test]
fn a_dependant_runs_again_only_if_its_input_comes_out_differently() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let mut plan = Plan::new();
    let drawn = plan.add(Draw, label("drawn"));
    let double = plan.add(sum(&[&drawn], 2.0), label("double"));
    for (luck, ran) in [(1, 2), (1, 1), (5, 2)] {
        bench.luck.store(luck, Ordering::Relaxed);
        if lab.base().exists() {
            fs::remove_dir_all(lab.store.dir(drawn.step())).unwrap();
        }
        assert_eq!(lab.run(&plan, &bench).counts(), [ran, 2 - ran, 0, 0]);
        assert_eq!(lab.store.load(&double).unwrap(), Number(2 * luck));
    }
}

#[test]
fn a_cache_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    fs::write(&path, "").unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(error.to_string().contains("is not a directory: remove it, or name another with --cache"), "{error}");
    let error = Store::open(path.join("below")).unwrap_err();
    assert!(matches!(error, StoreError::NotADirectory { .. }), "{error}");
}

#[test]
fn early_cutoff_never_takes_over_a_damaged_result() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let plan = |note| {
        let mut plan = Plan::<Bench>::new();
        let one = plan.add(give(1, note), label("one"));
        let double = plan.add(sum(&[&one], 2.0), label("double"));
        (plan, double)
    };
    let (first, double) = plan("first");
    lab.run(&first, &bench);
    bench.take();
    let path = lab.store.dir(double.step()).join("number.txt");
    let time = time_of(&path);
    fs::write(&path, "9").unwrap();
    set_time(&path, time);
    assert!(matches!(lab.store.look(double.step(), Scrutiny::Bytes).unwrap(), Lookup::Damaged(_)));
    let (second, double) = plan("second");
    assert_eq!(lab.run(&second, &bench).counts(), [2, 0, 0, 0]);
    assert_eq!(lab.store.load(&double).unwrap(), Number(2));
}
