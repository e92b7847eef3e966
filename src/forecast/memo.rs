//! What is remembered beside the cache's steps: a help and no more, so that a file that cannot be understood is as good as none.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use overinterp_foreign::bounded::{self, BoundedError};

use crate::failure::Failure;
use crate::writing::WriteError;

/// A file of JSON.
pub(crate) struct Memo {
    /// Its name in the cache, such as `rates.json`.
    pub name: &'static str,
    /// The most bytes that it is read with.
    pub most: u64,
    /// `the rates in FILE are`, from the name of the file.
    pub said: fn(&str) -> String,
    /// What to do where it is ignored, with what stands before it; perhaps nothing.
    pub advice: &'static str,
}

impl Memo {
    fn path(&self, cache: &Path) -> PathBuf {
        cache.join("v1").join(self.name)
    }

    /// What is remembered with a cache; nothing if nothing is, or if the file cannot be understood.
    pub fn load<T: DeserializeOwned + Default>(&self, cache: &Path) -> T {
        let path = self.path(cache);
        let ignored = |why: String| {
            tracing::warn!("{} ignored: {why}{}", (self.said)(&path.display().to_string()), self.advice);
            T::default()
        };
        match bounded::read(&path, self.most) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| ignored(error.to_string())),
            Err(BoundedError::Io(error)) if error.kind() == io::ErrorKind::NotFound => T::default(),
            Err(error) => ignored(error.to_string()),
        }
    }

    /// Replaces what is remembered.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, cache: &Path, value: &impl Serialize) -> Result<(), Failure> {
        let path = self.path(cache);
        let written = serde_json::to_vec_pretty(value).map_err(io::Error::from);
        Ok(written.and_then(|text| bounded::replace(&path, &text)).map_err(WriteError::at(&path))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_is_as_good_as_nothing() {
        const MEMO: Memo =
            Memo { name: "memo.json", most: 100, said: |file| format!("what {file} says is"), advice: "" };
        let cache = tempfile::tempdir().unwrap();
        let loaded = || MEMO.load::<Vec<u32>>(cache.path());
        assert_eq!(loaded(), [0; 0]);
        std::fs::create_dir(cache.path().join("v1")).unwrap();
        MEMO.save(cache.path(), &[1, 2]).unwrap();
        assert_eq!(loaded(), [1, 2]);
        for text in ["[1, ", "{}", &format!("[{}1]", "1, ".repeat(100))] {
            std::fs::write(cache.path().join("v1/memo.json"), text).unwrap();
            assert_eq!(loaded(), [0; 0], "{text}");
        }
    }
}
