//! Several workers on one cache: claims, deaths, silence, failures, and what two compute differently.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::cancel::Cancel;
use crate::event::{Event, Summary};
use crate::executor::{Limit, RunOptions, Share, Takes, run};
use crate::key::Key;
use crate::plan::Plan;
use crate::schedule::{Basis, Estimate, Schedule};
use crate::stage::StageError;
use crate::store::Store;
use crate::toys::{Bench, Draw, Lab, Many, Number, diamond, give, label, options, sum};
use crate::view::View;
use crate::workers::{Machine, Pace, Patience, Presence};

/// A worker is taken for gone after so long, which a busy machine keeps no thread waiting for.
const PATIENCE: Duration = Duration::from_millis(600);

fn store(lab: &Lab) -> Store {
    Store::open(lab.base().parent().unwrap()).unwrap().with_patience(Patience::of(PATIENCE))
}

/// What a worker on another machine says of itself.
fn presence_elsewhere() -> Presence {
    let machine = Machine { boot: "another".to_owned(), processes: "another".to_owned() };
    Presence {
        host: "gpu3".to_owned(),
        pid: 4711,
        machine,
        began: 1,
        doing: "run x.toml".to_owned(),
        alone: false,
        seconds: 1.0,
        steps: Vec::new(),
        paces: BTreeMap::new(),
    }
}

/// Has `worker` claim a step.
fn claim(lab: &Lab, worker: &str, key: &Key<Number>) {
    for name in ["claims", "workers", "tmp"] {
        fs::create_dir_all(lab.base().join(name)).unwrap();
    }
    let step = format!("{}-{}", key.step().kind(), key.step().hash());
    fs::write(lab.base().join("claims").join(step), worker).unwrap();
}

fn hang_up(lab: &Lab, worker: &str, presence: &Presence) {
    fs::write(lab.base().join("workers").join(worker), serde_json::to_string(presence).unwrap()).unwrap();
}

fn names(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// What a run tells of those for whom it waits.
fn run_telling(
    store: &Store,
    plan: &Plan<Bench>,
    bench: &Bench,
    options: &RunOptions<'_>,
) -> ([usize; 4], Vec<String>) {
    let told = Mutex::new(Vec::new());
    let observer = |event: Event<'_>| match event {
        Event::Waiting { step, holder, is_new: true, .. } => {
            let holder = holder.map_or_else(|| "nobody".to_owned(), ToString::to_string);
            told.lock().unwrap().push(format!("{}: {holder}", step.label()));
        }
        Event::Finished { step, error: Some(error), .. } => {
            told.lock().unwrap().push(format!("{}: {error}", step.label()));
        }
        Event::Warning { message, .. } => told.lock().unwrap().push(message.to_owned()),
        _ => {}
    };
    let summary = run(plan, store, bench, options, &observer, &Cancel::default()).unwrap();
    ([summary.ran, summary.cached, summary.failed, summary.skipped], told.into_inner().unwrap())
}

#[test]
fn a_run_does_all_else_before_it_waits_and_says_for_whom() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    claim(&lab, "gpu3-4711-abcdef01", &a);
    let working = crate::workers::Working {
        step: format!("give-{}", a.step().hash()),
        label: "a".to_owned(),
        seconds: 12.0,
        progress: Some(crate::workers::HowFar { unit: "epochs".to_owned(), done: 3, total: 10 }),
    };
    hang_up(&lab, "gpu3-4711-abcdef01", &Presence { steps: vec![working], ..presence_elsewhere() });
    let (bench, done) = (Bench::default(), AtomicBool::new(false));
    let (counts, told) = thread::scope(|scope| {
        let running = scope.spawn(|| {
            let ended = run_telling(&lab.store, &plan, &bench, &options());
            done.store(true, Ordering::Relaxed);
            ended
        });
        // All that needs nothing of `a` is computed, and then nothing.
        while bench.ran.lock().unwrap().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(200));
        assert_eq!(*bench.ran.lock().unwrap(), ["give 2 b"]);
        assert!(!done.load(Ordering::Relaxed));
        // The other gives up, and this one goes on.
        fs::remove_file(lab.base().join("claims").join(format!("give-{}", a.step().hash()))).unwrap();
        running.join().unwrap()
    });
    assert_eq!(counts, [4, 0, 0, 0]);
    assert_eq!(told, ["a: gpu3, process 4711, for 12 s, 3/10 epochs"]);
}

