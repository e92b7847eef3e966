//! One round: a cache, chance, and what was done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Fault, Running, Said};
use crate::chance::Chance;
use crate::truth::{self, Truth};

/// What a round may use.
pub struct Case<'a> {
    pub bench: &'a Bench,
    pub truth: &'a Truth,
    /// A finished cache that nobody disturbs.
    pub whole: &'a Path,
    /// How long an undisturbed run takes.
    pub undisturbed: Duration,
    pub chance: Chance,
    /// The cache of the round; nothing is there at first.
    pub cache: PathBuf,
    /// How many single faults there were.
    pub faults: usize,
    /// Which files' bits are flipped next; goes on from round to round.
    pub next_file: &'a mut usize,
    pub notes: Vec<String>,
}

/// How a round went.
pub enum Did {
    /// What was to be disturbed was.
    Held,
    /// It cannot be had here.
    Skipped(String),
}

impl Case<'_> {
    /// Says what was done.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The same of something that disturbs.
    pub fn fault(&mut self, text: impl Into<String>) {
        self.faults += 1;
        self.note(text);
    }

    /// Fills the cache with all results.
    pub fn fill(&mut self) -> Result<(), Fault> {
        truth::copy(self.whole, &self.cache)
    }

    /// Fills the cache with what a run has after some time, when it gets a signal.
    pub fn fill_in_part(&mut self, signal: &str) -> Result<(), Fault> {
        let running = self.bench.start(&self.cache)?;
        let after = self.chance.part_of(self.undisturbed);
        std::thread::sleep(after);
        running.signal(signal);
        self.fault(format!("SIG{signal} after {:.2} s", after.as_secs_f64()));
        running.end().map(drop)
    }

    /// Starts a run, and waits until it has claimed a step; none where it was faster.
    pub fn start_and_claim(&mut self) -> Result<Option<Running>, Fault> {
        let mut running = self.bench.start(&self.cache)?;
        let began = Instant::now();
        let claims = self.cache.join("v1/claims");
        while fs::read_dir(&claims).map_or(0, Iterator::count) == 0 {
            if running.has_ended() || began.elapsed() > Duration::from_secs(60) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Some(running))
    }

    /// Runs to the end without a disturbance; all must be as it should.
    pub fn recover(&mut self) -> Result<Said, Fault> {
        let said = self.bench.ok(&self.cache, "run torture.toml")?;
        let verified = self.bench.say(&self.cache, "cache verify")?;
        if verified.code != Some(0) {
            return Err(format!("the cache is not sound after a run that succeeded: {}", verified.all()));
        }
        self.truth.compare(&self.cache).map_err(|difference| format!("after a run that succeeded {difference}"))?;
        Ok(said)
    }
}

/// Whether the program said what is wrong, if something was, and ended by itself.
pub fn ended_by_itself(said: &Said) -> Result<(), Fault> {
    let panicked = said.err.contains("panicked at");
    if panicked || !matches!(said.code, Some(0 | 1 | 2 | 3 | 4 | 130)) {
        return Err(format!("the program ended otherwise than it should: {}", said.all()));
    }
    Ok(())
}
