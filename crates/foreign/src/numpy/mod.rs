//! What numpy does that the authors' files and draws rest on: the format of its array files, and its random numbers.

mod array;
mod elements;
mod header;
mod random;

pub use array::{Array, Stored};
pub use elements::{ElementType, Exact, Number};
pub use header::{ArrayError, ArrayHeader};
pub use random::RandomState;
