//! Processes that end in the middle.

use std::thread::sleep;
use std::time::Duration;

use crate::bench::Fault;
use crate::case::{Case, Did, ended_by_itself};

/// One process at a time is killed, again and again.
pub fn one(case: &mut Case<'_>) -> Result<Did, Fault> {
    for _ in 0..=case.chance.below(4) {
        case.fill_in_part("KILL")?;
    }
    Ok(Did::Held)
}

/// Four processes on one cache, runs and workers, are killed, each at its time; some are left to finish. With nothing else to do
/// they help with parts of the exact selection.
pub fn four(case: &mut Case<'_>) -> Result<Did, Fault> {
    let lines = ["run torture.toml", "work torture.toml --until-done"];
    let running: Vec<_> =
        (0..4).map(|place| case.bench.start_by(&[], &case.cache, lines[place % 2])).collect::<Result<_, _>>()?;
    let mut waits: Vec<Duration> = (0..4).map(|_| case.chance.part_of(case.undisturbed * 2)).collect();
    waits.sort();
    let survivors = case.chance.below(2);
    let mut before = Duration::ZERO;
    for (place, (running, wait)) in running.into_iter().zip(waits).enumerate() {
        if place < survivors {
            let said = running.end()?;
            ended_by_itself(&said)?;
            if said.code != Some(0) {
                return Err(format!("a process that nobody disturbed fails: {}", said.all()));
            }
            continue;
        }
        sleep(wait.saturating_sub(before));
        before = wait;
        running.signal("KILL");
        case.fault(format!("killed one of four after {:.2} s", wait.as_secs_f64()));
        running.end()?;
    }
    Ok(Did::Held)
}

/// A process is told to end, and does so with what is finished kept.
pub fn asked(case: &mut Case<'_>) -> Result<Did, Fault> {
    for _ in 0..2 {
        let running = case.bench.start(&case.cache)?;
        let (after, signal) = (case.chance.part_of(case.undisturbed), *case.chance.one(&["TERM", "INT", "HUP"]));
        sleep(after);
        running.signal(signal);
        let said = running.end()?;
        case.fault(format!("SIG{signal} after {:.2} s: {}", after.as_secs_f64(), said.last_line()));
        // Before its first line the program has not yet said what is to become of signals.
        if said.code.is_some() {
            ended_by_itself(&said)?;
        }
        case.bench.ok(&case.cache, "cache verify")?;
    }
    Ok(Did::Held)
}

/// Garbage is collected and all is verified while two processes work, and these are killed, too.
pub fn housekeeping(case: &mut Case<'_>) -> Result<Did, Fault> {
    let workers = [case.bench.start(&case.cache)?, case.bench.start(&case.cache)?];
    for _ in 0..3 {
        sleep(case.chance.part_of(case.undisturbed / 3));
        let line = *case.chance.one(&["cache verify", "cache gc torture.toml", "cache stats"]);
        let keeper = case.bench.start_by(&[], &case.cache, line)?;
        let after = case.chance.part_of(Duration::from_millis(10));
        let killed = case.chance.below(2) == 0;
        if killed {
            sleep(after);
            keeper.signal("KILL");
        }
        let said = keeper.end()?;
        case.fault(format!("`{line}`{}: {}", if killed { " killed" } else { "" }, said.last_line()));
        if said.code.is_some() {
            ended_by_itself(&said)?;
        }
    }
    for running in workers {
        let said = running.end()?;
        ended_by_itself(&said)?;
        if said.code != Some(0) {
            return Err(format!("a run fails beside housekeeping: {}", said.all()));
        }
    }
    Ok(Did::Held)
}
