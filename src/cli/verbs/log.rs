//! `log`: what a step said while it ran, from any terminal.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use overinterp_workflow::store::Store;

use crate::cli::args::EventFormat;
use crate::cli::screen::json;
use crate::cli::session::open_cache;
use crate::cli::status::Status;
use crate::cli::verbs::cache::CacheCommon;
use crate::failure::Failure;
use crate::records::past::Past;
use crate::records::{Line, What, is_step};
use crate::text;

/// Between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// The step: its key or the first digits of it, or words of its name, such as `full seed=0`.
    #[arg(required = true, value_name = "STEP", num_args = 1..)]
    pub step: Vec<String>,
    /// Goes on until the step ends.
    #[arg(long, short)]
    pub follow: bool,
    #[command(flatten)]
    pub common: CacheCommon,
}

pub(crate) fn run(arguments: &LogArguments) -> Result<Status, Failure> {
    let store = open_cache(&arguments.common.cache(&[]))?;
    // The newest run that has, or had, the step; else the newest that tells of it: others wait for it, or help.
    let (mut found, mut beside) = (None, None);
    for past in Past::all(&store)?.into_iter().rev() {
        let lines = past.lines(&store)?;
        let of_it = || lines.iter().filter(|line| is_it(line, &arguments.step));
        if of_it().any(|line| matches!(line.what, What::Started | What::Ran | What::Failed)) {
            found = Some(past);
            break;
        }
        if beside.is_none() && of_it().next().is_some() {
            beside = Some(past);
        }
    }
    let Some(past) = found.or(beside) else {
        let failure = Failure::usage(format!("no run in this cache tells of a step {}", arguments.step.join(" ")));
        return Err(failure.hint("`overinterp runs` lists runs, and `overinterp runs ID` their steps"));
    };
    if arguments.common.format == EventFormat::Human {
        outln!("run {}, {}", past.beginning.id, past.date());
    }
    follow(&store, &past, arguments)
}

fn follow(store: &Store, past: &Past, arguments: &LogArguments) -> Result<Status, Failure> {
    let mut told = 0;
    loop {
        // Asked before the lines, so that none is missed that was written last.
        let goes_on = arguments.follow && {
            let now = Past::find(store, &past.beginning.id)?;
            now.ending.is_none() && !now.beginning.process.has_ended()
        };
        let lines = past.lines(store)?;
        let fresh = lines.get(told..).unwrap_or_default();
        // A whole name is that step's, though others have all of its words.
        let whole = arguments.step.join(" ");
        let is_named = lines.iter().any(|line| line.label == whole);
        let is_it = |line: &Line| if is_named { line.label == whole } else { is_it(line, &arguments.step) };
        for line in fresh.iter().filter(|line| is_it(line)) {
            match arguments.common.format {
                EventFormat::Json => json::line(&json!(line)),
                EventFormat::Human => outln!("{}", told_of(line)),
            }
        }
        told = lines.len();
        let is_open = |line: &Line| is_it(line) && !has_ended(line, &lines);
        if !goes_on || !lines.iter().any(is_open) {
            return Ok(Status::Success);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the step of a line has ended.
fn has_ended(line: &Line, lines: &[Line]) -> bool {
    lines
        .iter()
        .rev()
        .find(|other| other.key == line.key && other.what != What::Warning)
        .is_some_and(|last| matches!(last.what, What::Ran | What::Failed | What::Skipped))
}

/// Whether a line is of the step that was typed.
fn is_it(line: &Line, typed: &[String]) -> bool {
    is_step(&line.key, &line.label, typed)
}

/// `   12.3 s  full seed=0  progress 3/6 epochs`.
fn told_of(line: &Line) -> String {
    let took = line.seconds.map_or_else(String::new, |seconds| format!(" in {}", text::duration(seconds)));
    let text = match line.what {
        What::Log | What::Progress => line.text.clone(),
        _ if line.text.is_empty() => format!("{}{took}", line.what.name()),
        _ => format!("{}{took}: {}", line.what.name(), line.text),
    };
    format!("{:>10}  {}  {text}", text::duration(line.at), line.label)
}
