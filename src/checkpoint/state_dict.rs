//! The state dict in a pickle, whatever wraps it, and the tensors that it names.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::{Fault, Located, quote};
use super::tensor::{ByteOrder, ElementType, Layout};
use super::torch::{self, Rebuilt};
use crate::artifacts::ParameterTensor;
use crate::pickle::{Array, Handle, Pickle, Value};

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
pub(super) fn announced<'p>(pickle: &'p Pickle<'_>) -> Result<BTreeMap<&'p str, Announced>, Located> {
    let mut all = BTreeMap::new();
    for &id in pickle.persistent() {
        // What cannot be read matters only where a tensor that is wanted lies in it.
        let Ok((key, announced, _)) = storage(pickle, id) else { continue };
        if all.insert(key, announced).is_some_and(|earlier| earlier != announced) {
            return Err(Fault::StorageConflict.at(format!("storage {}", quote(key))));
        }
    }
    Ok(all)
}

/// Reads the tensors of the pickle's state dict.
pub(super) fn tensors(
    pickle: &Pickle<'_>,
    storages: &Storages<'_>,
) -> Result<BTreeMap<String, ParameterTensor>, Located> {
    let mut tensors = BTreeMap::new();
    let mut budget = storages.most_elements;
    for &(key, value) in find(pickle)?.iter() {
        let name = pickle.text(key).map_err(|fault| Fault::from(fault).at("a name in the state dict"))?;
        if !is_bookkeeping(name) {
            let tensor = tensor(pickle, value, storages, &mut budget);
            tensors.insert(name.to_owned(), tensor.map_err(|fault| fault.at(format!("tensor {}", quote(name))))?);
        }
    }
    Ok(tensors)
}

/// The entries of the state dict.
fn find<'p>(pickle: &'p Pickle<'_>) -> Result<Entries<'p>, Located> {
    let holds_tensors =
        |entries: &Entries<'_>| entries.iter().any(|&(_, value)| torch::rebuilt(pickle, value).is_some());
    let mut current = pickle.entries(pickle.root());
    for _ in 0..DEEPEST {
        let Some(entries) = current else { break };
        let named = |&(key, value): &(Handle, Handle)| Some((pickle.text(key).ok()?, pickle.entries(value)?));
        let inner: Vec<_> = entries.iter().filter_map(named).collect();
        let mut candidates: Vec<_> = inner.iter().filter(|(name, _)| WRAPPERS.contains(name)).cloned().collect();
        if candidates.is_empty() && holds_tensors(&entries) {
            return Ok(entries);
        }
        if candidates.is_empty() {
            candidates = inner.into_iter().filter(|(_, inner)| holds_tensors(inner)).collect();
        }
        if candidates.len() > 1 {
            let names = candidates.iter().map(|(name, _)| quote(name)).collect();
            return Err(Fault::SeveralStateDicts(names).at("the top of the pickle"));
        }
        current = candidates.pop().map(|(_, inner)| inner);
    }
    Err(Fault::NoStateDict.at("the top of the pickle"))
}

/// Keys and values of a dict.
type Entries<'p> = Cow<'p, [(Handle, Handle)]>;

