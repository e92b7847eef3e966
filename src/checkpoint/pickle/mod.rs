//! A small, safe interpreter of the pickles that `torch.save` writes.
//!
//! A pickle is a program for a stack machine. [`instruction`] decodes it, [`machine`] runs it over [`value`]s, and
//! [`name`] lists the only Python names that may occur in it. Values lie in one flat heap and refer to each other
//! by number, so neither depth nor cycles nor sharing can exhaust anything.

mod bytes;
mod instruction;
mod machine;
mod name;
mod value;

pub(super) use bytes::Bytes;
pub(super) use machine::load;
pub(super) use name::Name;
pub(super) use value::{Handle, Pickle, Value};
