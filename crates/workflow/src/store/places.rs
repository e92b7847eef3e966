//! What in a cache's folder is its own, by name and place. All else was put there by others: it is passed over, listed,
//! and never removed.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::entry::is_entry;
use super::error::{Doing as _, READ};
use super::index::INDEX;
use super::runs::is_run;
use super::{FAILURES, PARTS, PROBE, RECEIPTS, RUNS, Store, StoreError, files};
use crate::notices::NOTICE;
use crate::workers::{CLAIMS, WORKERS};

/// What lies in a cache beside its parts: the version's directory, and what tells people what the folder is for.
const IN_ROOT: [&str; 2] = ["v1", "README.md"];
/// What lies beside the parts: the locks of earlier versions, and what is remembered of data and of this machine.
const IN_BASE: [&str; 7] =
    ["campaigns", "in-use", "locks", INDEX, "data-index.json", "first-images.json", "rates.json"];
/// The parts in which every kind has a folder.
const BY_KIND: [&str; 3] = ["steps", "contents", "partial"];
/// In `tmp`, what is on its way out.
pub(super) const GARBAGE: &str = "garbage";

/// Where an entry lies: its key but for the version, which is in the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryName {
    pub(super) kind: String,
    pub(super) hash: String,
}

impl EntryName {
    /// `KIND/HASH`, as people find it.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.kind, self.hash)
    }
}

impl Store {
    /// Every entry by kind and hash, whatever state it is in.
    pub(super) fn entries(&self) -> Result<Vec<EntryName>, StoreError> {
        let steps = self.base.join("steps");
        let mut entries = Vec::new();
        for kind in files::folders(&steps).doing(READ, &steps)? {
            let dir = steps.join(&kind);
            for hash in files::list(&dir).doing(READ, &dir)?.into_keys().filter(|name| is_hash(name)) {
                // A folder that may not be looked into is one, too: whoever looks at it is told.
                if is_entry(&dir.join(&hash)).unwrap_or(true) {
                    entries.push(EntryName { kind: kind.clone(), hash });
                }
            }
        }
        Ok(entries)
    }

    pub(super) fn dir_of(&self, name: &EntryName) -> PathBuf {
        self.base.join("steps").join(&name.kind).join(&name.hash)
    }

    /// What lies in a part without folders of kinds and is the cache's own.
    pub(super) fn own(&self, part: &str) -> Result<Vec<PathBuf>, StoreError> {
        let dir = self.base.join(part);
        let there = files::list(&dir).doing(READ, &dir)?;
        let own = there.into_iter().filter(|(name, metadata)| is_own(part, &dir, name, metadata));
        Ok(own.map(|(name, _)| dir.join(name)).collect())
    }

    /// What lies in the cache, but not in its entries, and is no part of it.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub(super) fn strays(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut strays = Vec::new();
        let root = self.base.parent().unwrap_or(&self.base);
        let beside = files::list_behind(root).doing(READ, root)?.into_keys();
        strays.extend(beside.filter(|name| !IN_ROOT.contains(&name.as_str())).map(|name| root.join(name)));
        let known = |name: &str| PARTS.contains(&name) || IN_BASE.contains(&name);
        let beside = files::list(&self.base).doing(READ, &self.base)?.into_keys();
        strays.extend(beside.filter(|name| !known(name)).map(|name| self.base.join(name)));
        for part in PARTS {
            let dir = self.base.join(part);
            for (name, metadata) in files::list(&dir).doing(READ, &dir)? {
                let path = dir.join(&name);
                if !is_own(part, &dir, &name, &metadata) {
                    strays.push(path);
                } else if BY_KIND.contains(&part) && metadata.is_dir() {
                    let inside = files::list(&path).doing(READ, &path)?;
                    let others = inside.into_iter().filter(|(name, metadata)| !is_step(part, &path, name, metadata));
                    strays.extend(others.map(|(name, _)| path.join(name)));
                }
            }
        }
        Ok(strays)
    }
}

/// Whether the cache itself gives such a name in one of its parts.
fn is_own(part: &str, dir: &Path, name: &str, metadata: &Metadata) -> bool {
    // A run that starts is trying whether it may write.
    if name.starts_with(&format!(".{PROBE}")) {
        return true;
    }
    match part {
        part if BY_KIND.contains(&part) => metadata.is_dir(),
        CLAIMS | FAILURES | "pins" => is_flat(name) && !metadata.is_dir(),
        WORKERS => is_worker(name) && !metadata.is_dir(),
        RUNS => is_run(name) && metadata.is_dir(),
        // One that is being written, or that a crash has cut off, has a name that begins with a point.
        RECEIPTS => (is_hash(name) || name.starts_with('.')) && !metadata.is_dir(),
        "damaged" => {
            let counted = name.rsplit_once('-').filter(|(_, count)| count.parse::<usize>().is_ok());
            counted.is_some_and(|(name, _)| is_flat(name)) && is_entry(&dir.join(name)).unwrap_or(true)
        }
        _ => {
            let begins = [PROBE, NOTICE].iter().any(|begin| name.starts_with(begin));
            name == GARBAGE || begins || is_flat(name) || worker_of(name).is_some()
        }
    }
}

/// Whether the cache itself gives such a name in the folder of a kind.
fn is_step(part: &str, dir: &Path, name: &str, metadata: &Metadata) -> bool {
    let is_one = match part {
        "steps" => is_hash(name) && is_entry(&dir.join(name)).unwrap_or(true),
        "contents" => is_hash(name) && !metadata.is_dir(),
        _ => is_hash(name),
    };
    is_one || name.starts_with(&format!(".{PROBE}"))
}

/// Of what a worker has in `tmp`, `KIND-HASH.WORKER` or `KIND-HASH.WORKER.going`, the worker.
pub(super) fn worker_of(name: &str) -> Option<&str> {
    let (step, worker) = name.strip_suffix(".going").unwrap_or(name).split_once('.')?;
    (is_flat(step) && is_worker(worker)).then_some(worker)
}

/// Whether the cache itself names workers like that.
fn is_worker(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.split('-').count() >= 3 && name.bytes().all(is_plain)
}

/// Whether a name can be that of an entry, or of a note of one.
pub(super) fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Whether a name is a kind and a hash, where there are no folders of kinds.
fn is_flat(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(kind, hash)| !kind.is_empty() && is_hash(hash))
}
