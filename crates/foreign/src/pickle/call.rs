//! What pickles call, and what the best known of such calls would yield.

use std::borrow::Cow;

use super::error::Fault;
use super::value::{Handle, Object, Pickle, Value};

/// Longest part of a name that is shown.
const LONGEST: usize = 120;

/// Keys and values of a dict.
type Entries<'p> = Cow<'p, [(Handle, Handle)]>;

/// A call that is not made: the name that is called, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'p> {
    /// The module of the function or class.
    pub module: &'p str,
    /// Its name there.
    pub name: &'p str,
    /// What it is called with.
    pub arguments: &'p [Handle],
}

impl Pickle<'_> {
    /// The call of a name that the value at a handle is the result of, if it is one.
    #[must_use]
    pub fn call(&self, handle: Handle) -> Option<Call<'_>> {
        let Value::Object(object) = self.value(handle) else { return None };
        self.call_of(object.callee, object.arguments)
    }

    /// The call of `callee` with the tuple `arguments`, if it is the call of a name.
    #[must_use]
    pub fn call_of(&self, callee: Handle, arguments: Handle) -> Option<Call<'_>> {
        let (module, name) = self.global(callee)?;
        Some(Call { module, name, arguments: self.items(arguments).ok()? })
    }

    /// Module and name of the function or class at a handle, if it is one.
    #[must_use]
    pub fn global(&self, handle: Handle) -> Option<(&str, &str)> {
        let Value::Global { module, name } = *self.value(handle) else { return None };
        Some((self.text(module).ok()?, self.text(name).ok()?))
    }

    /// The state that the object at a handle was given.
    #[must_use]
    pub fn state(&self, handle: Handle) -> Option<Handle> {
        match self.value(handle) {
            Value::Object(object) => object.state,
            _ => None,
        }
    }

    /// The entries of the dict at a handle: a plain one, an ordered, default or counting one, or one of a class that
    /// behaves like a dict.
    #[must_use]
    pub fn entries(&self, handle: Handle) -> Option<Cow<'_, [(Handle, Handle)]>> {
        let object = match self.value(handle) {
            Value::Dict(entries) => return Some(Cow::Borrowed(entries)),
            Value::Object(object) => &**object,
            _ => return None,
        };
        let Some((known, first)) = self.first_entries(object) else {
            return (!object.entries.is_empty()).then_some(Cow::Borrowed(&object.entries));
        };
        if first.is_empty() {
            return (known || !object.entries.is_empty()).then_some(Cow::Borrowed(&object.entries));
        }
        let mut entries = first.into_owned();
        entries.extend(&object.entries);
        Some(Cow::Owned(entries))
    }

    /// What a dict is made with, and whether its class is known to be one.
    fn first_entries(&self, object: &Object) -> Option<(bool, Entries<'_>)> {
        let call = self.call_of(object.callee, object.arguments)?;
        let (known, first) = match (call.module, call.name) {
            ("collections", "OrderedDict" | "Counter") | ("builtins" | "__builtin__", "dict") => {
                (true, call.arguments.first())
            }
            ("collections", "defaultdict") => (true, call.arguments.get(1)),
            // Protocols 0 and 1 make an instance of a subclass of dict from a dict.
            ("copyreg" | "copy_reg", "_reconstructor") => (false, call.arguments.get(2)),
            _ => return None,
        };
        let entries = match first.map(|&first| self.value(first)) {
            Some(Value::Dict(entries)) => Cow::Borrowed(entries.as_slice()),
            Some(Value::List(items)) => items.iter().filter_map(|&item| self.pair(item)).collect(),
            _ => Cow::Borrowed(&[][..]),
        };
        Some((known, entries))
    }

    fn pair(&self, handle: Handle) -> Option<(Handle, Handle)> {
        match self.items(handle) {
            Ok(&[key, value]) => Some((key, value)),
            _ => None,
        }
    }

    /// The bytes at a handle: plain ones, or, as Python 3 writes them for Python 2, text that is to be encoded.
    ///
    /// # Errors
    /// When it is something else.
    pub fn bytes(&self, handle: Handle) -> Result<Cow<'_, [u8]>, Fault> {
        if let Value::Bytes(bytes) = self.value(handle) {
            return Ok(Cow::Borrowed(bytes));
        }
        let encoded = self.call(handle).and_then(|call| match (call.module, call.name, call.arguments) {
            ("_codecs", "encode", &[text, encoding]) | ("builtins" | "__builtin__", "bytearray", &[text, encoding]) => {
                self.encoded(text, encoding)
            }
            ("builtins" | "__builtin__", "bytes" | "bytearray", &[]) => Some(Cow::Borrowed(&[][..])),
            ("builtins" | "__builtin__", "bytes" | "bytearray", &[bytes]) => match self.value(bytes) {
                Value::Bytes(bytes) => Some(Cow::Borrowed(&**bytes)),
                _ => None,
            },
            _ => None,
        });
        encoded.ok_or_else(|| self.instead_of("bytes", handle))
    }

    /// Text in Latin-1, the only encoding that Python's pickles use.
    fn encoded(&self, text: Handle, encoding: Handle) -> Option<Cow<'_, [u8]>> {
        let Value::Text(text) = self.value(text) else { return None };
        if !matches!(self.text(encoding), Ok("latin1" | "latin-1")) {
            return None;
        }
        let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
        bytes.map(Cow::Owned)
    }

    /// The full name at a handle, escaped and cut for messages.
    #[must_use]
    pub fn name(&self, handle: Handle) -> Option<String> {
        let (module, name) = self.global(handle)?;
        let shown = |text: &str| text.escape_debug().take(LONGEST).collect::<String>();
        Some(format!("{}.{}", shown(module), shown(name)))
    }
}
