//! What a cache held of a whole plan, so that one can tell without the plan whether it still does.
//!
//! ```text
//! kinds      number, then each with its length
//! steps      number, then each: its kind by number, version, hash, content, whether every byte is looked at
//! ```

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::Store;
use super::entry::Scrutiny;
use super::glance::Listing;
use super::index::{Cursor, Index, number};
use crate::plan::Plan;
use crate::store::Lookup;
use crate::view::View;

/// The steps of a plan, all of them finished, each with what it held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    kinds: Vec<String>,
    /// In the order of kinds and hashes, in which the index has them, too.
    steps: Vec<Held>,
}

/// A finished step, as an inventory has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    kind: u32,
    hash: [u8; 32],
    version: u32,
    content: [u8; 32],
    /// Whether no step loads it, so that every byte is looked at.
    is_last: bool,
}

impl Inventory {
    /// Of a plan of which the cache has every step; `None` where it lacks one.
    #[must_use]
    pub fn of<E>(plan: &Plan<E>, view: &View) -> Option<Self> {
        let kinds: BTreeSet<&str> = plan.steps().map(|(_, step)| step.identity().kind()).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let held = plan.steps().map(|(id, step)| {
            let key = step.key()?;
            let Lookup::Intact(kept) = view.at(id, key) else { return None };
            Some(Held {
                kind: u32::try_from(kinds.binary_search(&key.kind()).ok()?).ok()?,
                hash: *key.hash_bytes().as_bytes(),
                version: key.version(),
                content: *kept.content.as_bytes(),
                is_last: plan.dependants(id).next().is_none(),
            })
        });
        let mut steps = held.collect::<Option<Vec<Held>>>()?;
        steps.sort_unstable();
        Some(Self { kinds: kinds.into_iter().map(str::to_owned).collect(), steps })
    }

    /// The number of steps.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is no step.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The inventory as bytes; `None` where there is more than they have room for.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = number(self.kinds.len())?.to_vec();
        for kind in &self.kinds {
            bytes.extend(number(kind.len())?);
            bytes.extend(kind.as_bytes());
        }
        bytes.extend(number(self.steps.len())?);
        for Held { kind, hash, version, content, is_last } in &self.steps {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(hash);
            bytes.extend(version.to_le_bytes());
            bytes.extend(content);
            bytes.push(u8::from(*is_last));
        }
        Some(bytes)
    }

    /// What [`Inventory::to_bytes`] has written; `None` of anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor { bytes, at: 0 };
        let mut kinds = Vec::new();
        for _ in 0..cursor.number()? {
            kinds.push(cursor.text()?.to_owned());
        }
        let mut steps = Vec::new();
        for _ in 0..cursor.number()? {
            let step = Held {
                kind: u32::from_le_bytes(cursor.take()?),
                hash: cursor.take()?,
                version: u32::from_le_bytes(cursor.take()?),
                content: cursor.take()?,
                is_last: cursor.take::<1>()? != [0],
            };
            kinds.get(step.kind as usize)?;
            steps.push(step);
        }
        (cursor.at == bytes.len()).then_some(Self { kinds, steps })
    }
}

impl Store {
    /// Whether the index says of every step what the inventory says, and no file of any has changed since the index was
    /// written. Where it does not, nothing is wrong yet: a look at each record tells.
    #[must_use]
    pub fn still_holds(&self, inventory: &Inventory) -> bool {
        let index = Index::read(&self.base);
        let folders =
            inventory.kinds.iter().map(|kind| Listing::read(&self.base.join("steps").join(kind)).ok().flatten());
        let Some(folders) = folders.collect::<Option<Vec<Listing>>>() else { return false };
        let holds = |held: &Held| self.holds(&index, &inventory.kinds, &folders, held).is_some();
        inventory.steps.par_iter().with_min_len(64).all(holds)
    }

    /// `None` if anything is otherwise than the index and the inventory say.
    fn holds(&self, index: &Index, kinds: &[String], folders: &[Listing], held: &Held) -> Option<()> {
        let kind = &kinds[held.kind as usize];
        let hash = blake3::Hash::from_bytes(held.hash).to_hex();
        let entry = index.find(kind, held.hash)?;
        let is_it = entry.version == held.version && entry.content == held.content;
        if !is_it || folders[held.kind as usize].get(&hash) != Some(true) {
            return None;
        }
        let mut dir = self.base.join("steps");
        // Room for the files' names, too.
        dir.reserve(kind.len() + hash.len() + 64);
        dir.extend([kind.as_str(), &hash]);
        let scrutiny = if held.is_last { Scrutiny::Bytes } else { Scrutiny::Times };
        self.unchanged(index, &entry, dir, scrutiny)
    }
}