#[test]
fn the_claim_of_a_process_that_has_ended_is_taken_over_at_once() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    claim(&lab, "here-1-abcdef01", &a);
    // This machine's, and a process that was.
    hang_up(&lab, "here-1-abcdef01", &Presence { pid, machine: Machine::here(), ..presence_elsewhere() });
    let (counts, told) = run_telling(&lab.store, &plan, &Bench::default(), &options());
    assert_eq!((counts, told), ([4, 0, 0, 0], Vec::new()));
    for part in ["claims", "workers", "tmp"] {
        assert_eq!(names(&lab.base().join(part)), 0, "{part}");
    }
}

#[test]
fn a_silent_worker_is_taken_for_gone_after_a_while_and_one_that_beats_is_not() {
    let lab = Lab::new();
    let (plan, [a, b, ..]) = diamond(1.0);
    for (worker, key) in [("gpu3-1-abcdef01", &a), ("gpu3-2-abcdef02", &b)] {
        claim(&lab, worker, key);
        hang_up(&lab, worker, &presence_elsewhere());
    }
    // Its clock is wrong by a year, which tells nothing.
    let beats = |count: usize| {
        hang_up(&lab, "gpu3-2-abcdef02", &Presence { seconds: count as f64, ..presence_elsewhere() });
        let file = fs::File::options().write(true).open(lab.base().join("workers/gpu3-2-abcdef02")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(31_536_000 - count as u64)).unwrap();
    };
    let (store, bench, over) = (store(&lab), Bench::default(), AtomicBool::new(false));
    let (counts, ran) = thread::scope(|scope| {
        let run = scope.spawn(|| run_telling(&store, &plan, &bench, &options()).0);
        let beating = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                beats(count);
                count += 1;
                thread::sleep(PATIENCE / 12);
            }
        });
        let began = Instant::now();
        while bench.ran.lock().unwrap().is_empty() && began.elapsed() < Duration::from_secs(60) {
            thread::sleep(PATIENCE / 12);
        }
        thread::sleep(PATIENCE * 2);
        let ran = bench.ran.lock().unwrap().clone();
        over.store(true, Ordering::Relaxed);
        beating.join().unwrap();
        (run.join().unwrap(), ran)
    });
    assert_eq!(ran, ["give 1 a"], "what the silent one had, and not the other's");
    assert_eq!(counts, [4, 0, 0, 0]);
}

#[test]
fn a_worker_whose_step_was_taken_over_leaves_it_to_the_other() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    let one = plan.add(give(1, ""), label("one"));
    let claim_path = lab.base().join("claims").join(format!("give-{}", one.step().hash()));
    let tries = Arc::new(AtomicUsize::new(0));
    let bench = {
        let (tries, claim_path, workers) = (Arc::clone(&tries), claim_path, lab.base().join("workers"));
        Bench::with(move |_, context| {
            if tries.fetch_add(1, Ordering::Relaxed) > 0 {
                return Ok(());
            }
            // Another has taken it for gone.
            let text = serde_json::to_string(&presence_elsewhere()).unwrap();
            fs::write(workers.join("gpu3-4711-abcdef01"), text).unwrap();
            fs::remove_file(&claim_path).unwrap();
            fs::write(&claim_path, "gpu3-4711-abcdef01").unwrap();
            let began = Instant::now();
            while !context.cancelled() {
                assert!(began.elapsed() < Duration::from_secs(20), "it never learns of it");
                thread::sleep(Duration::from_millis(5));
            }
            // The other does not come to an end.
            fs::remove_file(&claim_path).unwrap();
            Err(StageError::Cancelled)
        })
    };
    let (counts, _) = run_telling(&store(&lab), &plan, &bench, &options());
    assert_eq!((counts, tries.load(Ordering::Relaxed)), ([1, 0, 0, 0], 2));
}

