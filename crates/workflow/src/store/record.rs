//! `step.json`: what a cached step is, what it holds, and how it came about.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::entry::RECORD;
use crate::key::{ContentHash, StepKey};
use crate::manifest::Manifest;
use crate::plan::Label;

/// The record beside a step's files. It is written last, so what has one is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Record {
    /// The text that the key is the hash of, kept to the letter.
    #[serde(skip)]
    manifest: String,
    /// Whether what was read said that it may not have been on the disk when it was written.
    #[serde(skip)]
    pub(super) is_bound: bool,
    /// The key of the step whose files lie beside the record.
    pub key: StepKey,
    /// The key of the same computation with its inputs named by content.
    pub content_key: StepKey,
    /// What each input held.
    pub inputs: BTreeMap<StepKey, ContentHash>,
    /// The hash of all files with their names.
    pub content: ContentHash,
    /// The files by name.
    pub files: BTreeMap<String, FileRecord>,
    /// What the step was called in the plan that made it.
    pub labels: Vec<Label>,
    /// How long the computation took.
    pub seconds: f64,
    /// How it came about.
    pub made: Made,
    /// The step whose result this one shares, when it was not computed itself.
    pub taken_from: Option<StepKey>,
}

/// One file of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// How many bytes the file had when it was stored.
    pub bytes: u64,
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// The number of its [`overinterp_foreign::file_state::FileState`]; of earlier versions, the time of its modification. Only tells
    /// when to hash it again.
    #[serde(rename = "modified")]
    pub state: i64,
}

/// Which program computes, and where. Recorded with each result; never part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    /// The program with its version.
    pub program: String,
    /// The machine: its name, its processor.
    pub host: String,
    /// The device that computes.
    pub device: String,
}

/// How and when a result came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Made {
    /// The program that computed it, with its machine and device.
    pub by: Maker,
    /// When, as people read it, in UTC.
    pub date: String,
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
}

impl Made {
    /// Notes that `by` made something at this moment.
    pub(crate) fn now(by: &Maker) -> Self {
        let unix_seconds = now();
        Self { by: by.clone(), date: date_text(unix_seconds), unix_seconds }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a run is called that begins now: `20261130-234543-1a2b3c`. The last digits begin with the part of the second, so that
/// names are in the order of their beginnings.
pub(super) fn run_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let date: String = date_text(since.as_secs()).chars().filter(char::is_ascii_alphanumeric).collect();
    let (day, time) = date.trim_end_matches('Z').split_once('T').unwrap_or_default();
    let part = since.subsec_nanos() / (1_000_000_000 / 4096 + 1);
    format!("{day}-{time}-{part:03x}{}", &crate::workers::random()[..3])
}

/// `2026-11-24T15:37:17Z`; days to date as in Fliegel and Van Flandern (1968), from 1 March of year 0.
pub(super) fn date_text(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400 + 719_468, unix_seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// What makes a `step.json` unreadable.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("it is cut off or was changed")]
    Seal,
    #[error("it is not of this version's form: {0}")]
    Form(serde_json::Error),
    #[error("it is that of another step")]
    Key,
    #[error("it lists the file {0:?}, which is no name of one")]
    Name(String),
}

/// Whether a record may list a file of that name: one that lies beside it and nowhere else.
fn is_name(name: &str) -> bool {
    !name.contains(['/', '\\', '\0']) && !["", ".", "..", RECORD].contains(&name)
}

const BEFORE_MANIFEST: &str = "{\n  \"manifest\": ";
const BEFORE_SEAL: &str = ",\n  \"seal\": \"";
const AFTER_SEAL: &str = "\"\n}\n";

impl Record {
    /// The text of `step.json`: the manifest as it was hashed in a line of its own, the rest, and last the hash
    /// of all that precedes it.
    pub(super) fn to_text(&self) -> Result<String, serde_json::Error> {
        let rest = serde_json::to_string_pretty(self)?;
        let rest = rest.trim_start_matches('{').trim_end_matches('}').trim_end();
        let mut text = format!("{BEFORE_MANIFEST}{},{rest}", self.manifest);
        let seal = blake3::hash(text.as_bytes()).to_hex();
        text.push_str(BEFORE_SEAL);
        text.push_str(&seal);
        text.push_str(AFTER_SEAL);
        Ok(text)
    }

    /// Reads what [`Record::to_text`] wrote.
    pub(super) fn from_text(text: &str) -> Result<Self, RecordError> {
        let sealed = text.strip_suffix(AFTER_SEAL).and_then(|text| text.rsplit_once(BEFORE_SEAL));
        let (body, seal) = sealed.ok_or(RecordError::Seal)?;
        if blake3::hash(body.as_bytes()).to_hex().as_str() != seal {
            return Err(RecordError::Seal);
        }
        let lines = body.strip_prefix(BEFORE_MANIFEST).and_then(|body| body.split_once(",\n"));
        let (manifest, rest) = lines.ok_or(RecordError::Seal)?;
        let mut record: Self = serde_json::from_str(&format!("{{{rest}}}")).map_err(RecordError::Form)?;
        manifest.clone_into(&mut record.manifest);
        if StepKey::of(record.key.kind(), record.key.version(), manifest) != record.key {
            return Err(RecordError::Key);
        }
        match record.files.keys().find(|name| !is_name(name)) {
            Some(name) => Err(RecordError::Name(name.clone())),
            None => Ok(record),
        }
    }

