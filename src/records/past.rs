//! Runs of the past, as their records tell.

use std::path::Path;

use overinterp_config::{Experiment, parse};
use overinterp_workflow::store::{RunNotes, Store};

use super::{Beginning, Ending, Line};
use crate::failure::Failure;

/// A run that was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub beginning: Beginning,
    /// How it ended; `None` of one that goes on or did not end.
    pub ending: Option<Ending>,
}

impl Past {
    fn of(notes: &RunNotes) -> Option<Self> {
        let beginning = serde_json::from_str(&notes.beginning).ok()?;
        let ending = notes.end.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Some(Self { beginning, ending })
    }

    /// Every run of a cache whose record can be read, the oldest first.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn all(store: &Store) -> Result<Vec<Self>, Failure> {
        Ok(store.runs()?.iter().filter_map(Self::of).collect())
    }

    /// The run of that name, or of a name that begins so; `last` is the last.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(store: &Store, name: &str) -> Result<Self, Failure> {
        let mut all = Self::all(store)?;
        if name == "last" {
            return all.pop().ok_or_else(|| Failure::usage("no run is recorded in this cache"));
        }
        let mut named: Vec<Self> = all.into_iter().filter(|past| past.beginning.id.starts_with(name)).collect();
        match (named.len(), named.pop()) {
            (1, Some(past)) => Ok(past),
            (0, _) | (_, None) => {
                Err(Failure::usage(format!("no run is called {name}")).hint("`overinterp runs` lists them"))
            }
            (count, Some(_)) => Err(Failure::usage(format!("{count} runs have names that begin with {name}"))
                .hint("type more of it; `overinterp runs` lists them")),
        }
    }

    /// How it ended, in a word or two, as far as one can tell.
    pub fn how(&self) -> String {
        match &self.ending {
            Some(ending) => ending.how.clone(),
            None if self.beginning.process.has_ended() => "did not end".to_owned(),
            None if self.beginning.process.is_here() => "running".to_owned(),
            None => format!("running on {}, or did not end", self.beginning.process.host),
        }
    }

    /// The experiments as they were.
    ///
    /// # Errors
    /// When this version does not read what another has recorded.
    pub fn experiments(&self) -> Result<Vec<Experiment>, Failure> {
        let experiment = |(path, text): (&Path, &str)| {
            parse(text, path, &[]).map_err(|problems| Failure::problems(problems.to_string()))
        };
        self.beginning.files.iter().map(|file| experiment((&file.path, &file.text))).collect()
    }

    /// What happened to its steps, in order.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn lines(&self, store: &Store) -> Result<Vec<Line>, Failure> {
        let id = &self.beginning.id;
        let lines = store.run_lines(id).map_err(|error| Failure::usage(format!("cannot read run {id}: {error}")))?;
        Ok(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// `2026-11-30 23:45:43`, in UTC.
    pub fn date(&self) -> String {
        date_of(&self.beginning.id)
    }
}

/// When a run began, by its name.
fn date_of(id: &str) -> String {
    let digits = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    let date = format!("{}-{}-{}", digits(0, 4), digits(4, 6), digits(6, 8));
    format!("{date} {}:{}:{}", digits(9, 11), digits(11, 13), digits(13, 15))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_name_of_a_run_says_when_it_began() {
        assert_eq!(super::date_of("20261130-234543-1a2b3c"), "2026-11-30 23:45:43");
    }
}
