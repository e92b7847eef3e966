//! What a worker says of itself: who it is, and what it works on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

/// A process that works on a store's steps, as the others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Presence {
    /// The name of the machine, for people.
    pub host: String,
    /// The number of the process on it.
    pub pid: u32,
    /// What tells whether the process can be looked for from here.
    pub machine: Machine,
    /// When the process began, in ticks since the machine did: another may have its number later.
    pub began: u64,
    /// What it was asked to do, such as `run experiments/quickstart.toml`.
    pub doing: String,
    /// Whether nobody else may work meanwhile: garbage is collected.
    pub alone: bool,
    /// Seconds that it has been there.
    pub seconds: f64,
    /// The steps that it works on.
    pub steps: Vec<Working>,
    /// For each kind of step how many it has computed, and their seconds in the mean.
    #[serde(default)]
    pub paces: BTreeMap<String, Pace>,
}

/// How fast a worker is at steps of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pace {
    /// How many it has computed.
    pub steps: u32,
    /// Seconds of one, in the mean.
    pub seconds: f64,
}

/// A step that a worker works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Working {
    /// What its claim is called: the kind of its key and the hash, `train-0a...`.
    pub step: String,
    /// What its plan calls it.
    pub label: String,
    /// Seconds since the worker took it, by the worker's own clock.
    pub seconds: f64,
    /// How far it has come, if it has told.
    pub progress: Option<HowFar>,
}

/// How far a step has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HowFar {
    /// What is counted, in the plural: `images`, `epochs`.
    pub unit: String,
    /// How many are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

impl fmt::Display for HowFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.done, self.total, self.unit)
    }
}

/// A running system and the part of it in which process numbers mean something: a container has its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Machine {
    /// What the system was given when it started; empty where it gives none.
    pub boot: String,
    /// The space of process numbers.
    pub processes: String,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let processes = fs::read_link("/proc/self/ns/pid").unwrap_or_default().display().to_string();
        Self { boot, processes }
    }

    /// Whether the two are the same for certain.
    fn is(&self, other: &Self) -> bool {
        self == other && !self.boot.is_empty() && !self.processes.is_empty()
    }
}

impl Presence {
    /// This process.
    pub(crate) fn here(doing: &str, alone: bool) -> Self {
        let pid = std::process::id();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let began = beginning_of(pid).unwrap_or_default();
        let (machine, doing) = (Machine::here(), doing.to_owned());
        Self { host, pid, machine, began, doing, alone, seconds: 0.0, steps: Vec::new(), paces: BTreeMap::new() }
    }

    /// Whether the process is known to have ended: it was on this machine, and is no more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.machine.is(&Machine::here()) && beginning_of(self.pid) != Some(self.began)
    }

    /// Whether the process is on this machine, where it can be looked for.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.machine.is(&Machine::here())
    }

    /// `gpu3, process 4711`.
    #[must_use]
    pub fn name(&self) -> String {
        let host = if self.host.is_empty() { "another machine" } else { &self.host };
        format!("{host}, process {}", self.pid)
    }
}

/// When a process began, in ticks since the machine did; `None` where there is none.
fn beginning_of(pid: u32) -> Option<u64> {
    // The name in brackets may hold anything; 19 fields follow the state (proc(5): 3 is the state, 22 the start).
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    // One that has ended and was not asked after by its parent runs no more.
    if fields.next() == Some("Z") { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_and_one_that_has_ended_is_not() {
        let here = Presence::here("run x.toml", false);
        assert!(!here.has_ended() && here.began > 0);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let there = Presence { pid: child.id(), began: beginning_of(child.id()).unwrap(), ..here.clone() };
        assert!(!there.has_ended());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(there.has_ended());
        // The number was given to another process.
        assert!(Presence { began: here.began + 1, ..here.clone() }.has_ended());
        // Of other machines and containers nothing is known.
        let elsewhere = Machine { boot: "other".to_owned(), ..here.machine.clone() };
        assert!(!Presence { machine: elsewhere, ..there.clone() }.has_ended());
        let nowhere = Machine { boot: String::new(), processes: String::new() };
        assert!(!Presence { machine: nowhere, ..there }.has_ended());
    }

    #[test]
    fn a_presence_reads_back() {
        let working = Working {
            step: "train-0a".to_owned(),
            label: "full seed=0".to_owned(),
            seconds: 1.5,
            progress: Some(HowFar { unit: "epochs".to_owned(), done: 3, total: 10 }),
        };
        let presence = Presence { steps: vec![working], ..Presence::here("run x.toml", false) };
        let text = serde_json::to_string(&presence).unwrap();
        assert_eq!(serde_json::from_str::<Presence>(&text).unwrap(), presence);
        assert_eq!(presence.steps[0].progress.as_ref().unwrap().to_string(), "3/10 epochs");
    }
}
