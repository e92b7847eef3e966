//! What numpy does that the authors' files and draws rest on: the format of its array files, and its random numbers.

mod header;
mod random;

pub use header::{ArrayHeader, ArrayHeaderError};
pub use random::RandomState;
