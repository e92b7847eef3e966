//! One function for each format that others write: it reads bytes as the program would, looks at all that came of it, and
//! prints what is wrong as a message would. It must come back: no panic, no endless loop, no more memory than the reader
//! allows. The fuzz targets and the test `tests/corpus` call the same functions.

mod answers;
mod arrays;
mod cache;
mod experiment;
mod folder;
mod images;
mod models;

pub use answers::answers;
pub use arrays::npy;
pub use cache::{RECORD, cache_index, index_of_a_cache, manifest};
pub use experiment::config;
pub use images::{cifar, idx, index, jpeg, picture};
pub use models::{pickle, safetensors, torch};

/// A function that reads a format.
pub type Reader = fn(&[u8]);

/// Every format by the name of its target, which is that of its folder in `corpus`.
pub const FORMATS: [(&str, Reader); 13] = [
    ("answers", answers),
    ("cache-index", cache_index),
    ("cifar", cifar),
    ("config", config),
    ("idx", idx),
    ("index", index),
    ("jpeg", jpeg),
    ("manifest", manifest),
    ("npy", npy),
    ("pickle", pickle),
    ("picture", picture),
    ("safetensors", safetensors),
    ("torch", torch),
];

/// Puts an error in words, with its causes: messages are printed, and must come about whatever a file says.
fn told(error: &dyn std::error::Error) -> usize {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    error.to_string().len() + causes.map(|cause| cause.to_string().len()).sum::<usize>()
}

/// Looks at a result: an error is put in words.
fn seen<T, E: std::error::Error>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| assert!(told(error) > 0, "an error says nothing")).ok()
}
