//! The command line as a user meets it: the binary itself, a small experiment on real images, exit codes and lines.
//!
//! Every test has a folder and a cache of its own and reaches no network.

mod analyses;
mod arch;
mod bench;
mod blind_models;
mod cache;
mod cifar;
mod controls;
mod corruptions;
mod damage;
mod edits;
mod exact;
mod exports;
mod history;
mod human_study;
mod imports;
mod interchange;
mod interruption;
mod models;
mod normalisation;
mod photographs;
mod refusals;
mod remote;
mod report;
mod results;
mod runs;
mod slurm;
mod strange_files;
mod workers;
