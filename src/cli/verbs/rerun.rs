//! `cache verify --rerun`: computes some cached steps again, as proof that this program still computes what it did.

use std::collections::BTreeMap;
use std::path::PathBuf;

use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::plan::StepId;
use overinterp_workflow::store::Lookup;

use crate::cli::args::{EventFormat, ExperimentArguments, MachineArguments};
use crate::cli::screen::interrupt::stop_on_interrupt;
use crate::cli::screen::json;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::cli::verbs::cache::CacheCommon;
use crate::cli::verbs::replay;
use crate::failure::Failure;

/// Computes `count` of the cached steps of `files` again.
pub(crate) fn rerun(files: &[PathBuf], count: usize, common: &CacheCommon) -> Result<Status, Failure> {
    let machine = MachineArguments { cache: common.cache.clone(), device: "auto".to_owned(), threads: None };
    let session = Session::open(files, &ExperimentArguments { set: Vec::new(), stage: Vec::new(), machine })?;
    let cancel = Cancel::default();
    stop_on_interrupt(&cancel)?;
    let mut different = 0;
    let sample = sampled(&session, count)?;
    if sample.is_empty() {
        let failure = Failure::usage("none of the files' steps is in the cache");
        return Err(failure.hint("`overinterp run` computes them"));
    }
    for id in &sample {
        let replayed = replay::again(&session, *id, &cancel)?;
        let label = session.planned.plan.step(*id).to_string();
        match common.format {
            EventFormat::Json => json::line(&replay::as_json(&label, &replayed)),
            EventFormat::Human => replay::print(&label, &replayed),
        }
        different += usize::from(!replayed.different.is_empty());
    }
    if common.format == EventFormat::Human {
        outln!("computed again {}: {different} came out otherwise", sample.len());
    }
    Ok(session.ended(if different == 0 { Status::Success } else { Status::Stage }))
}

/// Cached steps, of one kind after the other, of each the quickest first: the quickest of all kinds come first.
fn sampled(session: &Session, count: usize) -> Result<Vec<StepId>, Failure> {
    let view = session.view()?;
    let mut by_kind: BTreeMap<&str, Vec<(f64, StepId)>> = BTreeMap::new();
    for (id, step) in session.planned.plan.steps() {
        if let Lookup::Intact(record) = view.entry(step.identity()) {
            by_kind.entry(step.manifest().kind()).or_default().push((record.seconds, id));
        }
    }
    let mut rounds = Vec::new();
    for steps in by_kind.values_mut() {
        steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        rounds.extend(steps.iter().enumerate().map(|(round, (_, id))| (round, *id)));
    }
    rounds.sort_unstable();
    Ok(rounds.into_iter().take(count).map(|(_, id)| id).collect())
}
