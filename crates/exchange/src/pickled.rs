//! Tensors in a pickle, whose elements lie in storages outside of it or in numpy arrays within.

use std::collections::BTreeMap;

use super::error::{Fault, Located, quote};
use super::listing::Listing;
use super::tensor::{ByteOrder, ElementType, Layout};
use super::torch::{self, Rebuilt};
use super::zip_archive::Entries;
use overinterp_artifacts::ParameterTensor;
use overinterp_foreign::pickle::{self, Array, Handle, Pickle, Value};

/// Whether bytes begin as a pickle that is a file of its own: one of protocol 2 or later.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// Opens a pickle that is a file of its own, such as of numpy arrays.
pub(super) fn open(bytes: &[u8]) -> Result<(Listing, File<'_>), Located> {
    let pickle =
        pickle::read(bytes).map_err(|error| Fault::from(error.fault).at(format!("the pickle, byte {}", error.byte)))?;
    File::new(pickle, ByteOrder::Little, Storages::None, bytes.len())
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

/// Where the storages lie.
#[derive(Debug)]
pub(super) enum Storages<'a> {
    /// There are none: the pickle is the whole file, and only its numpy arrays have elements.
    None,
    /// Each in an entry of an archive.
    Archive(Entries<'a>),
    /// By their keys.
    Read(BTreeMap<String, &'a [u8]>),
}

/// A pickle with its storages.
#[derive(Debug)]
pub(super) struct File<'a> {
    pickle: Pickle<'a>,
    /// How the file's machine laid out an element.
    order: ByteOrder,
    storages: Storages<'a>,
    /// More elements than this are not read: tensors may share a storage, but not without end.
    most_elements: u64,
    /// How many of them are left.
    left: u64,
}

/// Every storage that the pickle mentions, used or not. What cannot be read is left out: it matters only where a tensor
/// that is wanted lies in it.
pub(super) fn announced<'p>(pickle: &'p Pickle<'_>) -> Result<BTreeMap<&'p str, Announced>, Located> {
    let mut all = BTreeMap::new();
    for &id in pickle.persistent() {
        let Ok((key, announced, _)) = storage(pickle, id) else { continue };
        if all.insert(key, announced).is_some_and(|earlier| earlier != announced) {
            return Err(Fault::StorageConflict.at(format!("storage {}", quote(key))));
        }
    }
    Ok(all)
}

/// What is wrong, and where, if that is elsewhere than at the tensor.
#[derive(Debug)]
pub(super) enum FaultAt {
    Here(Fault),
    There(Located),
}

impl From<Fault> for FaultAt {
    fn from(fault: Fault) -> Self {
        Self::Here(fault)
    }
}

impl From<pickle::Fault> for FaultAt {
    fn from(fault: pickle::Fault) -> Self {
        Self::Here(fault.into())
    }
}

impl FaultAt {
    /// Says where the fault is, if it is here.
    pub fn at(self, place: String) -> Located {
        match self {
            Self::Here(fault) => fault.at(place),
            Self::There(located) => located,
        }
    }
}

impl<'a> File<'a> {
    /// Lists what the pickle names.
    pub fn new(
        pickle: Pickle<'a>,
        order: ByteOrder,
        storages: Storages<'a>,
        length: usize,
    ) -> Result<(Listing, Self), Located> {
        // A storage that is announced twice, differently, is damage whatever is wanted.
        announced(&pickle)?;
        let listing = Listing::of(&pickle)?;
        Ok((listing, Self { pickle, order, storages, most_elements: length as u64, left: length as u64 }))
    }

    /// Reads the tensor at a handle: `_rebuild_tensor_v2(storage, offset, size, stride, ...)`, or a numpy array.
    pub fn tensor(&mut self, value: Handle) -> Result<ParameterTensor, FaultAt> {
        let pickle = &self.pickle;
        let (parts, element) = match torch::rebuilt(pickle, value) {
            Some(Rebuilt::Stored { parts, element }) => (parts, element),
            Some(Rebuilt::Array(array)) => {
                let array = pickle.array(array)?;
                self.left = spend(self.left, array.elements(), self.most_elements)?;
                return Ok(from_array(&array)?);
            }
            Some(Rebuilt::Otherwise) | None => return Err(pickle.instead_of("a tensor", value).into()),
        };
        let &[id, offset, shape, strides, ..] = parts else {
            return Err(
                Fault::Unexpected { expected: "storage, offset, size and stride", found: "fewer values" }.into()
            );
        };
        let Value::Persistent(id) = *pickle.value(id) else {
            return Err(pickle.instead_of("a storage", id).into());
        };
        let (key, announced, view) = storage(pickle, id)?;
        let layout = Layout::new(pickle.extent(offset)?, extents(pickle, shape)?, extents(pickle, strides)?)?;
        self.left = spend(self.left, layout.elements(), self.most_elements)?;
        let bytes = self.storages.bytes(key, announced)?;
        let bytes = match view {
            None => bytes,
            Some((first, length)) => window(bytes, first, length, announced)?,
        };
        let element = match element {
            None => announced.element,
            Some(element) => torch::element_type(pickle, element)
                .ok_or_else(|| Fault::ElementType(pickle.name(element).unwrap_or_else(|| "unknown".to_owned())))?,
        };
        let data = element.gather(bytes, self.order, &layout)?;
        Ok(ParameterTensor { shape: layout.shape().to_vec(), data })
    }
}

impl<'a> Storages<'a> {
    /// The bytes of a storage, as many as announced.
    fn bytes(&mut self, key: &str, announced: Announced) -> Result<&'a [u8], FaultAt> {
        match self {
            Self::None => Err(Fault::MissingStorage(quote(key)).into()),
            Self::Archive(entries) => entries.storage(key, announced.bytes()).map_err(FaultAt::There),
            Self::Read(storages) => Ok(*storages.get(key).ok_or_else(|| Fault::MissingStorage(quote(key)))?),
        }
    }
}

/// What is left of a number of elements.
fn spend(left: u64, elements: Option<usize>, limit: u64) -> Result<u64, Fault> {
    let elements = elements.map_or(u64::MAX, |elements| elements as u64);
    left.checked_sub(elements).ok_or(Fault::TooLarge { limit })
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
