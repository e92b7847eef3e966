//! Steps that failed: other workers of the same run need not find out for themselves.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::{Doing as _, READ};
use super::{FAILURES, Store, StoreError};
use crate::key::StepKey;
use crate::notices::{Place, StoreTime};

/// Why a step failed, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FailureNotice {
    /// The worker that tried: its machine and process.
    pub by: String,
    /// What went wrong, with every cause down to the first.
    pub why: String,
}

impl Store {
    /// Tells other workers that a step failed here. One that cannot be told tries itself.
    pub(crate) fn note_failure(&self, key: &StepKey, why: &str) {
        let by = self.workers.name();
        let notice = FailureNotice { by, why: why.to_owned() };
        if let Ok(text) = serde_json::to_string(&notice) {
            let _ = self.workers.notices().put(place_of(&Self::flat_name(key)), &text);
        }
    }

    /// How a step failed elsewhere after `since`; `None` where it did not.
    pub(crate) fn failure_since(&self, key: &StepKey, since: StoreTime) -> Result<Option<FailureNotice>, StoreError> {
        let notice = self.workers.notices().get(place_of(&Self::flat_name(key))).doing(READ, &self.failures())?;
        let notice = notice.filter(|notice| notice.written > since);
        Ok(notice.and_then(|notice| serde_json::from_str(&notice.text).ok()))
    }

    /// Forgets that a step failed.
    pub(crate) fn forget_failure(&self, key: &StepKey) {
        let name = Self::flat_name(key);
        if let Ok(Some(notice)) = self.workers.notices().get(place_of(&name)) {
            // One that stays is older than any run that could heed it.
            let _ = self.workers.notices().remove(place_of(&name), &notice.version);
        }
    }

    /// The names of the steps that failed after `since`.
    pub(super) fn failed_since(&self, since: StoreTime) -> Result<Vec<String>, StoreError> {
        let failed = self.workers.notices().list(FAILURES).doing(READ, &self.failures())?;
        Ok(failed.into_iter().filter(|(_, written)| *written > since).map(|(name, _)| name).collect())
    }

    fn failures(&self) -> PathBuf {
        self.base.join(FAILURES)
    }
}

const fn place_of(name: &str) -> Place<'_> {
    Place { folder: FAILURES, name }
}
