//! `completions`: a script that a shell completes the command line by.

use clap::{Args, CommandFactory};

use crate::cli::args::Arguments;
use crate::cli::status::Status;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    pub shell: clap_complete::Shell,
}

pub(crate) fn run(arguments: &CompletionsArguments) -> Status {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "overinterp", &mut script);
    out!("{}", String::from_utf8_lossy(&script));
    Status::Success
}
