//! Steps that go to a remote and come back, while it misbehaves.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::depot::Depot as _;
use overinterp_workflow::event::Summary;
use overinterp_workflow::executor::{RunOptions, Share, Takes, run};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::notices::{FolderNotices, Notices as _, Place};
use overinterp_workflow::plan::{Label, Plan};
use overinterp_workflow::stage::{Artifact, ArtifactError, Context, Stage, StageError};
use overinterp_workflow::store::{Departure, Maker, Store};
use overinterp_workflow::workers::Patience;
use serde::Serialize;

use crate::faulty::{Faults, Faulty};
use crate::{Persistence, Pulled, Pushed, Pushing, Remote, RemoteError, SharedNotices, Sharing};

/// What a step of the tests makes: a small file, an empty one and, where asked for, a large one.
struct Files {
    small: String,
    large: usize,
}

impl Artifact for Files {
    fn save(&self, dir: &FilePath) -> Result<(), ArtifactError> {
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.join(name);
            fs::write(&path, bytes).map_err(|error| ArtifactError::writing(path, error))
        };
        write("small.txt", self.small.as_bytes())?;
        write("empty", &[])?;
        if self.large > 0 {
            let bytes: Vec<u8> = (0..self.large).map(|index| (index / 7 % 251) as u8).collect();
            write("large.bin", &bytes)?;
        }
        Ok(())
    }

    fn load(dir: &FilePath) -> Result<Self, ArtifactError> {
        let path = dir.join("small.txt");
        let small = fs::read_to_string(&path).map_err(|error| ArtifactError::reading(path, error))?;
        Ok(Self { small, large: 0 })
    }
}

#[derive(Serialize)]
struct Make {
    number: usize,
    large: usize,
    of: Option<Key<Files>>,
}

impl Stage<String> for Make {
    const KIND: &'static str = "make";
    const VERSION: u32 = 1;
    type Output = Files;

    fn inputs(&self) -> Vec<StepKey> {
        self.of.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, String>) -> Result<Files, StageError> {
        let before = self.of.as_ref().map_or(Ok(String::new()), |key| context.load(key).map(|files| files.small))?;
        Ok(Files { small: format!("{before}{} {}", self.number, context.env()), large: self.large })
    }
}

/// A cache with `count` steps, one of which has a file of `large` bytes. What they hold depends on `who` makes them.
struct Cache {
    dir: tempfile::TempDir,
    store: Store,
    keys: Vec<StepKey>,
}

fn cache(count: usize, large: usize, who: &str) -> Cache {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (plan, keys) = plan(count, large);
    let maker = Maker { program: "test".into(), host: who.into(), device: "cpu".into() };
    run(&plan, &store, &who.to_owned(), &RunOptions::new(maker), &|_| (), &Cancel::default()).unwrap();
    Cache { dir, store, keys }
}

fn plan(count: usize, large: usize) -> (Plan<String>, Vec<StepKey>) {
    let mut plan = Plan::<String>::new();
    let mut before: Option<Key<Files>> = None;
    let mut keys = Vec::new();
    for number in 0..count {
        let large = if number == 1 { large } else { 0 };
        let key = plan.add(Make { number, large, of: before.take() }, Label::default());
        keys.push(key.step().clone());
        before = (number % 2 == 0).then_some(key);
    }
    (plan, keys)
}

fn empty() -> Cache {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    Cache { dir, store, keys: Vec::new() }
}

impl Cache {
    fn departure(&self, index: usize) -> Departure {
        self.store.departure(&self.keys[index]).unwrap().unwrap()
    }

    fn push_all(&self, remote: &Remote) -> Vec<Result<Pushed, RemoteError>> {
        (0..self.keys.len()).map(|index| remote.push(&self.departure(index), Pushing::New)).collect()
    }

    fn pull(&self, remote: &Remote, key: &StepKey) -> Result<Pulled, RemoteError> {
        remote.pull(&self.store.arrivals(["make"], "test").unwrap(), key, None)
    }

    /// How many things lie in the folder of unfinished ones.
    fn leftovers(&self) -> usize {
        fs::read_dir(self.dir.path().join("v1/tmp")).unwrap().count()
    }

    /// Every file of a step by its name, but for the record, which has times of its own.
    fn bytes(&self, key: &StepKey) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.store.dir(key)).unwrap().map(|entry| entry.unwrap()).collect();
        files.sort_by_key(fs::DirEntry::file_name);
        let named = files.into_iter().map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
        named.filter(|(name, _)| name != "step.json").map(|(name, path)| (name, fs::read(path).unwrap())).collect()
    }
}

