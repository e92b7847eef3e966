//! The one way in which results are loaded from a cache, and the one policy for damage: what is absent or damaged is left out,
//! damage is named once, and whoever asks knows whether some was met.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use overinterp_workflow::key::StepKey;
use overinterp_workflow::stage::ArtifactError;
use overinterp_workflow::store::{Record, Store, StoreError};

use super::damage::{REPAIR, told};
use crate::failure::{Failure, chain};

/// A cache that results are loaded from.
pub(crate) struct Loader {
    pub store: Store,
    /// Entries that were found damaged.
    met: Mutex<BTreeSet<StepKey>>,
    /// Entries that were found sound and used.
    used: Mutex<BTreeSet<StepKey>>,
    /// Hears of damage, once of each entry.
    warn: fn(&str),
}

impl Loader {
    /// Nothing has been met.
    pub fn new(store: Store, warn: fn(&str)) -> Self {
        Self { store, met: Mutex::default(), used: Mutex::default(), warn }
    }

    /// What `read` finds in the directory of a step, every byte of which is verified; `None` where the entry is absent or damaged.
    /// `label` is what people call the step, if that is known.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn read<T>(
        &self,
        key: &StepKey,
        label: impl Fn() -> Option<String>,
        read: impl FnOnce(&Path) -> Result<T, ArtifactError>,
    ) -> Result<Option<T>, Failure> {
        let Some((dir, _)) = self.verified(key, &label)? else { return Ok(None) };
        Ok(self.read_verified(key, label, &dir, read))
    }

    /// The same of a directory that [`Loader::verified`] has given.
    pub fn read_verified<T>(
        &self,
        key: &StepKey,
        label: impl Fn() -> Option<String>,
        dir: &Path,
        read: impl FnOnce(&Path) -> Result<T, ArtifactError>,
    ) -> Option<T> {
        let failed = |error: ArtifactError| {
            // A run takes it for sound: its bytes are as they were written.
            let fate = format!("remove {}, and `overinterp run` computes it again", dir.display());
            self.damaged(key, label, &chain(&error), &fate);
        };
        read(dir).map_err(failed).ok()
    }

    /// The directory and the record of a step; `None` when it is absent or damaged.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn verified(
        &self,
        key: &StepKey,
        label: impl Fn() -> Option<String>,
    ) -> Result<Option<(PathBuf, Arc<Record>)>, Failure> {
        match self.store.verified(key) {
            Ok(found) => {
                self.used().insert(key.clone());
                Ok(Some(found))
            }
            Err(StoreError::Absent { .. }) => Ok(None),
            Err(StoreError::Damaged { damage, .. }) => {
                self.damaged(key, label, &damage, REPAIR);
                Ok(None)
            }
            Err(error) => Err(Failure::from(error)),
        }
    }

    /// Names a damaged entry, if it has not been named.
    pub fn damaged(&self, key: &StepKey, label: impl Fn() -> Option<String>, damage: &str, fate: &str) {
        if self.met().insert(key.clone()) {
            let label = label().map_or_else(String::new, |label| format!("{label} "));
            self.warn(&told(&format!("{label}({key})"), damage, fate));
        }
    }

    /// Tells of damage.
    pub fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    /// The entries that were loaded.
    pub fn used(&self) -> MutexGuard<'_, BTreeSet<StepKey>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The damaged entries that were met.
    pub fn met(&self) -> MutexGuard<'_, BTreeSet<StepKey>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn hear(text: &str) {
        HEARD.with_borrow_mut(|heard| heard.push(text.to_owned()));
    }

    #[test]
    fn what_is_absent_is_left_out_in_silence_and_damage_is_named_once() {
        let cache = tempfile::tempdir().unwrap();
        let loader = Loader::new(Store::open(cache.path()).unwrap(), hear);
        let key: StepKey = serde_json::from_value(format!("mask-v1:{}", "0a".repeat(32)).into()).unwrap();
        let label = || Some("subset seed=0".to_owned());
        assert!(loader.read(&key, label, |_| Ok(())).unwrap().is_none());
        assert!(loader.met().is_empty() && HEARD.with_borrow(Vec::is_empty));
        // A folder with a file and no record.
        let dir = loader.store.dir(&key);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("subsets.safetensors"), "half").unwrap();
        for _ in 0..2 {
            assert!(loader.read(&key, label, |_| Ok(())).unwrap().is_none());
            assert!(loader.verified(&key, label).unwrap().is_none());
        }
        assert_eq!(loader.met().iter().collect::<Vec<_>>(), [&key]);
        let expected = format!("damaged subset seed=0 ({key}): step.json is missing; {REPAIR}");
        assert_eq!(HEARD.take(), [expected]);
    }
}
