//! The remote that a verb was given, by `--remote` or by the environment.

use std::env;
use std::process::Command;

use clap::Args;

use overinterp_remote::{Remote, absent_folder};

use crate::failure::Failure;

/// The environment's variable that stands for `--remote`.
const VARIABLE: &str = "OVERINTERP_REMOTE";

// The variable is read here and not by clap, which would print its value in help and in errors.
#[derive(Debug, Args)]
pub(crate) struct RemoteArguments {
    /// Where finished steps are shared: `s3://BUCKET/FOLDER`, `gs://...`, `az://...` or `file:///...` (also
    /// `OVERINTERP_REMOTE`). Credentials come from the environment.
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
}

impl RemoteArguments {
    fn url(&self) -> Option<String> {
        self.remote.clone().or_else(|| env::var(VARIABLE).ok()).filter(|url| !url.is_empty())
    }

    /// The remote; `None` where neither names one.
    pub fn if_given(&self) -> Result<Option<Remote>, Failure> {
        self.url().map(|url| Remote::open(&url).map_err(Failure::from)).transpose()
    }

    /// The remote, for verbs that only read from one: a folder must be there.
    pub fn that_is_there(&self) -> Result<Remote, Failure> {
        if let Some(folder) = self.url().and_then(|url| absent_folder(&url)) {
            let failure = Failure::usage(format!("there is no remote at {}", folder.display()));
            return Err(failure.hint("`overinterp cache push` makes one, in a folder that is there"));
        }
        self.open()
    }

    /// Hands the remote on to a process of this program.
    pub fn hand_on(&self, command: &mut Command) {
        if let Some(url) = &self.remote {
            command.env(VARIABLE, url);
        }
    }

    /// The remote, for verbs that need one.
    pub fn open(&self) -> Result<Remote, Failure> {
        let missing = || Failure::usage("no remote is named").hint(format!("add --remote URL, or set {VARIABLE}"));
        self.if_given()?.ok_or_else(missing)
    }
}
