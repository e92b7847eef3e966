//! An experiment's results in one archive, for somebody who has neither data nor models: a cache with the entries that tables
//! and claims are made of, and the records of all steps behind them.
//!
//! The archive is a gzipped tar of such a cache. Whoever gets it checks that each file has the bytes of its record, that each
//! record's key is the hash of its manifest, that the experiment in it asks for just these keys, and that each step was made
//! from what the records of its inputs say they hold. That the program computed what it says is not shown by that:
//! `overinterp replay` shows it where the data are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use overinterp_foreign::bounded;
use overinterp_workflow::event::Summary;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::store::{Lookup, Maker, Record, Store, StoreError};
use overinterp_workflow::view::View;

use super::journal::Journal;
use super::past::Past;
use crate::computed::Computed;
use crate::failure::{Failure, Kind};

/// The records of all steps, in the folder of the run: one JSON text a line.
const MANIFESTS: &str = "manifests.jsonl";
/// Larger files are no records.
const LARGEST: u64 = 1 << 30;

/// What an archive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    /// Entries with their files.
    pub results: usize,
    /// Records, those of the entries included.
    pub records: usize,
    /// Steps of the plan that have not been computed.
    pub absent: usize,
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot {doing} {}: {error}", path.display()))
}

/// Packs what was loaded of `computed`, and the records of all of its steps, into the file `to`, which must not be there.
pub(crate) fn pack(computed: &Computed, journal: &Journal<'_>, to: &Path) -> Result<Holds, Failure> {
    let place = tempfile::tempdir().map_err(|error| Failure::because(Kind::Usage, error))?;
    let staged = Store::open(place.path())?;
    let log = journal.record_in(&staged)?;
    let run = staged.run_events(log.id()).unwrap_or_default();
    log.end(&Journal::ending("bundled", &Summary::default()));

    let view = View::of_entries(&computed.planned.plan, computed.store())?;
    let (mut texts, mut holds) = (String::new(), Holds { results: 0, records: 0, absent: 0 });
    for (_, step) in computed.planned.plan.steps() {
        let Lookup::Intact(_) = view.entry(step.identity()) else {
            holds.absent += 1;
            continue;
        };
        let path = computed.store().dir(step.identity()).join("step.json");
        let text = bounded::read_text(&path, LARGEST).map_err(|error| Failure::because(Kind::Usage, error))?;
        texts.push_str(&serde_json::Value::String(text).to_string());
        texts.push('\n');
        holds.records += 1;
    }
    let manifests = run.with_file_name(MANIFESTS);
    fs::write(&manifests, texts).map_err(|error| failed("write", &manifests, &error))?;
    for key in computed.loader.used().iter() {
        let (from, record) = computed.store().verified(key)?;
        let into = staged.dir(key);
        fs::create_dir_all(&into).map_err(|error| failed("create", &into, &error))?;
        for name in record.files.keys().map(String::as_str).chain(["step.json"]) {
            let path = from.join(name);
            fs::copy(&path, into.join(name)).map_err(|error| failed("copy", &path, &error))?;
        }
        holds.results += 1;
    }
    let file = File::create_new(to).map_err(|error| failed("create", to, &error))?;
    let archive = || {
        let mut archive = tar::Builder::new(GzEncoder::new(&file, Compression::default()));
        archive.mode(tar::HeaderMode::Deterministic);
        archive.append_dir_all("v1", place.path().join("v1"))?;
        archive.into_inner()?.finish()?.sync_all()
    };
    archive().map_err(|error| failed("write", to, &error))?;
    Ok(holds)
}

/// Unpacks an archive into the empty folder `into`, which is a cache from then on, and gives the run in it. Nothing but plain
/// files below the folder is written.
pub(crate) fn unpack(archive: &Path, into: &Path) -> Result<(Store, Past), Failure> {
    let file = bounded::open(archive)
        .map_err(|error| Failure::usage(format!("cannot read the bundle {}: {error}", archive.display())))?;
    let wrong = |error: &io::Error| {
        Failure::new(Kind::Stage, format!("{} is no bundle, or is damaged: {error}", archive.display()))
    };
    let mut archive_of = tar::Archive::new(GzDecoder::new(file));
    for entry in archive_of.entries().map_err(|error| wrong(&error))? {
        let mut entry = entry.map_err(|error| wrong(&error))?;
        let path = entry.path().map_err(|error| wrong(&error))?.into_owned();
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if entry.header().entry_type().is_dir() && is_plain {
            continue;
        }
        if !entry.header().entry_type().is_file() || !is_plain || !path.starts_with("v1") {
            return Err(wrong(&io::Error::new(
                io::ErrorKind::InvalidData,
                "it holds more than plain files of a cache",
            )));
        }
        let path = into.join(path);
        let folder = path.parent().unwrap_or(into);
        fs::create_dir_all(folder).map_err(|error| failed("create", folder, &error))?;
        let mut file = File::create_new(&path).map_err(|error| failed("create", &path, &error))?;
        io::copy(&mut entry, &mut file).map_err(|error| wrong(&error))?;
    }
    let store = Store::open(into)?;
    let past = Past::find(&store, "last")
        .map_err(|_| Failure::new(Kind::Stage, format!("{} is no bundle of this program", archive.display())))?;
    Ok((store, past))
}

/// Checks all that can be checked without computing, of what was unpacked.
///
/// # Errors
/// With the first thing that is not as it must be.
pub(crate) fn check(computed: &Computed, past: &Past) -> Result<Holds, Failure> {
    let damaged = |why: String| Failure::new(Kind::Stage, format!("the bundle is damaged: {why}"));
    let path = computed.store().run_events(&past.beginning.id).unwrap_or_default().with_file_name(MANIFESTS);
    let text = bounded::read_text(&path, LARGEST).map_err(|error| damaged(error.to_string()))?;
    let mut records: BTreeMap<StepKey, Record> = BTreeMap::new();
    for line in text.lines() {
        let record = serde_json::from_str::<String>(line).ok().and_then(|text| Record::read(&text));
        let record = record.ok_or_else(|| damaged("a record is cut off or was changed".to_owned()))?;
        records.insert(record.key.clone(), record);
    }
    let plan = &computed.planned.plan;
    if let Some(foreign) = records.keys().find(|key| plan.find(key).is_none()) {
        return Err(damaged(format!("its experiment asks for no step {foreign}")));
    }
    for record in records.values() {
        for (key, content) in &record.inputs {
            // An input that was garbage-collected cannot be compared.
            if records.get(key).is_some_and(|input| input.content != *content) {
                return Err(damaged(format!("{} was made from another {key}", record.key)));
            }
        }
    }
    let mut results = 0;
    let entries: BTreeSet<&StepKey> = records.keys().filter(|key| computed.store().dir(key).exists()).collect();
    for key in entries {
        let verified = computed.store().verified(key);
        let (_, record) = verified.map_err(|error| match error {
            StoreError::Damaged { damage, .. } => damaged(format!("{key}: {damage}")),
            other => Failure::from(other),
        })?;
        if records.get(key).is_none_or(|told| told.content != record.content) {
            return Err(damaged(format!("{key} has two records that differ")));
        }
        results += 1;
    }
    Ok(Holds { results, records: records.len(), absent: plan.len() - records.len() })
}

/// Whoever bundles, for the record of it.
pub(crate) fn journal<'a>(
    computed: &'a Computed,
    set: &'a [overinterp_config::Override],
    stages: &'a [String],
    by: Maker,
) -> Journal<'a> {
    Journal::new(computed, set, stages, by, "bundle".to_owned())
}
