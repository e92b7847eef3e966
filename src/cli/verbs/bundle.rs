//! `bundle`: an experiment's results and the records of all steps behind them, in one archive that checks itself.

use std::path::PathBuf;

use clap::Args;

use crate::cli::args::ExperimentArguments;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::failure::Failure;
use crate::gathering::answers::answers;
use crate::records::bundle;
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    /// Experiment files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The archive to make, such as `quickstart.tar.gz`.
    #[arg(long, short, value_name = "ARCHIVE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

pub(crate) fn run(arguments: &BundleArguments) -> Result<Status, Failure> {
    let session = Session::open(&arguments.files, &arguments.experiment)?;
    session.name_damage()?;
    // What results are made of is what loading them loads.
    for (experiment, results) in session.experiments.iter().zip(&session.planned.results) {
        answers(&session, experiment, results)?;
    }
    let ExperimentArguments { set, stage, .. } = &arguments.experiment;
    let journal = bundle::journal(&session, set, stage, session.maker());
    let holds = bundle::pack(&session, &journal, &arguments.output)?;
    let size = std::fs::metadata(&arguments.output).map_or(0, |metadata| metadata.len());
    outln!(
        "{}: {} and the records of {}, {}",
        arguments.output.display(),
        text::count(holds.results, "result"),
        text::count(holds.records, "step"),
        text::bytes(size)
    );
    if holds.absent > 0 {
        errln!("not in the cache, and not in the bundle: {} of the plan", text::count(holds.absent, "step"));
    }
    outln!(
        "`overinterp results --bundle {}` checks it and prints its tables, without data",
        arguments.output.display()
    );
    Ok(session.ended(Status::Success))
}
