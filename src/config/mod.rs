//! TOML text becomes a valid experiment, or every problem at once with its place in the file.

pub mod experiment;
