//! Reproduces, from TOML files, the finding that image classifiers *overinterpret*: they decide confidently on
//! pixel-subsets in which people see nothing, and those subsets alone suffice to train a new model.
//!
//! The rooms, in reading order:
//!
//! - [`pipeline`]: an experiment becomes a plan, which is the paper's method as a DAG of steps.
//! - [`spec`]: plain values that the rooms share (architecture, recipe, selection method, fraction, seed).
//! - [`config`]: TOML text becomes a valid experiment, or every problem at once with its place in the file.
//! - [`engine`]: stages, keys, plan, store, executor. It has never heard of neural nets.
//! - [`stages`]: what each step of the method computes. It has never heard of a cache.
//! - [`artifacts`]: what stages hand on, and how it lies on disk.
//! - [`sis`]: backward selection and sufficient input subsets over any scorer. No candle, no files.
//! - [`nn`]: architectures, training, and the scorer of a network.
//! - [`kernels`]: convolution and its companions as candle custom ops; the fused masked-scoring engine.
//! - [`data`]: data sets, read and fetched.
//! - [`checkpoint`]: model files made elsewhere, read without running anything that they contain.
//! - [`pickle`]: Python's pickles, read without running anything.
//! - [`sniff`]: what a file is that stands where another was meant.
//! - [`bounded`]: files that a user names: regular ones alone are opened, within a limit.
//! - [`numpy`]: the format of its array files, and its random numbers.
//! - [`file_state`]: by what a file that has not changed is known without reading it.
//! - [`delimited`]: tables of text, as spreadsheets and pandas save them.
//! - [`report`]: tables, claims, figures.
//! - [`cli`]: the verbs. Only this room prints.
//!
//! Imports run one way, and `tests/structure.rs` holds them to it.

pub mod artifacts;
pub mod bounded;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod data;
pub mod delimited;
pub mod engine;
pub mod file_state;
pub mod kernels;
pub mod nn;
pub mod numpy;
pub mod pickle;
pub mod pipeline;
pub mod report;
pub mod sis;
pub mod sniff;
pub mod spec;
pub mod stages;
