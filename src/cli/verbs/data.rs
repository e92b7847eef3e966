//! `data fetch`: downloads a published data set.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use overinterp_data::{FetchError, FetchNotice, FetchOptions, fetch, usual_places};
use overinterp_spec::DataKind;
use overinterp_workflow::cancel::Cancel;

use crate::cli::screen::interrupt;
use crate::cli::screen::terminal;
use crate::cli::status::Status;
use crate::computed::names::suggestion;
use crate::failure::{Failure, Kind};
use crate::printable::printable;
use crate::text;
use crate::writing::WriteError;
#[derive(Debug, Args)]
pub(crate) struct DataArguments {
    #[command(subcommand)]
    pub verb: DataVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataVerb {
    /// Downloads a published data set, resumed where it was broken off, and checks it.
    Fetch {
        /// cifar10, cifar100, cifar10-c, fashion-mnist or mnist.
        name: String,
        /// The folder to put it in; the one in `data` where experiments look for it, if not given.
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// A mirror: the address under which the files have their official names.
        #[arg(long, value_name = "URL")]
        base: Option<String>,
    },
}

pub(crate) fn run(verb: DataVerb) -> Result<Status, Failure> {
    let DataVerb::Fetch { name, root, base } = verb;
    let published: Vec<&str> =
        DataKind::ALL.iter().filter(|(_, kind)| kind.is_published()).map(|(name, _)| *name).collect();
    let kind =
        DataKind::ALL.iter().find(|(known, _)| *known == name && published.contains(known)).map(|(_, kind)| *kind);
    let Some(kind) = kind else {
        let nearest = suggestion(&name, &published);
        return Err(Failure::usage(format!("there is no published data set `{name}`")).hint(nearest));
    };
    let root = root.or_else(|| usual_places(kind).into_iter().next()).unwrap_or_else(|| PathBuf::from("data"));
    let cancel = Cancel::default();
    interrupt::stop_on_interrupt(&cancel)?;
    let terminal = terminal::draws();
    let bar = ProgressBar::with_draw_target(
        Some(0),
        if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
    );
    let template = "{bar:24} {msg} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let options = FetchOptions { base, ..FetchOptions::default() };
    let mut notify = |notice: FetchNotice<'_>| {
        show(&bar, &notice);
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let fetched = fetch(kind, &root, &options, &mut notify);
    bar.finish_and_clear();
    match fetched {
        Ok(_) => {
            errln!("{name} is in {}", root.display());
            Ok(Status::Success)
        }
        Err(_) if cancel.is_cancelled() => {
            errln!("stopped: the same command goes on from here");
            Ok(Status::Cancelled)
        }
        Err(FetchError::Write { path, source }) => Err(WriteError::at(&path)(source).into()),
        Err(error) => Err(Failure::because(Kind::Usage, error)),
    }
}

fn show(bar: &ProgressBar, notice: &FetchNotice<'_>) {
    let say = |line: String| if bar.is_hidden() { errln!("{line}") } else { bar.println(printable(&line)) };
    match notice {
        FetchNotice::Present { file } => say(format!("{file} is there already, checksum right")),
        FetchNotice::Progress { file, done, total } => {
            bar.set_message((*file).to_owned());
            if let Some(total) = total {
                bar.set_length(*total);
            }
            bar.set_position(*done);
        }
        FetchNotice::Retry { file, reason, pause } => {
            say(format!("{file}: {reason}; trying again in {}", text::duration(pause.as_secs_f64())));
        }
        FetchNotice::Finished { file } => say(format!("{file} is complete, checksum right")),
    }
}
