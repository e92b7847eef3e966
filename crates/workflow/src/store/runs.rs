//! What was run with this cache: a folder a run, of lines that are only ever added to. What they say is the program's.
//!
//! ```text
//! CACHE/v1/runs/ID/run.json       what was asked for, and by which process; written first
//! CACHE/v1/runs/ID/events.jsonl   one line for each thing that happened to a step
//! CACHE/v1/runs/ID/end.json       what it came to; a run without one did not end, or goes on
//! ```
//!
//! Nothing of it is read to compute, and a run goes on where it cannot be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::error::{Doing as _, READ};
use super::{Store, StoreError, files};
use crate::workers::Presence;

/// The folder of runs.
pub(super) const RUNS: &str = "runs";
const BEGINNING: &str = "run.json";
const EVENTS: &str = "events.jsonl";
const END: &str = "end.json";
/// More is no record of a run.
const LARGEST: u64 = 1 << 28;

/// The record of one run, as it grows.
#[derive(Debug)]
pub struct RunLog {
    id: String,
    dir: PathBuf,
    events: Mutex<File>,
}

impl RunLog {
    /// What the run is called.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Adds a line. One that cannot be written is left out: no result depends on it.
    pub fn note(&self, line: &str) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // In one call, so that whoever reads meanwhile sees whole lines, but for the last.
        let _ = events.write_all(format!("{line}\n").as_bytes());
    }

    /// Says what the run came to.
    pub fn end(&self, text: &str) {
        let going = self.dir.join(format!(".{END}"));
        let _ = fs::write(&going, text).and_then(|()| fs::rename(&going, self.dir.join(END)));
    }
}

/// What a run has left.
#[derive(Clone, Debug)]
pub struct RunNotes {
    /// What it is called.
    pub id: String,
    /// What it wrote first.
    pub beginning: String,
    /// What it wrote last; none of a run that goes on or did not end.
    pub end: Option<String>,
}

/// Whether the cache itself gives such a name to a run: `20261130-234543-1a2b3c`.
pub(super) fn is_run(name: &str) -> bool {
    let mut parts = name.split('-');
    let mut is_part = |length: usize, of: fn(&u8) -> bool| {
        parts.next().is_some_and(|part| part.len() == length && part.as_bytes().iter().all(of))
    };
    let is_one = is_part(8, u8::is_ascii_digit) && is_part(6, u8::is_ascii_digit) && is_part(6, u8::is_ascii_hexdigit);
    is_one && parts.next().is_none()
}

impl Store {
    /// Begins the record of a run by this process: `beginning` is given its name, and who runs it.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn record_run(
        &self,
        doing: &str,
        beginning: impl FnOnce(&str, &Presence) -> String,
    ) -> Result<RunLog, StoreError> {
        let id = super::record::run_name();
        let dir = self.base.join(RUNS).join(&id);
        self.make_dir(&dir)?;
        let events = OpenOptions::new().create_new(true).append(true).open(dir.join(EVENTS));
        let events = events.doing("create", &dir)?;
        // Renamed, so that nobody reads half of it.
        let (going, path) = (dir.join(format!(".{BEGINNING}")), dir.join(BEGINNING));
        let text = beginning(&id, &Presence::here(doing, false));
        fs::write(&going, text).and_then(|()| fs::rename(&going, &path)).doing("write", &path)?;
        Ok(RunLog { id, dir, events: Mutex::new(events) })
    }

    /// What runs have left, the oldest first. What cannot be read is left out.
    ///
    /// # Errors
    /// When the folder of runs cannot be read.
    pub fn runs(&self) -> Result<Vec<RunNotes>, StoreError> {
        let runs = self.base.join(RUNS);
        let there = files::list(&runs).doing(READ, &runs)?.into_keys().filter(|name| is_run(name));
        Ok(there.filter_map(|id| self.run_notes(&id)).collect())
    }

    /// What a run has left; `None` where there is no such run.
    #[must_use]
    pub fn run_notes(&self, id: &str) -> Option<RunNotes> {
        let dir = self.run_dir(id)?;
        let read = |name: &str| {
            let bytes = files::read_small(&dir.join(name), LARGEST).ok()??;
            String::from_utf8(bytes).ok()
        };
        Some(RunNotes { id: id.to_owned(), beginning: read(BEGINNING)?, end: read(END) })
    }

    /// The file to which a run's lines are added.
    #[must_use]
    pub fn run_events(&self, id: &str) -> Option<PathBuf> {
        Some(self.run_dir(id)?.join(EVENTS))
    }

    /// The whole lines of a run, in their order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn run_lines(&self, id: &str) -> io::Result<Vec<String>> {
        let Some(path) = self.run_events(id) else { return Ok(Vec::new()) };
        let bytes = match files::read_small(&path, LARGEST) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&bytes);
        // What was cut off by a crash is no line.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(whole.lines().map(str::to_owned).collect())
    }

    fn run_dir(&self, id: &str) -> Option<PathBuf> {
        let dir = self.base.join(RUNS).join(id);
        (is_run(id) && files::is_folder(&dir)).then_some(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_recorded_as_it_goes_and_reads_back_when_it_was_cut_off() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        assert!(store.runs().unwrap().is_empty());
        let log = store.record_run("run x.toml", |id, process| format!("{id} {}", process.pid)).unwrap();
        assert!(is_run(log.id()), "{}", log.id());
        log.note("one");
        log.note("two");
        OpenOptions::new().append(true).open(log.dir.join(EVENTS)).unwrap().write_all(b"thr").unwrap();
        assert_eq!(store.run_lines(log.id()).unwrap(), ["one", "two"]);
        let [run] = &store.runs().unwrap()[..] else { panic!("one run") };
        assert_eq!(run.beginning, format!("{} {}", log.id(), std::process::id()));
        assert_eq!(run.end, None);
        log.end("ended");
        assert_eq!(store.run_notes(log.id()).unwrap().end.as_deref(), Some("ended"));
        assert!(store.strays().unwrap().is_empty());
        assert!(store.run_notes("../steps").is_none());
    }
}
