//! `show`: what a cached step produced.

use std::path::Path;

use clap::Args;
use serde_json::json;

use overinterp_workflow::key::StepKey;
use overinterp_workflow::store::{Entry, Record};

use crate::cli::args::{EventFormat, MachineArguments};
use crate::cli::screen::contents::{self, Extent};
use crate::cli::screen::json;
use crate::cli::session::{open_cache, say_warning};
use crate::cli::status::Status;
use crate::cli::whereabouts::Whereabouts;
use crate::computed::damage::{REPAIR, told};
use crate::computed::loader::Loader;
use crate::failure::Failure;
use crate::text;
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
    let loader = Loader::new(open_cache(&Whereabouts::of(arguments.machine.cache.as_deref(), &[]).cache)?, say_warning);
    let Some(key) = find(&loader, &arguments.key)? else { return Ok(Status::Stage) };
    let label = || None;
    let Some((dir, record)) = loader.verified(&key, label)? else { return missed(&loader, &key) };
    if arguments.format == EventFormat::Json {
        json::line(&json!({"key": key.to_string(), "directory": dir, "record": *record}));
        return Ok(Status::Success);
    }
    print_record(&key, &record);
    outln!("  in       {}", dir.display());
    let extent = if arguments.all { Extent::All } else { Extent::First };
    let files: Vec<&str> = record.files.keys().map(String::as_str).collect();
    let print = |dir: &Path| contents::print(&files, dir, extent);
    let Some(shown) = loader.read_verified(&key, label, &dir, print) else { return Ok(Status::Stage) };
    if !shown {
        for file in record.files.keys() {
            print_text_file(&dir.join(file), file);
        }
    }
    Ok(Status::Success)
}

/// How it ends where an entry cannot be shown: damage has been named, and what has gone since it was found is told.
fn missed(loader: &Loader, key: &StepKey) -> Result<Status, Failure> {
    if loader.met().is_empty() {
        let failure = Failure::usage(format!("{key} has just left the cache"));
        return Err(failure.hint("`overinterp run` of its experiment computes it again"));
    }
    Ok(Status::Stage)
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

/// The step whose key begins as typed: `KIND-vN:DIGITS`, or the digits alone. None where its entry is damaged, which is told.
fn find(loader: &Loader, typed: &str) -> Result<Option<StepKey>, Failure> {
    let (kind, digits) = match typed.split_once(':') {
        Some((name, digits)) => (Some(name.rsplit_once("-v").map_or(name, |(kind, _)| kind)), digits),
        None => (None, typed),
    };
    let found = loader.store.find_by_prefix(kind, digits)?;
    match &found[..] {
        [Entry { key: Ok(key), .. }] => Ok(Some(key.clone())),
        [Entry { place, key: Err(damage) }] => {
            loader.warn(&told(place, &damage.to_string(), REPAIR));
            Ok(None)
        }
        [] => {
            let failure = Failure::usage(format!("no step in the cache has a key that begins with {typed}"));
            Err(failure.hint("`overinterp plan FILE --format json` lists keys"))
        }
        several => {
            let name = |Entry { place, key }: &Entry| match key {
                Ok(key) => key.to_string(),
                Err(damage) => format!("{place} (damaged: {damage})"),
            };
            let keys: Vec<String> = several.iter().map(name).collect();
            let failure = Failure::usage(format!("several keys begin with {typed}"));
            Err(failure.hint(format!("type more digits of {}", keys.join(", "))))
        }
    }
}
