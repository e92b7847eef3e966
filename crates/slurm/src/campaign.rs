//! What is kept of a campaign beside the cache, so that any process on any node finds its jobs again.
//!
//! Slurm itself knows the jobs by the campaign's name. The record adds what Slurm forgets: how those ended that it no longer
//! lists, and how often some were submitted again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::jobs::{End, JobId};

/// A plan that is computed by jobs.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// What it is called.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What is known of its jobs.
    pub record: Record,
}

/// What is known of a campaign's jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Record {
    /// Arrays that were submitted, by number.
    pub arrays: BTreeMap<u64, Array>,
    /// How tasks ended that have.
    pub ended: BTreeMap<JobId, End>,
    /// How often workers were submitted again, by group and by what the end was.
    pub again: BTreeMap<String, BTreeMap<String, usize>>,
    /// How many times the memory of a group is what was asked for.
    pub memory: BTreeMap<String, u64>,
    /// How often all workers were submitted anew, because none was left.
    pub rounds: usize,
}

/// An array that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Array {
    /// The group of its workers.
    pub group: String,
    /// How many tasks it has.
    pub tasks: u32,
}

const RECORD: &str = "campaign.json";

impl Campaign {
    /// The campaign of that name below `folder`, as it was left, or a new one.
    ///
    /// # Errors
    /// When its folder cannot be made, or its record cannot be read.
    pub fn open(folder: &Path, id: &str) -> io::Result<Self> {
        let folder = folder.join(id);
        fs::create_dir_all(folder.join("logs"))?;
        let record = match fs::read_to_string(folder.join(RECORD)) {
            // One that is cut off says nothing that Slurm does not know of jobs that are there.
            Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { id: id.to_owned(), folder, record })
    }

    /// The name of all its jobs.
    #[must_use]
    pub fn job_name(&self) -> String {
        format!("overinterp-{}", self.id)
    }

    /// Where the logs of its jobs are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Where its frozen plan is.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.folder.join("plan.json")
    }

    /// Where the log of a job is.
    #[must_use]
    pub fn log(&self, id: JobId) -> PathBuf {
        self.logs().join(format!("{id}.log"))
    }

    /// The last lines of a job's log; empty where there is none.
    #[must_use]
    pub fn end_of_log(&self, id: JobId, lines: usize) -> String {
        let text = fs::read(self.log(id)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Keeps the record: whole, or as it was.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self) -> io::Result<()> {
        write_whole(&self.folder.join(RECORD), &serde_json::to_string_pretty(&self.record)?)
    }

    /// Writes a file of the campaign: whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        write_whole(&path, text)?;
        Ok(path)
    }
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_finds_what_was_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut campaign = Campaign::open(folder.path(), "0a1b").unwrap();
        assert_eq!(campaign.record, Record::default());
        campaign.record.arrays.insert(7, Array { group: "train".into(), tasks: 2 });
        campaign.record.ended.insert(JobId { array: 7, task: Some(1) }, End::Failed(3));
        campaign.record.ended.insert(JobId { array: 7, task: Some(0) }, End::OutOfMemory);
        campaign.keep().unwrap();
        assert_eq!(Campaign::open(folder.path(), "0a1b").unwrap().record, campaign.record);
        let log = campaign.log(JobId { array: 7, task: Some(1) });
        fs::write(log, "one\ntwo\nthree\n").unwrap();
        assert_eq!(campaign.end_of_log(JobId { array: 7, task: Some(1) }, 2), "two\nthree");
        assert_eq!(campaign.end_of_log(JobId { array: 9, task: None }, 2), "");
    }
}
