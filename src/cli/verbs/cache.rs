//! `cache`: what it holds, whether it is intact, and what of it can go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::pipeline::{Unresolved, plan};
use overinterp_config::{Experiment, Override};
use overinterp_remote::Pushing;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::store::{Collection, Damage, Garbage, GcMode, Removal, Stats, Wanted};

use crate::cli::args::{EventFormat, at_least_one};
use crate::cli::screen::json;
use crate::cli::session;
use crate::cli::session::{WithoutCache, open_cache};
use crate::cli::status::Status;
use crate::cli::verbs::rerun;
use crate::cli::verbs::transfer::{self, TransferArguments};
use crate::cli::whereabouts::Whereabouts;
use crate::computed::damage;
use crate::computed::files::KnownFiles;
use crate::failure::Failure;
use crate::text;
#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    #[command(subcommand)]
    pub verb: CacheVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheVerb {
    /// Counts what the cache holds.
    Stats {
        #[command(flatten)]
        common: CacheCommon,
    },
    /// Reads every byte again and sets damaged entries aside.
    Verify {
        /// Experiment files whose steps are computed again, where `--rerun` asks for that.
        #[arg(value_name = "FILE", requires = "rerun")]
        files: Vec<PathBuf>,
        /// Also computes so many of the files' cached steps again, beside the cache, and compares the bytes: of each kind of
        /// step the quickest first.
        #[arg(long, value_name = "N", requires = "files", value_parser = at_least_one)]
        rerun: Option<usize>,
        #[command(flatten)]
        common: CacheCommon,
    },
    /// Removes what none of the given experiments needs.
    Gc {
        /// Experiment files whose steps stay; all of `experiments/*.toml` if none is given.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Changes a value of the files, as in `run`.
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<Override>,
        /// Only says what would be removed.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        common: CacheCommon,
    },
    /// Puts the finished steps of experiments on a remote that has them not.
    Push {
        #[command(flatten)]
        transfer: TransferArguments,
        /// Writes every step again, to mend what is damaged there.
        #[arg(long)]
        replace: bool,
    },
    /// Gets the steps of experiments from a remote that the cache has not.
    Pull {
        #[command(flatten)]
        transfer: TransferArguments,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CacheCommon {
    /// Where finished steps are kept; if not given, `OVERINTERP_CACHE`, the nearest `cache` above the experiment file, or
    /// `cache` here.
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

impl CacheCommon {
    /// The cache for `files`.
    pub fn cache(&self, files: &[PathBuf]) -> PathBuf {
        let whereabouts = Whereabouts::of(self.cache.as_deref(), files);
        whereabouts.say();
        whereabouts.cache
    }
}

pub(crate) fn run(verb: CacheVerb) -> Result<Status, Failure> {
    match verb {
        CacheVerb::Stats { common } => stats(&common),
        CacheVerb::Verify { files, rerun, common } => {
            let read = verify(&common, &files)?;
            let again = rerun.map(|count| rerun::rerun(&files, count, &common)).transpose()?;
            Ok(again.filter(|again| *again != Status::Success).unwrap_or(read))
        }
        CacheVerb::Gc { files, set, dry_run, common } => {
            let mode = if dry_run { GcMode::DryRun } else { GcMode::Remove };
            collect(files, &set, mode, &common)
        }
        CacheVerb::Push { transfer, replace } => {
            transfer::push(transfer, if replace { Pushing::Replace } else { Pushing::New })
        }
        CacheVerb::Pull { transfer } => transfer::pull(transfer),
    }
}

fn stats(common: &CacheCommon) -> Result<Status, Failure> {
    let stats = open_cache(&common.cache(&[]))?.stats().map_err(Failure::from)?;
    match common.format {
        EventFormat::Json => json::line(&json!(stats)),
        EventFormat::Human => print_stats(&stats),
    }
    Ok(name_damage(&stats.in_place, &stats.unread, |_| damage::REPAIR.to_owned()))
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
    if stats.runs.count > 0 {
        outln!("{} recorded, {}", text::count(stats.runs.count, "run"), text::bytes(stats.runs.bytes));
    }
    if !stats.in_place.is_empty() {
        outln!("{} damaged", stats.in_place.len());
    }
    print_strays(&stats.strays);
}

fn print_strays(strays: &[PathBuf]) {
    for stray in strays {
        outln!("passed over: {} is no part of the cache", stray.display());
    }
}

fn verify(common: &CacheCommon, files: &[PathBuf]) -> Result<Status, Failure> {
    let found = open_cache(&common.cache(files))?.verify(&mut |_, _| {}).map_err(Failure::from)?;
    match common.format {
        EventFormat::Json => json::line(&json!(found)),
        EventFormat::Human => {
            outln!(
                "{} intact, {}",
                if found.intact == 1 { "1 entry".to_owned() } else { format!("{} entries", found.intact) },
                text::bytes(found.bytes)
            );
            print_strays(&found.strays);
        }
    }
    let fate = |damage: &Damage| match &damage.aside {
        Some(aside) => format!("set aside in {aside}"),
        None => "left in its place, because this cache cannot be written to".to_owned(),
    };
    Ok(name_damage(&found.damaged, &found.unread, fate))
}

fn collect(files: Vec<PathBuf>, set: &[Override], mode: GcMode, common: &CacheCommon) -> Result<Status, Failure> {
    let files = if files.is_empty() { committed_experiments()? } else { files };
    let experiments = session::read(&files, set)?;
    let cache = common.cache(&files);
    let store = open_cache(&cache)?;
    let Needs { keys, unresolved, absent } = needs(experiments, &cache);
    let wanted = Wanted { keys, perhaps: Some(&unresolved) };
    let collection = store.gc(&wanted, mode).map_err(Failure::from)?;
    let gone: BTreeSet<&Path> = collection.removed.iter().map(|removal| removal.path.as_path()).collect();
    let fate = |damage: &Damage| {
        let goes = gone.iter().any(|path| path.ends_with(&damage.entry));
        if goes { format!("{} it", verb(mode)) } else { damage::REPAIR.to_owned() }
    };
    let status = name_damage(&collection.damaged, &[], fate);
    if common.format == EventFormat::Json {
        let mut line = json!(collection);
        line["absent"] = json!(absent);
        json::line(&line);
    } else {
        print_collection(&collection, &absent, mode);
    }
    Ok(status)
}

const fn verb(mode: GcMode) -> &'static str {
    match mode {
        GcMode::DryRun => "would remove",
        GcMode::Remove => "removed",
    }
}

fn print_collection(collection: &Collection, absent: &[Absent], mode: GcMode) {
    for Absent { file, data } in absent {
        errln!(
            "the steps of {} cannot be told by their keys while data are absent: what is like them stays. {}",
            file.display(),
            data.join("; ")
        );
    }
    let verb = verb(mode);
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
pub(crate) struct Needs {
    pub keys: BTreeSet<StepKey>,
    /// The steps without a key.
    pub unresolved: Unresolved,
    pub absent: Vec<Absent>,
}

/// An experiment some of whose data are absent.
#[derive(Serialize)]
pub(crate) struct Absent {
    file: PathBuf,
    /// Which, where they were looked for, and how to get them.
    data: Vec<String>,
}

/// What the steps of `experiments` need. Each is planned by itself, so that it is known whose data are absent.
pub(crate) fn needs(experiments: Vec<Experiment>, cache: &Path) -> Needs {
    let library = session::library(cache, WithoutCache::Leave);
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
    needs
}

/// Says whose steps cannot be told by their keys.
pub(crate) fn tell_absent(absent: &[Absent]) {
    for Absent { file, data } in absent {
        errln!("steps of {} have no keys while data are absent: {}", file.display(), data.join("; "));
    }
}

fn committed_experiments() -> Result<Vec<PathBuf>, Failure> {
    let nothing = || {
        Failure::usage("there is no experiments/*.toml here").hint("name the experiment files whose steps are to stay")
    };
    let entries = std::fs::read_dir("experiments").map_err(|_| nothing())?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() { Err(nothing()) } else { Ok(files) }
}

/// Names entries that a look at the whole cache found damaged, each with what becomes of it, and those that it could not read,
/// and says with what the verb ends.
fn name_damage(damaged: &[Damage], unread: &[Damage], fate: impl Fn(&Damage) -> String) -> Status {
    let lines = damage::lines(damaged, unread, fate);
    for line in &lines {
        errln!("{line}");
    }
    if lines.is_empty() { Status::Success } else { Status::Stage }
}
