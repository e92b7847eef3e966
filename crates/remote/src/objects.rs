//! A remote: an object store, asked with patience that ends.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::{Path, PathPart};
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::runtime::Runtime;

use overinterp_workflow::key::StepKey;

use crate::error::{Cause, RemoteError, told};
use crate::location::Location;

/// How often and how long a remote is asked that fails for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// How often one thing is tried. The library below repeats single requests by itself.
    pub tries: u32,
    /// The pause before the second try; each further one is twice as long.
    pub pause: Duration,
    /// For how long nothing is asked of a remote that did not answer all of these tries.
    pub rest: Duration,
}

impl Default for Persistence {
    fn default() -> Self {
        Self { tries: 2, pause: Duration::from_millis(500), rest: Duration::from_secs(30) }
    }
}

/// How many things are under way at a time.
pub(crate) const AT_A_TIME: usize = 8;

/// Hears of each of several steps, and may end it all.
pub type Told<'a, T> = dyn FnMut(&StepKey, Result<T, RemoteError>) -> ControlFlow<()> + 'a;

/// Finished steps somewhere else. Any number of threads may use one at a time.
#[derive(Debug)]
pub struct Remote {
    runtime: Runtime,
    pub(crate) objects: Arc<dyn ObjectStore>,
    root: Path,
    name: String,
    persistence: Persistence,
    /// When the remote last failed to answer, with what it came to.
    failed: Mutex<Option<(Instant, String)>>,
    /// Steps of which the remote turned out to hold damaged bytes.
    pub(crate) damaged: Mutex<BTreeSet<StepKey>>,
}

/// Whether a remote is there.
enum Health {
    Answering,
    /// It was not a moment ago, and nothing is asked of it.
    Resting(String),
    /// It was not, and this request finds out whether it is again. All others wait for that.
    Tried,
}

impl Remote {
    /// The remote of a URL. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the URL is of no known form or holds credentials, or the environment's settings cannot be used.
    pub fn open(url: &str) -> Result<Self, RemoteError> {
        let Location { objects, root, name } = Location::of(url)?;
        Self::over(objects, root, name, Persistence::default())
    }

