//! The state dict in a pickle, whatever wraps it, and the tensors that it names.

use std::collections::BTreeMap;

use super::error::{Fault, Located, quote};
use super::pickle::{Handle, Name, Pickle, Value};
use super::tensor::{ByteOrder, ElementType, Layout};
use crate::artifacts::ParameterTensor;

/// Under what training scripts usually put the weights, beside epochs and optimisers.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];
/// How many dicts a state dict may lie in.
const DEEPEST: usize = 4;

/// Whether a tensor only counts batches: batch norm's `num_batches_tracked`, on which nothing here depends.
pub(super) fn is_bookkeeping(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}

/// The type and length of a storage, as the pickle announces them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    element: ElementType,
    elements: usize,
}

impl Announced {
    /// A storage of the same type with another number of elements.
    pub const fn resized(self, elements: usize) -> Self {
        Self { elements, ..self }
    }

    /// Bytes of the storage.
    pub const fn bytes(self) -> u64 {
        (self.elements as u64).saturating_mul(self.element.size() as u64)
    }
}

/// The bytes of every storage, by its key.
#[derive(Debug)]
pub(super) struct Storages<'a> {
    /// How the file's machine laid out an element.
    pub order: ByteOrder,
    /// As many bytes as announced, each.
    pub bytes: BTreeMap<&'a str, &'a [u8]>,
    /// More elements than this are not read: tensors may share a storage, but not without end.
    pub most_elements: u64,
}

/// Every storage that the pickle mentions, used or not.
pub(super) fn announced(pickle: &Pickle) -> Result<BTreeMap<&str, Announced>, Located> {
    let mut all = BTreeMap::new();
    for &id in pickle.storages() {
        let (key, announced, _) = storage(pickle, id).map_err(|fault| fault.at("the identity of a storage"))?;
        if all.insert(key, announced).is_some_and(|earlier| earlier != announced) {
            return Err(Fault::StorageConflict.at(format!("storage {}", quote(key))));
        }
    }
    Ok(all)
}

/// Reads the tensors of the pickle's state dict.
pub(super) fn tensors(pickle: &Pickle, storages: &Storages<'_>) -> Result<BTreeMap<String, ParameterTensor>, Located> {
    let mut tensors = BTreeMap::new();
    let mut budget = storages.most_elements;
    for &(key, value) in find(pickle)? {
        let name = pickle.text(key).map_err(|fault| fault.at("a name in the state dict"))?;
        if !is_bookkeeping(name) {
            let tensor = tensor(pickle, value, storages, &mut budget);
            tensors.insert(name.to_owned(), tensor.map_err(|fault| fault.at(format!("tensor {}", quote(name))))?);
        }
    }
    Ok(tensors)
}

/// The entries of the state dict.
fn find(pickle: &Pickle) -> Result<&[(Handle, Handle)], Located> {
    let dict = |handle| match pickle.value(handle) {
        Value::Dict(entries) => Some(entries.as_slice()),
        _ => None,
    };
    let holds_tensors = |entries: &[(Handle, Handle)]| {
        entries.iter().any(|&(_, value)| matches!(pickle.value(value), Value::Tensor(_)))
    };
    let mut current = dict(pickle.root());
    for _ in 0..DEEPEST {
        let Some(entries) = current else { break };
        let inner = || {
            let named = |&(key, value): &(Handle, Handle)| Some((pickle.text(key).ok()?, dict(value)?));
            entries.iter().filter_map(named)
        };
        let mut candidates: Vec<_> = inner().filter(|(name, _)| WRAPPERS.contains(name)).collect();
        if candidates.is_empty() && holds_tensors(entries) {
            return Ok(entries);
        }
        if candidates.is_empty() {
            candidates = inner().filter(|(_, inner)| holds_tensors(inner)).collect();
        }
        if candidates.len() > 1 {
            let names = candidates.iter().map(|(name, _)| quote(name)).collect();
            return Err(Fault::SeveralStateDicts(names).at("the top of the pickle"));
        }
        current = candidates.first().map(|&(_, inner)| inner);
    }
    Err(Fault::NoStateDict.at("the top of the pickle"))
}

/// Follows `_rebuild_tensor_v2(storage, offset, size, stride, ...)`.
fn tensor(pickle: &Pickle, value: Handle, storages: &Storages<'_>, budget: &mut u64) -> Result<ParameterTensor, Fault> {
    let Value::Tensor(arguments) = *pickle.value(value) else {
        return Err(pickle.value(value).instead_of("a tensor"));
    };
    let &[id, offset, shape, strides, ..] = pickle.items(arguments)? else {
        return Err(Fault::Unexpected { expected: "storage, offset, size and stride", found: "fewer values" });
    };
    let Value::Storage(id) = *pickle.value(id) else {
        return Err(pickle.value(id).instead_of("a storage"));
    };
    let (key, announced, view) = storage(pickle, id)?;
    let layout = Layout::new(pickle.extent(offset)?, extents(pickle, shape)?, extents(pickle, strides)?)?;
    let elements = layout.elements().map_or(u64::MAX, |elements| elements as u64);
    *budget = budget.checked_sub(elements).ok_or(Fault::TooLarge { limit: storages.most_elements })?;
    let bytes = *storages.bytes.get(key).ok_or_else(|| Fault::MissingStorage(quote(key)))?;
    let bytes = match view {
        None => bytes,
        Some((first, length)) => window(bytes, first, length, announced)?,
    };
    let data = announced.element.gather(bytes, storages.order, &layout)?;
    Ok(ParameterTensor { shape: layout.shape().to_vec(), data })
}

fn window(bytes: &[u8], first: usize, length: usize, announced: Announced) -> Result<&[u8], Fault> {
    let size = announced.element.size();
    let range = first.checked_mul(size).zip(first.checked_add(length).and_then(|end| end.checked_mul(size)));
    let window = range.and_then(|(start, end)| bytes.get(start..end));
    window.ok_or(Fault::BeyondStorage { elements: announced.elements })
}

fn extents(pickle: &Pickle, handle: Handle) -> Result<Vec<usize>, Fault> {
    let items = pickle.items(handle)?;
    Layout::check_rank(items.len())?;
    items.iter().map(|&item| pickle.extent(item)).collect()
}

/// First element and length of the part of a storage that is meant.
type View = Option<(usize, usize)>;

/// Follows a storage's identity: `('storage', type, key, location, elements[, (view key, first, length)])`.
fn storage(pickle: &Pickle, id: Handle) -> Result<(&str, Announced, View), Fault> {
    const EXPECTED: &str = "the five or six parts of a storage's identity";
    let items = pickle.items(id)?;
    let &[tag, kind, key, _, elements, ref view @ ..] = items else {
        return Err(Fault::Unexpected { expected: EXPECTED, found: "fewer" });
    };
    if pickle.text(tag)? != "storage" {
        return Err(Fault::Unexpected { expected: "a storage", found: "a whole module" });
    }
    let Value::Name(Name::Storage(element)) = *pickle.value(kind) else {
        return Err(pickle.value(kind).instead_of("the type of a storage"));
    };
    let view = match *view {
        [] => None,
        [view] if matches!(pickle.value(view), Value::None) => None,
        [view] => match *pickle.items(view)? {
            [_, first, length] => Some((pickle.extent(first)?, pickle.extent(length)?)),
            _ => return Err(Fault::Unexpected { expected: "the three parts of a view", found: "another number" }),
        },
        _ => return Err(Fault::Unexpected { expected: EXPECTED, found: "more" }),
    };
    Ok((pickle.text(key)?, Announced { element, elements: pickle.extent(elements)? }, view))
}
