//! Plans, caches and runs steps. It has never heard of neural nets: a stage is anything that serialises to a
//! manifest and produces an artifact.
//!
#![doc = include_str!("../README.md")]

mod attempt;
mod board;
pub mod cancel;
mod canonical;
pub mod change;
pub mod depot;
pub mod event;
pub mod executor;
pub mod explain;
mod helping;
pub mod key;
mod label;
pub mod manifest;
mod neighbours;
pub mod notices;
pub mod plan;
mod repeat;
pub mod replay;
pub mod schedule;
pub mod stage;
pub mod store;
mod urgency;
pub mod view;
pub mod workers;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod toys;
