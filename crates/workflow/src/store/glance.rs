//! Looks many steps up at once: a listing for each kind and the index say what there is, and only the state of each file is
//! asked one by one.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::entry::{Lookup, RECORD, Scrutiny};
use super::error::{Doing as _, READ};
use super::index::{INDEX, Index, Indexed, Sealed, bytes_of};
use super::kept::Kept;
use super::{Store, StoreError, count, files};
use crate::key::StepKey;
use overinterp_foreign::bounded;
use overinterp_foreign::file_state::FileState;

/// One in so many steps may be missing from the index before it is written anew.
const MISSED: usize = 64;

/// The names in the folder of a kind that may be entries, sorted.
pub(super) struct Listing {
    /// Each with whether it is a folder itself, and no link to one.
    names: Vec<(String, bool)>,
}

impl Listing {
    /// `None` where the folder itself is a link.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        if files::is_link(dir) {
            return Ok(None);
        }
        let there = match fs::read_dir(dir) {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Self { names: Vec::new() })),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in there {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, entry.file_type().is_ok_and(|kind| kind.is_dir())));
            }
        }
        names.sort_unstable();
        Ok(Some(Self { names }))
    }

    /// Whether the name is there, and whether it is a folder.
    pub fn get(&self, name: &str) -> Option<bool> {
        let place = self.names.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
        Some(self.names[place].1)
    }
}

/// What a look at one step found, and what the index did not know of it.
type Found = (Lookup<Arc<Kept>>, Option<Indexed>);

impl Store {
    /// Looks steps up, each as closely as is said beside it. Steps whose records have not changed since they were last read are
    /// known from the index.
    ///
    /// # Errors
    /// As [`Store::look`].
    pub(crate) fn look_all(&self, wanted: &[(&StepKey, Scrutiny)]) -> Result<Vec<Lookup<Arc<Kept>>>, StoreError> {
        let index = Index::read(&self.base);
        let mut listings: BTreeMap<&str, Option<Listing>> = BTreeMap::new();
        for (key, _) in wanted {
            if !listings.contains_key(key.kind()) {
                let dir = self.base.join("steps").join(key.kind());
                listings.insert(key.kind(), Listing::read(&dir).doing(READ, &dir)?);
            }
        }
        let look = |(key, scrutiny): &(&StepKey, Scrutiny)| match listings.get(key.kind()).and_then(Option::as_ref) {
            Some(listing) => match listing.get(key.hash()) {
                None => Ok((Lookup::Absent, None)),
                Some(true) => match self.by_index(&index, key, *scrutiny) {
                    Some(kept) => Ok((Lookup::Intact(Arc::new(kept)), None)),
                    None => self.by_record(key, *scrutiny),
                },
                Some(false) => self.by_record(key, *scrutiny),
            },
            None => self.by_record(key, *scrutiny),
        };
        let found: Vec<Found> = wanted.par_iter().map(look).collect::<Result<_, _>>()?;
        let missed: Vec<&Indexed> = found.iter().filter_map(|(_, missed)| missed.as_ref()).collect();
        if missed.len() > index.len() / MISSED {
            self.write_index(&index, &missed, |key| match listings.get(key.kind()) {
                Some(Some(listing)) => listing.get(key.hash()).is_some(),
                _ => true,
            });
        }
        Ok(found.into_iter().map(|(lookup, _)| lookup).collect())
    }

    /// A step that the index knows, whose files all have the states that they had; `None` if anything is otherwise.
    fn by_index(&self, index: &Index, key: &StepKey, scrutiny: Scrutiny) -> Option<Kept> {
        let sealed = index.find(key.kind(), *key.hash_bytes().as_bytes())?;
        self.unchanged(index, &sealed, self.dir(key), scrutiny)?;
        index.open(&sealed).map(|entry| entry.kept).filter(|kept| kept.key == *key)
    }

    /// `None` if the record in `dir`, or a file beside it, is not as the index says.
    pub(super) fn unchanged(&self, index: &Index, sealed: &Sealed, dir: PathBuf, scrutiny: Scrutiny) -> Option<()> {
        let mut path = dir;
        path.push(RECORD);
        let is_file_in = |metadata: &Metadata, state| metadata.is_file() && FileState::of(metadata).number() == state;
        if !is_file_in(&path.symlink_metadata().ok()?, sealed.state) {
            return None;
        }
        for file in sealed.files(index) {
            let (name, file) = file?;
            path.set_file_name(name);
            if !is_file_in(&path.symlink_metadata().ok()?, file.state) {
                return None;
            }
            if scrutiny == Scrutiny::Bytes {
                count(&self.files_hashed);
                if files::hash_of(&path, file.bytes).ok()? != file.hash {
                    return None;
                }
            }
        }
        Some(())
    }

    /// A step by its record.
    fn by_record(&self, key: &StepKey, scrutiny: Scrutiny) -> Result<Found, StoreError> {
        let path = self.dir(key).join(RECORD);
        let state = || path.symlink_metadata().ok().map(|metadata| FileState::of(&metadata));
        let before = state();
        Ok(match self.look(key, scrutiny)? {
            Lookup::Absent => (Lookup::Absent, None),
            Lookup::Damaged(damage) => (Lookup::Damaged(damage), None),
            Lookup::Intact(record) => {
                // One that may yet change without a change of its times is read again the next time.
                let settled = before.filter(|state| state.is_settled() && self.has(&path, *state));
                let indexed = settled.map(|state| Indexed::of(&record, state));
                (Lookup::Intact(Arc::new(Kept::of(&record))), indexed)
            }
        })
    }

    /// Whether a file has that state now.
    fn has(&self, path: &Path, state: FileState) -> bool {
        debug_assert!(path.starts_with(&self.base));
        path.symlink_metadata().is_ok_and(|metadata| FileState::of(&metadata) == state)
    }

    /// Replaces the index by one that also knows what it missed, and nothing of steps that are gone. A cache that cannot be
    /// written to stays without one.
    fn write_index(&self, index: &Index, missed: &[&Indexed], is_there: impl Fn(&StepKey) -> bool) {
        let mut entries: BTreeMap<StepKey, Indexed> = index
            .iter()
            .filter(|entry| is_there(&entry.kept.key))
            .map(|entry| (entry.kept.key.clone(), entry))
            .collect();
        entries.extend(missed.iter().map(|&entry| (entry.kept.key.clone(), entry.clone())));
        let entries: Vec<Indexed> = entries.into_values().collect();
        // An index vouches for states in every boot, so what it vouches for must be on the disk before.
        if missed.iter().any(|entry| entry.is_bound) && self.sync_all().is_err() {
            return;
        }
        if let Some(bytes) = bytes_of(&entries) {
            let _ = bounded::replace(&self.base.join(INDEX), &bytes);
        }
    }
}
