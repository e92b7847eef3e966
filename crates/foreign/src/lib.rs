#![doc = include_str!("../README.md")]

pub mod bounded;
pub mod delimited;
pub mod file_state;
pub mod numpy;
pub mod pickle;
pub mod sniff;
