//! One safetensors file: a few plain facts as JSON, and named arrays.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Damage;
use crate::engine::stage::ArtifactError;

/// The header entry that holds the facts. It is the only one: the crate writes entries in hash order, and the same
/// artifact must always give the same bytes.
pub(super) const FACTS: &str = "overinterp";

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

/// Writes the file `path`.
pub(super) fn write<'a>(
    path: &Path,
    facts: &impl Serialize,
    tensors: impl IntoIterator<Item = (&'a str, Tensor)>,
) -> Result<(), ArtifactError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ArtifactError::writing(path, source);
    let facts = serde_json::to_string(facts).map_err(|error| failed(error.into()))?;
    let header = HashMap::from([(FACTS.to_owned(), facts)]);
    let bytes = safetensors::serialize(tensors, Some(header)).map_err(|error| failed(error.into()))?;
    fs::write(path, bytes).map_err(|error| failed(error.into()))
}

/// Reads the file `path` and makes of it what `parse` says.
pub(super) fn read<T>(
    path: &Path,
    parse: impl FnOnce(&TensorFile<'_>) -> Result<T, Damage>,
) -> Result<T, ArtifactError> {
    let bytes = fs::read(path).map_err(|error| ArtifactError::reading(path, error))?;
    TensorFile::open(&bytes).and_then(|file| parse(&file)).map_err(|damage| ArtifactError::reading(path, damage))
}

/// The content of a file.
pub(super) struct TensorFile<'a> {
    tensors: SafeTensors<'a>,
    facts: String,
}

impl<'a> TensorFile<'a> {
    /// Reads the header of a whole file.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Damage> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(Damage::Tensors)?;
        let facts = header.metadata().as_ref().and_then(|entries| entries.get(FACTS)).cloned();
        let tensors = SafeTensors::deserialize(bytes).map_err(Damage::Tensors)?;
        Ok(Self { tensors, facts: facts.ok_or(Damage::NoFacts(FACTS))? })
    }

    /// The facts.
    pub(super) fn facts<F: DeserializeOwned>(&self) -> Result<F, Damage> {
        Ok(serde_json::from_str(&self.facts)?)
    }

    /// The tensors' names in alphabetical order.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = self.tensors.names();
        names.sort_unstable();
        names
    }

    /// A tensor's shape and elements.
    pub(super) fn any_shape<T: Element>(&self, name: &str) -> Result<(Vec<usize>, Vec<T>), Damage> {
        let view = self.tensors.tensor(name).map_err(|_| Damage::NoTensor(name.to_owned()))?;
        if view.dtype() != T::DTYPE {
            return Err(Damage::Type { name: name.to_owned(), expected: T::DTYPE, actual: view.dtype() });
        }
        Ok((view.shape().to_vec(), T::from_bytes(view.data())))
    }

    /// The elements of a tensor of that shape.
    pub(super) fn tensor<T: Element>(&self, name: &str, expected: &[usize]) -> Result<Vec<T>, Damage> {
        let (actual, elements) = self.any_shape(name)?;
        if actual != expected {
            return Err(Damage::Shape { name: name.to_owned(), expected: expected.to_vec(), actual });
        }
        Ok(elements)
    }
}
