//! `show`: what a cached step produced.

use std::path::Path;

use clap::Args;
use serde_json::json;

use overinterp_workflow::key::StepKey;
use overinterp_workflow::store::{Entry, Record, Store, StoreError};

use crate::cli::args::{EventFormat, MachineArguments};
use crate::cli::failure::{Failure, Status};
use crate::cli::screen::contents::{self, Extent};
use crate::cli::screen::json;
use crate::cli::screen::text;
use crate::cli::session::open_cache;
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The step's key, such as `train-v1:9f2c`; the first digits suffice.
    pub key: String,
    /// Every image and all of its pixels, not the first alone.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub machine: MachineArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

pub(crate) fn run(arguments: &ShowArguments) -> Result<Status, Failure> {
    let store = open_cache(&arguments.machine.cache)?;
    let key = find(&store, &arguments.key)?;
    let (dir, record) = store.verified(&key).map_err(Failure::from)?;
    if arguments.format == EventFormat::Json {
        json::line(&json!({"key": key.to_string(), "directory": dir, "record": *record}));
        return Ok(Status::Success);
    }
    print_record(&key, &record);
    outln!("  in       {}", dir.display());
    let extent = if arguments.all { Extent::All } else { Extent::First };
    let shown = contents::print(key.kind(), &dir, extent);
    // Its bytes are as they were written, but they are not what such a step produces.
    let unreadable = |source| StoreError::Artifact { key: key.clone(), source };
    if !shown.map_err(unreadable)? {
        for file in record.files.keys() {
            print_text_file(&dir.join(file), file);
        }
    }
    Ok(Status::Success)
}

fn print_record(key: &StepKey, record: &Record) {
    outln!("{key}");
    for label in &record.labels {
        outln!("  for      {label}");
    }
    let made = &record.made;
    outln!("  made     {} by {} on {} ({})", made.date, made.by.program, made.by.host, made.by.device);
    outln!("  took     {}", text::duration(record.seconds));
    outln!("  manifest {}", record.manifest_text());
    for (name, file) in &record.files {
        outln!("  file     {name}, {}, {}", text::bytes(file.bytes), file.hash);
    }
}

/// Prints a readable file in full, if it is short.
fn print_text_file(path: &Path, name: &str) {
    const LONGEST: usize = 20_000;
    let readable = path.extension().is_some_and(|extension| extension == "json" || extension == "csv");
    if let Some(content) = readable.then(|| std::fs::read_to_string(path).ok()).flatten()
        && content.len() <= LONGEST
    {
        outln!("\n{name}\n{}", content.trim_end());
    }
}

/// The step whose key begins as typed: `KIND-vN:DIGITS`, or the digits alone.
fn find(store: &Store, typed: &str) -> Result<StepKey, Failure> {
    let (kind, digits) = match typed.split_once(':') {
        Some((name, digits)) => (Some(name.rsplit_once("-v").map_or(name, |(kind, _)| kind)), digits),
        None => (None, typed),
    };
    let found = store.find_by_prefix(kind, digits).map_err(Failure::from)?;
    match &found[..] {
        [Entry { key: Ok(key), .. }] => Ok(key.clone()),
        [Entry { place, key: Err(damage) }] => {
            Err(StoreError::Damaged { entry: place.clone(), damage: damage.to_string() }.into())
        }
        [] => Err(Failure::usage(format!(
            "no step in the cache has a key that begins with {typed}: `overinterp plan FILE --format json` lists keys"
        ))),
        several => {
            let name = |Entry { place, key }: &Entry| match key {
                Ok(key) => key.to_string(),
                Err(damage) => format!("{place} (damaged: {damage})"),
            };
            let keys: Vec<String> = several.iter().map(name).collect();
            Err(Failure::usage(format!("several keys begin with {typed}: {}", keys.join(", "))))
        }
    }
}
