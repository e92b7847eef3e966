//! The index of a cache: it spares reading records, hides no damage, and nothing is lost with it.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::key::Key;
use crate::plan::Plan;
use crate::store::Lookup;
use crate::toys::{Bench, Lab, Number, diamond};
use crate::view::View;

/// A diamond that was run so long ago that its records are settled, and an index of it.
fn indexed() -> (Lab, Plan<Bench>, [Key<Number>; 4]) {
    let lab = Lab::new();
    let (plan, keys) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    sleep(Duration::from_millis(2_100));
    View::of(&plan, &lab.store).unwrap();
    assert!(lab.base().join("index").is_file());
    (lab, plan, keys)
}

fn records_read(lab: &Lab, look: impl FnOnce()) -> u64 {
    let before = lab.store.work().0;
    look();
    lab.store.work().0 - before
}

#[test]
fn a_run_of_what_is_indexed_reads_no_record_and_one_without_index_reads_all() {
    let (lab, plan, _) = indexed();
    let run = || assert_eq!(lab.run(&plan, &Bench::default()).counts(), [0, 4, 0, 0]);
    assert_eq!(records_read(&lab, run), 0);
    let index = lab.base().join("index");
    let whole = fs::read(&index).unwrap();
    fs::remove_file(&index).unwrap();
    assert_eq!(records_read(&lab, run), 4);
    assert_eq!(fs::read(&index).unwrap(), whole);
    // One that a crash has cut off, and one that somebody made up.
    for bytes in [&whole[..whole.len() / 2], b"ovindex1"] {
        fs::write(&index, bytes).unwrap();
        assert_eq!(records_read(&lab, run), 4);
        assert_eq!(fs::read(&index).unwrap(), whole);
    }
    assert!(lab.store.stats().unwrap().strays.is_empty());
}

#[test]
fn nothing_hides_behind_an_index() {
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 8] = [
        ("the bytes of file number.txt have changed", |dir| fs::write(dir.join("number.txt"), "7").unwrap()),
        ("file number.txt has 2 bytes instead of 1", |dir| fs::write(dir.join("number.txt"), "77").unwrap()),
        ("file sign.txt is missing", |dir| fs::remove_file(dir.join("sign.txt")).unwrap()),
        ("step.json is missing", |dir| fs::remove_file(dir.join("step.json")).unwrap()),
        ("step.json is unusable", |dir| {
            let text = fs::read_to_string(dir.join("step.json")).unwrap();
            fs::write(dir.join("step.json"), text.replace("\"bench\"", "\"Bench\"")).unwrap();
        }),
        ("it is not a directory with a record", |dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::write(dir, "").unwrap();
        }),
        ("it is a link", |dir| {
            let away = dir.parent().unwrap().parent().unwrap().join("away");
            fs::rename(dir, &away).unwrap();
            std::os::unix::fs::symlink(&away, dir).unwrap();
        }),
        ("absent", |dir| fs::remove_dir_all(dir).unwrap()),
    ];
    for (said, spoil) in spoil {
        let (lab, plan, [_, _, total, _]) = indexed();
        spoil(&lab.store.dir(total.step()));
        let view = View::of_entries(&plan, &lab.store).unwrap();
        match view.entry(total.step()) {
            Lookup::Damaged(damage) => assert!(damage.contains(said), "{damage}"),
            Lookup::Absent => assert_eq!(said, "absent"),
            Lookup::Intact(_) => panic!("not noticed: {said}"),
        }
        assert_eq!(lab.run(&plan, &Bench::default()).counts(), [1, 3, 0, 0], "{said}");
        assert_eq!(lab.store.load(&total).unwrap(), Number(3));
    }
}

#[test]
fn a_record_that_was_put_in_the_place_of_another_is_read_again() {
    let (lab, plan, [a, b, ..]) = indexed();
    let record = |key: &Key<Number>| lab.store.dir(key.step()).join("step.json");
    fs::copy(record(&a), record(&b)).unwrap();
    let view = View::of_entries(&plan, &lab.store).unwrap();
    assert!(matches!(view.entry(b.step()), Lookup::Damaged(damage) if damage.contains("of another step")));
}