fn remote_over(objects: Arc<dyn ObjectStore>) -> (Remote, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let faulty = Faulty { inner: objects, faults: Arc::clone(&faults) };
    let persistence = Persistence { tries: 3, pause: Duration::from_millis(1), rest: Duration::from_millis(200) };
    (Remote::over(Arc::new(faulty), Path::from("shared"), "test://shared".to_owned(), persistence).unwrap(), faults)
}

fn remote() -> (Remote, Arc<Faults>, Arc<InMemory>) {
    let objects = Arc::new(InMemory::new());
    let (remote, faults) = remote_over(Arc::clone(&objects) as _);
    (remote, faults, objects)
}

const LARGE: usize = 12_000_000;

#[test]
fn what_was_pushed_is_pulled_with_the_same_bytes() {
    let (remote, faults, _) = remote();
    let (here, there) = (cache(4, LARGE, "a"), empty());
    assert!(here.push_all(&remote).iter().all(|pushed| matches!(pushed, Ok(Pushed::Put))));
    for key in &here.keys {
        let Pulled::Got(record) = there.pull(&remote, key).unwrap() else { panic!("{key} is absent") };
        assert_eq!(record.made.by.host, "a");
        assert_eq!(there.bytes(key), here.bytes(key));
        // Nothing is read again to find out that it is sound: the files' states are those of this cache.
        let (ours, theirs) = (there.store.verified(key).unwrap().1, here.store.verified(key).unwrap().1);
        assert_eq!(ours.content, theirs.content);
        assert_ne!(ours.files["small.txt"].state, theirs.files["small.txt"].state);
    }
    assert_eq!(there.leftovers(), 0);
    let files: usize = here.keys.iter().flat_map(|key| here.bytes(key)).map(|(_, bytes)| bytes.len()).sum();
    let records: usize = (0..4).map(|index| here.departure(index).text.len()).sum();
    assert_eq!(faults.written.load(Ordering::SeqCst), files + records, "each byte goes once");
    assert_eq!(faults.read.load(Ordering::SeqCst), files + records, "and comes once");
}

#[test]
fn a_step_that_is_there_is_not_sent_again() {
    let (remote, faults, _) = remote();
    let here = cache(2, LARGE, "a");
    here.push_all(&remote);
    let before = faults.written.load(Ordering::SeqCst);
    assert!(here.push_all(&remote).iter().all(|pushed| matches!(pushed, Ok(Pushed::There))));
    assert!(faults.written.load(Ordering::SeqCst) - before < 10_000);
}

#[test]
fn one_listing_a_kind_tells_of_every_step() {
    let (remote, faults, _) = remote();
    let here = cache(30, 0, "a");
    here.push_all(&remote);
    let before = faults.requests.load(Ordering::SeqCst);
    let finished = remote.finished(["make", "other"]).unwrap();
    assert_eq!(finished.len(), 30);
    assert!(here.keys.iter().all(|key| finished.contains(&(key.kind().to_owned(), key.hash().to_owned()))));
    assert_eq!(faults.requests.load(Ordering::SeqCst) - before, 2);
}

#[test]
fn every_third_request_may_fail() {
    let (remote, faults, _) = remote();
    faults.every.store(3, Ordering::SeqCst);
    let (here, there) = (cache(6, 0, "a"), empty());
    assert!(here.push_all(&remote).iter().all(Result::is_ok));
    assert_eq!(remote.finished(["make"]).unwrap().len(), 6);
    for key in &here.keys {
        assert!(matches!(there.pull(&remote, key), Ok(Pulled::Got(_))));
        assert_eq!(there.bytes(key), here.bytes(key));
    }
}

#[test]
fn a_lost_answer_to_a_write_is_no_failure() {
    let (remote, faults, _) = remote();
    faults.lost_answers.store(2, Ordering::SeqCst);
    let here = cache(6, 0, "a");
    assert!(here.push_all(&remote).iter().all(Result::is_ok));
    assert_eq!(remote.finished(["make"]).unwrap().len(), 6);
}

#[test]
fn a_transfer_that_breaks_off_goes_on_from_there() {
    let (remote, faults, _) = remote();
    let (here, there) = (cache(2, LARGE, "a"), empty());
    here.push_all(&remote);
    faults.breaks_after.store(1_000_000, Ordering::SeqCst);
    assert!(matches!(there.pull(&remote, &here.keys[1]), Ok(Pulled::Got(_))));
    assert_eq!(there.bytes(&here.keys[1]), here.bytes(&here.keys[1]));
    assert!(faults.read.load(Ordering::SeqCst) < LARGE + 100_000, "nothing is read twice");
}

