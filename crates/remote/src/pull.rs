//! From a remote to a cache: hashed as it comes, and an entry only when all of it is as the record says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore as _};

use overinterp_workflow::key::{ContentHash, StepKey};
use overinterp_workflow::store::{Arrivals, ArrivingFile, Record, Store};

use crate::error::RemoteError;
use crate::objects::{Remote, Told};
use crate::push::LARGEST_RECORD;

/// A transfer that brings nothing for so long is begun again from where it stopped.
const STALLED: Duration = Duration::from_secs(30);

/// What came of pulling a step.
#[derive(Clone, Debug)]
pub enum Pulled {
    /// The cache has it now.
    Got(Arc<Record>),
    /// The remote has none, or one that was made from other inputs.
    Absent,
}

impl Remote {
    /// Gets a finished step from the remote, if it has it, and, where `inputs` are given, if it was made from what these
    /// hold. Interrupted, it goes on from where it was, or leaves nothing.
    ///
    /// # Errors
    /// When the remote does not answer, what it has is damaged, or the cache cannot be written to.
    pub fn pull(
        &self,
        arrivals: &Arrivals<'_>,
        key: &StepKey,
        inputs: Option<&BTreeMap<StepKey, ContentHash>>,
    ) -> Result<Pulled, RemoteError> {
        self.wait(self.pull_one(arrivals, key, inputs))
    }

    /// The same with several steps, a few at a time, whatever they were made from. `told` hears of each, and may end it.
    pub fn pull_steps(&self, store: &Store, keys: &[StepKey], told: &mut Told<'_, Pulled>) {
        let kinds = keys.iter().map(StepKey::kind);
        let arrivals = match store.arrivals(kinds, "cache pull") {
            Ok(arrivals) => arrivals,
            Err(error) => {
                if let Some(key) = keys.first() {
                    let _ = told(key, Err(error.into()));
                }
                return;
            }
        };
        let arrivals = &arrivals;
        let pull = |key| async move { (key, self.pull_one(arrivals, key, None).await) };
        self.each(keys, pull, |(key, pulled)| told(key, pulled));
    }

    async fn pull_one(
        &self,
        arrivals: &Arrivals<'_>,
        key: &StepKey,
        inputs: Option<&BTreeMap<StepKey, ContentHash>>,
    ) -> Result<Pulled, RemoteError> {
        let text = match self.get_small(&self.record_path(key), LARGEST_RECORD).await {
            Ok(text) => text,
            Err(error) if error.is_absent() => return Ok(Pulled::Absent),
            Err(error) => return Err(error),
        };
        let arrived = self.take_in(arrivals, key, &text, inputs).await;
        if matches!(arrived, Err(RemoteError::Damaged { .. })) {
            self.note_damage(key, true);
        }
        arrived
    }

    async fn take_in(
        &self,
        arrivals: &Arrivals<'_>,
        key: &StepKey,
        text: &[u8],
        inputs: Option<&BTreeMap<StepKey, ContentHash>>,
    ) -> Result<Pulled, RemoteError> {
        let damaged = |error| RemoteError::arrival(self.name(), key, error);
        let record = Record::of(key, &String::from_utf8_lossy(text)).map_err(damaged)?;
        if inputs.is_some_and(|inputs| record.inputs != *inputs) {
            return Ok(Pulled::Absent);
        }
        let names: Vec<String> = record.files.keys().cloned().collect();
        let mut arrival = arrivals.step(record).map_err(damaged)?;
        for name in names {
            let mut file = arrival.file(&name).map_err(damaged)?;
            let path = self.path(["v1", "files", key.kind(), key.hash(), &file.hash().to_string()]);
            match self.fetch(&path, key, &mut file).await {
                Err(error) if error.is_absent() => {
                    let damage = format!("file {name} is missing");
                    return Err(RemoteError::Damaged {
                        remote: self.name().to_owned(),
                        key: Box::new(key.clone()),
                        damage,
                    });
                }
                fetched => fetched?,
            }
            arrival.keep(file.finish().map_err(damaged)?);
        }
        Ok(Pulled::Got(arrival.finish().map_err(damaged)?))
    }

    /// Brings the bytes of an object into a file, going on behind those that are there as long as more come.
    async fn fetch(&self, path: &Path, key: &StepKey, file: &mut ArrivingFile) -> Result<(), RemoteError> {
        let file = std::cell::RefCell::new(file);
        let version = std::cell::RefCell::new(None::<String>);
        loop {
            let before = file.borrow().written();
            let fetched = self
                .persist("read", path, || async {
                    let (from, all) = (file.borrow().written(), file.borrow().bytes());
                    if from >= all && from > 0 {
                        return Ok(Ok(()));
                    }
                    let range = (from > 0).then_some(GetRange::Offset(from));
                    let options = GetOptions { range, if_match: version.borrow().clone(), ..GetOptions::default() };
                    let found = self.objects.get_opts(path, options).await?;
                    version.borrow_mut().clone_from(&found.meta.e_tag);
                    let mut bytes = found.into_stream();
                    loop {
                        match tokio::time::timeout(STALLED, bytes.try_next()).await {
                            Ok(Ok(Some(bytes))) => {
                                if let Err(error) = file.borrow_mut().write(&bytes) {
                                    return Ok(Err(error));
                                }
                            }
                            Ok(Ok(None)) => return Ok(Ok(())),
                            Ok(Err(error)) => return Err(error),
                            Err(_) => {
                                let source = format!("nothing came for {} s", STALLED.as_secs()).into();
                                return Err(object_store::Error::Generic { store: "remote", source });
                            }
                        }
                    }
                })
                .await;
            match fetched {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => return Err(RemoteError::arrival(self.name(), key, error)),
                Err(error) if error.is_unavailable() && file.borrow().written() > before => self.answered(),
                Err(error) => return Err(error),
            }
        }
    }
}
