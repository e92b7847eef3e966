//! Notices on a remote, seen by all who share it, and in the cache's own folder while the remote does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion};
use overinterp_workflow::notices::{FolderNotices, Notice, Notices, Place, StoreTime};

use crate::error::RemoteError;
use crate::objects::Remote;

/// With what the versions begin of notices that hang here alone.
const HERE: &str = "here ";
/// A presence of a worker has some kilobytes.
const LARGEST: u64 = 1 << 20;
/// Where workers say that they are there: who uses the cache without a remote must see it, too.
const WORKERS: &str = "workers";

/// The boards of a cache and of the remote that it shares.
///
/// Claims hang on the remote, made by conditional writes. Cut off from it, a worker claims in its cache's folder and goes on:
/// then two may work on one step, and the second to finish finds the first one's result.
#[derive(Debug)]
pub struct SharedNotices {
    remote: Arc<Remote>,
    folder: FolderNotices,
    /// What this worker last knew of the remote's notices that are its own.
    known: Mutex<BTreeMap<String, Notice>>,
}

impl SharedNotices {
    /// The board of `remote` and that of the cache in whose folder `folder` is.
    #[must_use]
    pub fn new(remote: Arc<Remote>, folder: FolderNotices) -> Self {
        Self { remote, folder, known: Mutex::default() }
    }

    fn path(&self, place: Place<'_>) -> Path {
        self.remote.path(["v1", place.folder, place.name])
    }

    fn note(&self, place: Place<'_>, notice: Notice) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_string(), notice);
    }

    fn known(&self, place: Place<'_>) -> Option<Notice> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&place.to_string()).cloned()
    }

    fn forget(&self, place: Place<'_>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&place.to_string());
    }

    /// Puts a notice on the remote; `None` where another is there.
    fn put_there(&self, place: Place<'_>, text: &str, mode: &PutMode) -> Result<Option<String>, RemoteError> {
        let path = self.path(place);
        let put = self.remote.wait(self.remote.persist("write", &path, || async {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            self.remote.objects.put_opts(&path, PutPayload::from(text.as_bytes().to_vec()), options).await
        }));
        match put {
            Ok(put) => {
                let version = version_of(put.e_tag.as_deref(), put.version.as_deref());
                // The time is that of this worker's own notices, which it asks for only while the remote answers.
                self.note(place, Notice { text: text.to_owned(), version: version.clone(), written: StoreTime(0.0) });
                Ok(Some(version))
            }
            Err(error) if error.is_taken() || error.is_absent() => {
                // An answer may have been lost, and the request been repeated: then what is there is ours.
                let there = self.get_there(place)?.filter(|there| there.text == text && *mode != PutMode::Overwrite);
                Ok(there.map(|there| {
                    self.note(place, there.clone());
                    there.version
                }))
            }
            Err(error) => Err(error),
        }
    }

