//! Plans, caches and runs steps. It has never heard of neural nets: a stage is anything that serialises to a
//! manifest and produces an artifact.
//!
#![doc = include_str!("../README.md")]

mod attempt;
pub mod cancel;
pub mod change;
pub mod event;
pub mod executor;
pub mod explain;
pub mod key;
mod label;
pub mod manifest;
mod neighbours;
pub mod plan;
pub mod schedule;
pub mod stage;
pub mod store;
pub mod view;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod toys;
