//! `runs`: what was run with this cache, when, with which settings, and how it ended.

use clap::Args;
use serde_json::json;

use crate::cli::args::EventFormat;
use crate::cli::screen::json;
use crate::cli::session::open_cache;
use crate::cli::status::Status;
use crate::cli::verbs::cache::CacheCommon;
use crate::failure::Failure;
use crate::records::past::Past;
use crate::records::{Ending, What};
use crate::text;

/// So many digits of a file's hash tell it from others.
const DIGITS: usize = 12;

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// Tells all of one run: its name, the beginning of it, or `last`.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Prints the experiments of that run as it read them, what they extend merged and `--set` applied.
    #[arg(long, requires = "id")]
    pub toml: bool,
    #[command(flatten)]
    pub common: CacheCommon,
}

pub(crate) fn run(arguments: &RunsArguments) -> Result<Status, Failure> {
    let store = open_cache(&arguments.common.cache(&[]))?;
    let is_json = arguments.common.format == EventFormat::Json;
    let Some(id) = &arguments.id else {
        let all = Past::all(&store)?;
        for past in &all {
            if is_json { json::line(&as_json(past)) } else { outln!("{}", line(past)) }
        }
        if all.is_empty() && !is_json {
            errln!("no run is recorded in this cache: one is when it computes something");
        }
        return Ok(Status::Success);
    };
    let past = Past::find(&store, id)?;
    if arguments.toml {
        past.beginning.files.iter().for_each(|file| out!("{}", file.text));
        return Ok(Status::Success);
    }
    let lines = past.lines(&store)?;
    if is_json {
        let mut value = as_json(&past);
        value["events"] = json!(lines);
        json::line(&value);
        return Ok(Status::Success);
    }
    let beginning = &past.beginning;
    outln!("{}", line(&past));
    outln!("  in       {}", beginning.directory.display());
    outln!("  by       {} on {} ({})", beginning.by.program, beginning.by.host, beginning.by.device);
    for file in &beginning.files {
        outln!("  file     {} ({})", file.path.display(), file.hash.get(..DIGITS).unwrap_or(&file.hash));
    }
    for set in &beginning.set {
        outln!("  set      {set}");
    }
    for stage in &beginning.stages {
        outln!("  stage    {stage}");
    }
    let ends = lines.iter().filter(|line| matches!(line.what, What::Ran | What::Failed | What::Skipped));
    for line in ends {
        let took = line.seconds.map_or_else(String::new, |seconds| format!(" in {}", text::duration(seconds)));
        let why = if line.text.is_empty() { String::new() } else { format!(": {}", line.text) };
        outln!("  {:<8} {}{took}{why}", line.what.name(), line.label);
    }
    Ok(Status::Success)
}

/// `ID  2026-11-30 23:45:43  done: ran 12, cached 50 in 2 min  run experiments/quickstart.toml`.
fn line(past: &Past) -> String {
    let counts = past.ending.as_ref().map_or_else(String::new, |ending| {
        let Ending { ran, cached, failed, skipped, left, helped, seconds, .. } = ending;
        let wrong = if failed + skipped > 0 { format!(", failed {failed}, skipped {skipped}") } else { String::new() };
        let others = if *left > 0 { format!(", left {left} to others") } else { String::new() };
        let parts =
            if *helped > 0 { format!(", helped others with {}", text::count(*helped, "part")) } else { String::new() };
        format!(": ran {ran}, cached {cached}{wrong}{others}{parts} in {}", text::duration(*seconds))
    });
    let command = past.beginning.command.join(" ");
    format!("{}  {}  {}{counts}  {command}", past.beginning.id, past.date(), past.how())
}

fn as_json(past: &Past) -> serde_json::Value {
    let beginning = &past.beginning;
    let files: Vec<_> = beginning.files.iter().map(|file| json!({"path": file.path, "hash": file.hash})).collect();
    json!({
        "id": beginning.id,
        "unix-seconds": beginning.unix_seconds,
        "command": beginning.command,
        "directory": beginning.directory,
        "by": beginning.by,
        "files": files,
        "set": beginning.set,
        "stages": beginning.stages,
        "steps": beginning.steps,
        "how": past.how(),
        "ending": past.ending,
    })
}
