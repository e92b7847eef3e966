//! `data fetch`: downloads a published data set.

use std::ops::ControlFlow;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use overinterp_data::{FetchError, FetchNotice, FetchOptions, fetch, usual_places};
use overinterp_spec::DataKind;
use overinterp_workflow::cancel::Cancel;

use super::args::DataVerb;
use super::failure::{Failure, Status};
use super::writing::WriteError;
use super::{interrupt, output, session, terminal, text};

pub(super) fn run(verb: DataVerb) -> Result<Status, Failure> {
    let DataVerb::Fetch { name, root, base } = verb;
    let published: Vec<&str> =
        DataKind::ALL.iter().filter(|(_, kind)| kind.is_published()).map(|(name, _)| *name).collect();
    let kind =
        DataKind::ALL.iter().find(|(known, _)| *known == name && published.contains(known)).map(|(_, kind)| *kind);
    let Some(kind) = kind else {
        let nearest = session::suggestion(&name, &published);
        return Err(Failure::usage(format!("there is no published data set `{name}`: {nearest}")));
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
        Err(error) => Err(Failure::because(Status::Usage, &error)),
    }
}

fn show(bar: &ProgressBar, notice: &FetchNotice<'_>) {
    let say = |line: String| if bar.is_hidden() { errln!("{line}") } else { bar.println(output::printable(&line)) };
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