/// As when it was stopped for a while, and goes on in the middle of writing.
#[test]
fn a_worker_that_was_taken_for_gone_and_whose_files_were_swept_goes_on() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    let one = plan.add(give(1, ""), label("one"));
    let (base, tries) = (lab.base(), AtomicUsize::new(0));
    let claim_path = base.join("claims").join(format!("give-{}", one.step().hash()));
    let bench = Bench::with(move |_, _| {
        let turn = tries.fetch_add(1, Ordering::Relaxed);
        // Between two signs of life, of which no other comes so soon.
        if turn < 2 {
            fs::remove_file(&claim_path).unwrap();
            for part in ["workers", "tmp"] {
                for entry in fs::read_dir(base.join(part)).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
                }
            }
        }
        // The stage notices, or the store does when it stores what the stage made.
        if turn == 0 { Err(StageError::failed("its files have gone")) } else { Ok(()) }
    });
    let (counts, told) = run_telling(&lab.store, &plan, &bench, &options());
    let lost = "nothing was heard of this worker for long, and another has taken the step over";
    assert_eq!((counts, told), ([1, 0, 0, 0], vec![lost.to_owned(); 2]));
}

#[test]
fn two_workers_that_compute_a_step_differently_are_both_named() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    let draw = plan.add(Draw, label("draw"));
    let plan = Arc::new(plan);
    let (inner_plan, base) = (Arc::clone(&plan), lab.base());
    let claim_path = lab.base().join("claims").join(format!("draw-{}", draw.step().hash()));
    let first = AtomicBool::new(true);
    let bench = Bench::with(move |_, context| {
        if !first.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        // Its claim is lost and the other is faster, before this worker hears of it.
        fs::remove_file(&claim_path).unwrap();
        let other = Store::open(base.parent().unwrap()).unwrap();
        let mut options = options();
        options.maker.host = "another bench".to_owned();
        let bench = Bench::default();
        bench.luck.store(7, Ordering::Relaxed);
        let ended = run(&inner_plan, &other, &bench, &options, &|_| (), &Cancel::default()).unwrap();
        assert_eq!(ended.ran, 1);
        context.env().luck.store(8, Ordering::Relaxed);
        Ok(())
    });
    let (counts, told) = run_telling(&lab.store, &plan, &bench, &options());
    assert_eq!(counts, [1, 0, 0, 0]);
    let [warning] = &told[..] else { panic!("{told:?}") };
    assert!(warning.starts_with("it is not deterministic: two workers computed it from the same inputs"), "{warning}");
    assert!(warning.contains("and number.txt differ: tests 1.0 on another bench (cpu) at 20"), "{warning}");
    assert!(warning.contains(", which is kept, and tests 1.0 on bench (cpu) at 20"), "{warning}");
    // The first stays, and the second is there to be looked at.
    assert_eq!(lab.store.load(&draw).unwrap(), Number(7));
    let aside = lab.base().join("damaged").join(format!("draw-{}-1", draw.step().hash()));
    assert_eq!(fs::read_to_string(aside.join("number.txt")).unwrap(), "8");
}

#[test]
fn a_step_that_failed_elsewhere_is_not_tried_again_in_the_same_run() {
    let lab = Lab::new();
    let failing =
        || Bench::with(|name, _| if name == "give 1 a" { Err(StageError::failed("it broke")) } else { Ok(()) });
    let (plan, _) = diamond(1.0);
    let first = failing();
    let since = {
        let at_work = lab.store.begin(&BTreeSet::new(), "test").unwrap();
        let time = lab.store.workers().time();
        drop(at_work);
        time
    };
    thread::sleep(Duration::from_millis(20));
    assert_eq!(run_telling(&lab.store, &plan, &first, &options()).0, [1, 0, 1, 2]);
    // Of the same run, by when that began.
    let share = Share { failures_since: since, ..Share::default() };
    let second = failing();
    let (counts, told) = run_telling(&lab.store, &plan, &second, &RunOptions { share, ..options() });
    assert_eq!((counts, second.take()), ([0, 1, 1, 2], Vec::new()));
    assert!(told[0].starts_with("a: it failed on ") && told[0].ends_with(": it broke"), "{told:?}");
    // A run that begins later tries.
    let third = Bench::default();
    assert_eq!(run_telling(&lab.store, &plan, &third, &options()).0, [3, 1, 0, 0]);
    assert_eq!(names(&lab.base().join("failures")), 0);
}

