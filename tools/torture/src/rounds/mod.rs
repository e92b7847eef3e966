//! What is done to runs and caches, a file a kind of disturbance.

mod bits;
mod clocks;
mod kills;
mod links;
mod owners;
mod permissions;
mod room;

use crate::bench::Fault;
use crate::case::{Case, Did};

/// A kind of round.
pub struct Round {
    pub name: &'static str,
    pub disturb: fn(&mut Case<'_>) -> Result<Did, Fault>,
    /// Whether it takes much longer than a run, so that there are fewer of it.
    pub slow: bool,
}

const fn quick(name: &'static str, disturb: fn(&mut Case<'_>) -> Result<Did, Fault>) -> Round {
    Round { name, disturb, slow: false }
}

const fn slow(name: &'static str, disturb: fn(&mut Case<'_>) -> Result<Did, Fault>) -> Round {
    Round { name, disturb, slow: true }
}

/// All of them.
pub const ROUNDS: [Round; 19] = [
    quick("one process killed", kills::one),
    quick("four processes killed", kills::four),
    quick("a process asked to end", kills::asked),
    quick("verify and gc meanwhile, killed", kills::housekeeping),
    quick("full disk", room::disk),
    quick("no inodes left", room::inodes),
    quick("unwritable folders", permissions::unwritable),
    quick("flipped bits of results", bits::results),
    quick("flipped bits of checkpoints", bits::checkpoints),
    quick("files cut short or empty", bits::cut),
    quick("times of files", clocks::files),
    quick("the machine's clock", clocks::machine),
    quick("links", links::links),
    quick("an owner killed", owners::killed),
    quick("claims of the dead", owners::dead),
    quick("notices damaged", owners::damaged),
    quick("two owners by a copied presence", owners::copied),
    slow("claims of a silent host", owners::silent),
    slow("an owner stopped, and going on", owners::stopped),
];