#[test]
fn a_remote_that_vanishes_leaves_nothing_half_done() {
    let (remote, faults, objects) = remote();
    let (here, there) = (cache(2, LARGE, "a"), empty());
    // In the middle of the large file.
    faults.gone_after.store(4, Ordering::SeqCst);
    let error = remote.push(&here.departure(1), Pushing::New).unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("test://shared/v1/files/make/"), "{error}");
    let (fresh, _) = remote_over(Arc::clone(&objects) as _);
    assert!(fresh.finished(["make"]).unwrap().is_empty(), "without its record it is nowhere");
    faults.gone.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(250));
    assert!(matches!(remote.push(&here.departure(1), Pushing::New), Ok(Pushed::Put)));
    // In the middle of the way back.
    faults.breaks_after.store(500_000, Ordering::SeqCst);
    faults.gone_after.store(6, Ordering::SeqCst);
    let error = there.pull(&remote, &here.keys[1]).unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert_eq!(there.leftovers(), 0);
    assert!(there.store.departure(&here.keys[1]).unwrap().is_none());
}

#[test]
fn a_remote_that_did_not_answer_is_left_alone_for_a_while() {
    let (remote, faults, _) = remote();
    let here = cache(2, 0, "a");
    faults.gone.store(true, Ordering::SeqCst);
    assert!(remote.finished(["make"]).unwrap_err().is_unavailable());
    let before = faults.requests.load(Ordering::SeqCst);
    let error = remote.push(&here.departure(0), Pushing::New).unwrap_err();
    assert!(error.to_string().contains("did not answer"), "{error}");
    assert_eq!(faults.requests.load(Ordering::SeqCst), before);
}

/// Every object of the remote whose path holds `part`.
fn objects_with(remote: &Remote, part: &str) -> Vec<Path> {
    use futures_util::TryStreamExt as _;
    let all: Vec<_> = remote.wait(remote.objects.list(None).try_collect()).unwrap();
    all.into_iter()
        .map(|meta: object_store::ObjectMeta| meta.location)
        .filter(|path| path.to_string().contains(part))
        .collect()
}

#[test]
fn damage_on_the_remote_is_named_and_not_stored_and_mended_by_who_has_the_step() {
    let (remote, _, objects) = remote();
    let (here, there) = (cache(1, 0, "a"), empty());
    here.push_all(&remote);
    let record = here.departure(0).record;
    let hash = record.files["small.txt"].hash.to_string();
    for (path, bytes, said) in [
        (objects_with(&remote, &hash), "1 b", "the bytes of file small.txt are not those that were stored"),
        (objects_with(&remote, &hash), "0", "file small.txt has 1 bytes instead of"),
        (objects_with(&remote, &hash), "0 a and more", "file small.txt has more than"),
        (objects_with(&remote, "step.json"), "{}", "its record: it is cut off or was changed"),
    ] {
        remote.wait(objects.put(&path[0], PutPayload::from(bytes.as_bytes().to_vec()))).unwrap();
        let error = there.pull(&remote, &here.keys[0]).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains(&here.keys[0].to_string()), "{error}");
        assert_eq!(there.leftovers(), 0);
        assert!(there.store.departure(&here.keys[0]).unwrap().is_none());
        assert!(matches!(remote.push(&here.departure(0), Pushing::New), Ok(Pushed::Put)), "who met it mends it");
        assert!(matches!(empty().pull(&remote, &here.keys[0]), Ok(Pulled::Got(_))));
    }
    remote.wait(objects.delete(&objects_with(&remote, &hash)[0])).unwrap();
    assert!(there.pull(&remote, &here.keys[0]).unwrap_err().to_string().contains("file small.txt is missing"));
    let (other, _) = remote_over(objects);
    assert!(matches!(other.push(&here.departure(0), Pushing::Replace), Ok(Pushed::Put)));
    assert!(matches!(empty().pull(&other, &here.keys[0]), Ok(Pulled::Got(_))));
}

#[test]
fn another_result_of_the_same_step_is_reported_with_both_makers_and_neither_is_lost() {
    let (remote, _, _) = remote();
    let (one, other) = (cache(1, 0, "a"), cache(1, 0, "b"));
    one.push_all(&remote);
    let error = other.push_all(&remote).remove(0).unwrap_err().to_string();
    assert!(error.contains("made there by a, cpu, test, here by b, cpu, test"), "{error}");
    let there = empty();
    assert!(matches!(there.pull(&remote, &one.keys[0]), Ok(Pulled::Got(_))));
    assert_eq!(there.bytes(&one.keys[0]), one.bytes(&one.keys[0]));
}

