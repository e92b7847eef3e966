//! Removes from a cache what no experiment and no pin needs, or says what that would be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::entry::{Inspected, LARGEST_NOTE, RECORD, Scrutiny};
use super::error::{Doing as _, READ};
use super::places::{EntryName, GARBAGE, is_hash};
use super::record::{Record, now};
use super::stats::Pile;
use super::verify::Damage;
use super::{AtWork, FAILURES, Store, StoreError, WAIT, files};
use crate::key::StepKey;
use crate::manifest::Manifest;
use crate::workers::{CLAIMS, State, WORKERS};

/// Whether garbage goes or is only listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcMode {
    /// Garbage is deleted from the disk.
    Remove,
    /// It is only listed.
    DryRun,
}

/// What is removed, and why it is garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Garbage {
    /// A finished step that nothing given needs.
    Step,
    /// Checkpoints of a step that nothing given needs, or that has finished.
    Partial,
    /// An entry set aside as damaged, or one without a readable record.
    Damaged,
    /// A private directory that an interrupted run left.
    Temporary,
}

/// One thing that is garbage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Removal {
    /// Why it is garbage.
    pub garbage: Garbage,
    /// The step; `None` where that cannot be told any more.
    pub key: Option<StepKey>,
    /// What the step was called in the plan that made it.
    pub label: Option<String>,
    /// What the step is: its settings, each input by its short key.
    pub about: String,
    /// The size of its files.
    pub bytes: u64,
    /// Seconds since it was made or last written to.
    pub age: u64,
    /// What it took to compute.
    pub seconds: f64,
    /// Where it lies.
    pub path: PathBuf,
}

/// What garbage collection must keep.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Steps that stay with everything that they were made from.
    pub keys: BTreeSet<StepKey>,
    /// What else may be wanted, of which no key is known.
    pub perhaps: Option<&'a dyn Perhaps>,
}

/// Steps whose keys are not known, because data that they are made from are absent.
pub trait Perhaps {
    /// Those of the cached steps that may be among them. They stay, with everything that they were made from.
    fn among(&self, cached: &BTreeMap<StepKey, Manifest>) -> BTreeSet<StepKey>;

    /// Whether one of them is of that kind. Of such, what has not finished stays.
    fn kind(&self, kind: &str) -> bool;
}

impl From<BTreeSet<StepKey>> for Wanted<'_> {
    /// These keys and nothing else.
    fn from(keys: BTreeSet<StepKey>) -> Self {
        Self { keys, perhaps: None }
    }
}

/// What a collection came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Collection {
    /// Steps that stay.
    pub kept: Pile,
    /// Those of them that stay because they are perhaps wanted, and for no other reason.
    pub perhaps: Pile,
    /// What went, or would go.
    pub removed: Vec<Removal>,
    /// Entries that were found damaged, whether they stay or went.
    pub damaged: Vec<Damage>,
    /// What lies in the cache and is no part of it; it stays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<PathBuf>,
}