#[test]
fn workers_of_different_kinds_share_a_plan() {
    let lab = Lab::new();
    let (plan, _) = diamond(1.0);
    let (gives, sums) = (Bench::default(), Bench::default());
    let only = |kind: &str| RunOptions {
        share: Share { takes: Takes::Only([kind.to_owned()].into()), ..Share::default() },
        ..options()
    };
    thread::scope(|scope| {
        let one = scope.spawn(|| run_telling(&store(&lab), &plan, &gives, &only("give")).0);
        let other = scope.spawn(|| run_telling(&store(&lab), &plan, &sums, &only("sum")).0);
        // Who has done its part waits for nobody.
        assert_eq!((one.join().unwrap(), other.join().unwrap()), ([2, 0, 0, 0], [2, 2, 0, 0]));
    });
    assert_eq!(gives.take(), ["give 1 a", "give 2 b"]);
    assert_eq!(sums.take(), ["sum x1", "sum x2"]);
}

#[test]
fn a_worker_without_work_gives_up_when_it_has_waited_long_enough() {
    let lab = Lab::new();
    let (plan, _) = diamond(1.0);
    let share = Share {
        takes: Takes::Only(["sum".to_owned()].into()),
        idle: Some(Duration::from_millis(200)),
        ..Share::default()
    };
    let bench = Bench::default();
    let (counts, told) = run_telling(&lab.store, &plan, &bench, &RunOptions { share, ..options() });
    // What it needed and what it would have computed.
    assert_eq!((counts, bench.take()), ([0, 0, 0, 3], Vec::new()));
    assert!(told.iter().any(|line| line.starts_with("a: nobody")), "{told:?}");
}

/// Every `sum` takes an hour, all else a second.
fn hours(plan: &Plan<Bench>) -> impl Fn(Schedule, &View) -> Schedule + Sync + '_ {
    |schedule, _| {
        schedule.estimated_by(plan, |step, _| {
            let seconds = if step.manifest().kind() == "sum" { 3600.0 } else { 1.0 };
            Some(Estimate { seconds, basis: Basis::Rates })
        })
    }
}

#[test]
fn a_worker_takes_no_step_that_it_cannot_end_in_time() {
    let lab = Lab::new();
    let (plan, _) = diamond(1.0);
    let until = Instant::now() + Duration::from_secs(60);
    let estimator = hours(&plan);
    let with = |partly| RunOptions {
        share: Share { limit: Some(Limit { until, partly }), ..Share::default() },
        estimator: Some(&estimator),
        ..options()
    };
    let bench = Bench::default();
    let (counts, _) = run_telling(&lab.store, &plan, &bench, &with(false));
    assert_eq!((counts, bench.take()), ([2, 0, 0, 2], vec!["give 1 a".to_owned(), "give 2 b".to_owned()]));
    // Unless it is asked to begin what others will end.
    assert_eq!(run_telling(&lab.store, &plan, &bench, &with(true)).0, [2, 2, 0, 0]);
}

