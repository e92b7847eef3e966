//! `cache`: what it holds, whether it is intact, and what of it can go.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use crate::config::Override;
use crate::engine::key::StepKey;
use crate::engine::store::{Garbage, GcMode, Removal, Stats, Store, Wanted};
use crate::pipeline::{Unresolved, plan};

use super::args::{CacheCommon, CacheVerb, EventFormat};
use super::failure::{Failure, Status};
use super::files::KnownFiles;
use super::{json, session, text};

pub(super) fn run(verb: CacheVerb) -> Result<Status, Failure> {
    match verb {
        CacheVerb::Stats { common } => stats(&common),
        CacheVerb::Verify { common } => verify(&common),
        CacheVerb::Gc { files, set, dry_run, common } => {
            let mode = if dry_run { GcMode::DryRun } else { GcMode::Remove };
            collect(files, &set, mode, &common)
        }
    }
}

fn open(common: &CacheCommon) -> Result<Store, Failure> {
    Store::open(&common.cache).map_err(Failure::from)
}

fn stats(common: &CacheCommon) -> Result<Status, Failure> {
    let stats = open(common)?.stats().map_err(Failure::from)?;
    match common.format {
        EventFormat::Json => json::line(&json!(stats)),
        EventFormat::Human => print_stats(&stats),
    }
    Ok(Status::Success)
}

fn print_stats(stats: &Stats) {
    let mut steps = 0;
    let mut seconds = 0.0;
    for (kind, of_kind) in &stats.kinds {
        let size = text::bytes(of_kind.bytes);
        outln!(
            "{kind:<12} {:>12} {size:>10}   took {}",
            text::count(of_kind.steps, "step"),
            text::duration(of_kind.seconds)
        );
        steps += of_kind.steps;
        seconds += of_kind.seconds;
    }
    outln!("{} that took {} to compute", text::count(steps, "step"), text::duration(seconds));
    for (what, pile) in [("unfinished", stats.partial), ("set aside as damaged", stats.damaged)] {
        if pile.count > 0 {
            outln!("{} {what}, {}", pile.count, text::bytes(pile.bytes));
        }
    }
    if stats.unreadable > 0 {
        outln!("{} without a readable record: `overinterp cache verify` sets them aside", stats.unreadable);
    }
    print_strays(&stats.strays);
}

fn print_strays(strays: &[PathBuf]) {
    for stray in strays {
        outln!("passed over: {} is no part of the cache", stray.display());
    }
}

fn verify(common: &CacheCommon) -> Result<Status, Failure> {
    let found = open(common)?.verify(&mut |_, _| {}).map_err(Failure::from)?;
    match common.format {
        EventFormat::Json => json::line(&json!(found)),
        EventFormat::Human => {
            outln!(
                "{} intact, {}",
                if found.intact == 1 { "1 entry".to_owned() } else { format!("{} entries", found.intact) },
                text::bytes(found.bytes)
            );
            for damage in &found.damaged {
                let aside = damage.aside.as_ref().map_or_else(
                    || "left in its place, because this cache cannot be written to".to_owned(),
                    |aside| format!("set aside in {aside}"),
                );
                outln!("damaged: {}: {}; {aside}", damage.entry, damage.damage);
            }
            print_strays(&found.strays);
        }
    }
    Ok(if found.damaged.is_empty() { Status::Success } else { Status::Stage })
}

fn collect(files: Vec<PathBuf>, set: &[Override], mode: GcMode, common: &CacheCommon) -> Result<Status, Failure> {
    let files = if files.is_empty() { committed_experiments()? } else { files };
    let Needs { keys, unresolved, absent } = needs(&files, set, common)?;
    let wanted = Wanted { keys, perhaps: Some(&unresolved) };
    let collection = open(common)?.gc(&wanted, mode).map_err(Failure::from)?;
    if common.format == EventFormat::Json {
        let mut line = json!(collection);
        line["absent"] = json!(absent);
        json::line(&line);
        return Ok(Status::Success);
    }
    for Absent { file, data } in &absent {
        errln!(
            "the steps of {} cannot be told by their keys while data are absent: what is like them stays. {}",
            file.display(),
            data.join("; ")
        );
    }
    let verb = if mode == GcMode::DryRun { "would remove" } else { "removed" };
    for removal in &collection.removed {
        outln!("{verb} {}", described(removal));
    }
    print_strays(&collection.strays);
    let bytes = collection.removed.iter().map(|removal| removal.bytes).sum();
    outln!(
        "{verb} {}, {}; {} of {} stay",
        text::count(collection.removed.len(), "thing"),
        text::bytes(bytes),
        text::count(collection.kept.count, "step"),
        text::bytes(collection.kept.bytes)
    );
    if collection.perhaps.count > 0 {
        outln!(
            "of them {}, {}, because they may be of experiments whose data are absent",
            text::count(collection.perhaps.count, "step"),
            text::bytes(collection.perhaps.bytes)
        );
    }
    Ok(Status::Success)
}

fn described(removal: &Removal) -> String {
    let kind = match removal.garbage {
        Garbage::Step => "step",
        Garbage::Partial => "unfinished step",
        Garbage::Damaged => "damaged entry",
        Garbage::Temporary => "leftover of an interrupted run",
    };
    let name = match (&removal.label, &removal.key) {
        (Some(label), Some(key)) => format!("{label} ({key})"),
        (None, Some(key)) => key.to_string(),
        _ => removal.path.display().to_string(),
    };
    let age = text::duration(removal.age as f64);
    let took = text::duration(removal.seconds);
    format!("{kind} {name}: {}; {}, {age} old, took {took}", removal.about, text::bytes(removal.bytes))
}

/// What experiments need of a cache.
#[derive(Default)]
struct Needs {
    keys: BTreeSet<StepKey>,
    /// The steps without a key.
    unresolved: Unresolved,
    absent: Vec<Absent>,
}

/// An experiment some of whose data are absent.
#[derive(Serialize)]
struct Absent {
    file: PathBuf,
    /// Which, where they were looked for, and how to get them.
    data: Vec<String>,
}

/// What the steps of `files` need. Each is planned by itself, so that it is known whose data are absent.
fn needs(files: &[PathBuf], set: &[Override], common: &CacheCommon) -> Result<Needs, Failure> {
    let experiments = session::read(files, set)?;
    let library = session::library(&common.cache);
    let known = KnownFiles::new(&library);
    let mut needs = Needs::default();
    for experiment in experiments {
        let plan = plan(std::slice::from_ref(&experiment), &known).plan;
        needs.keys.append(&mut plan.keys());
        needs.unresolved.add(&plan);
        let data: Vec<String> = plan.missing_data().into_iter().map(str::to_owned).collect();
        if !data.is_empty() {
            needs.absent.push(Absent { file: experiment.file, data });
        }
    }
    Ok(needs)
}

fn committed_experiments() -> Result<Vec<PathBuf>, Failure> {
    let nothing =
        || Failure::usage("there is no experiments/*.toml here: name the experiment files whose steps are to stay");
    let entries = std::fs::read_dir("experiments").map_err(|_| nothing())?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() { Err(nothing()) } else { Ok(files) }
}