impl Store {
    /// Collects garbage: what is wanted, or perhaps wanted, and the pinned steps stay with everything that they were made
    /// from. Entries are looked at as by [`Store::stats`]; what lies in one that goes and is not its own goes with it, but
    /// for folders.
    ///
    /// # Errors
    /// When a run is using the cache, and when it, or an entry of it, cannot be read or written to.
    pub fn gc(&self, wanted: &Wanted<'_>, mode: GcMode) -> Result<Collection, StoreError> {
        if !self.base.exists() {
            return Ok(Collection::default());
        }
        let _alone = match mode {
            GcMode::DryRun => None,
            GcMode::Remove => Some(self.alone()?),
        };
        let mut found = Collection::default();
        let (records, unreadable) = self.all_records(&mut found)?;
        let certain = needed(&records, wanted.keys.iter().cloned().chain(self.pins()?));
        let perhaps = wanted.perhaps.map(|perhaps| perhaps.among(&manifests(&records))).unwrap_or_default();
        let needed = needed(&records, certain.iter().cloned().chain(perhaps));
        for (key, record) in &records {
            if needed.contains(key) {
                found.kept.add(record.bytes());
                if !certain.contains(key) {
                    found.perhaps.add(record.bytes());
                }
            } else {
                found.removed.push(self.removal_of(record));
            }
        }
        for name in unreadable {
            let about = format!("an entry of kind {} without a readable record", name.kind);
            found.removed.push(Removal::of_path(Garbage::Damaged, about, self.dir_of(&name))?);
        }
        self.list_partial(wanted, &needed, &records, &mut found)?;
        let others = self.others()?.into_iter().filter(|(_, _, state)| !state.has_gone());
        let there: BTreeSet<String> = others.map(|(id, ..)| id).collect();
        for (part, garbage, about) in [
            ("damaged", Garbage::Damaged, "set aside as damaged"),
            ("tmp", Garbage::Temporary, "left by an interrupted run"),
        ] {
            for path in self.own(part)? {
                if garbage == Garbage::Damaged && files::is_folder(&path) {
                    let others = files::folders(&path).doing(READ, &path)?;
                    found.strays.extend(others.into_iter().map(|name| path.join(name)));
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                // A dry run may stand beside others.
                if super::places::worker_of(&name).is_some_and(|id| there.contains(id)) {
                    continue;
                }
                found.removed.push(Removal::of_path(garbage, format!("{name}: {about}"), path)?);
            }
        }
        let going: BTreeSet<&Path> = found.removed.iter().map(|removal| removal.path.as_path()).collect();
        let goes =
            |stray: &PathBuf| stray.parent().is_some_and(|entry| going.contains(entry)) && !files::is_folder(stray);
        found.strays.retain(|stray| !goes(stray));
        found.strays.extend(self.strays()?);
        found.strays.sort();
        if mode == GcMode::Remove {
            for removal in &found.removed {
                self.remove(removal)?;
            }
            self.drop_dead_notes(&records, &needed)?;
        }
        Ok(found)
    }

    /// Says that nobody else may work until the result is dropped; an error when somebody does.
    fn alone(&self) -> Result<AtWork<'_>, StoreError> {
        for part in [WORKERS, "tmp"] {
            let dir = self.base.join(part);
            fs::create_dir_all(&dir).doing("create", &dir)?;
        }
        let in_use = |by: String| StoreError::InUse { path: self.base.clone(), by };
        if self.workers().is_at_work() {
            return Err(in_use("this process".to_owned()));
        }
        let alone = self.join("collect garbage", true)?;
        loop {
            let others = self.others()?;
            let there = others.iter().find_map(|(_, presence, state)| presence.as_ref().filter(|_| state.is_there()));
            match there {
                None if others.iter().all(|(_, _, state)| *state != State::Quiet) => return Ok(alone),
                // Whether they have gone shows within moments.
                None => std::thread::sleep(WAIT),
                Some(presence) => return Err(in_use(presence.name())),
            }
        }
    }

    /// Every record, and the entries that have none. What is damaged, and what lies in entries and is
    /// not their own, is noted in `found`.
    fn all_records(&self, found: &mut Collection) -> Result<(BTreeMap<StepKey, Record>, Vec<EntryName>), StoreError> {
        let (mut records, mut unreadable) = (BTreeMap::new(), Vec::new());
        for name in self.entries()? {
            let Inspected { record, damage, strays } = self.look_at(&name, Scrutiny::Times)?;
            found.strays.extend(strays);
            found.damaged.extend(damage.clone().map(|damage| Damage::in_place(&name, damage)));
            if let Some(record) = record {
                records.insert(record.key.clone(), record);
            } else if damage.is_some() {
                unreadable.push(name);
            }
        }
        Ok((records, unreadable))
    }

    fn removal_of(&self, record: &Record) -> Removal {
        Removal {
            garbage: Garbage::Step,
            key: Some(record.key.clone()),
            label: record.labels.first().map(ToString::to_string),
            about: record.manifest().map_or_else(|| record.manifest_text().to_owned(), |manifest| manifest.brief()),
            bytes: record.bytes(),
            age: now().saturating_sub(record.made.unix_seconds),
            seconds: record.seconds,
            path: self.dir(&record.key),
        }
    }

    /// Lists the checkpoints of steps that are finished or not needed.
    fn list_partial(
        &self,
        wanted: &Wanted<'_>,
        needed: &BTreeSet<StepKey>,
        records: &BTreeMap<StepKey, Record>,
        found: &mut Collection,
    ) -> Result<(), StoreError> {
        let unfinished: BTreeSet<PathBuf> =
            needed.iter().filter(|key| !records.contains_key(key)).map(|key| self.scratch(key)).collect();
        let finished: BTreeSet<PathBuf> = records.keys().map(|key| self.scratch(key)).collect();
        let partial = self.base.join("partial");
        for kind in files::folders(&partial).doing(READ, &partial)? {
            let dir = partial.join(&kind);
            let perhaps = wanted.perhaps.is_some_and(|perhaps| perhaps.kind(&kind));
            let there = files::list(&dir).doing(READ, &dir)?;
            for (hash, metadata) in there.into_iter().filter(|(name, _)| is_hash(name)) {
                let path = dir.join(&hash);
                let may_go_on = perhaps && metadata.is_dir() && !finished.contains(&path);
                if !unfinished.contains(&path) && !may_go_on {
                    let about = format!("checkpoints of an unfinished step of kind {kind}");
                    found.removed.push(Removal::of_path(Garbage::Partial, about, path)?);
                }
            }
        }
        Ok(())
    }

