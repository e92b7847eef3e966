//! A run that shares a remote: what it finishes goes there, what others have finished comes from there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, PutMode};
use overinterp_workflow::depot::Depot;
use overinterp_workflow::key::{ContentHash, StepKey};
use overinterp_workflow::store::{Arrivals, Record, Store};

use crate::error::RemoteError;
use crate::objects::Remote;
use crate::pull::Pulled;
use crate::push::{Pushed, Pushing};

/// The checkpoints of one step.
const PARTS: &str = "parts.json";
const LARGEST_LIST: u64 = 1 << 20;

/// A remote while a run shares it.
#[derive(Debug)]
pub struct Sharing {
    remote: Arc<Remote>,
    came: Mutex<Came>,
}

/// What a run could and could not do with its remote.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// Steps that were brought from the remote.
    pub fetched: usize,
    /// Steps that were taken to it.
    pub pushed: usize,
    /// Steps that were finished here and are not there.
    pub left: BTreeSet<StepKey>,
    /// What went wrong, each kind of thing once: a step that differs, damage, a remote that does not answer.
    pub problems: Vec<String>,
    /// Steps of which checkpoints are there.
    unfinished: BTreeSet<StepKey>,
}

impl Sharing {
    /// Shares `remote`.
    #[must_use]
    pub fn new(remote: Arc<Remote>) -> Self {
        Self { remote, came: Mutex::default() }
    }

    /// What came of it so far.
    #[must_use]
    pub fn came(&self) -> Came {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problem(&self, error: &RemoteError) {
        let mut came = self.lock();
        // Of a remote that does not answer the first word is enough.
        let is_told = |told: &String| error.is_unavailable() && told.starts_with("cannot ");
        if !came.problems.iter().any(is_told) {
            came.problems.push(error.to_string());
        }
    }

    async fn put_unfinished(&self, key: &StepKey, scratch: &FilePath) -> Result<(), RemoteError> {
        let mut list = BTreeMap::new();
        for name in files_under(scratch) {
            // What a stage replaces meanwhile is a checkpoint, too, and one that is gone is none.
            let Ok(bytes) = fs::read(scratch.join(&name)) else { continue };
            let hash = blake3::hash(&bytes).to_hex().to_string();
            let path = self.remote.path(["v1", "partial", key.kind(), key.hash(), &hash]);
            self.remote.put_small(&path, &bytes, &PutMode::Create).await?;
            list.insert(name, hash);
        }
        if list.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_vec(&list).unwrap_or_default();
        let path = self.remote.path(["v1", "partial", key.kind(), key.hash(), PARTS]);
        self.remote.put_small(&path, &text, &PutMode::Overwrite).await?;
        self.lock().unfinished.insert(key.clone());
        Ok(())
    }

    async fn get_unfinished(&self, key: &StepKey, scratch: &FilePath) -> Result<(), RemoteError> {
        let path = self.remote.path(["v1", "partial", key.kind(), key.hash(), PARTS]);
        let text = match self.remote.get_small(&path, LARGEST_LIST).await {
            Err(error) if error.is_absent() => return Ok(()),
            text => text?,
        };
        self.lock().unfinished.insert(key.clone());
        let Ok(list) = serde_json::from_slice::<BTreeMap<String, String>>(&text) else { return Ok(()) };
        for (name, hash) in list {
            let path = self.remote.path(["v1", "partial", key.kind(), key.hash(), &hash]);
            let bytes = match self.remote.get_small(&path, u64::MAX).await {
                Err(error) if error.is_absent() => continue,
                bytes => bytes?,
            };
            let is_whole = blake3::hash(&bytes).to_hex().as_str() == hash;
            let Some(local) = inside(scratch, &name).filter(|_| is_whole) else { continue };
            if let Some(folder) = local.parent() {
                // A checkpoint that cannot be kept costs what it saves.
                let _ = fs::create_dir_all(folder);
            }
            let _ = fs::write(local, bytes);
        }
        Ok(())
    }

    async fn drop_unfinished(&self, key: &StepKey) -> Result<(), RemoteError> {
        let folder = self.remote.path(["v1", "partial", key.kind(), key.hash()]);
        let objects = &self.remote.objects;
        let removed = self.remote.persist("remove", &folder, || async {
            let listed = objects.list(Some(&folder)).map_ok(|meta| meta.location);
            listed.try_for_each_concurrent(8, |path| async move { objects.delete(&path).await }).await
        });
        removed.await
    }
}

impl Depot for Sharing {
    fn fetch(
        &self,
        arrivals: &Arrivals<'_>,
        key: &StepKey,
        inputs: &BTreeMap<StepKey, ContentHash>,
    ) -> Option<Arc<Record>> {
        match self.remote.pull(arrivals, key, Some(inputs)) {
            Ok(Pulled::Got(record)) => {
                self.lock().fetched += 1;
                Some(record)
            }
            Ok(Pulled::Absent) => None,
            Err(error) => {
                self.problem(&error);
                None
            }
        }
    }

    fn finished(&self, kinds: &BTreeSet<&str>) -> BTreeSet<String> {
        match self.remote.finished(kinds.iter().copied()) {
            Ok(there) => there.into_iter().map(|(kind, hash)| format!("{kind}-{hash}")).collect(),
            Err(error) => {
                self.problem(&error);
                BTreeSet::new()
            }
        }
    }

    fn offer(&self, store: &Store, key: &StepKey) {
        let pushed = match store.departure(key) {
            Ok(Some(departure)) => self.remote.push(&departure, Pushing::New),
            Ok(None) => return,
            Err(error) => Err(error.into()),
        };
        match pushed {
            Ok(Pushed::Put) => self.lock().pushed += 1,
            Ok(Pushed::There) => {}
            Err(error) => {
                self.problem(&error);
                self.lock().left.insert(key.clone());
                return;
            }
        }
        let has_checkpoints = self.lock().unfinished.remove(key);
        if has_checkpoints {
            // What stays is looked at by nobody: the step is finished.
            let _ = self.remote.wait(self.drop_unfinished(key));
        }
    }

    fn fetch_unfinished(&self, key: &StepKey, scratch: &FilePath) {
        if let Err(error) = self.remote.wait(self.get_unfinished(key, scratch)) {
            self.problem(&error);
        }
    }

    fn offer_unfinished(&self, key: &StepKey, scratch: &FilePath) {
        if let Err(error) = self.remote.wait(self.put_unfinished(key, scratch)) {
            self.problem(&error);
        }
    }
}

/// The plain files under a folder, by their paths in it.
fn files_under(folder: &FilePath) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(folder.join(&inside)).into_iter().flatten().flatten() {
            let path = inside.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_file() => found.extend(path.to_str().map(str::to_owned)),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// The place of a file in a folder; none of a name that leads out of it.
fn inside(folder: &FilePath, name: &str) -> Option<PathBuf> {
    let is_inside = FilePath::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    (is_inside && !name.is_empty()).then(|| folder.join(name))
}
