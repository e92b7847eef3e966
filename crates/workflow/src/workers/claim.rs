//! Claims on steps: made once, released, lost, and taken over.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{CLAIMS, Mine, Presence, State, Workers, Working};
use crate::notices::Place;
use crate::stage::Progress;

/// A step that is this worker's until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    workers: &'a Workers,
    step: String,
    lost: Arc<AtomicBool>,
}

/// What came of claiming a step.
#[derive(Debug)]
pub(crate) enum Claiming<'a> {
    /// It is this worker's.
    Held(Claim<'a>),
    /// Another works on it.
    By(Box<Holder>),
}

/// A worker that has claimed a step, and what it says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// What tells it from every other worker.
    pub id: String,
    /// What it says of itself; `None` where that cannot be read.
    pub presence: Option<Presence>,
    /// What it says of the step.
    pub working: Option<Working>,
}

impl fmt::Display for Holder {
    /// `gpu3, process 4711, for 12 s, 31/50 epochs`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.presence {
            Some(presence) => f.write_str(&presence.name())?,
            None => f.write_str(&self.id)?,
        }
        if let Some(working) = &self.working {
            write!(f, ", for {:.0} s", working.seconds)?;
            if let Some(progress) = &working.progress {
                write!(f, ", {progress}")?;
            }
        }
        Ok(())
    }
}

pub(super) const fn place_of(step: &str) -> Place<'_> {
    Place { folder: CLAIMS, name: step }
}

impl Workers {
    /// Claims a step by the kind of its key and the hash, `KIND-HASH`; others are told its label, unless that is empty. This
    /// worker must have joined.
    pub fn claim(&self, step: &str, label: &str) -> io::Result<Claiming<'_>> {
        const TRIES: usize = 8;
        self.beat_if_due()?;
        let mine = self.id().ok_or_else(|| io::Error::other("a worker claims a step that has not joined"))?;
        let (place, mut last) = (place_of(step), String::new());
        for _ in 0..TRIES {
            if let Some(version) = self.notices.put_new(place, &mine)? {
                return Ok(Claiming::Held(self.hold(step, label, version)));
            }
            let Some(notice) = self.notices.get(place)? else { continue };
            if notice.text == mine {
                // Another thread of this worker has it.
                return Ok(Claiming::By(Box::new(self.holder(mine, step)?.0)));
            }
            last.clone_from(&notice.text);
            let (holder, state) = self.holder(notice.text, step)?;
            if !state.has_gone() {
                return Ok(Claiming::By(Box::new(holder)));
            }
            if let Some(version) = self.notices.replace(place, &notice.version, &mine)? {
                return Ok(Claiming::Held(self.hold(step, label, version)));
            }
        }
        Ok(Claiming::By(Box::new(Holder { id: last, presence: None, working: None })))
    }

    fn hold(&self, step: &str, label: &str, version: String) -> Claim<'_> {
        let lost = Arc::new(AtomicBool::new(false));
        let mine =
            Mine { label: label.to_owned(), since: Instant::now(), progress: None, version, lost: Arc::clone(&lost) };
        if let Some(me) = self.me().as_mut() {
            me.steps.insert(step.to_owned(), mine);
            me.has_news = true;
        }
        Claim { workers: self, step: step.to_owned(), lost }
    }

    /// The worker of that id and what it says of a step.
    fn holder(&self, id: String, step: &str) -> io::Result<(Holder, State)> {
        let (presence, state) = self.look_at(&id)?;
        let working = presence.as_ref().and_then(|there| there.steps.iter().find(|working| working.step == step));
        let working = working.cloned();
        Ok((Holder { id, presence, working }, state))
    }

    /// Which of `steps` others have claimed that are still there.
    pub fn held_by_others<'s>(&self, steps: impl Iterator<Item = &'s str>) -> io::Result<BTreeMap<&'s str, Holder>> {
        let mine = self.id();
        let mut held = BTreeMap::new();
        for step in self.claimed(steps)? {
            if let Some(notice) = self.notices.get(place_of(step))?
                && Some(&notice.text) != mine.as_ref()
            {
                let (holder, state) = self.holder(notice.text, step)?;
                if !state.has_gone() {
                    held.insert(step, holder);
                }
            }
        }
        Ok(held)
    }

    /// Which of `steps` are claimed, by whomever.
    pub fn claimed<'s>(&self, steps: impl Iterator<Item = &'s str>) -> io::Result<Vec<&'s str>> {
        let names = self.notices.names(CLAIMS)?;
        Ok(steps.filter(|step| names.binary_search_by(|name| name.as_str().cmp(step)).is_ok()).collect())
    }
}

impl Claim<'_> {
    /// Notes how far the step has come.
    pub fn note(&self, progress: &Progress<'_>) {
        self.workers.note(&self.step, progress);
    }

    /// Whether another has taken the step over, because nothing was heard of this worker for long.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// The same, found out now and not at the last sign of life.
    pub fn is_lost_by_now(&self) -> bool {
        // What cannot be asked is as it was.
        let _ = self.workers.beat();
        self.is_lost()
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mine = self.workers.me().as_mut().and_then(|me| {
            me.has_news = true;
            me.steps.remove(&self.step)
        });
        if let Some(mine) = mine {
            // One that stays is that of a worker that will have gone.
            let _ = self.workers.notices.remove(place_of(&self.step), &mine.version);
        }
    }
}