/// Reads a tensor: `_rebuild_tensor_v2(storage, offset, size, stride, ...)`, or a numpy array.
fn tensor(
    pickle: &Pickle<'_>,
    value: Handle,
    storages: &Storages<'_>,
    budget: &mut u64,
) -> Result<ParameterTensor, Fault> {
    let mut spend = |elements: Option<usize>| {
        let elements = elements.map_or(u64::MAX, |elements| elements as u64);
        *budget = budget.checked_sub(elements).ok_or(Fault::TooLarge { limit: storages.most_elements })?;
        Ok::<_, Fault>(())
    };
    let (parts, element) = match torch::rebuilt(pickle, value) {
        Some(Rebuilt::Stored { parts, element }) => (parts, element),
        Some(Rebuilt::Array(array)) => {
            let array = pickle.array(array)?;
            spend(array.elements())?;
            return from_array(&array);
        }
        Some(Rebuilt::Otherwise) | None => return Err(pickle.instead_of("a tensor", value).into()),
    };
    let &[id, offset, shape, strides, ..] = parts else {
        return Err(Fault::Unexpected { expected: "storage, offset, size and stride", found: "fewer values" });
    };
    let Value::Persistent(id) = *pickle.value(id) else {
        return Err(pickle.instead_of("a storage", id).into());
    };
    let (key, announced, view) = storage(pickle, id)?;
    let layout = Layout::new(pickle.extent(offset)?, extents(pickle, shape)?, extents(pickle, strides)?)?;
    spend(layout.elements())?;
    let bytes = *storages.bytes.get(key).ok_or_else(|| Fault::MissingStorage(quote(key)))?;
    let bytes = match view {
        None => bytes,
        Some((first, length)) => window(bytes, first, length, announced)?,
    };
    let element = match element {
        None => announced.element,
        Some(element) => torch::element_type(pickle, element)
            .ok_or_else(|| Fault::ElementType(pickle.name(element).unwrap_or_else(|| "unknown".to_owned())))?,
    };
    let data = element.gather(bytes, storages.order, &layout)?;
    Ok(ParameterTensor { shape: layout.shape().to_vec(), data })
}

/// A numpy array as a tensor.
fn from_array(array: &Array<'_>) -> Result<ParameterTensor, Fault> {
    let element = match array.descr.get(1..) {
        Some("f8") => ElementType::Float64,
        Some("f4") => ElementType::Float32,
        Some("f2") => ElementType::Float16,
        Some("i8") => ElementType::Int64,
        Some("i4") => ElementType::Int32,
        Some("i2") => ElementType::Int16,
        Some("i1") => ElementType::Int8,
        Some("u1") => ElementType::UInt8,
        Some("b1") => ElementType::Bool,
        _ => return Err(Fault::ElementType(array.descr.clone())),
    };
    let order = if array.descr.starts_with('>') { ByteOrder::Big } else { ByteOrder::Little };
    let shape = array.shape.clone();
    let layout = if array.column_major { Layout::column_major(shape) } else { Layout::contiguous(shape) }?;
    let data = element.gather(&array.bytes, order, &layout)?;
    Ok(ParameterTensor { shape: layout.shape().to_vec(), data })
}

fn window(bytes: &[u8], first: usize, length: usize, announced: Announced) -> Result<&[u8], Fault> {
    let size = announced.element.size();
    let range = first.checked_mul(size).zip(first.checked_add(length).and_then(|end| end.checked_mul(size)));
    let window = range.and_then(|(start, end)| bytes.get(start..end));
    window.ok_or(Fault::BeyondStorage { elements: announced.elements })
}

fn extents(pickle: &Pickle<'_>, handle: Handle) -> Result<Vec<usize>, Fault> {
    let items = pickle.items(handle)?;
    Layout::check_rank(items.len())?;
    Ok(items.iter().map(|&item| pickle.extent(item)).collect::<Result<_, _>>()?)
}

/// First element and length of the part of a storage that is meant.
type View = Option<(usize, usize)>;

/// Follows a storage's identity: `('storage', type, key, location, elements[, (view key, first, length)])`.
fn storage<'p>(pickle: &'p Pickle<'_>, id: Handle) -> Result<(&'p str, Announced, View), Fault> {
    const EXPECTED: &str = "the five or six parts of a storage's identity";
    let items = pickle.items(id)?;
    let &[tag, kind, key, _, elements, ref view @ ..] = items else {
        return Err(Fault::Unexpected { expected: EXPECTED, found: "fewer" });
    };
    if pickle.text(tag)? != "storage" {
        return Err(Fault::Unexpected { expected: "a storage", found: "a whole module" });
    }
    let Some(element) = torch::element_type(pickle, kind) else {
        return Err(pickle.instead_of("the type of a storage", kind).into());
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
