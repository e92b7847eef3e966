//! What workers that share a plan lose to one another. `cargo bench --bench sharing [-- claims | simulation]`
//!
//! `claims`: 8 processes on one cache, 1,000 steps that sleep for 50 ms; beside it one process with 8 jobs, which claims as
//! well but meets nobody. `simulation`: the 7,500 shards of `cifar_resnet.toml` on 256 workers, some slow, some dying, by a
//! clock of its own that nobody waits for, with the order, the patience and the checkpoints of the program.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::executor::{RunOptions, run};
use overinterp_workflow::key::StepKey;
use overinterp_workflow::plan::{Label, Plan};
use overinterp_workflow::stage::{Artifact, ArtifactError, Context, Stage, StageError};
use overinterp_workflow::store::{Maker, Store};
use overinterp_workflow::workers::Patience;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

const STEPS: u32 = 1000;
const SLEEP: Duration = Duration::from_millis(50);
const PROCESSES: u32 = 8;
/// The variable that tells a process of its cache and when to begin.
const WORKER: &str = "OVERINTERP_BENCH_WORKER";

/// What a nap leaves.
struct Rested;

impl Artifact for Rested {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let path = dir.join("rested");
        std::fs::write(&path, "1").map_err(|error| ArtifactError::writing(&path, error))
    }

    fn load(_: &Path) -> Result<Self, ArtifactError> {
        Ok(Self)
    }
}

#[derive(Serialize)]
struct Nap {
    number: u32,
}

impl Stage<()> for Nap {
    const KIND: &'static str = "nap";
    const VERSION: u32 = 1;
    type Output = Rested;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, _: &Context<'_, ()>) -> Result<Rested, StageError> {
        thread::sleep(SLEEP);
        Ok(Rested)
    }
}

/// Runs the plan on a cache, with so many jobs, from a moment on; gives how many steps ran here.
fn nap(cache: &Path, jobs: usize, from: SystemTime) -> usize {
    let mut plan = Plan::<()>::new();
    for number in 0..STEPS {
        plan.add(Nap { number }, Label { stage: "nap".to_owned(), ..Label::default() });
    }
    let store = Store::open(cache).expect("the cache opens");
    let options = RunOptions { jobs, ..RunOptions::new(Maker::default()) };
    thread::sleep(from.duration_since(SystemTime::now()).unwrap_or_default());
    run(&plan, &store, &(), &options, &|_| (), &Cancel::default()).expect("the run begins").ran
}

/// Seconds from a common start until the last of `processes` has ended, each with so many jobs.
fn timed(processes: u32, jobs: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let from = SystemTime::now() + Duration::from_millis(500);
    let at = from.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let start = |_| {
        let told = format!("{jobs} {at} {}", folder.path().join("cache").display());
        Command::new(std::env::current_exe().expect("this program"))
            .env(WORKER, told)
            .spawn()
            .expect("a process starts")
    };
    let workers: Vec<_> = (0..processes).map(start).collect();
    for mut worker in workers {
        assert!(worker.wait().expect("it ends").success());
    }
    from.elapsed().expect("the clock goes on").as_secs_f64()
}

/// This process as one of those that [`timed`] starts.
fn be_worker(told: &str) {
    let mut words = told.splitn(3, ' ');
    let mut word = || words.next().expect("three words");
    let jobs = word().parse().expect("a number of jobs");
    let from = UNIX_EPOCH + Duration::from_nanos(word().parse().expect("a time"));
    nap(Path::new(word()), jobs, from);
}

fn claims() {
    let ideal = f64::from(STEPS) * SLEEP.as_secs_f64() / f64::from(PROCESSES);
    println!("{STEPS} steps of {SLEEP:?}, {ideal:.2} s if nothing else took time");
    for turn in 1..=3 {
        let (alone, shared) = (timed(1, PROCESSES as usize), timed(PROCESSES, 1));
        println!(
            "{turn}: one process with {PROCESSES} jobs {alone:.2} s, {PROCESSES} processes {shared:.2} s: {:.1} % lost to sharing, {:.1} % of all to whatever is no nap",
            100.0 * (shared / alone - 1.0),
            100.0 * (1.0 - ideal / shared)
        );
    }
}

/// What is assumed of a cluster.
struct Cluster {
    name: &'static str,
    /// Seconds of a shard on a worker of full speed, in the mean.
    shard: f64,
    /// How much shards differ: the deviation of the logarithm of their seconds.
    spread: f64,
    /// Seconds from one death of a worker to its next, in the mean.
    dies_after: f64,
}

const SHARDS: usize = 7500;
const WORKERS: usize = 256;
/// One of so many workers has half the speed.
const SLOW: usize = 20;
/// Images of a shard; what is done of each outlives a worker.
const PARTS: f64 = 8.0;
/// Seconds to find, claim and publish a step: more than `claims` measures on a local disk, as on a file server.
const CLAIM: f64 = 0.05;
/// Seconds until a worker that has died is replaced.
const REPLACED: f64 = 300.0;

#[derive(Clone, Copy)]
enum Event {
    Done {
        worker: usize,
    },
    Died {
        worker: usize,
        shard: usize,
    },
    /// The others take the owner of a shard for gone.
    Found {
        shard: usize,
    },
    Replaced {
        worker: usize,
    },
}