#[test]
fn a_step_that_was_made_from_other_inputs_is_not_taken() {
    let (remote, _, _) = remote();
    let (one, other) = (cache(2, 0, "a"), cache(2, 0, "b"));
    one.push_all(&remote);
    let there = empty();
    let arrivals = there.store.arrivals(["make"], "test").unwrap();
    let inputs = |cache: &Cache| cache.departure(1).record.inputs.clone();
    assert!(matches!(remote.pull(&arrivals, &one.keys[1], Some(&inputs(&other))), Ok(Pulled::Absent)));
    assert!(matches!(remote.pull(&arrivals, &one.keys[1], Some(&inputs(&one))), Ok(Pulled::Got(_))));
}

#[test]
fn a_file_that_was_changed_here_is_not_pushed() {
    let here = cache(2, LARGE, "a");
    for name in ["small.txt", "large.bin"] {
        let (remote, _, _) = remote();
        let departure = here.departure(1);
        let path = departure.dir.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        fs::write(&path, changed).unwrap();
        let error = remote.push(&departure, Pushing::New).unwrap_err().to_string();
        assert!(error.contains(&format!("the bytes of file {name} have changed")), "{error}");
        fs::write(&path, bytes).unwrap();
        assert!(remote.finished(["make"]).unwrap().is_empty());
    }
}

#[test]
fn several_go_at_a_time() {
    let (remote, faults, _) = remote();
    let here = cache(12, 0, "a");
    faults.slow.store(20, Ordering::SeqCst);
    let mut done = 0;
    remote.push_steps(&here.store, &here.keys, Pushing::New, &mut |_, pushed| {
        assert!(matches!(pushed, Ok(Some(Pushed::Put))));
        done += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((done, remote.finished(["make"]).unwrap().len()), (12, 12));
    let there = empty();
    remote.pull_steps(&there.store, &here.keys, &mut |_, pulled| {
        assert!(matches!(pulled, Ok(Pulled::Got(_))));
        ControlFlow::Continue(())
    });
    assert!(here.keys.iter().all(|key| there.bytes(key) == here.bytes(key)));
}

#[test]
fn a_folder_is_a_remote_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let url = url::Url::from_file_path(dir.path().join("shared")).unwrap();
    let remote = Remote::open(url.as_str()).unwrap();
    let (here, there) = (cache(3, LARGE, "a"), empty());
    assert!(here.push_all(&remote).iter().all(|pushed| matches!(pushed, Ok(Pushed::Put))));
    assert!(here.push_all(&remote).iter().all(|pushed| matches!(pushed, Ok(Pushed::There))));
    assert_eq!(remote.finished(["make"]).unwrap().len(), 3);
    for key in &here.keys {
        assert!(matches!(there.pull(&remote, key), Ok(Pulled::Got(_))));
        assert_eq!(there.bytes(key), here.bytes(key));
    }
    assert!(matches!(there.pull(&remote, &StepKey::of("make", 1, "{}")), Ok(Pulled::Absent)));
}

/// Workers on one remote, each with a folder of its own.
fn board(objects: Arc<dyn ObjectStore>) -> (SharedNotices, Arc<Faults>, tempfile::TempDir) {
    let (remote, faults) = remote_over(objects);
    let dir = tempfile::tempdir().unwrap();
    for name in ["workers", "claims", "failures", "tmp"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    (SharedNotices::new(Arc::new(remote), FolderNotices::new(dir.path().to_owned())), faults, dir)
}

const CLAIM: Place<'static> = Place { folder: "claims", name: "make-0a" };

#[test]
fn one_of_many_claims_and_one_of_many_takes_over() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let boards: Vec<_> = (0..6).map(|_| board(Arc::clone(&objects))).collect();
    let count = |claim: &(dyn Fn(usize) -> bool + Sync)| -> usize {
        std::thread::scope(|scope| {
            let tries: Vec<_> = (0..6).map(|who| scope.spawn(move || claim(who))).collect();
            tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
        })
    };
    assert_eq!(count(&|who| boards[who].0.put_new(CLAIM, &format!("worker {who}")).unwrap().is_some()), 1);
    let held = boards[0].0.get(CLAIM).unwrap().unwrap();
    assert!(held.written.0 > 0.0, "the remote's clock");
    assert_eq!(count(&|who| boards[who].0.replace(CLAIM, &held.version, &format!("heir {who}")).unwrap().is_some()), 1);
    let heir = boards[1].0.get(CLAIM).unwrap().unwrap();
    assert!(heir.text.starts_with("heir") && heir.version != held.version);
    boards[2].0.remove(CLAIM, &held.version).unwrap();
    assert_eq!(boards[3].0.get(CLAIM).unwrap().unwrap().text, heir.text, "another version stays");
    boards[2].0.remove(CLAIM, &heir.version).unwrap();
    assert_eq!(boards[3].0.get(CLAIM).unwrap(), None);
}

#[test]
fn a_claim_whose_answer_was_lost_is_still_ones_own() {
    let (board, faults, _dir) = board(Arc::new(InMemory::new()));
    faults.lost_answers.store(1, Ordering::SeqCst);
    // The first try was done, its answer lost; the second finds its own text.
    let put = board.put_new(CLAIM, "mine");
    faults.lost_answers.store(0, Ordering::SeqCst);
    assert!(put.unwrap().is_some());
    assert_eq!(board.put_new(CLAIM, "yours").unwrap(), None);
}

#[test]
fn cut_off_from_the_remote_a_worker_claims_in_its_own_folder_and_loses_nothing_that_it_held() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let ((one, faults, _dir), (other, _, _other_dir)) = (board(Arc::clone(&objects)), board(objects));
    let held = one.put_new(CLAIM, "one").unwrap().unwrap();
    faults.gone.store(true, Ordering::SeqCst);
    assert_eq!(one.get(CLAIM).unwrap().unwrap().version, held, "as far as it knows");
    let next = Place { folder: "claims", name: "make-0b" };
    let here = one.put_new(next, "one").unwrap().unwrap();
    assert_eq!(one.get(next).unwrap().unwrap().version, here);
    assert_eq!(one.put_new(next, "another").unwrap(), None);
    assert!(one.put(Place { folder: "workers", name: "a-1-b" }, "here").is_ok());
    assert_eq!(one.list("workers").unwrap().len(), 1);
    one.remove(next, &here).unwrap();
    assert_eq!(other.get(next).unwrap(), None);
    assert_eq!(other.get(CLAIM).unwrap().unwrap().text, "one");
}

