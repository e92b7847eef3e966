//! Reproduces, from TOML files, the finding that image classifiers *overinterpret*: they decide confidently on
//! pixel-subsets in which people see nothing, and those subsets alone suffice to train a new model.
//!
//! This is the program. [`pipeline`] makes a plan of an experiment, which is the paper's method as a DAG of steps. `computed` reads
//! what a cache has of a plan. `gathering` makes tables and figures of it, `exports` files for others, `forecast` says how long the
//! rest takes, and [`cli`] has the verbs. What the steps are made of lies in crates of its own, in `crates/`, each of which says in its
//! first lines what it is for. `docs/architecture.md` has the map.

pub mod cli;
mod computed;
mod exports;
mod failure;
mod forecast;
mod gathering;
pub mod pipeline;
mod printable;
mod records;
mod text;
mod writing;

/// The program with its version, as results and records name it.
pub(crate) const PROGRAM: &str = concat!("overinterp ", env!("CARGO_PKG_VERSION"));
