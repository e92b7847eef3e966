//! What has become of steps that this worker leaves to others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::error::{Doing as _, READ};
use super::{CLAIMS, Store, StoreError, files};
use crate::key::StepKey;
use crate::notices::StoreTime;
use crate::workers::Holder;

/// What has become of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Elsewhere {
    /// It has ended, well or not.
    Ended,
    /// Another works on it.
    By(Box<Holder>),
    /// Nobody works on it.
    Free,
}

impl Store {
    /// Looks at many steps at a time: a list of the names of each kind, of the claims, and of what has failed since.
    pub(crate) fn elsewhere<'k>(
        &self,
        keys: &[&'k StepKey],
        since: StoreTime,
    ) -> Result<BTreeMap<&'k StepKey, Elsewhere>, StoreError> {
        /// A few steps are looked for one by one.
        const FEW: usize = 64;
        let kinds: BTreeSet<&str> = keys.iter().map(|key| key.kind()).collect();
        let mut ended: BTreeSet<String> = self.failed_since(since)?.into_iter().collect();
        if let Some(depot) = self.depot() {
            ended.append(&mut depot.finished(&kinds));
        }
        for kind in kinds {
            let dir = self.base.join("steps").join(kind);
            if keys.len() > FEW {
                ended.extend(files::names(&dir).doing(READ, &dir)?.into_iter().map(|hash| format!("{kind}-{hash}")));
                continue;
            }
            // A client of a file server may remember that a name was not there, until the folder is opened anew.
            let _ = fs::File::open(&dir);
            let there = keys.iter().filter(|key| key.kind() == kind && self.dir(key).symlink_metadata().is_ok());
            ended.extend(there.map(|key| Self::flat_name(key)));
        }
        let names: Vec<String> = keys.iter().map(|key| Self::flat_name(key)).collect();
        let claims = self.base.join(CLAIMS);
        let open = names.iter().map(String::as_str).filter(|name| !ended.contains(*name));
        let mut held = self.workers.held_by_others(open).doing(READ, &claims)?;
        let state = |name: &String| match held.remove(name.as_str()) {
            _ if ended.contains(name) => Elsewhere::Ended,
            Some(holder) => Elsewhere::By(Box::new(holder)),
            None => Elsewhere::Free,
        };
        Ok(keys.iter().copied().zip(names.iter().map(state)).collect())
    }

    /// Which of these steps are claimed, by whomever.
    pub(crate) fn claimed<'k>(&self, keys: &[&'k StepKey]) -> Result<BTreeSet<&'k StepKey>, StoreError> {
        let names: BTreeMap<String, &'k StepKey> = keys.iter().map(|key| (Self::flat_name(key), *key)).collect();
        let claims = self.base.join(CLAIMS);
        let claimed = self.workers.claimed(names.keys().map(String::as_str)).doing(READ, &claims)?;
        Ok(claimed.into_iter().filter_map(|name| names.get(name).copied()).collect())
    }
}