#[test]
fn a_step_is_stopped_when_the_time_is_over_and_the_next_worker_goes_on_from_its_checkpoint() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    plan.add(give(1, ""), label("one"));
    let long = Bench::with(|_, context| {
        fs::write(context.scratch().join("checkpoint"), "half").unwrap();
        while !context.cancelled() {
            thread::sleep(Duration::from_millis(5));
        }
        Err(StageError::Cancelled)
    });
    let limit = Limit { until: Instant::now() + Duration::from_millis(150), partly: false };
    let share = Share { limit: Some(limit), ..Share::default() };
    let (counts, told) = run_telling(&lab.store, &plan, &long, &RunOptions { share, ..options() });
    assert_eq!((counts, &told[..]), ([0, 0, 0, 1], &[format!("one: {}", crate::cancel::OUT_OF_TIME)][..]));
    let goes_on = Bench::with(|_, context| {
        assert_eq!(fs::read_to_string(context.scratch().join("checkpoint")).unwrap(), "half");
        Ok(())
    });
    assert_eq!(run_telling(&store(&lab), &plan, &goes_on, &options()).0, [1, 0, 0, 0]);
}

#[test]
fn what_has_the_longest_way_to_the_end_is_taken_first_and_then_the_longest() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    let seconds: BTreeMap<&str, f64> =
        [("short", 1.0), ("long", 5.0), ("first", 2.0), ("then", 9.0), ("also", 1.0)].into();
    plan.add(give(1, "short"), label("short"));
    plan.add(give(2, "long"), label("long"));
    plan.add(give(5, "also"), label("also"));
    let first = plan.add(give(3, "first"), label("first"));
    plan.add(sum(&[&first], 9.0), label("then"));
    let estimator = |schedule: Schedule, _: &View| {
        let of = |stage: &str| Some(Estimate { seconds: seconds[stage], basis: Basis::Rates });
        schedule.estimated_by(&plan, |step, _| of(&step.label().stage))
    };
    let bench = Bench::default();
    run_telling(&lab.store, &plan, &bench, &RunOptions { estimator: Some(&estimator), ..options() });
    let order = bench.ran.lock().unwrap().clone();
    assert_eq!(order, ["give 3 first", "sum x9", "give 2 long", "give 1 short", "give 5 also"]);
}

