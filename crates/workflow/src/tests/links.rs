//! Links inside a cache, and files of other programs: nothing outside is read, moved or removed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::store::{GcMode, Store, StoreError, Wanted};
use crate::toys::{Bench, Lab, Number, diamond};

/// A folder outside the cache with something that must stay.
fn home() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("home");
    fs::create_dir_all(path.join("deep")).unwrap();
    fs::write(path.join("thesis.txt"), "thesis").unwrap();
    fs::write(path.join("deep/more.txt"), "more").unwrap();
    (dir, path)
}

fn untouched(home: &Path) {
    assert_eq!(fs::read_to_string(home.join("thesis.txt")).unwrap(), "thesis");
    assert_eq!(fs::read_to_string(home.join("deep/more.txt")).unwrap(), "more");
    assert_eq!(fs::read_dir(home).unwrap().count(), 2);
}

#[test]
fn collecting_and_verifying_leave_what_links_lead_to() {
    let hash = "0".repeat(64);
    let names = ["steps/x", "partial/x", "contents/x", "damaged/x", "tmp/x", "claims/x", "pins/x"].map(str::to_owned);
    let entries = ["steps", "partial", "contents"].map(|part| format!("{part}/give/{hash}"));
    for name in names.into_iter().chain(entries) {
        let (lab, (_dir, home)) = (Lab::new(), home());
        let (plan, _) = diamond(1.0);
        lab.run(&plan, &Bench::default());
        let link = lab.base().join(&name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&home, &link).unwrap();
        assert!(lab.store.stats().unwrap().partial.bytes < 10_000, "{name}");
        lab.store.verify(&mut |_, _| {}).unwrap();
        untouched(&home);
        lab.store.gc(&Wanted::default(), GcMode::Remove).unwrap();
        untouched(&home);
        lab.run(&plan, &Bench::default());
        untouched(&home);
    }
}

#[test]
fn a_linked_part_of_a_cache_is_refused_and_a_linked_cache_works() {
    for part in ["", "steps", "partial", "claims", "tmp", "contents", "damaged", "pins"] {
        let (dir, (_home, home)) = (tempfile::tempdir().unwrap(), home());
        let link = if part.is_empty() { dir.path().join("v1") } else { dir.path().join("v1").join(part) };
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&home, &link).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(&error, StoreError::Link { path } if *path == link), "{error}");
        untouched(&home);
    }
    let lab = Lab::new();
    let (plan, [.., double]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("cache");
    symlink(lab.base().parent().unwrap(), &link).unwrap();
    let store = Store::open(&link).unwrap();
    assert_eq!(store.load(&double).unwrap(), Number(6));
    assert_eq!(store.gc(&plan.keys().into(), GcMode::Remove).unwrap().kept.count, 4);
}

#[test]
fn a_step_is_not_read_or_written_through_the_link_of_its_kind() {
    let (lab, (_dir, home)) = (Lab::new(), home());
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    let (kind, away) = (lab.base().join("steps/give"), home.join("give"));
    fs::rename(&kind, &away).unwrap();
    symlink(&away, &kind).unwrap();
    assert!(matches!(lab.store.load(&a), Err(StoreError::Link { .. })));
    assert_eq!(lab.store.verify(&mut |_, _| {}).unwrap().intact, 2);
    assert_eq!(lab.store.stats().unwrap().strays, [kind]);
    lab.store.gc(&Wanted::default(), GcMode::Remove).unwrap();
    assert_eq!(fs::read_dir(&away).unwrap().count(), 2);
}

#[test]
fn a_linked_file_or_record_of_an_entry_is_damage_and_its_target_stays() {
    for file in ["number.txt", "step.json"] {
        let (lab, (_dir, home)) = (Lab::new(), home());
        let (plan, [a, ..]) = diamond(1.0);
        lab.run(&plan, &Bench::default());
        let path = lab.store.dir(a.step()).join(file);
        fs::rename(&path, home.join("deep").join(file)).unwrap();
        symlink(home.join("deep").join(file), &path).unwrap();
        let said = lab.store.load(&a).unwrap_err().to_string();
        assert!(said.contains("no plain file"), "{said}");
        assert_eq!(lab.run(&plan, &Bench::default()).counts(), [1, 3, 0, 0]);
        assert!(home.join("deep").join(file).is_file());
    }
}