    /// A remote of an object store.
    pub(crate) fn over(
        objects: Arc<dyn ObjectStore>,
        root: Path,
        name: String,
        persistence: Persistence,
    ) -> Result<Self, RemoteError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| RemoteError::Location {
            url: name.clone(),
            why: format!("no threads can be started: {error}"),
        })?;
        let (failed, damaged) = (Mutex::default(), Mutex::default());
        Ok(Self { runtime, objects, root, name, persistence, failed, damaged })
    }

    /// The URL.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for something to be done. What is waited for may itself look into the cache, whose notices are here, too.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        match tokio::runtime::Handle::try_current() {
            Ok(_) => tokio::task::block_in_place(|| self.runtime.handle().block_on(future)),
            Err(_) => self.runtime.block_on(future),
        }
    }

    /// A place in the remote.
    pub(crate) fn path<const N: usize>(&self, parts: [&str; N]) -> Path {
        parts.into_iter().fold(self.root.clone(), |path, part| path.join(PathPart::from(part)))
    }

    pub(crate) fn record_path(&self, key: &StepKey) -> Path {
        self.path(["v1", "steps", key.kind(), key.hash(), "step.json"])
    }

    /// The hashes of all finished steps of some kinds that the remote has. A listing tells of a thousand in one request.
    ///
    /// # Errors
    /// When the remote cannot be asked.
    pub fn finished<'a>(
        &self,
        kinds: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeSet<(String, String)>, RemoteError> {
        let kinds: BTreeSet<&str> = kinds.into_iter().collect();
        self.wait(async {
            let listings = futures_util::stream::iter(kinds).map(|kind| async move {
                let hashes = self.finished_of(kind).await?;
                let named = hashes.into_iter().map(|hash| (kind.to_owned(), hash));
                Ok::<Vec<_>, RemoteError>(named.collect())
            });
            let listed: Vec<_> = listings.buffer_unordered(AT_A_TIME).try_collect().await?;
            Ok(listed.into_iter().flatten().collect())
        })
    }

    async fn finished_of(&self, kind: &str) -> Result<Vec<String>, RemoteError> {
        let folder = self.path(["v1", "steps", kind]);
        self.persist("list", &folder, || async {
            let depth = folder.parts().count();
            let mut hashes = Vec::new();
            let mut listing = self.objects.list(Some(&folder));
            while let Some(object) = listing.try_next().await? {
                let parts: Vec<PathPart<'_>> = object.location.parts().skip(depth).collect();
                if let [hash, name] = &parts[..]
                    && name.as_ref() == "step.json"
                {
                    hashes.push(hash.as_ref().to_owned());
                }
            }
            tracing::debug!(kind, steps = hashes.len(), "listed");
            Ok(hashes)
        })
        .await
    }

    /// A small object as a whole, with what tells this version of it from others.
    pub(crate) async fn get_small(&self, path: &Path, most: u64) -> Result<Vec<u8>, RemoteError> {
        self.persist("read", path, || async {
            let found = self.objects.get_opts(path, GetOptions::default()).await?;
            if found.meta.size > most {
                let source = format!("it has {} bytes, and none is larger than {most}", found.meta.size).into();
                return Err(object_store::Error::NotSupported { source });
            }
            Ok(found.bytes().await?.to_vec())
        })
        .await
    }

    /// Puts a small object; `false` where there is one already and `mode` asks for a new one.
    pub(crate) async fn put_small(&self, path: &Path, bytes: &[u8], mode: &PutMode) -> Result<bool, RemoteError> {
        let put = self
            .persist("write", path, || async {
                let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
                self.objects.put_opts(path, PutPayload::from(bytes.to_vec()), options).await
            })
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if error.is_taken() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The size of an object; `None` where there is none.
    pub(crate) async fn size(&self, path: &Path) -> Result<Option<u64>, RemoteError> {
        match self.persist("look for", path, || async { self.objects.head(path).await }).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does something that may fail for the moment, several times if it must be. Of a remote that did not answer at all
    /// nothing is asked for a while, so that whoever works here does not wait at every step.
    pub(crate) async fn persist<T, F>(
        &self,
        doing: &'static str,
        path: &Path,
        mut once: impl FnMut() -> F,
    ) -> Result<T, RemoteError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let (mut pause, mut tries) = (self.persistence.pause, 1);
        match self.health() {
            Health::Resting(why) => return Err(self.failure(doing, path, why, Cause::Unavailable)),
            // Once, so that nobody waits long for what is still gone.
            Health::Tried => tries = self.persistence.tries,
            Health::Answering => {}
        }
        loop {
            let error = match once().await {
                Ok(value) => {
                    self.answered();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let (cause, why) = (Cause::of(&error), told(&error));
            if cause != Cause::Unavailable {
                self.answered();
                return Err(self.failure(doing, path, why, cause));
            }
            tracing::debug!(doing, %path, tries, why, "failed");
            if tries >= self.persistence.tries {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why.clone()));
                return Err(self.failure(doing, path, why, cause));
            }
            tokio::time::sleep(pause).await;
            (pause, tries) = (pause * 2, tries + 1);
        }
    }

    /// Whether anything is to be asked for the moment.
    fn health(&self) -> Health {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((when, why)) = failed.as_mut() else { return Health::Answering };
        let ago = when.elapsed();
        if ago < self.persistence.rest {
            return Health::Resting(format!("it did not answer {} s ago ({why})", ago.as_secs()));
        }
        *when = Instant::now();
        Health::Tried
    }

    pub(crate) fn answered(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn failure(&self, doing: &'static str, path: &Path, why: String, cause: Cause) -> RemoteError {
        let inside =
            path.prefix_match(&self.root).map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>());
        let path = inside.map_or_else(|| path.to_string(), |parts| parts.join("/"));
        RemoteError::Request { doing, remote: self.name.clone(), path, why, cause }
    }

    pub(crate) fn is_damaged(&self, key: &StepKey) -> bool {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    pub(crate) fn note_damage(&self, key: &StepKey, is_damaged: bool) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if is_damaged {
            damaged.insert(key.clone());
        } else {
            damaged.remove(key);
        }
    }

    /// Does the same with each of several things, a few at a time, and hands each result to `told`, which may end it.
    pub(crate) fn each<'a, I, T, F>(
        &'a self,
        items: impl IntoIterator<Item = I>,
        one: impl Fn(I) -> F,
        mut told: impl FnMut(T) -> ControlFlow<()>,
    ) where
        F: Future<Output = T> + 'a,
    {
        self.wait(async {
            let mut results = futures_util::stream::iter(items).map(one).buffer_unordered(AT_A_TIME);
            while let Some(result) = results.next().await {
                if told(result).is_break() {
                    return;
                }
            }
        });
    }
}
