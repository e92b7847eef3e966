//! What is known of a finished step without its record.

use std::sync::Arc;

use super::record::{Maker, Record, date_text};
use crate::key::{ContentHash, StepKey};

/// A finished step, as far as planning needs to know it. A tenth of a [`Record`], of which there may be a hundred thousand.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The step.
    pub key: StepKey,
    /// The hash of all files with their names.
    pub content: ContentHash,
    /// What each input held, in the order of the keys.
    pub inputs: Box<[(StepKey, ContentHash)]>,
    /// How long the computation took.
    pub seconds: f64,
    /// The program that computed it, with its machine and device.
    pub by: Arc<Maker>,
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
    /// Whether it shares the result of another step, and was not computed itself.
    pub is_shared: bool,
}

impl Kept {
    /// What a record says.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self {
            key: record.key.clone(),
            content: record.content,
            inputs: record.inputs.iter().map(|(key, content)| (key.clone(), *content)).collect(),
            seconds: record.seconds,
            by: Arc::new(record.made.by.clone()),
            unix_seconds: record.made.unix_seconds,
            is_shared: record.taken_from.is_some(),
        }
    }

    /// What an input held.
    #[must_use]
    pub fn held_by(&self, input: &StepKey) -> Option<ContentHash> {
        let place = self.inputs.binary_search_by(|(key, _)| key.cmp(input)).ok()?;
        Some(self.inputs[place].1)
    }

    /// When it was made, as people read it, in UTC.
    #[must_use]
    pub fn date(&self) -> String {
        date_text(self.unix_seconds)
    }
}