    /// Removes one thing: its name first, so that an interruption leaves no half of it to be found. An entry in which
    /// somebody put a folder is emptied around it, without its record an entry no more.
    fn remove(&self, removal: &Removal) -> Result<(), StoreError> {
        let is_entry = matches!(removal.garbage, Garbage::Step | Garbage::Damaged) && files::is_folder(&removal.path);
        if is_entry && !files::folders(&removal.path).doing(READ, &removal.path)?.is_empty() {
            return files::remove_files(&removal.path, RECORD).doing("remove", &removal.path);
        }
        let tmp = self.base.join("tmp");
        let path = if removal.path.starts_with(&tmp) { removal.path.clone() } else { tmp.join(GARBAGE) };
        if path != removal.path {
            files::remove(&path).doing("remove", &path)?;
            fs::create_dir_all(&tmp).doing("create", &tmp)?;
            fs::rename(&removal.path, &path).doing("remove", &removal.path)?;
        }
        files::remove(&path).doing("remove", &path)
    }

    /// Removes the notes for early cutoff that lead to removed steps, and what workers have left that are no more.
    fn drop_dead_notes(
        &self,
        records: &BTreeMap<StepKey, Record>,
        needed: &BTreeSet<StepKey>,
    ) -> Result<(), StoreError> {
        let kept = records.iter().filter(|(key, _)| needed.contains(*key));
        let alive: BTreeMap<PathBuf, String> =
            kept.map(|(key, record)| (self.content_path(&record.content_key), key.to_string())).collect();
        let contents = self.base.join("contents");
        for kind in files::folders(&contents).doing(READ, &contents)? {
            let dir = contents.join(kind);
            let there = files::list(&dir).doing(READ, &dir)?;
            for (name, _) in there.into_iter().filter(|(name, metadata)| is_hash(name) && !metadata.is_dir()) {
                let path = dir.join(name);
                match alive.get(&path) {
                    // The step that it led to may be gone while another with the same result stays.
                    Some(key) => files::write(&path, key.as_bytes()).doing("write", &path)?,
                    None => files::remove(&path).doing("remove", &path)?,
                }
            }
        }
        for path in self.own(CLAIMS)?.into_iter().chain(self.own(FAILURES)?) {
            files::remove(&path).doing("remove", &path)?;
        }
        let workers = self.base.join(WORKERS);
        self.workers.sweep().doing("sweep", &workers)
    }

    /// Keeps a step, and what it was made from, whatever experiments are given to [`Store::gc`].
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn pin(&self, key: &StepKey) -> Result<(), StoreError> {
        let _at_work = self.begin(&BTreeSet::new(), "pin a step")?;
        let path = self.base.join("pins").join(Self::flat_name(key));
        files::write_synced(&path, key.to_string().as_bytes()).doing("write", &path)
    }

    /// Takes a pin away; one that is not there is fine.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn unpin(&self, key: &StepKey) -> Result<(), StoreError> {
        let path = self.base.join("pins").join(Self::flat_name(key));
        files::remove(&path).doing("remove", &path)
    }

    /// The pinned steps.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn pins(&self) -> Result<BTreeSet<StepKey>, StoreError> {
        let mut pins = BTreeSet::new();
        for path in self.own("pins")? {
            let bytes = files::read_small(&path, LARGEST_NOTE).doing(READ, &path)?.unwrap_or_default();
            pins.extend(String::from_utf8_lossy(&bytes).trim().parse::<StepKey>());
        }
        Ok(pins)
    }
}

impl Removal {
    /// Something that is known only by its place.
    fn of_path(garbage: Garbage, about: String, path: PathBuf) -> Result<Self, StoreError> {
        let bytes = files::bytes_under(&path).doing(READ, &path)?;
        let metadata = path.symlink_metadata().doing(READ, &path)?;
        let written = u64::try_from(files::modified(&metadata) / 1_000_000_000).unwrap_or(0);
        let age = now().saturating_sub(written);
        Ok(Self { garbage, key: None, label: None, about, bytes, age, seconds: 0.0, path })
    }
}

/// The roots and all that they were made from.
fn needed(records: &BTreeMap<StepKey, Record>, roots: impl Iterator<Item = StepKey>) -> BTreeSet<StepKey> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<StepKey> = roots.collect();
    while let Some(key) = open.pop() {
        if needed.insert(key.clone()) {
            open.extend(records.get(&key).into_iter().flat_map(|record| record.inputs.keys().cloned()));
        }
    }
    needed
}

/// What each step is; those in the form of another version are left out.
fn manifests(records: &BTreeMap<StepKey, Record>) -> BTreeMap<StepKey, Manifest> {
    records.iter().filter_map(|(key, record)| Some((key.clone(), record.manifest()?))).collect()
}
