//! What can be wrong with the content of an artifact's file.

use std::fmt::Display;
use std::io;

/// Why a file of an artifact is not what was once written there.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Its bytes cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The file's safetensors header does not fit its content.
    #[error("it is no complete safetensors file ({0})")]
    Tensors(#[source] safetensors::SafeTensorError),
    /// The facts or the whole file are not the JSON expected.
    #[error("its JSON is not what is stored there")]
    Json(#[from] serde_json::Error),
    /// The header lacks the entry with the plain facts.
    #[error("its header has no entry '{0}'")]
    NoFacts(&'static str),
    /// A tensor is missing.
    #[error("it has no tensor '{0}'")]
    NoTensor(String),
    /// A tensor holds another type.
    #[error("tensor '{name}' holds {actual}, not {expected}")]
    Type {
        /// The name that the tensor has in the file.
        name: String,
        /// The type it should hold.
        expected: safetensors::Dtype,
        /// The type it holds.
        actual: safetensors::Dtype,
    },
    /// A tensor has another shape.
    #[error("tensor '{name}' has shape {actual:?}, not {expected:?}")]
    Shape {
        /// The name that the tensor has in the file.
        name: String,
        /// The shape that follows from the rest of the file.
        expected: Vec<usize>,
        /// The shape it has.
        actual: Vec<usize>,
    },
    /// A value lies outside its range.
    #[error("{0}")]
    Value(String),
    /// A line of a text file does not parse.
    #[error("line {0} is not what is stored there")]
    Line(usize),
}

impl Damage {
    /// A value outside its range.
    pub(super) fn value(what: impl Display) -> Self {
        Self::Value(what.to_string())
    }
}