#[test]
fn an_endless_or_gigantic_record_is_damage_and_read_in_no_time() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [a, b, ..]) = diamond(1.0);
    lab.run(&plan, &bench);
    let record = lab.store.dir(a.step()).join("step.json");
    fs::remove_file(&record).unwrap();
    symlink("/dev/zero", &record).unwrap();
    let record = lab.store.dir(b.step()).join("step.json");
    fs::File::options().write(true).open(&record).unwrap().set_len(2_000_000_000).unwrap();
    assert_eq!(lab.store.stats().unwrap().in_place.len(), 2);
    let found = lab.store.verify(&mut |_, _| {}).unwrap();
    assert!(found.damaged.iter().all(|damage| damage.damage.contains("no plain file of at most 64 MB")), "{found:?}");
    assert_eq!(lab.run(&plan, &bench).counts(), [2, 2, 0, 0]);
}

#[test]
fn stray_files_are_passed_over_and_listed() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, _) = diamond(1.0);
    lab.run(&plan, &bench);
    let mut places: BTreeSet<PathBuf> = [
        "../.DS_Store",
        ".DS_Store",
        "steps/.DS_Store",
        "steps/give/.DS_Store",
        "partial/.DS_Store",
        "partial/sum/Thumbs.db",
        "contents/.DS_Store",
        "contents/sum/desktop.ini",
        "pins/.DS_Store",
        "claims/._x",
        "tmp/.nfs0001",
        "damaged/notes.txt",
    ]
    .map(|place| match place.strip_prefix("../") {
        Some(name) => lab.base().parent().unwrap().join(name),
        None => lab.base().join(place),
    })
    .into();
    for place in &places {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, [0, 0, 0, 1, 0xff]).unwrap();
    }
    // What a file manager made a folder of, and what the repository has there.
    let folder = lab.base().join("damaged/kept by hand");
    fs::create_dir(&folder).unwrap();
    places.insert(folder);
    fs::write(lab.base().parent().unwrap().join("README.md"), "").unwrap();
    let listed = |strays: Vec<PathBuf>| assert_eq!(strays.into_iter().collect::<BTreeSet<_>>(), places);
    let stats = lab.store.stats().unwrap();
    assert_eq!((stats.damaged.count, stats.partial.count), (0, 0));
    listed(stats.strays);
    let found = lab.store.verify(&mut |_, _| {}).unwrap();
    assert_eq!((found.intact, found.damaged.len()), (4, 0));
    listed(found.strays);
    assert_eq!(lab.run(&plan, &bench).counts(), [0, 4, 0, 0]);
    for mode in [GcMode::DryRun, GcMode::Remove] {
        let found = lab.store.gc(&plan.keys().into(), mode).unwrap();
        assert_eq!((found.kept.count, found.removed.len()), (4, 0));
        listed(found.strays);
    }
    assert!(places.iter().all(|place| place.exists()));
}

#[test]
fn what_others_put_into_an_entry_is_no_part_of_it() {
    let (lab, bench, (_dir, home)) = (Lab::new(), Bench::default(), home());
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &bench);
    let entry = lab.store.dir(a.step());
    let names = [".DS_Store", "._number.txt", "Thumbs.db", "desktop.ini", "number.txt~", ".nfs0001"];
    for name in names {
        fs::write(entry.join(name), "not ours").unwrap();
    }
    symlink(&home, entry.join("home")).unwrap();
    symlink(home.join("thesis.txt"), entry.join("thesis")).unwrap();
    fs::create_dir(entry.join("folder")).unwrap();
    fs::write(entry.join("folder/letter.txt"), "letter").unwrap();
    let places: BTreeSet<PathBuf> =
        names.into_iter().chain(["home", "thesis", "folder"]).map(|name| entry.join(name)).collect();
    let listed = |strays: Vec<PathBuf>| assert_eq!(strays.into_iter().collect::<BTreeSet<_>>(), places);

    assert_eq!(lab.run(&plan, &bench).counts(), [0, 4, 0, 0]);
    assert_eq!(lab.store.load(&a).unwrap(), Number(1));
    let stats = lab.store.stats().unwrap();
    assert_eq!((stats.in_place, stats.kinds["give"].bytes), (Vec::new(), 4));
    listed(stats.strays);
    let found = lab.store.verify(&mut |_, _| {}).unwrap();
    assert_eq!((found.intact, found.damaged), (4, Vec::new()));
    listed(found.strays);
    let found = lab.store.gc(&plan.keys().into(), GcMode::Remove).unwrap();
    assert_eq!((found.kept.count, found.removed.len()), (4, 0));
    listed(found.strays);
    assert!(places.iter().all(|place| place.symlink_metadata().is_ok()));

    // Files and links go with an entry that goes; a folder stays, and what is left is no entry.
    for mode in [GcMode::DryRun, GcMode::Remove] {
        let found = lab.store.gc(&Wanted::default(), mode).unwrap();
        assert_eq!((found.removed.len(), found.strays), (4, vec![entry.join("folder")]));
    }
    untouched(&home);
    let letter = |entry: &Path| fs::read_to_string(entry.join("folder/letter.txt")).unwrap();
    assert_eq!((letter(&entry).as_str(), fs::read_dir(&entry).unwrap().count()), ("letter", 1));
    let found = lab.store.verify(&mut |_, _| {}).unwrap();
    assert_eq!((found.intact, found.damaged, found.strays), (0, Vec::new(), vec![entry.clone()]));
    assert_eq!(lab.store.stats().unwrap().in_place, []);
    // It makes room for the step, and even then collecting leaves it.
    let told = lab.run(&plan, &bench);
    assert_eq!((told.counts(), told.warnings.len()), ([4, 0, 0, 0], 0));
    let aside = lab.base().join("damaged").join(format!("give-{}-1", a.step().hash()));
    assert_eq!((letter(&aside).as_str(), lab.store.stats().unwrap().damaged.count), ("letter", 0));
    let found = lab.store.gc(&plan.keys().into(), GcMode::Remove).unwrap();
    assert_eq!((found.kept.count, found.removed.len(), found.strays), (4, 0, vec![aside.clone()]));
    assert_eq!(letter(&aside), "letter");
}