#[test]
fn who_shares_a_remote_is_seen_by_who_uses_the_cache_without_it() {
    let (board, _, dir) = board(Arc::new(InMemory::new()));
    let place = Place { folder: "workers", name: "a-1-b" };
    let version = board.put(place, "here").unwrap();
    let alone = FolderNotices::new(dir.path().to_owned());
    assert_eq!(alone.get(place).unwrap().unwrap().text, "here");
    assert_eq!(board.list("workers").unwrap().len(), 1, "it counts once");
    board.remove(place, &version).unwrap();
    assert_eq!((alone.get(place).unwrap(), board.get(place).unwrap()), (None, None));
}

/// Runs the plan of `cache` in an empty cache that shares `remote`.
fn run_sharing(remote: Remote, count: usize, who: &str) -> (Cache, Arc<Sharing>, Summary) {
    work_sharing(remote, count, who, Share::default())
}

/// The same for a part of the plan.
fn work_sharing(remote: Remote, count: usize, who: &str, share: Share) -> (Cache, Arc<Sharing>, Summary) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let remote = Arc::new(remote);
    let sharing = Arc::new(Sharing::new(Arc::clone(&remote)));
    let depot: Arc<Sharing> = Arc::clone(&sharing);
    store.share(depot, |folder| Arc::new(SharedNotices::new(remote, folder)), Patience::default());
    let (plan, keys) = plan(count, 0);
    let maker = Maker { program: "test".into(), host: who.into(), device: "cpu".into() };
    let options = RunOptions { share, ..RunOptions::new(maker) };
    let summary = run(&plan, &store, &who.to_owned(), &options, &|_| (), &Cancel::default()).unwrap();
    (Cache { dir, store, keys }, sharing, summary)
}

#[test]
fn a_run_reads_through_and_writes_through() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (one, sharing, summary) = run_sharing(remote_over(Arc::clone(&objects)).0, 6, "a");
    assert_eq!((summary.ran, sharing.came().pushed, sharing.came().left.len()), (6, 6, 0));
    let (other, sharing, summary) = run_sharing(remote_over(objects).0, 6, "b");
    assert_eq!((summary.ran, summary.cached, sharing.came().fetched), (0, 6, 6));
    assert!(one.keys.iter().all(|key| one.bytes(key) == other.bytes(key)));
}