    /// The record in the text of a `step.json`; `None` where that is cut off, was changed, or is of another form.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::from_text(text).ok()
    }

    /// The manifest's canonical text.
    #[must_use]
    pub fn manifest_text(&self) -> &str {
        &self.manifest
    }

    /// The manifest; `None` only when another version wrote it in another form.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        Manifest::from_text(&self.manifest)
    }

    /// The size of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}

/// What is known of a step before its files are.
pub(crate) struct Draft {
    /// The manifest that is hashed.
    pub manifest: Manifest,
    /// What each input held.
    pub inputs: BTreeMap<StepKey, ContentHash>,
    /// What the step is called.
    pub labels: Vec<Label>,
    /// How long it took.
    pub seconds: f64,
    /// How it came about.
    pub made: Made,
    /// The step whose result this one shares.
    pub taken_from: Option<StepKey>,
    /// Files that do not count as content.
    pub notes: &'static [&'static str],
}

impl Draft {
    /// The record of the step, now that its files are known.
    pub(super) fn with_files(self, files: BTreeMap<String, FileRecord>) -> Record {
        let mut hasher = blake3::Hasher::new();
        for (name, file) in files.iter().filter(|(name, _)| !self.notes.contains(&name.as_str())) {
            hasher.update(format!("{name}\n{}\n", file.hash).as_bytes());
        }
        Record {
            key: self.manifest.key(),
            content_key: self.manifest.content_key(&self.inputs),
            manifest: self.manifest.canonical().to_owned(),
            is_bound: false,
            inputs: self.inputs,
            content: ContentHash::new(hasher.finalize()),
            files,
            labels: self.labels,
            seconds: self.seconds,
            made: self.made,
            taken_from: self.taken_from,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The record of a step that left one empty file.
    pub(crate) fn record(manifest: Manifest, inputs: BTreeMap<StepKey, ContentHash>, label: Label) -> Record {
        let made = Made { by: Maker::default(), date: date_text(0), unix_seconds: 0 };
        let file = FileRecord { bytes: 0, hash: ContentHash::new(blake3::hash(b"")), state: 0 };
        Draft { manifest, inputs, labels: vec![label], seconds: 0.1, made, taken_from: None, notes: &[] }
            .with_files([("empty".to_owned(), file)].into())
    }

    fn sample() -> Record {
        let settings = serde_json::json!({"mean": 72.940_352_232_107_54, "name": "a,\n\"b\""});
        let value = serde_json::json!({"kind": "give", "version": 1, "settings": settings});
        record(Manifest::from_value(&value).unwrap(), BTreeMap::new(), Label::default())
    }

    #[test]
    fn a_record_reads_back() {
        let record = sample();
        assert_eq!(Record::from_text(&record.to_text().unwrap()).unwrap(), record);
    }

    #[test]
    fn a_record_is_plain_json_with_the_manifest_first() {
        let text = sample().to_text().unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["manifest"]["kind"], "give");
        assert_eq!(value["key"], sample().key.to_string());
        assert!(text.lines().nth(1).unwrap().contains(r#""mean":72.94035223210754,"#), "{text}");
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let text = sample().to_text().unwrap();
        for index in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Record::from_text(&changed).is_err(), "byte {index}");
            assert!(Record::from_text(&text[..index]).is_err(), "first {index} bytes");
        }
    }

    #[test]
    fn files_of_a_record_lie_beside_it() {
        for name in ["../empty", "/etc/hostname", "below/empty", "..", "", RECORD, "a\\b"] {
            let mut record = sample();
            record.files = [(name.to_owned(), record.files["empty"].clone())].into();
            let read = Record::from_text(&record.to_text().unwrap());
            assert!(matches!(&read, Err(RecordError::Name(found)) if found == name), "{name}: {read:?}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // date -u -d @SECONDS +%FT%TZ
        assert_eq!(date_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(date_text(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date_text(1_798_761_599), "2026-12-31T23:59:59Z");
        assert_eq!(date_text(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn notes_are_recorded_but_are_no_content() {
        let manifest = || Manifest::from_value(&serde_json::json!({"kind": "give", "version": 1, "settings": {}}));
        let with = |note: &[u8], number: &[u8], notes: &'static [&'static str]| {
            let file = |bytes: &[u8]| FileRecord { bytes: 1, hash: ContentHash::new(blake3::hash(bytes)), state: 0 };
            let files = [("log.csv", note), ("number.txt", number)];
            let files = files.map(|(name, bytes)| (name.to_owned(), file(bytes))).into();
            let made = Made { by: Maker::default(), date: date_text(0), unix_seconds: 0 };
            let draft = Draft {
                manifest: manifest().unwrap(),
                inputs: BTreeMap::new(),
                labels: Vec::new(),
                seconds: 0.0,
                made,
                taken_from: None,
                notes,
            };
            draft.with_files(files)
        };
        let (one, other) = (with(b"a", b"1", &["log.csv"]), with(b"b", b"1", &["log.csv"]));
        assert_eq!(one.content, other.content);
        assert_ne!(one.files, other.files);
        assert_ne!(one.content, with(b"a", b"2", &["log.csv"]).content);
        assert_ne!(with(b"a", b"1", &[]).content, with(b"b", b"1", &[]).content);
    }
}
