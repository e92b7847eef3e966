//! `cache push` and `cache pull`: an experiment's finished steps, to a remote and from it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use overinterp_config::Override;
use overinterp_remote::{Pulled, Pushed, Pushing, Remote, RemoteError};
use overinterp_workflow::key::StepKey;
use overinterp_workflow::store::Store;

use crate::cli::args::EventFormat;
use crate::cli::remote::RemoteArguments;
use crate::cli::screen::json;
use crate::cli::session::{self, open_cache};
use crate::cli::status::Status;
use crate::cli::verbs::cache::{CacheCommon, Needs, needs, tell_absent};
use crate::failure::{Failure, chain};
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct TransferArguments {
    /// Experiment files whose finished steps go.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Changes a value of the files, as in `run`.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<Override>,
    #[command(flatten)]
    pub remote: RemoteArguments,
    #[command(flatten)]
    pub common: CacheCommon,
}

/// What came of all steps.
#[derive(Debug, Default)]
struct Tally {
    moved: usize,
    bytes: u64,
    there: usize,
    absent: usize,
    failed: Vec<(StepKey, RemoteError)>,
    /// Steps that nothing was tried of, because the remote does not answer.
    left: usize,
}

impl Tally {
    fn fail(&mut self, key: &StepKey, error: RemoteError) -> ControlFlow<()> {
        // A remote that is gone for one step is so for the others.
        let is_over = error.is_unavailable();
        self.failed.push((key.clone(), error));
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// With what the verb ends.
    fn status(&self) -> Status {
        let is_damage = |error: &RemoteError| {
            matches!(error, RemoteError::Damaged { .. } | RemoteError::Differs { .. } | RemoteError::DamagedHere { .. })
        };
        match &self.failed[..] {
            [] => Status::Success,
            failed if failed.iter().any(|(_, error)| is_damage(error)) => Status::Stage,
            _ => Status::Usage,
        }
    }
}

pub(crate) fn push(arguments: TransferArguments, pushing: Pushing) -> Result<Status, Failure> {
    let TransferArguments { files, set, remote, common } = arguments;
    let remote = remote.open()?;
    let cache = common.cache(&files);
    let Needs { keys, absent, .. } = needs(session::read(&files, &set)?, &cache);
    tell_absent(&absent);
    let store = open_cache(&cache)?;
    let there = match pushing {
        Pushing::New => finished(&remote, &keys)?,
        Pushing::Replace => BTreeSet::new(),
    };
    let (known, keys): (Vec<StepKey>, Vec<StepKey>) = keys.into_iter().partition(|key| is_in(&there, key));
    let mut tally = Tally { there: known.len(), left: keys.len(), ..Tally::default() };
    remote.push_steps(&store, &keys, pushing, &mut |key, pushed| {
        tally.left -= 1;
        match pushed {
            Ok(Some(Pushed::Put)) => {
                tally.moved += 1;
                tally.bytes += size(&store, key);
            }
            Ok(Some(Pushed::There)) => tally.there += 1,
            Ok(None) => tally.absent += 1,
            Err(error) => return tally.fail(key, error),
        }
        ControlFlow::Continue(())
    });
    Ok(tell(&tally, &common, "pushed", &format!("on {}", remote.name()), "in the cache"))
}

pub(crate) fn pull(arguments: TransferArguments) -> Result<Status, Failure> {
    let TransferArguments { files, set, remote, common } = arguments;
    let remote = remote.that_is_there()?;
    let cache = common.cache(&files);
    let Needs { keys, absent, .. } = needs(session::read(&files, &set)?, &cache);
    tell_absent(&absent);
    let store = Store::open(&cache).map_err(Failure::from)?;
    let mut tally = Tally::default();
    let (mut here, mut wanted) = (0, Vec::new());
    for key in keys {
        match store.departure(&key).map_err(Failure::from)? {
            Some(_) => here += 1,
            None => wanted.push(key),
        }
    }
    tally.there = here;
    let there = if wanted.is_empty() { BTreeSet::new() } else { finished(&remote, wanted.iter())? };
    let (keys, unknown): (Vec<StepKey>, Vec<StepKey>) = wanted.into_iter().partition(|key| is_in(&there, key));
    (tally.absent, tally.left) = (unknown.len(), keys.len());
    remote.pull_steps(&store, &keys, &mut |key, pulled| {
        tally.left -= 1;
        match pulled {
            Ok(Pulled::Got(record)) => {
                tally.moved += 1;
                tally.bytes += record.bytes();
            }
            Ok(Pulled::Absent) => tally.absent += 1,
            Err(error) => return tally.fail(key, error),
        }
        ControlFlow::Continue(())
    });
    Ok(tell(&tally, &common, "pulled", "in the cache", &format!("on {}", remote.name())))
}

fn finished<'a>(
    remote: &Remote,
    keys: impl IntoIterator<Item = &'a StepKey>,
) -> Result<BTreeSet<(String, String)>, Failure> {
    Ok(remote.finished(keys.into_iter().map(StepKey::kind))?)
}

fn is_in(there: &BTreeSet<(String, String)>, key: &StepKey) -> bool {
    there.contains(&(key.kind().to_owned(), key.hash().to_owned()))
}

fn size(store: &Store, key: &StepKey) -> u64 {
    store.departure(key).ok().flatten().map_or(0, |departure| departure.record.bytes())
}

/// Tells what was moved, what was where it should go already, and what is not where it should come from.
fn tell(tally: &Tally, common: &CacheCommon, moved: &str, to: &str, from: &str) -> Status {
    let Tally { moved: count, bytes, there, absent, failed, left } = tally;
    for (key, error) in failed {
        errln!("not {moved}: {}: {}", key.short(), chain(error));
    }
    if *left > 0 {
        errln!(
            "{} not tried, since the remote cannot be used now: once it can, the same command goes on",
            text::count(*left, "step")
        );
    }
    if common.format == EventFormat::Json {
        let failed: Vec<_> = failed.iter().map(|(key, error)| json!({"key": key, "error": chain(error)})).collect();
        json::line(&json!({
            moved: count, "bytes": bytes, "there": there, "absent": absent, "failed": failed, "left": left,
        }));
    } else {
        outln!(
            "{moved} {}, {}; {there} already {to}, {absent} not {from}",
            text::count(*count, "step"),
            text::bytes(*bytes)
        );
    }
    tally.status()
}