    fn get_there(&self, place: Place<'_>) -> Result<Option<Notice>, RemoteError> {
        let path = self.path(place);
        let got = self.remote.wait(self.remote.persist("read", &path, || async {
            let found = self.remote.objects.get_opts(&path, GetOptions::default()).await?;
            let meta = found.meta.clone();
            let bytes = if meta.size > LARGEST { Vec::new() } else { found.bytes().await?.to_vec() };
            Ok((meta, bytes))
        }));
        match got {
            Ok((meta, bytes)) => Ok(Some(Notice {
                text: String::from_utf8_lossy(&bytes).into_owned(),
                version: version_of(meta.e_tag.as_deref(), meta.version.as_deref()),
                written: time_of(&meta),
            })),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// When an object was written, by the remote's clock.
fn time_of(meta: &ObjectMeta) -> StoreTime {
    StoreTime(meta.last_modified.timestamp_micros() as f64 * 1e-6)
}

/// What tells one writing of an object from another, as one word.
fn version_of(e_tag: Option<&str>, version: Option<&str>) -> String {
    format!("{}\n{}", e_tag.unwrap_or_default(), version.unwrap_or_default())
}

fn mode_of(version: &str) -> PutMode {
    let (e_tag, version) = version.split_once('\n').unwrap_or((version, ""));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PutMode::Update(UpdateVersion { e_tag: some(e_tag), version: some(version) })
}

fn failed(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Whether one goes on without the remote.
fn goes_on(error: &RemoteError) -> bool {
    error.is_unavailable()
}

impl Notices for SharedNotices {
    fn put_new(&self, place: Place<'_>, text: &str) -> io::Result<Option<String>> {
        match self.put_there(place, text, &PutMode::Create) {
            Ok(put) => Ok(put),
            Err(error) if goes_on(&error) => {
                Ok(self.folder.put_new(place, text)?.map(|version| format!("{HERE}{version}")))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn put(&self, place: Place<'_>, text: &str) -> io::Result<String> {
        let here = if place.folder == WORKERS { Some(self.folder.put(place, text)?) } else { None };
        match self.put_there(place, text, &PutMode::Overwrite) {
            Ok(version) => Ok(version.unwrap_or_default()),
            Err(error) if goes_on(&error) => {
                let version = match here {
                    Some(version) => version,
                    None => self.folder.put(place, text)?,
                };
                Ok(format!("{HERE}{version}"))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn replace(&self, place: Place<'_>, version: &str, text: &str) -> io::Result<Option<String>> {
        if let Some(version) = version.strip_prefix(HERE) {
            let replaced = self.folder.replace(place, version, text)?;
            return Ok(replaced.map(|version| format!("{HERE}{version}")));
        }
        match self.put_there(place, text, &mode_of(version)) {
            Ok(put) => Ok(put),
            // Folders know no such write. What is there is removed and made anew, and of two who do so one makes it.
            Err(RemoteError::Request { cause: crate::Cause::Refused, .. }) => {
                self.remove(place, version)?;
                self.put_new(place, text)
            }
            Err(error) if goes_on(&error) => {
                Ok(self.folder.put_new(place, text)?.map(|version| format!("{HERE}{version}")))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn remove(&self, place: Place<'_>, version: &str) -> io::Result<()> {
        self.forget(place);
        if place.folder == WORKERS
            && let Some(here) = self.folder.get(place)?
        {
            self.folder.remove(place, &here.version)?;
        }
        if let Some(version) = version.strip_prefix(HERE) {
            return self.folder.remove(place, version);
        }
        match self.get_there(place) {
            Ok(Some(there)) if there.version == version => {
                let path = self.path(place);
                let removing =
                    self.remote.persist("remove", &path, || async { self.remote.objects.delete(&path).await });
                match self.remote.wait(removing) {
                    Err(error) if !error.is_absent() => Err(failed(error)),
                    _ => Ok(()),
                }
            }
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    fn get(&self, place: Place<'_>) -> io::Result<Option<Notice>> {
        let here = || -> io::Result<Option<Notice>> {
            let here = self.folder.get(place)?;
            Ok(here.map(|here| Notice { version: format!("{HERE}{}", here.version), ..here }))
        };
        match self.get_there(place) {
            Ok(Some(there)) => Ok(Some(there)),
            Ok(None) => here(),
            Err(error) if goes_on(&error) => Ok(here()?.or_else(|| self.known(place))),
            Err(error) => Err(failed(error)),
        }
    }

    fn list(&self, folder: &'static str) -> io::Result<Vec<(String, StoreTime)>> {
        let here = self.folder.list(folder)?;
        let path = self.remote.path(["v1", folder]);
        let listing = self
            .remote
            .persist("list", &path, || async { self.remote.objects.list(Some(&path)).try_collect::<Vec<_>>().await });
        let there = match self.remote.wait(listing) {
            Ok(there) => there,
            Err(error) if goes_on(&error) => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let named = there.iter().filter_map(|meta| Some((meta.location.filename()?.to_owned(), time_of(meta))));
        let mut all: Vec<(String, StoreTime)> = named.collect();
        let known: BTreeSet<String> = all.iter().map(|(name, _)| name.clone()).collect();
        all.extend(here.into_iter().filter(|(name, _)| !known.contains(name)));
        all.sort_by(|(name, _), (other, _)| name.cmp(other));
        Ok(all)
    }
}