#[test]
fn many_workers_compute_each_step_once() {
    let lab = Lab::in_memory();
    let mut plan = Plan::<Bench>::new();
    let mut layer: Vec<_> = (0..40).map(|value| plan.add(give(value, ""), label("give"))).collect();
    for depth in 2..5 {
        layer =
            layer.windows(2).map(|pair| plan.add(sum(&[&pair[0], &pair[1]], f64::from(depth)), label("sum"))).collect();
    }
    let benches: Vec<Bench> = (0..6).map(|_| Bench::default()).collect();
    let ran: usize = thread::scope(|scope| {
        let workers: Vec<_> =
            benches.iter().map(|bench| scope.spawn(|| run_telling(&store(&lab), &plan, bench, &options()).0)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .map(|[ran, _, failed, skipped]| {
                assert_eq!((failed, skipped), (0, 0));
                ran
            })
            .sum()
    });
    assert_eq!(ran, plan.len());
    assert_eq!(benches.iter().map(|bench| bench.take().len()).sum::<usize>(), plan.len());
}

#[test]
fn a_slow_worker_leaves_the_last_steps_to_faster_ones_unless_they_stay() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    for value in 0..4 {
        plan.add(give(value, ""), label("give"));
    }
    // Another is a hundred times as fast at such steps, and does nothing.
    fs::create_dir_all(lab.base().join("workers")).unwrap();
    let fast = Pace { steps: 9, seconds: 0.001 };
    let paces = [("give".to_owned(), fast)].into();
    hang_up(&lab, "gpu3-4711-abcdef01", &Presence { paces, ..presence_elsewhere() });
    let bench = Bench::with(|_, _| {
        thread::sleep(Duration::from_millis(100));
        Ok(())
    });
    let (counts, told) = run_telling(&lab.store, &plan, &bench, &options());
    assert_eq!((counts, told), ([4, 0, 0, 0], Vec::new()));

    let workers = lab.store.workers();
    let _at_work = lab.store.begin(&BTreeSet::new(), "test").unwrap();
    assert_eq!(workers.better_left("give", 1), None, "nothing is known of its pace yet");
    for _ in 0..2 {
        workers.note_pace("give", 0.1);
    }
    assert_eq!(workers.better_left("give", 1), Some(Duration::from_millis(1)));
    assert_eq!(workers.better_left("give", 2), None, "there is enough for all");
    assert_eq!(workers.better_left("sum", 1), None);
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Two workers on a plan with a step of four parts. The one that has it stays at the first part until the other has done
/// `enough`. What each did, and what the other says of it.
fn beside_a_helper(
    lab: &Lab,
    plan: &Plan<Bench>,
    helper: Bench,
    enough: impl Fn(&[String]) -> bool + Send + Sync + 'static,
) -> (Vec<String>, Vec<String>, Summary) {
    let helper = Arc::new(helper);
    let seen = Arc::clone(&helper);
    let owner = Bench::with(move |name, _| {
        if name == "part 0" {
            until("the other does not help", || enough(&seen.ran.lock().unwrap()));
        }
        Ok(())
    });
    let stores = [store(lab), store(lab)];
    let summary = thread::scope(|scope| {
        let owned = scope.spawn(|| run(plan, &stores[0], &owner, &options(), &|_| {}, &Cancel::default()).unwrap());
        until("nobody begins", || owner.ran.lock().unwrap().contains(&"part 0".to_owned()));
        let summary = run(plan, &stores[1], &helper, &options(), &|_| {}, &Cancel::default()).unwrap();
        owned.join().unwrap();
        summary
    });
    let ran = |bench: &Bench| bench.ran.lock().unwrap().clone();
    (ran(&owner), ran(&helper), summary)
}

#[test]
fn a_worker_with_nothing_to_do_helps_with_parts_from_the_last_on() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    let many = plan.add(Many { parts: 4 }, label("many"));
    let (owner, helper, summary) = beside_a_helper(&lab, &plan, Bench::default(), |ran| ran.len() == 3);
    assert_eq!(owner, ["part 0"]);
    assert_eq!(helper, ["helped with 3", "helped with 2", "helped with 1"]);
    assert_eq!((summary.ran, summary.cached, summary.helped), (0, 1, 3));
    assert_eq!(fs::read_to_string(lab.store.dir(many.step()).join("number.txt")).unwrap(), "6");
    for part in ["claims", "workers", "tmp", "partial/many"] {
        assert_eq!(names(&lab.base().join(part)), 0, "{part}");
    }
}

#[test]
fn parts_that_the_other_could_not_use_are_not_done_for_it() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    plan.add(Many { parts: 4 }, label("many"));
    let began = Instant::now();
    let other = Bench { like: "another processor", ..Bench::default() };
    let (owner, helper, summary) =
        beside_a_helper(&lab, &plan, other, move |_| began.elapsed() > Duration::from_millis(800));
    assert_eq!(owner, ["part 0", "part 1", "part 2", "part 3"]);
    assert_eq!((helper, summary.helped), (Vec::new(), 0));
}

#[test]
fn a_helper_leaves_off_when_a_step_becomes_ready() {
    let lab = Lab::new();
    let mut plan = Plan::<Bench>::new();
    plan.add(Many { parts: 4 }, label("many"));
    let late = plan.add(give(1, "late"), label("late"));
    // Somebody else has it, and gives it up in the middle.
    claim(&lab, "gpu3-4711-abcdef01", &late);
    hang_up(&lab, "gpu3-4711-abcdef01", &presence_elsewhere());
    let path = lab.base().join("claims").join(format!("give-{}", late.step().hash()));
    let helper = Bench::with(move |name, _| {
        if name == "helped with 3" {
            fs::remove_file(&path).unwrap();
            // Others are looked at again after so long at most.
            thread::sleep(Duration::from_millis(1200));
        }
        Ok(())
    });
    let (_, helper, summary) = beside_a_helper(&lab, &plan, helper, |ran| ran.len() >= 2);
    assert_eq!(helper[..2], ["helped with 3", "give 1 late"]);
    assert_eq!(summary.ran, 1);
}
