//! What may be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use overinterp_config::Override;
use overinterp_spec::Arch;

/// Reproduces, from TOML files, that image classifiers overinterpret.
#[derive(Debug, Parser)]
#[command(name = "overinterp", version, about, long_about = None)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
    /// How much to log: error, warn, info, debug, trace, or a filter such as `overinterp=debug` (also `RUST_LOG`).
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Computes what of an experiment is not in the cache, and prints its tables and claims.
    Run(RunArguments),
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
    /// Copies a stage's results into a folder, with pictures of its subsets.
    Export(ExportArguments),
    /// Holds selections made elsewhere against this program's own engine, at every step of their way.
    CompareSelection(CompareSelectionArguments),
    /// Measures what this machine does in a second with a network, and foretells how long an experiment's stages take.
    Bench(BenchArguments),
    /// Says what this machine has, and checks every kernel against plain Rust.
    Doctor(DoctorArguments),
    /// Looks after the cache.
    Cache(CacheArguments),
    /// Gets data sets.
    Data(DataArguments),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// An experiment and how it is looked at.
#[derive(Debug, Args)]
pub(super) struct ExperimentArguments {
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
#[derive(Debug, Args)]
pub(super) struct MachineArguments {
    /// Where finished steps are kept.
    #[arg(long, value_name = "DIR", default_value = "cache")]
    pub cache: PathBuf,
    /// What computes: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads to compute with; all cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EventFormat {
    Human,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Experiment files; steps that several need are computed once.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// Steps that run at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Runs nothing: ends with status 4 if something would have to.
    #[arg(long)]
    pub frozen: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    Human,
    Json,
    Dot,
    Mermaid,
    /// The experiment as it is read, not its steps: what it extends merged, `--set` applied.
    Toml,
}

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// Experiment files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = PlanFormat::Human)]
    pub format: PlanFormat,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub name: String,
    /// Only cells with these values: `arch=resnet20,seed=0`.
    #[arg(long, value_delimiter = ',', value_name = "AXIS=VALUE")]
    pub cell: Vec<String>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ResultsFormat {
    Human,
    Csv,
    Json,
    Markdown,
    Latex,
}

#[derive(Debug, Args)]
pub(super) struct ResultsArguments {
    /// Experiment file.
    pub file: PathBuf,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed; csv has one row an evaluation and metric, the others the file's tables and claims.
    #[arg(long, value_enum, default_value_t = ResultsFormat::Human)]
    pub format: ResultsFormat,
}

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// The folder for the page, which needs no other file, and for each figure as SVG and as CSV.
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The step's key, such as `train-v1:9f2c`; the first digits suffice.
    pub key: String,
    /// Every image and all of its pixels, not the first alone.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub machine: MachineArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// The stage; or a data set, whose images are written as the program reads them.
    #[arg(value_name = "STAGE")]
    pub name: String,
    /// The folder to copy into.
    #[arg(long, value_name = "DIR", required_unless_present = "human_study")]
    pub to: Option<PathBuf>,
    /// How the files are laid out.
    #[arg(long, value_enum, default_value_t = Layout::Cache, conflicts_with = "human_study")]
    pub layout: Layout,
    /// With `--layout authors`: the backward selections of a split in one file.
    #[arg(long, conflicts_with = "human_study")]
    pub packed: bool,
    /// Of an `evaluate` stage: also every class's probability for each image, computed anew from the model; `npz`, `csv`
    /// or both.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORM", conflicts_with = "human_study")]
    pub probabilities: Vec<ArrayForm>,
    /// Instead of a copy: a new folder of pictures of the stage's subsets, in every size, for people to name, and a key.
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    pub human_study: Option<PathBuf>,
    /// How many of the first images of a `sis` or `mask` stage become pictures of their own, 24 if not given; how many of a
    /// data set are written, all if not given; with `--human-study`, how many people are shown, 50 if not given.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub images: Option<usize>,
    /// With `--human-study`: from where the images and their order are drawn; 0 if not given.
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,
    /// With `--human-study`: only subsets of cells with these values, such as `arch=resnet20,seed=0`.
    #[arg(long, value_delimiter = ',', value_name = "AXIS=VALUE")]
    pub cell: Vec<String>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Layout {
    /// As the cache has them, with pictures of subsets.
    Cache,
    /// As the authors' code reads and writes them.
    Authors,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ArrayForm {
    /// Arrays for numpy.
    Npz,
    /// A table.
    Csv,
}

#[derive(Debug, Args)]
pub(super) struct CompareSelectionArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// A stage of kind `import-selection` that names a model.
    #[arg(value_name = "STAGE")]
    pub name: String,
    /// Only the first images of each split.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub images: Option<usize>,
    /// Only cells with these values: `arch=resnet20,seed=0`.
    #[arg(long, value_delimiter = ',', value_name = "AXIS=VALUE")]
    pub cell: Vec<String>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// Experiment files: their networks are measured, and each stage's time is told.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Changes a value of the files, as in `run`.
    #[arg(long, value_name = "PATH=VALUE", requires = "files", conflicts_with = "arch")]
    pub set: Vec<Override>,
    /// Only this stage of the files and what it needs; may be repeated.
    #[arg(long, value_name = "NAME", requires = "files", conflicts_with = "arch")]
    pub stage: Vec<String>,
    /// A network to measure, on images of 32x32x3 (`cnn`: 28x28x1); may be repeated. Without it and without files, all
    /// but `wideresnet`.
    #[arg(long, value_name = "ARCH", conflicts_with = "files", value_parser = arch)]
    pub arch: Vec<Arch>,
    /// Seconds to spend on each of a network's four rates; more where one run takes longer.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = seconds)]
    pub seconds: f64,
    /// Images that each model in the cache selects, if it has selected none, to learn how sure it is, within two minutes. If not
    /// given, as many as there are threads (16 on a GPU), once.
    #[arg(long, value_name = "N", requires = "files")]
    pub first_images: Option<usize>,
    #[command(flatten)]
    pub machine: MachineArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// What is checked: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads to compute with; all cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

fn arch(name: &str) -> Result<Arch, String> {
    let names = || Arch::ALL.map(Arch::name).join(", ");
    Arch::from_name(name).ok_or_else(|| format!("there are {}", names()))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "it is not a number of at least 1".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("it must lie between 0 and 3600".to_owned()) }
}

#[derive(Debug, Args)]
pub(super) struct CacheArguments {
    #[command(subcommand)]
    pub verb: CacheVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheVerb {
    /// Counts what the cache holds.
    Stats {
        #[command(flatten)]
        common: CacheCommon,
    },
    /// Reads every byte again and sets damaged entries aside.
    Verify {
        #[command(flatten)]
        common: CacheCommon,
    },
    /// Removes what none of the given experiments needs.
    Gc {
        /// Experiment files whose steps stay; all of `experiments/*.toml` if none is given.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Changes a value of the files, as in `run`.
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<Override>,
        /// Only says what would be removed.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        common: CacheCommon,
    },
}

#[derive(Debug, Args)]
pub(super) struct CacheCommon {
    /// Where finished steps are kept.
    #[arg(long, value_name = "DIR", default_value = "cache")]
    pub cache: PathBuf,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

#[derive(Debug, Args)]
pub(super) struct DataArguments {
    #[command(subcommand)]
    pub verb: DataVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum DataVerb {
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
