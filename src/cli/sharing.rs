//! A run or a worker that shares a remote: what is there comes first, and what could not be taken there is said last.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use overinterp_remote::{Came, Pulled, Remote, RemoteError, SharedNotices, Sharing};
use overinterp_workflow::cancel::Cancel;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::workers::Patience;

use crate::cli::remote::RemoteArguments;
use crate::cli::session::Session;
use crate::failure::{Failure, chain};
use crate::text;

/// A remote that a run shares.
pub(crate) struct Shared {
    remote: Arc<Remote>,
    sharing: Arc<Sharing>,
}

impl Shared {
    /// The remote that was given, if one was.
    pub fn of(arguments: &RemoteArguments) -> Result<Option<Self>, Failure> {
        let remote = arguments.if_given()?.map(Arc::new);
        Ok(remote.map(|remote| Self { sharing: Arc::new(Sharing::new(Arc::clone(&remote))), remote }))
    }

    /// Brings what of the plan of `session` is on the remote, and then shares its cache. A remote that does not answer stops
    /// nothing.
    pub fn begin(&self, session: &mut Session, cancel: &Cancel) -> Result<(), Failure> {
        self.fetch(session, cancel)?;
        let notices = Arc::clone(&self.remote);
        let depot = Arc::clone(&self.sharing);
        let shared = |folder| Arc::new(SharedNotices::new(notices, folder)) as _;
        session.store_mut().share(depot, shared, Patience::default());
        Ok(())
    }

    fn fetch(&self, session: &Session, cancel: &Cancel) -> Result<(), Failure> {
        let mut wanted: Vec<StepKey> = Vec::new();
        for key in session.planned.plan.keys() {
            if session.store().departure(&key).map_err(Failure::from)?.is_none() {
                wanted.push(key);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        match self.remote.finished(wanted.iter().map(StepKey::kind)) {
            Ok(there) => wanted.retain(|key| there.contains(&(key.kind().to_owned(), key.hash().to_string()))),
            Err(error) if error.is_unavailable() => {
                errln!("going on without the remote: {}", chain(&error));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let (mut fetched, mut bytes, mut problem) = (0, 0, None::<RemoteError>);
        self.remote.pull_steps(session.store(), &wanted, &mut |_, pulled| {
            match pulled {
                Ok(Pulled::Got(record)) => (fetched, bytes) = (fetched + 1, bytes + record.bytes()),
                Ok(Pulled::Absent) | Err(RemoteError::Claimed { .. }) => {}
                Err(error) if error.is_unavailable() => {
                    problem = Some(error);
                    return ControlFlow::Break(());
                }
                // Such a step is computed.
                Err(error) => errln!("{}", chain(&error)),
            }
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if fetched > 0 {
            errln!("fetched {}, {} from {}", text::count(fetched, "step"), text::bytes(bytes), self.remote.name());
        }
        if let Some(error) = problem {
            errln!("going on without the remote: {}", chain(&error));
        }
        Ok(())
    }

    /// Says what could not be taken to the remote, and how to take it there later.
    pub fn tell(&self, files: &[PathBuf]) {
        let Came { fetched, pushed, left, problems, .. } = self.sharing.came();
        for problem in &problems {
            errln!("{problem}");
        }
        let name = self.remote.name();
        if fetched + pushed > 0 {
            let counts = [("pushed", pushed), ("fetched", fetched)].into_iter().filter(|(_, count)| *count > 0);
            let counts: Vec<String> =
                counts.map(|(what, count)| format!("{what} {}", text::count(count, "step"))).collect();
            errln!("shared with {name} while it ran: {}", counts.join(", "));
        }
        if !left.is_empty() {
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            errln!(
                "{} not pushed: `overinterp cache push {} --remote {name}` does so once the remote answers",
                text::count(left.len(), "finished step"),
                files.join(" ")
            );
        }
    }
}
