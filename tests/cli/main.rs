//! The command line as a user meets it: the binary itself, a small experiment on real images, exit codes and lines.
//!
//! Every test has a folder and a cache of its own and reaches no network.

mod bench;
mod blind_models;
mod damage;
mod edits;
mod interruption;
mod models;
mod refusals;
mod results;
mod runs;
