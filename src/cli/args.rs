//! What may be typed: the verbs, and what several of them take. Each verb's own arguments stand with it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use overinterp_config::Override;

use crate::cli::verbs::arch::ArchArguments;
use crate::cli::verbs::bench::BenchArguments;
use crate::cli::verbs::bundle::BundleArguments;
use crate::cli::verbs::cache::CacheArguments;
use crate::cli::verbs::cancel::CancelArguments;
use crate::cli::verbs::compare_selection::CompareSelectionArguments;
use crate::cli::verbs::completions::CompletionsArguments;
use crate::cli::verbs::data::DataArguments;
use crate::cli::verbs::diff::DiffArguments;
use crate::cli::verbs::doctor::DoctorArguments;
use crate::cli::verbs::explain::ExplainArguments;
use crate::cli::verbs::export::ExportArguments;
use crate::cli::verbs::log::LogArguments;
use crate::cli::verbs::plan::PlanArguments;
use crate::cli::verbs::replay::ReplayArguments;
use crate::cli::verbs::report::ReportArguments;
use crate::cli::verbs::results::ResultsArguments;
use crate::cli::verbs::run::RunArguments;
use crate::cli::verbs::runs::RunsArguments;
use crate::cli::verbs::show::ShowArguments;
use crate::cli::verbs::status::StatusArguments;
use crate::cli::verbs::trace::TraceArguments;
use crate::cli::verbs::why_waiting::WhyWaitingArguments;
use crate::cli::verbs::work::WorkArguments;

/// Reproduces, from TOML files, that image classifiers overinterpret.
#[derive(Debug, Parser)]
#[command(name = "overinterp", version, about, long_about = None)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
    /// How much to log: error, warn, info, debug, trace, or a filter such as `overinterp=debug` (also `RUST_LOG`).
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// Logs more: what the program does; twice, all that it can tell.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "log")]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Computes what of an experiment is not in the cache, and prints its tables and claims.
    Run(RunArguments),
    /// Computes beside others on the same cache what none of them has taken, and prints no tables.
    Work(WorkArguments),
    /// Cancels the jobs of `run --executor slurm`.
    Cancel(CancelArguments),
    /// Says why jobs of `run --executor slurm` do not run yet, and which steps wait for which.
    WhyWaiting(WhyWaitingArguments),
    /// Says which steps would run, and why.
    Plan(PlanArguments),
    /// Shows what a stage's keys are made of, and how they differ from the nearest in the cache.
    Explain(ExplainArguments),
    /// Prints the results that are in the cache.
    Results(ResultsArguments),
    /// Makes one HTML page of the results that are in the cache, with figures beside it.
    Report(ReportArguments),
    /// Shows what a cached step produced.
    Show(ShowArguments),
    /// Tells what was run, when, and how it ended.
    Runs(RunsArguments),
    /// Says who works with the cache now, on what, and how far.
    Status(StatusArguments),
    /// Shows what a step said while it ran.
    Log(LogArguments),
    /// Holds two experiments or runs beside each other: settings, then results.
    Diff(DiffArguments),
    /// Tells what a table's number was made of: weights, selections, data, and who made each.
    Trace(TraceArguments),
    /// Computes a cached step again, beside the cache, and compares the bytes.
    Replay(ReplayArguments),
    /// Packs results, and the records of all steps behind them, into one archive.
    Bundle(BundleArguments),
    /// Copies a stage's results into a folder, with pictures of its subsets.
    Export(ExportArguments),
    /// Holds selections made elsewhere against this program's own scores, at every step of their way.
    CompareSelection(CompareSelectionArguments),
    /// Lists the layers of a stage's networks, and what it costs to ask them.
    Arch(ArchArguments),
    /// Measures what this machine does in a second with a network, and foretells how long an experiment's stages take.
    Bench(BenchArguments),
    /// Says what this machine has, and checks every kernel against plain Rust.
    Doctor(DoctorArguments),
    /// Looks after the cache.
    Cache(CacheArguments),
    /// Gets data sets.
    Data(DataArguments),
    /// Prints a completion script for a shell.
    Completions(CompletionsArguments),
}

/// An experiment and how it is looked at.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExperimentArguments {
    /// Changes a value of the file: `--set stage.full.recipe.epochs=2`; VALUE is TOML.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<Override>,
    /// Only this stage and what it needs; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub stage: Vec<String>,
    #[command(flatten)]
    pub machine: MachineArguments,
}

/// Where things are kept and computed. None of it changes a result's key.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArguments {
    /// Where finished steps are kept; if not given, `OVERINTERP_CACHE`, the nearest `cache` above the experiment file, or
    /// `cache` here.
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What computes: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads to compute with; all cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    Human,
    Json,
}

/// A number of at least 1.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "it is not a number of at least 1".to_owned())
}

/// What computes a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Executor {
    /// This process.
    Local,
    /// Jobs of Slurm, which this process submits and follows.
    Slurm,
}
