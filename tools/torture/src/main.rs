//! Disturbs runs of the program at random: kills, full disks, flipped bits, clocks, links, claims of the dead. After each
//! round an undisturbed run must succeed, the cache must verify, and every byte of every entry must be that of a cache that
//! nobody disturbed. `scripts/torture` builds and starts it.

mod bench;
mod case;
mod chance;
mod rounds;
mod truth;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use bench::{Bench, Fault};
use case::{Case, Did};
use chance::Chance;
use rounds::{ROUNDS, Round};
use truth::Truth;

/// Of the slow rounds, one in so many is done.
const SLOW: usize = 6;

/// Disturbs runs of the program at random, and compares every byte of what comes of it with an undisturbed run.
#[derive(Parser)]
struct Arguments {
    /// How long to go on; each kind of round is done once in any case
    #[arg(long, default_value_t = 1.5)]
    minutes: f64,
    /// From what chance follows; drawn from the clock if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Only the rounds whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// Only one round, with this seed, as a report names it; with `--only`
    #[arg(long, requires = "only")]
    round: Option<u64>,
    /// The program
    #[arg(long, default_value = "target/release/overinterp")]
    program: PathBuf,
}

/// What became of the rounds of a kind.
#[derive(Default)]
struct Tally {
    rounds: usize,
    faults: usize,
    broken: usize,
    skipped: Option<String>,
    seconds: f64,
}

fn main() -> ExitCode {
    match torture(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            println!("{broken} rounds found something");
            ExitCode::FAILURE
        }
        Err(fault) => {
            println!("cannot begin: {fault}");
            ExitCode::from(2)
        }
    }
}

/// Goes through rounds until the time is over, and tells how many of them found something.
fn torture(arguments: &Arguments) -> Result<usize, Fault> {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = arguments.seed.unwrap_or_else(drawn);
    let end = Instant::now() + Duration::from_secs_f64(arguments.minutes * 60.0);
    let bench = Bench::new(&arguments.program).map_err(|error| format!("{}: {error}", arguments.program.display()))?;
    let whole = bench.path("undisturbed");
    let first = bench.ok(&whole, "run torture.toml")?;
    let truth = Truth::of(&whole)?;
    let undisturbed = first.took;
    println!(
        "seed {seed}; undisturbed: {} entries, {} files, {:.1} s",
        truth.entries().len(),
        truth.files(),
        undisturbed.as_secs_f64()
    );
    let wanted = |round: &&Round| arguments.only.as_ref().is_none_or(|only| round.name.contains(only.as_str()));
    let kinds: Vec<&Round> = ROUNDS.iter().filter(wanted).collect();
    if kinds.is_empty() {
        return Err("no round has such a name".to_owned());
    }
    let mut chance = Chance::new(seed);
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut next_file = chance.below(1000);
    for pass in 0.. {
        for round in chance.shuffled(kinds.clone()) {
            let of_round = arguments.round.unwrap_or_else(|| chance.seed());
            let tally = tallies.entry(round.name).or_default();
            let passed_over = tally.skipped.is_some() || round.slow && pass % SLOW > 0;
            if pass > 0 && (Instant::now() > end || arguments.round.is_some()) {
                return Ok(summary(&tallies));
            }
            if passed_over && kinds.len() > 1 {
                continue;
            }
            let cache = bench.path("cache");
            let case = Case {
                bench: &bench,
                truth: &truth,
                whole: &whole,
                undisturbed,
                chance: Chance::new(of_round),
                cache: cache.clone(),
                faults: 0,
                next_file: &mut next_file,
                notes: Vec::new(),
            };
            go_through(round, of_round, case, tally);
            fs::remove_dir_all(&cache).map_err(|error| format!("cannot remove {}: {error}", cache.display()))?;
        }
    }
    Ok(summary(&tallies))
}

/// One round, printed and counted.
fn go_through(round: &Round, seed: u64, mut case: Case<'_>, tally: &mut Tally) {
    let began = Instant::now();
    let _ = fs::create_dir_all(&case.cache);
    let went = (round.disturb)(&mut case).and_then(|did| match did {
        Did::Held => case.recover().map(|_| Did::Held),
        skipped @ Did::Skipped(_) => Ok(skipped),
    });
    let seconds = began.elapsed().as_secs_f64();
    tally.seconds += seconds;
    let how = match went {
        Ok(Did::Held) => {
            tally.rounds += 1;
            "held".to_owned()
        }
        Ok(Did::Skipped(why)) => {
            tally.skipped = Some(why.clone());
            format!("SKIPPED: {why}")
        }
        Err(fault) => {
            tally.rounds += 1;
            tally.broken += 1;
            format!("FOUND (again: --only '{}' --round {seed}): {fault}", round.name)
        }
    };
    tally.faults += case.faults;
    println!("[{seed}] {} ({seconds:.1} s)", round.name);
    case.notes.iter().for_each(|note| println!("    {note}"));
    println!("    {how}");
}

/// Prints the table, and gives the number of rounds that found something.
fn summary(tallies: &BTreeMap<&str, Tally>) -> usize {
    println!("\n{:<34} {:>6} {:>7} {:>6} {:>8}", "", "rounds", "faults", "found", "seconds");
    for (name, Tally { rounds, faults, broken, skipped, seconds }) in tallies {
        let skipped = skipped.as_ref().map_or_else(String::new, |why| format!("  SKIPPED: {why}"));
        println!("{name:<34} {rounds:>6} {faults:>7} {broken:>6} {seconds:>8.1}{skipped}");
    }
    let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum::<usize>();
    let broken = sum(|tally| tally.broken);
    println!("{:<34} {:>6} {:>7} {broken:>6}", "all", sum(|tally| tally.rounds), sum(|tally| tally.faults));
    broken
}