#[test]
fn a_folder_in_a_damaged_entry_outlives_it() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &bench);
    let entry = lab.store.dir(a.step());
    fs::create_dir(entry.join("folder")).unwrap();
    fs::write(entry.join("folder/letter.txt"), "letter").unwrap();
    fs::remove_file(entry.join("sign.txt")).unwrap();
    let told = lab.run(&plan, &bench);
    assert_eq!((told.counts(), told.warnings.len()), ([1, 3, 0, 0], 1));
    let aside = lab.base().join("damaged").join(format!("give-{}-1", a.step().hash()));
    for mode in [GcMode::DryRun, GcMode::Remove] {
        let found = lab.store.gc(&plan.keys().into(), mode).unwrap();
        assert_eq!((found.removed.len(), found.strays), (1, vec![aside.join("folder")]));
    }
    assert_eq!(fs::read_to_string(aside.join("folder/letter.txt")).unwrap(), "letter");
    assert_eq!(lab.store.gc(&plan.keys().into(), GcMode::Remove).unwrap().strays, [aside]);
}

#[test]
fn a_note_that_cannot_be_written_is_no_failure() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let (plan, [.., double]) = diamond(1.0);
    fs::create_dir_all(lab.base().join("contents")).unwrap();
    // Where the folder of the notes should be.
    fs::write(lab.base().join("contents/sum"), "").unwrap();
    assert_eq!(lab.run(&plan, &bench).counts(), [4, 0, 0, 0]);
    assert_eq!(lab.store.load(&double).unwrap(), Number(6));
}

#[test]
fn nothing_more_begins_when_no_space_is_left() {
    use crate::stage::{ArtifactError, StageError};
    use std::io::ErrorKind;
    for (kind, place, why) in [
        (ErrorKind::StorageFull, "no space is left on the file system at /", "no space is left, so"),
        (ErrorKind::QuotaExceeded, "the quota on the file system at /", "the quota is used up, so"),
        (ErrorKind::FileTooLarge, "`ulimit -f`", "no file may be as large as is needed, so"),
    ] {
        let lab = Lab::new();
        let bench = Bench::with(move |name, _| match name {
            "give 1 a" => Err(StageError::failed(ArtifactError::writing("some/file", std::io::Error::from(kind)))),
            _ => Ok(()),
        });
        let told = lab.run(&diamond(1.0).0, &bench);
        assert_eq!((told.counts(), bench.take().len()), ([0, 0, 1, 3], 1));
        let failed = told.finished[0].2.as_ref().unwrap();
        for part in ["some/file", place, "the step needs more than the 0 bytes that were written", "--cache"] {
            assert!(failed.contains(part), "{failed}");
        }
        let is_told = |said: &Option<String>| said.as_ref().unwrap().starts_with(why);
        assert!(told.finished.iter().any(|(name, _, said)| name == "b" && is_told(said)));
    }
}
