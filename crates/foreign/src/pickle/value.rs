//! What a pickle builds.

use std::borrow::Cow;

use super::error::Fault;

/// The place of a value in its heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(pub(super) u32);

/// A Python object, as far as files of weights and images need it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 16 bytes.
    Int(i128),
    /// A larger one.
    Huge,
    /// A Python float, of 64 bits.
    Float(f64),
    /// Unicode text, borrowed from the pickle where it stands there in UTF-8.
    Text(Cow<'a, str>),
    /// Bytes, or a string of Python 2.
    Bytes(Cow<'a, [u8]>),
    /// A tuple, by the places of its items in the heap.
    Tuple(Vec<Handle>),
    /// A list, by the places of its items in the heap.
    List(Vec<Handle>),
    /// A dict, in the order in which its entries were set; of equal keys the last counts.
    Dict(Vec<(Handle, Handle)>),
    /// A set, without what is in it.
    Set,
    /// What a module calls by a name: a function or a class. It is not looked up.
    Global {
        /// The module, text.
        module: Handle,
        /// The name in it, text.
        name: Handle,
    },
    /// What Python's registry of extensions has under a number.
    Extension(u32),
    /// What lies outside of the pickle, by what identifies it.
    Persistent(Handle),
    /// The result of a call that is not made, or an instance of a class.
    Object(Box<Object>),
}

/// A call or an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What is called.
    pub(super) callee: Handle,
    /// The tuple of arguments that it is called with.
    pub(super) arguments: Handle,
    /// What was then set as its state, if anything.
    pub(super) state: Option<Handle>,
    /// What was then set under keys.
    pub(super) entries: Vec<(Handle, Handle)>,
}

/// The result of a pickle: its values, and which of them it is.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub(super) heap: Vec<Value<'a>>,
    pub(super) root: Handle,
    pub(super) persistent: Vec<Handle>,
}

impl<'a> Pickle<'a> {
    /// The value that the pickle stands for.
    #[must_use]
    pub const fn root(&self) -> Handle {
        self.root
    }

    /// What identifies each value outside of the pickle, in order of mention.
    #[must_use]
    pub fn persistent(&self) -> &[Handle] {
        &self.persistent
    }

    /// The value at a handle.
    #[must_use]
    pub fn value(&self, handle: Handle) -> &Value<'a> {
        &self.heap[handle.0 as usize]
    }

    /// The text at a handle; a string of Python 2 is text if it is UTF-8.
    ///
    /// # Errors
    /// When it is something else.
    pub fn text(&self, handle: Handle) -> Result<&str, Fault> {
        let text = match self.value(handle) {
            Value::Text(text) => Some(&**text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        text.ok_or_else(|| self.instead_of("text", handle))
    }

    /// The integer at a handle, as a size, offset or stride.
    ///
    /// # Errors
    /// When it is something else, or cannot be one.
    pub fn extent(&self, handle: Handle) -> Result<usize, Fault> {
        match self.value(handle) {
            Value::Int(number) => usize::try_from(*number).map_err(|_| Fault::Extent(*number)),
            _ => Err(self.instead_of("an integer", handle)),
        }
    }

    /// The items of the tuple or list at a handle.
    ///
    /// # Errors
    /// When it is something else.
    pub fn items(&self, handle: Handle) -> Result<&[Handle], Fault> {
        match self.value(handle) {
            Value::Tuple(items) | Value::List(items) => Ok(items),
            _ => Err(self.instead_of("a tuple or list", handle)),
        }
    }

    /// What the dict at a handle has under a key; the last, if it was set several times.
    #[must_use]
    pub fn get(&self, handle: Handle, key: &str) -> Option<Handle> {
        let entries = self.entries(handle)?;
        let found = entries.iter().rev().find(|&&(name, _)| self.text(name).is_ok_and(|name| name == key));
        found.map(|&(_, value)| value)
    }

    /// The fault of being something else than `expected`.
    #[must_use]
    pub fn instead_of(&self, expected: &'static str, handle: Handle) -> Fault {
        Fault::Unexpected { expected, found: self.describe(handle) }
    }

    /// The kind of the value at a handle, for messages; names in it are escaped.
    #[must_use]
    pub fn describe(&self, handle: Handle) -> String {
        let kind = match self.value(handle) {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) | Value::Huge => "an integer",
            Value::Float(_) => "a float",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dict",
            Value::Set => "a set",
            Value::Extension(_) => "an entry of Python's registry of extensions",
            Value::Persistent(_) => "a value outside of the pickle",
            Value::Global { .. } => {
                return self.name(handle).map_or_else(|| "a function or class".to_owned(), |name| format!("`{name}`"));
            }
            Value::Object(object) => {
                let name = self.name(object.callee);
                return name.map_or_else(|| "an object".to_owned(), |name| format!("an object of `{name}`"));
            }
        };
        kind.to_owned()
    }
}
