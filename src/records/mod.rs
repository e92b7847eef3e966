//! What runs leave behind: what was asked for, what was found, what happened to each step, and how it ended.
//!
//! The cache keeps it (`CACHE/v1/runs/ID`); what it says is said here. No result depends on it.

pub(crate) mod bundle;
pub(crate) mod journal;
pub(crate) mod lines;
pub(crate) mod past;
pub(crate) mod receipt;
pub(crate) mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use overinterp_workflow::event::Summary;
use overinterp_workflow::store::Maker;
use overinterp_workflow::workers::Presence;

use crate::computed::findings::Findings;

/// What a run was asked for. What others add to it is passed over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Beginning {
    /// What it is called.
    pub id: String,
    /// The command line, without the program.
    pub command: Vec<String>,
    /// Where it was typed.
    pub directory: PathBuf,
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
    pub by: Maker,
    /// The process, so that one can tell whether it goes on.
    pub process: Presence,
    pub files: Vec<RecordedFile>,
    /// The texts after `--set`.
    pub set: Vec<String>,
    /// The names after `--stage`.
    pub stages: Vec<String>,
    /// How many steps the plan has.
    pub steps: usize,
    /// By stage kind, the fingerprint of the sources that it was computed by.
    #[serde(default)]
    pub fingerprints: BTreeMap<String, String>,
    /// What planning learned of the files that the experiments name.
    pub findings: Findings,
}

/// An experiment file as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RecordedFile {
    /// As it was typed.
    pub path: PathBuf,
    /// The BLAKE3 of the file's bytes.
    pub hash: String,
    /// What was computed: what the file extends merged, `--set` applied.
    pub text: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Ending {
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
    /// `done`, `failed`, `cancelled`, or why it did not begin.
    pub how: String,
    pub ran: usize,
    pub cached: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Left to other workers.
    #[serde(default)]
    pub left: usize,
    /// Parts of others' steps that it helped with.
    #[serde(default)]
    pub helped: usize,
    pub seconds: f64,
}

impl Ending {
    pub fn new(how: impl Into<String>, summary: &Summary) -> Self {
        let Summary { ran, cached, failed, skipped, left, helped, seconds } = *summary;
        Self { unix_seconds: now(), how: how.into(), ran, cached, failed, skipped, left, helped, seconds }
    }
}

/// One thing that happened to a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Line {
    /// Seconds since the run began.
    pub at: f64,
    pub what: What,
    /// The step's key.
    pub key: String,
    /// What the plan calls it.
    pub label: String,
    /// Why it runs or failed, what it says, how far it has come.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// What happens to steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    Started,
    Progress,
    Log,
    Warning,
    Waiting,
    Ran,
    Failed,
    Skipped,
}

impl What {
    /// How it reads in a list of steps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Progress => "progress",
            Self::Log => "log",
            Self::Warning => "warning",
            Self::Waiting => "waiting",
            Self::Ran => "ran",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The recorded fingerprints of this program's stages, by kind.
pub(crate) fn fingerprints() -> BTreeMap<String, String> {
    const RECORDED: &str = include_str!("../../crates/stages/fingerprints.toml");
    let table: toml::Table = RECORDED.parse().unwrap_or_default();
    let stages = table.get("stage").and_then(toml::Value::as_table).into_iter().flatten();
    let found = stages.filter_map(|(kind, stage)| Some((kind.clone(), stage.get("fingerprint")?.as_str()?.to_owned())));
    found.collect()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a step is the one that was typed: by the first digits of its key, or by words of its name, all of them.
pub(crate) fn is_step(key: &str, label: &str, typed: &[String]) -> bool {
    /// Fewer digits may be a word.
    const DIGITS: usize = 4;
    if let [word] = typed {
        let hash = key.split_once(':').map_or("", |(_, hash)| hash);
        let is_key = word.contains(':') && key.starts_with(word.as_str());
        if is_key || word.len() >= DIGITS && hash.starts_with(word.as_str()) {
            return true;
        }
    }
    let words: Vec<&str> = label.split(' ').collect();
    typed.iter().flat_map(|text| text.split(' ')).all(|word| words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_by_its_key_or_by_words_of_its_name() {
        let key = format!("train-v1:9f2c{}", "0".repeat(60));
        let is_it = |typed: &[&str]| {
            let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
            is_step(&key, "full arch=cnn seed=0", &typed)
        };
        assert!(
            is_it(&["train-v1:9f2c"]) && is_it(&["9f2c0"]) && is_it(&["full", "seed=0"]) && is_it(&["full seed=0"])
        );
        assert!(!is_it(&["9f3c"]) && !is_it(&["ful"]) && !is_it(&["full", "seed=1"]) && !is_it(&["train-v1"]));
    }
}
