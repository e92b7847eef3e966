//! Finds, for a step that must run, what the cache holds that is most like it, without comparing all with all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::change::{Change, changes};
use super::key::StepKey;
use super::manifest::{Manifest, canonical};
use super::plan::Step;
use super::schedule::{Basis, Estimate};
use super::store::Record;

/// An index of past steps. Steps of the current plan explain nothing: they are siblings, not predecessors.
pub(super) struct Neighbours<'a> {
    /// The newest of each kind and label.
    by_label: BTreeMap<(&'a str, String), &'a Record>,
    /// The newest of those that agree in all but one leaf, by what is left.
    by_hole: BTreeMap<u128, &'a Record>,
    /// The newest of each kind, newest first, at most `RECENT`.
    recent: BTreeMap<&'a str, Vec<&'a Record>>,
    /// Seconds of steps that differ in nothing but inputs: their number and sum.
    shapes: BTreeMap<String, (u32, f64)>,
    /// Seconds of steps that agree in all but one leaf.
    seconds_by_hole: BTreeMap<u128, f64>,
    content_keys: BTreeSet<&'a StepKey>,
}

/// So many of a kind are compared leaf by leaf when nothing better is found.
const RECENT: usize = 32;
/// A step that differs in more than this is no predecessor.
const MOST_CHANGES: usize = 4;

impl<'a> Neighbours<'a> {
    pub(super) fn new(history: impl IntoIterator<Item = &'a Record>, in_plan: impl Fn(&StepKey) -> bool) -> Self {
        let mut history: Vec<&Record> = history.into_iter().collect();
        history.sort_by_key(|record| (record.made.unix_seconds, &record.key));
        let mut index = Self {
            by_label: BTreeMap::new(),
            by_hole: BTreeMap::new(),
            recent: BTreeMap::new(),
            shapes: BTreeMap::new(),
            seconds_by_hole: BTreeMap::new(),
            content_keys: BTreeSet::new(),
        };
        for record in history {
            let Some(manifest) = record.manifest() else { continue };
            let (count, seconds) = index.shapes.entry(manifest.shape()).or_default();
            *count += 1;
            *seconds += record.seconds;
            index.content_keys.insert(&record.content_key);
            let predecessor = !in_plan(&record.key);
            for hole in holes(&manifest.leaves()) {
                index.seconds_by_hole.insert(hole, record.seconds);
                if predecessor {
                    index.by_hole.insert(hole, record);
                }
            }
            if predecessor {
                for label in &record.labels {
                    index.by_label.insert((record.key.kind(), label_text(label)), record);
                }
                index.recent.entry(record.key.kind()).or_default().push(record);
            }
        }
        for records in index.recent.values_mut() {
            records.reverse();
            records.truncate(RECENT);
        }
        index
    }

    /// What `step` most probably was before an edit, and what has changed since: the step of the same name if
    /// there is one, else one that differs in a single setting, else a recent one that differs in few.
    pub(super) fn predecessor(&self, step: &Step) -> Option<(&'a Record, Vec<Change>)> {
        let (kind, leaves) = (step.manifest().kind(), step.manifest().leaves());
        let named = self.named(step);
        let close = || holes(&leaves).find_map(|hole| self.by_hole.get(&hole));
        if let Some(record) = named.or_else(|| close().copied()) {
            return Some((record, changes(&record.manifest()?.leaves(), &leaves)));
        }
        let recent = self.recent.get(kind).into_iter().flatten();
        recent
            .filter_map(|record| Some((*record, changes(&record.manifest()?.leaves(), &leaves))))
            .filter(|(_, changes)| changes.len() <= MOST_CHANGES)
            .min_by_key(|(_, changes)| changes.len())
    }

    /// The newest step of the same name.
    fn named(&self, step: &Step) -> Option<&'a Record> {
        let kind = step.manifest().kind();
        step.labels().iter().find_map(|label| self.by_label.get(&(kind, label_text(label)))).copied()
    }

    /// What has changed of `step` itself since the step of the same name, where it is not its inputs alone.
    pub(super) fn own_edit(&self, step: &Step) -> Option<(&'a Record, Vec<Change>)> {
        if self.has_shape(step.manifest()) {
            return None;
        }
        let record = self.named(step)?;
        let mut own = changes(&record.manifest()?.leaves(), &step.manifest().leaves());
        own.retain(|change| ![&change.from, &change.to].into_iter().flatten().any(is_input));
        (!own.is_empty()).then_some((record, own))
    }

    /// Whether the cache holds a step that differs in nothing but its inputs, without which there is no cutoff.
    pub(super) fn has_shape(&self, manifest: &Manifest) -> bool {
        self.shapes.contains_key(&manifest.shape())
    }

    /// Whether the cache holds the result of a content key.
    pub(super) fn has_content(&self, content_key: &StepKey) -> bool {
        self.content_keys.contains(content_key)
    }

    /// How long a step took that differs in nothing but inputs, or else in a single setting.
    pub(super) fn estimate(&self, manifest: &Manifest) -> Option<Estimate> {
        if let Some((count, seconds)) = self.shapes.get(&manifest.shape()) {
            return Some(Estimate { seconds: seconds / f64::from(*count), basis: Basis::Alike });
        }
        let seconds = holes(&manifest.leaves()).find_map(|hole| self.seconds_by_hole.get(&hole).copied())?;
        Some(Estimate { seconds, basis: Basis::Similar })
    }
}

/// Whether a leaf is the key of an input, or those of several.
fn is_input(value: &Value) -> bool {
    match value {
        Value::String(text) => text.parse::<StepKey>().is_ok(),
        Value::Array(items) => !items.is_empty() && items.iter().all(is_input),
        _ => false,
    }
}

fn label_text(label: &super::plan::Label) -> String {
    serde_json::to_value(label).map_or_else(|_| label.to_string(), |value| canonical(&value))
}

/// For each leaf of a manifest a number that says what all the others are: the sum of hashes without its own,
/// plus the hash of its path. Two manifests that differ in one leaf share the number of that leaf.
fn holes(leaves: &BTreeMap<String, Value>) -> impl Iterator<Item = u128> {
    let hashes: Vec<(u128, u128)> =
        leaves.iter().map(|(path, value)| (hash(path), hash(&format!("{path}={}", canonical(value))))).collect();
    let sum = hashes.iter().fold(0_u128, |sum, (_, leaf)| sum.wrapping_add(*leaf));
    hashes.into_iter().map(move |(path, leaf)| sum.wrapping_sub(leaf).wrapping_add(path))
}

fn hash(text: &str) -> u128 {
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes().iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
}
