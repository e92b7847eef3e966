//! The verbs. Only this room prints and knows exit codes.
//!
//! Results go to standard output, everything else to standard error. With `--format json` standard output has one
//! compact object a line.

#[macro_use]
mod screen;

mod args;
mod computing;
mod gpus;
mod remote;
mod session;
mod sharing;
mod slurm;
mod status;
mod verbs;
mod whereabouts;

use clap::{CommandFactory, Parser};

use overinterp_workflow::workers::{Patience, SILENT_AFTER};

use crate::failure::{Failure, Kind};
use args::{Arguments, Verb};
use screen::{interrupt, output, terminal};
pub use status::Status;
use verbs::{
    arch, bench, bundle, cache, cancel, compare_selection, completions, data, diff, doctor, explain, export, log, plan,
    replay, report, results, run, runs, show, status as standing, trace, why_waiting, work,
};

/// All that may be typed, which a page of the docs is made of.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what the command line asks for, and returns the status to exit with.
#[must_use]
pub fn main() -> Status {
    output::start();
    interrupt::survive_file_limits();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap prints either where it belongs.
            let text = error.render();
            if !error.use_stderr() {
                out!("{text}");
                return Status::Success;
            }
            if terminal::colours() {
                output::to_stderr_coloured(text.ansi().to_string().trim_end());
            } else {
                errln!("{}", text.to_string().trim_end());
            }
            if let Some(hint) = hint(&error) {
                errln!("\n{hint}");
            }
            return Status::Usage;
        }
    };
    let done = start_log(filter(arguments.log.as_deref(), arguments.verbose)).and_then(|()| dispatch(arguments.verb));
    match done.and_then(|status| output::check().map(|()| status)) {
        Ok(status) => status,
        Err(failure) => {
            if failure.is_rendered {
                output::to_stderr_coloured(&failure.to_string());
            } else {
                errln!("error: {failure}");
            }
            Status::from(failure.kind)
        }
    }
}

/// What to do about a verb that there is not, where more can be said than which one is near.
fn hint(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let command = Arguments::command();
    let above = path_to(&command, typed, std::env::args().skip(1));
    let path = std::path::Path::new(typed);
    let is_top = above.len() == 1;
    if is_top && (path.extension().is_some_and(|ending| ending == "toml") || path.is_file()) {
        return Some(format!(
            "an experiment is computed by `overinterp run {typed}`, and looked at by `overinterp plan {typed}`"
        ));
    }
    let verbs: Vec<&str> = above.last()?.get_subcommands().map(clap::Command::get_name).collect();
    let names: Vec<&str> = above[1..].iter().map(|command| command.get_name()).collect();
    let (of, help) = match &names[..] {
        [] => (String::new(), "overinterp help VERB".to_owned()),
        names => (format!("in `{}` ", names.join(" ")), format!("overinterp help {} VERB", names.join(" "))),
    };
    Some(format!("{of}there {} {}; `{help}` says more", if verbs.len() == 1 { "is" } else { "are" }, verbs.join(", ")))
}

/// The commands below which something was typed that there is not: the program itself, perhaps `cache`, and so on.
fn path_to<'a>(program: &'a clap::Command, typed: &str, words: impl Iterator<Item = String>) -> Vec<&'a clap::Command> {
    let mut path = vec![program];
    let mut is_value = false;
    for word in words.take_while(|word| word != typed) {
        if !is_value && let Some(command) = path.last().and_then(|last| last.find_subcommand(&word)) {
            path.push(command);
        }
        // The only option that may stand in front of a verb and takes a value.
        is_value = word == "--log";
    }
    path
}

fn dispatch(verb: Verb) -> Result<Status, Failure> {
    if let Err(text) = Patience::from_environment() {
        let failure = Failure::usage(format!("{SILENT_AFTER} is `{text}`"));
        return Err(failure.hint("give seconds from 0.1 to 86400, the same for all workers on a cache, or unset it"));
    }
    match verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Work(arguments) => work::run(&arguments),
        Verb::Cancel(arguments) => cancel::run(&arguments),
        Verb::WhyWaiting(arguments) => why_waiting::run(&arguments),
        Verb::Plan(arguments) => plan::run(&arguments),
        Verb::Explain(arguments) => explain::run(&arguments),
        Verb::Bundle(arguments) => bundle::run(&arguments),
        Verb::Runs(arguments) => runs::run(&arguments),
        Verb::Diff(arguments) => diff::run(&arguments),
        Verb::Trace(arguments) => trace::run(&arguments),
        Verb::Status(arguments) => standing::run(&arguments),
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Log(arguments) => log::run(&arguments),
        Verb::Results(arguments) => results::run(&arguments),
        Verb::Report(arguments) => report::run(&arguments),
        Verb::Show(arguments) => show::run(&arguments),
        Verb::Export(arguments) => export::run(&arguments),
        Verb::CompareSelection(arguments) => compare_selection::run(&arguments),
        Verb::Arch(arguments) => arch::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Cache(arguments) => cache::run(arguments.verb),
        Verb::Data(arguments) => data::run(arguments.verb),
        Verb::Completions(arguments) => Ok(completions::run(&arguments)),
    }
}

/// What is logged.
fn filter(asked: Option<&str>, verbose: u8) -> Option<&str> {
    match verbose {
        0 => asked,
        1 => Some("overinterp=info,overinterp_workflow=info,overinterp_nn=info,overinterp_stages=info,warn"),
        _ => Some("debug"),
    }
}

/// Logs to standard error what `--log`, or else `RUST_LOG`, asks for; warnings if neither does.
fn start_log(filter: Option<&str>) -> Result<(), Failure> {
    use tracing_subscriber::filter::{FilterExt as _, filter_fn};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _};
    let filter = match filter {
        Some(text) => {
            EnvFilter::try_new(text).map_err(|error| Failure::usage(format!("cannot use --log {text}: {error}")))?
        }
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| output::Log)
        .log_internal_errors(false)
        .with_ansi(terminal::colours())
        .with_target(false);
    // Whatever is asked for: libraries that log requests would log who signs them.
    let discreet = filter_fn(|metadata| !overinterp_remote::tells_secrets(metadata.target()));
    let log = tracing_subscriber::registry().with(lines.with_filter(filter.and(discreet)));
    // Not `init`, which would also listen to what libraries tell the older `log`, whose targets no filter sees.
    tracing::subscriber::set_global_default(log).map_err(|error| Failure::because(Kind::Internal, error))
}