/// What is to come, by its time.
#[derive(Default)]
struct Agenda {
    order: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<(f64, Event)>,
}

impl Agenda {
    fn add(&mut self, time: f64, event: Event) {
        #[expect(clippy::cast_sign_loss, reason = "no time is negative")]
        self.order.push(Reverse(((time * 1e6) as u64, self.events.len())));
        self.events.push((time, event));
    }

    fn next(&mut self) -> Option<(f64, Event)> {
        self.order.pop().map(|Reverse((_, place))| self.events[place])
    }
}

/// Uniform in [0, 1).
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) / (f64::from(u32::MAX) + 1.0)
}

/// Normal, by Box and Muller (1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    (-2.0 * (1.0 - uniform(random)).ln()).sqrt() * (std::f64::consts::TAU * uniform(random)).cos()
}

/// The share of the workers' time, by how fast each is and as long as it was there, that went into shards; the seconds of
/// all; how many died.
fn simulate(cluster: &Cluster, seed: u64) -> (f64, f64, usize) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let Cluster { shard, spread, dies_after, .. } = *cluster;
    let costs: Vec<f64> =
        (0..SHARDS).map(|_| shard * (normal(&mut random) * spread - spread * spread / 2.0).exp()).collect();
    let mut left = costs.clone();
    // Estimates know nothing of how shards differ, so that the order is the plan's.
    let mut ready: BTreeSet<usize> = (0..SHARDS).collect();
    let speed = |worker: usize| if worker.is_multiple_of(SLOW) { 0.5 } else { 1.0 };
    let mut there_since = vec![Some(0.0); WORKERS];
    let mut idle: BTreeSet<usize> = (0..WORKERS).collect();
    let mut agenda = Agenda::default();
    let (mut now, mut done, mut deaths, mut capacity) = (0.0, 0, 0, 0.0);
    let Patience { beat, silent } = Patience::default();
    let until_gone = (silent + beat * 2).as_secs_f64();
    while done < SHARDS {
        let there = there_since.iter().filter(|since| since.is_some()).count();
        let mut waiting = BTreeSet::new();
        while !ready.is_empty()
            && let Some(worker) = idle.pop_first()
        {
            // The program leaves the last steps to faster workers.
            if speed(worker) < 1.0 && ready.len() < there {
                waiting.insert(worker);
                continue;
            }
            let Some(shard) = ready.pop_first() else { break };
            let takes = CLAIM + left[shard] / speed(worker);
            let dies = -dies_after * (1.0 - uniform(&mut random)).ln();
            if dies < takes {
                let part = costs[shard] / PARTS;
                left[shard] -= ((dies - CLAIM).max(0.0) * speed(worker) / part).floor() * part;
                agenda.add(now + dies, Event::Died { worker, shard });
            } else {
                agenda.add(now + takes, Event::Done { worker });
            }
        }
        idle.append(&mut waiting);
        let Some((time, event)) = agenda.next() else { break };
        now = time;
        match event {
            Event::Done { worker } => {
                done += 1;
                idle.insert(worker);
            }
            Event::Died { worker, shard } => {
                deaths += 1;
                capacity += there_since[worker].take().map_or(0.0, |since| now - since) * speed(worker);
                agenda.add(now + until_gone, Event::Found { shard });
                agenda.add(now + REPLACED, Event::Replaced { worker });
            }
            Event::Found { shard } => {
                ready.insert(shard);
            }
            Event::Replaced { worker } => {
                there_since[worker] = Some(now);
                idle.insert(worker);
            }
        }
    }
    for (worker, since) in there_since.into_iter().enumerate() {
        capacity += since.map_or(0.0, |since| now - since) * speed(worker);
    }
    (costs.iter().sum::<f64>() / capacity, now, deaths)
}

fn simulation() {
    let clusters = [
        Cluster { name: "shards of 2 min, a death in 4 h", shard: 120.0, spread: 0.03, dies_after: 14_400.0 },
        Cluster { name: "shards of 4 min, a death in 12 h", shard: 240.0, spread: 0.03, dies_after: 43_200.0 },
        Cluster { name: "shards of 20 min, a death in 12 h", shard: 1200.0, spread: 0.03, dies_after: 43_200.0 },
        Cluster { name: "shards of 4 min that differ by 30 %", shard: 240.0, spread: 0.3, dies_after: 43_200.0 },
    ];
    println!("{SHARDS} shards on {WORKERS} workers, one of {SLOW} with half the speed");
    for cluster in clusters {
        let runs: Vec<(f64, f64, usize)> = (0..20).map(|seed| simulate(&cluster, seed)).collect();
        let mean = |of: &dyn Fn(&(f64, f64, usize)) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        let least = runs.iter().map(|run| run.0).fold(f64::INFINITY, f64::min);
        println!(
            "{}: {:.1} % in the mean of {} runs, {:.1} % at least; {:.2} h and {:.0} deaths in the mean",
            cluster.name,
            100.0 * mean(&|run| run.0),
            runs.len(),
            100.0 * least,
            mean(&|run| run.1) / 3600.0,
            mean(&|run| run.2 as f64)
        );
    }
}

fn main() {
    if let Ok(told) = std::env::var(WORKER) {
        be_worker(&told);
        return;
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    if wants("claims") {
        claims();
    }
    if wants("simulation") {
        simulation();
    }
}
