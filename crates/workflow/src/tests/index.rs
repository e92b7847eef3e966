//! The index of a cache: it spares reading records, hides no damage, and nothing is lost with it.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::key::Key;
use crate::plan::Plan;
use crate::store::{Inventory, Lookup};
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
        let inventory = Inventory::of(&plan, &View::of_entries(&plan, &lab.store).unwrap()).unwrap();
        assert!(lab.store.still_holds(&inventory));
        spoil(&lab.store.dir(total.step()));
        assert!(!lab.store.still_holds(&inventory), "{said}");
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
fn an_inventory_is_of_a_whole_plan_and_holds_only_while_the_index_knows_all_of_it() {
    let (lab, plan, [_, _, total, last]) = indexed();
    let inventory = Inventory::of(&plan, &View::of_entries(&plan, &lab.store).unwrap()).unwrap();
    assert_eq!(inventory.len(), 4);
    let bytes = inventory.to_bytes().unwrap();
    assert_eq!(Inventory::from_bytes(&bytes).as_ref(), Some(&inventory));
    assert!((0..bytes.len()).all(|length| Inventory::from_bytes(&bytes[..length]).is_none()));
    assert!(Inventory::from_bytes(&[&bytes[..], b"1"].concat()).is_none());

    // What no step loads is read, even where times say that it has not changed.
    let hashed = lab.store.work().1;
    assert!(lab.store.still_holds(&inventory));
    let files = fs::read_dir(lab.store.dir(last.step())).unwrap().count() as u64 - 1;
    assert_eq!(lab.store.work().1 - hashed, files);

    // Another result of the same step is not what it holds.
    let (other, other_plan, _) = indexed();
    assert_eq!(
        Inventory::of(&other_plan, &View::of_entries(&other_plan, &other.store).unwrap()),
        Some(inventory.clone())
    );
    let index = lab.base().join("index");
    let whole = fs::read(&index).unwrap();
    fs::remove_file(&index).unwrap();
    assert!(!lab.store.still_holds(&inventory));
    fs::write(&index, whole).unwrap();
    assert!(lab.store.still_holds(&inventory));
    fs::remove_dir_all(lab.store.dir(total.step())).unwrap();
    assert!(Inventory::of(&plan, &View::of_entries(&plan, &lab.store).unwrap()).is_none());
}

#[test]
fn receipts_are_whole_or_none_and_the_oldest_go() {
    let lab = Lab::new();
    let name = |number: u32| blake3::hash(&number.to_le_bytes());
    assert_eq!(lab.store.receipt(name(0)), None);
    let folder = lab.base().join("receipts");
    for number in 0..40 {
        lab.store.leave_receipt(name(number), number.to_le_bytes().to_vec());
        // Some systems count in hundredths of a second.
        sleep(Duration::from_millis(12));
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 32);
    assert_eq!(lab.store.receipt(name(0)), None);
    assert_eq!(lab.store.receipt(name(39)), Some(39_u32.to_le_bytes().to_vec()));
    let path = folder.join(name(39).to_hex().as_str());
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&path, changed).unwrap();
        assert_eq!(lab.store.receipt(name(39)), None, "byte {place}");
        fs::write(&path, &whole[..place]).unwrap();
        assert_eq!(lab.store.receipt(name(39)), None, "first {place} bytes");
    }
    assert!(lab.store.stats().unwrap().strays.is_empty());
}

#[test]
fn a_record_that_was_put_in_the_place_of_another_is_read_again() {
    let (lab, plan, [a, b, ..]) = indexed();
    let record = |key: &Key<Number>| lab.store.dir(key.step()).join("step.json");
    fs::copy(record(&a), record(&b)).unwrap();
    let view = View::of_entries(&plan, &lab.store).unwrap();
    assert!(matches!(view.entry(b.step()), Lookup::Damaged(damage) if damage.contains("of another step")));
}
