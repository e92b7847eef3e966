//! A small, safe reader of Python's pickles, of protocols 0 to 5.
//!
//! A pickle is a program for a stack machine. `instruction` decodes it, `machine` runs it over [`Value`]s. Whatever
//! Python would import or call becomes a value that only says so ([`Value::Global`], [`Value::Object`]): nothing is
//! looked up, and nothing runs. What a reader wants of such a value, it asks the [`Pickle`] for: the entries of an
//! `OrderedDict`, the elements of a numpy array. Values lie in one flat heap and refer to each other by number, so
//! neither depth nor cycles nor sharing can exhaust anything.

mod array;
mod bytes;
mod call;
mod error;
mod instruction;
mod literal;
mod machine;
#[cfg(test)]
mod tests;
mod value;

pub use array::Array;
pub use bytes::Bytes;
pub use call::Call;
pub use error::{Fault, LoadError};
pub use machine::{load, read, read_within};
pub use value::{Handle, Pickle, Value};
