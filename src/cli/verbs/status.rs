//! `status`: who works with this cache now, on which steps and how far, and what waits; from any terminal.

use std::collections::BTreeMap;

use serde_json::json;

use overinterp_workflow::workers::{Presence, State};

use crate::cli::args::EventFormat;
use crate::cli::screen::json;
use crate::cli::session::open_cache;
use crate::cli::status::Status;
use crate::cli::verbs::cache::CacheCommon;
use crate::failure::Failure;
use crate::records::past::Past;
use crate::records::{Line, What};
use crate::text;

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub common: CacheCommon,
}

pub(crate) fn run(arguments: &StatusArguments) -> Result<Status, Failure> {
    let store = open_cache(&arguments.common.cache(&[]))?;
    let workers = store.at_work().map_err(Failure::from)?;
    let mut open = Vec::new();
    for past in Past::all(&store)?.into_iter().filter(|past| past.ending.is_none()) {
        let lines = past.lines(&store)?;
        open.push((past, lines));
    }
    if arguments.common.format == EventFormat::Json {
        let workers: Vec<_> = workers
            .iter()
            .map(|(id, presence, state)| json!({"id": id, "state": name(*state), "presence": presence}))
            .collect();
        let runs: Vec<_> = open
            .iter()
            .map(|(past, lines)| {
                let ended = ended(lines);
                json!({
                    "id": past.beginning.id, "how": past.how(), "steps": past.beginning.steps,
                    "ran": ended.ran, "failed": ended.failed, "waiting": ended.waiting,
                })
            })
            .collect();
        json::line(&json!({"workers": workers, "runs": runs}));
        return Ok(Status::Success);
    }
    for (id, presence, state) in &workers {
        match presence {
            Some(presence) => tell(presence, *state),
            None => outln!("{id}: {}", name(*state)),
        }
    }
    if workers.is_empty() {
        outln!("nobody works with this cache");
    }
    for (past, lines) in &open {
        let ended = ended(lines);
        let failed = if ended.failed > 0 { format!(", failed {}", ended.failed) } else { String::new() };
        let steps = text::count(past.beginning.steps, "step");
        outln!("run {}: {}: ran {}{failed} of a plan of {steps}", past.beginning.id, past.how(), ended.ran);
        for (label, text) in &ended.waiting {
            outln!("  waits    {label} {text}");
        }
    }
    Ok(Status::Success)
}

/// What a run has done so far.
#[derive(Default)]
struct Ended {
    ran: usize,
    failed: usize,
    /// The steps that others have, for which it waits: by name, with for whom.
    waiting: BTreeMap<String, String>,
}

fn ended(lines: &[Line]) -> Ended {
    let mut ended = Ended::default();
    for line in lines {
        match line.what {
            What::Ran => ended.ran += 1,
            What::Failed => ended.failed += 1,
            What::Waiting => {
                ended.waiting.insert(line.label.clone(), line.text.clone());
                continue;
            }
            What::Started | What::Progress | What::Log | What::Warning | What::Skipped => {}
        }
        // Once anything else happens, it no longer waits.
        ended.waiting.clear();
    }
    ended
}

fn tell(presence: &Presence, state: State) {
    let since = text::duration(presence.seconds);
    outln!("{}: {} ({}, for {since})", presence.name(), name(state), presence.doing);
    for step in &presence.steps {
        let far = step.progress.as_ref().map_or_else(String::new, |far| format!(", {far}"));
        outln!("  works on {} for {}{far}", step.label, text::duration(step.seconds));
    }
    if presence.steps.is_empty() {
        outln!("  works on no step");
    }
}

const fn name(state: State) -> &'static str {
    match state {
        State::There => "at work",
        State::Quiet => "not heard of for a while",
        State::Silent => "silent, and taken for dead",
        State::Gone => "dead or gone",
    }
}
