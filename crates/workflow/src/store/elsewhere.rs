//! What has become of steps that this worker leaves to others.

use std::collections::{BTreeMap, BTreeSet};

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
        let kinds: BTreeSet<&str> = keys.iter().map(|key| key.kind()).collect();
        let mut ended: BTreeSet<String> = self.failed_since(since)?.into_iter().collect();
        for kind in kinds {
            let dir = self.base.join("steps").join(kind);
            ended.extend(files::names(&dir).doing(READ, &dir)?.into_iter().map(|hash| format!("{kind}-{hash}")));
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
}