#[test]
fn a_worker_that_takes_other_steps_gets_these_from_the_remote_as_they_are_finished() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (mine, theirs) = (remote_over(Arc::clone(&objects)).0, remote_over(objects).0);
    let takes = Takes::AllBut(["make".to_owned()].into());
    let share = Share { takes, to_the_end: true, ..Share::default() };
    let (waited, made) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| work_sharing(mine, 4, "a", share));
        std::thread::sleep(Duration::from_millis(100));
        let made = run_sharing(theirs, 4, "b");
        (waits.join().unwrap(), made)
    });
    assert_eq!((waited.2.ran, waited.2.cached, made.2.ran), (0, 4, 4));
    assert!(made.0.keys.iter().all(|key| waited.0.bytes(key) == made.0.bytes(key)));
}

#[test]
fn a_cache_that_is_shared_takes_steps_in_by_claims_on_the_remote() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (one, ..) = run_sharing(remote_over(Arc::clone(&objects)).0, 4, "a");
    let mut there = empty();
    let remote = Arc::new(remote_over(objects).0);
    let depot = Arc::new(Sharing::new(Arc::clone(&remote)));
    let board = Arc::clone(&remote);
    there.store.share(depot, |folder| Arc::new(SharedNotices::new(board, folder)), Patience::default());
    let mut got = 0;
    remote.pull_steps(&there.store, &one.keys, &mut |_, pulled| {
        assert!(matches!(pulled, Ok(Pulled::Got(_))));
        got += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((got, objects_with(&remote, "/claims/").len()), (4, 0));
}

#[test]
fn a_run_goes_on_when_its_remote_vanishes_and_says_what_is_not_there() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (remote, faults) = remote_over(Arc::clone(&objects));
    faults.gone_after.store(30, Ordering::SeqCst);
    let (one, sharing, summary) = run_sharing(remote, 12, "a");
    assert_eq!((summary.ran, summary.failed), (12, 0));
    let came = sharing.came();
    assert!(!came.left.is_empty() && came.pushed < 12, "{came:?}");
    assert_eq!(came.problems.iter().filter(|problem| problem.contains("no route to host")).count(), 1, "{came:?}");
    let (again, _) = remote_over(objects);
    assert!(one.push_all(&again).iter().all(Result::is_ok));
    assert_eq!(again.finished(["make"]).unwrap().len(), 12);
}

#[test]
fn a_run_goes_on_while_every_third_request_fails() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (remote, faults) = remote_over(Arc::clone(&objects));
    faults.every.store(3, Ordering::SeqCst);
    let (_, _, summary) = run_sharing(remote, 6, "a");
    assert_eq!((summary.ran, summary.failed), (6, 0));
}

#[test]
fn damage_on_the_remote_is_computed_anew_and_mended_by_a_run() {
    let (remote, _, objects) = remote();
    let here = cache(2, 0, "a");
    here.push_all(&remote);
    let hash = here.departure(0).record.files["small.txt"].hash.to_string();
    let path = objects_with(&remote, &hash).remove(0);
    remote.wait(objects.put(&path, PutPayload::from_static(b"1 a"))).unwrap();
    let (there, sharing, summary) = run_sharing(remote, 2, "a");
    assert_eq!((summary.ran, summary.cached), (1, 1));
    assert!(sharing.came().problems[0].contains("but damaged"), "{:?}", sharing.came());
    assert_eq!(there.bytes(&here.keys[0]), here.bytes(&here.keys[0]));
    let (mended, _) = remote_over(objects);
    assert!(matches!(empty().pull(&mended, &here.keys[0]), Ok(Pulled::Got(_))));
}

#[test]
fn checkpoints_go_to_the_remote_and_come_back_whole() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let key = StepKey::of("make", 1, "{}");
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(here.path().join("parts")).unwrap();
    fs::write(here.path().join("epoch-3"), "weights").unwrap();
    fs::write(here.path().join("parts/7"), "part").unwrap();
    let sharing = || Sharing::new(Arc::new(remote_over(Arc::clone(&objects)).0));
    sharing().offer_unfinished(&key, here.path());
    sharing().fetch_unfinished(&key, there.path());
    assert_eq!(fs::read_to_string(there.path().join("epoch-3")).unwrap(), "weights");
    assert_eq!(fs::read_to_string(there.path().join("parts/7")).unwrap(), "part");
}
