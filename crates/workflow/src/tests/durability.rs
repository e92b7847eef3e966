//! What a crash of the system may have torn is verified before it is believed.

use std::fs;

use crate::store::{Lookup, Scrutiny, Store};
use crate::toys::{Bench, Lab, Number, diamond};
use crate::view::View;

/// How many files `look` hashes.
fn hashed(store: &Store, look: impl FnOnce()) -> u64 {
    let before = store.work().1;
    look();
    store.work().1 - before
}

#[test]
fn after_a_restart_every_byte_of_a_cheap_step_is_verified_once() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    let look = |store: &Store| assert!(matches!(store.look(a.step(), Scrutiny::Times).unwrap(), Lookup::Intact(_)));
    assert_eq!(hashed(&lab.store, || look(&lab.store)), 0);
    let restarted = Store::open(lab.base().parent().unwrap()).unwrap().after_restart();
    assert_eq!(hashed(&restarted, || look(&restarted)), 2);
    // Records that are a while old are taken into the index, which then vouches for them.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let view = |store: &Store| {
        let view = View::of_entries(&plan, store).unwrap();
        assert!(plan.steps().all(|(_, step)| matches!(view.entry(step.identity()), Lookup::Intact(_))));
    };
    assert_eq!(hashed(&restarted, || view(&restarted)), 8);
    // The last step's two files are, always.
    assert_eq!(hashed(&restarted, || view(&restarted)), 2);
    let again = Store::open(lab.base().parent().unwrap()).unwrap();
    assert_eq!(hashed(&again, || view(&again)), 2);
}

#[test]
fn what_a_crash_has_torn_is_damage_whatever_its_state() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    // The record says of the torn file what it says of a whole one: it was written after the file was torn.
    let (file, record) = (lab.store.dir(a.step()).join("number.txt"), lab.store.dir(a.step()).join("step.json"));
    let whole = lab.store.look(a.step(), Scrutiny::Bytes).unwrap();
    let Lookup::Intact(whole) = whole else { panic!("{whole:?}") };
    fs::write(&file, [0]).unwrap();
    fs::write(&record, lab.store.text_as_if_written_now(&whole)).unwrap();
    assert!(matches!(lab.store.look(a.step(), Scrutiny::Times).unwrap(), Lookup::Intact(_)));
    let restarted = Store::open(lab.base().parent().unwrap()).unwrap().after_restart();
    match restarted.look(a.step(), Scrutiny::Times).unwrap() {
        Lookup::Damaged(damage) => assert!(damage.contains("the bytes of file number.txt have changed"), "{damage}"),
        other => panic!("{other:?}"),
    }
    // A record that was torn is no record.
    for torn in [vec![], vec![0; 700]] {
        fs::write(&record, torn).unwrap();
        assert!(matches!(restarted.look(a.step(), Scrutiny::Times).unwrap(), Lookup::Damaged(_)));
    }
    assert_eq!(lab.run(&plan, &Bench::default()).counts(), [1, 3, 0, 0]);
    assert_eq!(lab.store.load(&a).unwrap(), Number(1));
}
