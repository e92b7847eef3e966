//! What a pickle builds.

use super::name::Name;
use crate::checkpoint::error::Fault;

/// The place of a value in its heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Handle(pub(super) u32);

/// A Python object, as far as a checkpoint needs it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::checkpoint) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Tuple(Vec<Handle>),
    List(Vec<Handle>),
    Dict(Vec<(Handle, Handle)>),
    /// An allowed name that was not called.
    Name(Name),
    /// A storage, by the tuple that identifies it.
    Storage(Handle),
    /// A tensor, by the arguments that PyTorch would rebuild it from.
    Tensor(Handle),
    /// Something that plays no part in the weights.
    Setting,
}

impl Value {
    /// The kind, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "text",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Name(_) => "a function or class",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
            Self::Setting => "a setting",
        }
    }

    /// The fault of being something else than `expected`.
    pub const fn instead_of(&self, expected: &'static str) -> Fault {
        Fault::Unexpected { expected, found: self.kind() }
    }
}

/// The result of a pickle: its values, and which of them it is.
#[derive(Debug)]
pub(in crate::checkpoint) struct Pickle {
    pub(super) heap: Vec<Value>,
    pub(super) root: Handle,
    pub(super) storages: Vec<Handle>,
}

impl Pickle {
    /// The value that the pickle stands for.
    pub const fn root(&self) -> Handle {
        self.root
    }

    /// Every storage that the pickle mentions, by the tuple that identifies it, in order of mention.
    pub fn storages(&self) -> &[Handle] {
        &self.storages
    }

    /// The value at a handle.
    pub fn value(&self, handle: Handle) -> &Value {
        &self.heap[handle.0 as usize]
    }

    /// The text at a handle.
    pub fn text(&self, handle: Handle) -> Result<&str, Fault> {
        match self.value(handle) {
            Value::Text(text) => Ok(text),
            other => Err(other.instead_of("text")),
        }
    }

    /// The integer at a handle, as a size, offset or stride.
    pub fn extent(&self, handle: Handle) -> Result<usize, Fault> {
        match self.value(handle) {
            Value::Int(number) => usize::try_from(*number).map_err(|_| Fault::Extent(*number)),
            other => Err(other.instead_of("an integer")),
        }
    }

    /// The items of the tuple or list at a handle.
    pub fn items(&self, handle: Handle) -> Result<&[Handle], Fault> {
        match self.value(handle) {
            Value::Tuple(items) | Value::List(items) => Ok(items),
            other => Err(other.instead_of("a tuple")),
        }
    }
}
