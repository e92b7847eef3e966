//! One safetensors file: a few plain facts as JSON, and named arrays.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError, View};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Damage, UnreadableImage};
use overinterp_workflow::stage::ArtifactError;

/// The header entry that holds the facts. It is the only one: the crate writes entries in hash order, and the same
/// artifact must always give the same bytes.
pub(super) const FACTS: &str = "overinterp";
/// Bytes of the header's length, which stands before it; the header is filled up with spaces to a multiple of them.
pub(super) const LENGTH_BYTES: usize = size_of::<u64>();
/// Bytes of the longest header that is read; those of the crate are no longer.
pub(super) const LONGEST_HEADER: u64 = 100_000_000;

/// Why a file cannot be written.
type Unwritten = Box<dyn Error + Send + Sync>;

/// A type that tensors of our files hold; on disk it is little-endian.
pub(super) trait Element: Copy {
    /// Its name in the header.
    const DTYPE: Dtype;
    /// The elements as they lie on disk.
    fn to_bytes(values: &[Self]) -> Vec<u8>;
    /// The elements of `bytes`, a whole number of them.
    fn from_bytes(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! element {
    ($type:ty, $dtype:expr) => {
        impl Element for $type {
            const DTYPE: Dtype = $dtype;

            fn to_bytes(values: &[Self]) -> Vec<u8> {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }

            fn from_bytes(bytes: &[u8]) -> Vec<Self> {
                let (elements, _) = bytes.as_chunks();
                elements.iter().map(|&element| Self::from_le_bytes(element)).collect()
            }
        }
    };
}

element!(u8, Dtype::U8);
element!(u16, Dtype::U16);
element!(u32, Dtype::U32);
element!(f32, Dtype::F32);

/// An array on its way to disk.
pub(super) struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// `values` in row-major order, as many as the extents' product.
    pub(super) fn new<T: Element>(shape: &[usize], values: &[T]) -> Self {
        Self { dtype: T::DTYPE, shape: shape.to_vec(), bytes: T::to_bytes(values) }
    }
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The header's entry for `facts`.
fn entry(facts: &impl Serialize) -> serde_json::Result<HashMap<String, String>> {
    Ok(HashMap::from([(FACTS.to_owned(), serde_json::to_string(facts)?)]))
}

/// Writes the file `path`.
pub(super) fn write<'a>(
    path: &Path,
    facts: &impl Serialize,
    tensors: impl IntoIterator<Item = (&'a str, Tensor)>,
) -> Result<(), ArtifactError> {
    let written = || -> Result<(), Unwritten> {
        let bytes = safetensors::serialize(tensors, Some(entry(facts)?))?;
        Ok(fs::write(path, bytes)?)
    };
    written().map_err(|error| ArtifactError::writing(path, error))
}

/// Writes the file `path` with one array of bytes, which are never in memory all at once: `pieces` are as many together
/// as the product of the extents of its shape. The file is the one that [`write`] makes of the whole array.
pub(super) fn write_in_pieces<'a>(
    path: &Path,
    facts: &impl Serialize,
    (name, shape): (&str, [usize; 2]),
    pieces: impl Iterator<Item = Result<Cow<'a, [u8]>, UnreadableImage>>,
) -> Result<(), ArtifactError> {
    let written = || -> Result<(), Unwritten> {
        let data_offsets = (0, shape.iter().product());
        let tensor = TensorInfo { dtype: u8::DTYPE, shape: shape.to_vec(), data_offsets };
        let mut header = serde_json::to_vec(&Metadata::new(Some(entry(facts)?), vec![(name.to_owned(), tensor)])?)?;
        header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
        let mut file = File::create(path)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for piece in pieces {
            file.write_all(&piece?)?;
        }
        Ok(())
    };
    written().map_err(|error| ArtifactError::writing(path, error))
}

/// Reads the file `path` and makes of it what `parse` says.
pub(super) fn read<T>(
    path: &Path,
    parse: impl FnOnce(&TensorFile<'_>) -> Result<T, Damage>,
) -> Result<T, ArtifactError> {
    let bytes = fs::read(path).map_err(|error| ArtifactError::reading(path, error))?;
    TensorFile::open(&bytes).and_then(|file| parse(&file)).map_err(|damage| ArtifactError::reading(path, damage))
}

/// Reads the header alone of the file `path`, and makes of it and the open file what `parse` says.
pub(super) fn read_in_place<T>(
    path: &Path,
    parse: impl FnOnce(File, &Header) -> Result<T, Damage>,
) -> Result<T, ArtifactError> {
    let read = || -> Result<T, Damage> {
        let file = File::open(path)?;
        let header = Header::read(&file, file.metadata()?.len())?;
        parse(file, &header)
    };
    read().map_err(|damage| ArtifactError::reading(path, damage))
}

/// What a file says in front of its arrays.
pub(super) struct Header {
    metadata: Metadata,
    facts: String,
    /// Where the arrays begin.
    start: usize,
}

impl Header {
    /// Reads it from the beginning of a file of `length` bytes, and compares it with that length.
    fn read(mut file: impl Read, length: u64) -> Result<Self, Damage> {
        let Some(rest) = length.checked_sub(LENGTH_BYTES as u64) else {
            return Err(Damage::Tensors(SafeTensorError::HeaderTooSmall));
        };
        let mut header = [0; LENGTH_BYTES];
        file.read_exact(&mut header)?;
        let header = u64::from_le_bytes(header);
        if header > rest.min(LONGEST_HEADER) {
            return Err(Damage::Tensors(SafeTensorError::InvalidHeaderLength));
        }
        let mut json = vec![0; header as usize];
        file.read_exact(&mut json)?;
        let metadata: Metadata = serde_json::from_slice(&json)
            .map_err(|error| Damage::Tensors(SafeTensorError::InvalidHeaderDeserialization(error)))?;
        if metadata.data_len() as u64 != rest - header {
            return Err(Damage::Tensors(SafeTensorError::MetadataIncompleteBuffer));
        }
        let facts = metadata.metadata().as_ref().and_then(|entries| entries.get(FACTS)).cloned();
        Ok(Self { facts: facts.ok_or(Damage::NoFacts(FACTS))?, metadata, start: LENGTH_BYTES + json.len() })
    }

    /// Parses the plain facts, which are JSON in the entry [`FACTS`] of the header.
    pub(super) fn facts<F: DeserializeOwned>(&self) -> Result<F, Damage> {
        Ok(serde_json::from_str(&self.facts)?)
    }

    /// A tensor's shape, and where in the file its elements lie.
    fn any_place<T: Element>(&self, name: &str) -> Result<(&[usize], Range<usize>), Damage> {
        let tensor = self.metadata.info(name).ok_or_else(|| Damage::NoTensor(name.to_owned()))?;
        if tensor.dtype != T::DTYPE {
            return Err(Damage::Type { name: name.to_owned(), expected: T::DTYPE, actual: tensor.dtype });
        }
        let (first, end) = tensor.data_offsets;
        Ok((&tensor.shape, self.start + first..self.start + end))
    }

    /// Where in the file the elements of a tensor of that shape lie.
    pub(super) fn place<T: Element>(&self, name: &str, expected: &[usize]) -> Result<Range<usize>, Damage> {
        let (actual, place) = self.any_place::<T>(name)?;
        if actual != expected {
            let (expected, actual) = (expected.to_vec(), actual.to_vec());
            return Err(Damage::Shape { name: name.to_owned(), expected, actual });
        }
        Ok(place)
    }
}

/// The content of a file.
pub(super) struct TensorFile<'a> {
    header: Header,
    bytes: &'a [u8],
}

impl<'a> TensorFile<'a> {
    /// Reads the header of a whole file.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Damage> {
        Ok(Self { header: Header::read(bytes, bytes.len() as u64)?, bytes })
    }

    /// Parses the plain facts of its header, as [`Header::facts`].
    pub(super) fn facts<F: DeserializeOwned>(&self) -> Result<F, Damage> {
        self.header.facts()
    }

    /// The tensors' names in alphabetical order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.header.metadata.offset_keys();
        names.sort_unstable();
        names
    }

    /// A tensor's shape and elements.
    pub(super) fn any_shape<T: Element>(&self, name: &str) -> Result<(Vec<usize>, Vec<T>), Damage> {
        let (shape, place) = self.header.any_place::<T>(name)?;
        Ok((shape.to_vec(), T::from_bytes(&self.bytes[place])))
    }

    /// The elements of a tensor of that shape.
    pub(super) fn tensor<T: Element>(&self, name: &str, expected: &[usize]) -> Result<Vec<T>, Damage> {
        Ok(T::from_bytes(&self.bytes[self.header.place::<T>(name, expected)?]))
    }
}
