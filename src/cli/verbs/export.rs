//! `export`: copies a stage's results into a folder, and draws what its subsets leave of the images.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use overinterp_config::experiment::Experiment;

use crate::cli::args::{ExperimentArguments, at_least_one};
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::computed::cell::AxisValue;
use crate::computed::names::suggestion;
use crate::exports::{Export, Said, authors, copies, human_study, preprocessed, probabilities};
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
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
    pub cell: Vec<AxisValue>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// As the cache has them, with pictures of subsets.
    Cache,
    /// As the authors' code reads and writes them.
    Authors,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrayForm {
    /// Arrays for numpy.
    Npz,
    /// A table.
    Csv,
}

impl From<ArrayForm> for probabilities::Form {
    fn from(form: ArrayForm) -> Self {
        match form {
            ArrayForm::Npz => Self::Npz,
            ArrayForm::Csv => Self::Csv,
        }
    }
}

pub(crate) fn run(arguments: &ExportArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    let say = |said: Said<'_>| match said {
        Said::Wrote(path) => outln!("{}", path.display()),
        Said::Note(text) => errln!("{text}"),
    };
    let (name, images) = (arguments.name.as_str(), arguments.images);
    let export = Export { computed: &session, file: &arguments.file, name, images, say: &say };
    // What is damaged may be why something stands in the way.
    write(&export, arguments).map_err(|failure| session.worsened(failure))?;
    Ok(session.ended(Status::Success))
}

fn write(export: &Export<'_>, arguments: &ExportArguments) -> Result<(), Failure> {
    let experiment = &export.computed.experiments[0];
    let is_data = preprocessed::is_data(experiment, &arguments.name);
    if !is_data {
        check_name(experiment, &arguments.name)?;
    }
    export.computed.name_damage()?;
    // Not clap's `requires`, which gives way to what conflicts with `--to`.
    if arguments.human_study.is_none() && (arguments.seed.is_some() || !arguments.cell.is_empty()) {
        return Err(Failure::usage("`--seed` and `--cell` go with `--human-study`"));
    }
    let forms: Vec<probabilities::Form> = arguments.probabilities.iter().copied().map(From::from).collect();
    if let (true, Some(into)) = (is_data, &arguments.to) {
        return write_data(export, arguments, into);
    }
    if is_data {
        return Err(Failure::usage(format!("`{}` is a data set", arguments.name))
            .hint("people are shown a `mask` stage: name one"));
    }
    probabilities::check(export, &forms)?;
    if arguments.human_study.is_none() && arguments.images.is_some() && !is_drawn(export, arguments) {
        return Err(Failure::usage(
            "`--images` counts pictures, which are made of `sis` and `mask` stages with `--human-study` or without \
             `--layout authors`",
        ));
    }
    match (&arguments.human_study, &arguments.to, arguments.layout, arguments.packed) {
        (Some(into), ..) => human_study::write(export, into, arguments.seed.unwrap_or(0), &arguments.cell),
        (None, Some(_), Layout::Authors, _) if !forms.is_empty() => {
            Err(Failure::usage("the authors' layout has no place for all probabilities").hint("leave `--layout` out"))
        }
        (None, Some(into), Layout::Authors, packed) => authors::write(export, into, packed),
        (None, Some(into), Layout::Cache, false) => copies::write(export, into, &forms),
        (None, Some(_), Layout::Cache, true) => Err(Failure::usage("`--packed` goes with `--layout authors`")),
        (None, None, ..) => Err(Failure::usage("export needs --to DIR or --human-study DIR")),
    }
}

/// Writes the images of a data set, of which there are no other forms.
fn write_data(export: &Export<'_>, arguments: &ExportArguments, into: &Path) -> Result<(), Failure> {
    if arguments.layout != Layout::Cache || arguments.packed || !arguments.probabilities.is_empty() {
        return Err(Failure::usage(format!(
            "`{}` is a data set, of which `export` writes the images: `--layout`, `--packed` and `--probabilities` go with \
             stages",
            arguments.name
        )));
    }
    preprocessed::write(export, into)
}

/// Checks that it is a stage; data sets are named, too, as they can be exported.
fn check_name(experiment: &Experiment, name: &str) -> Result<(), Failure> {
    let mut known: Vec<&str> = experiment.stages.iter().map(|stage| stage.name.as_str()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    known.extend(experiment.data.iter().map(|source| source.name.as_str()));
    known.dedup();
    Err(Failure::usage(format!("there is no stage and no data set `{name}`")).hint(suggestion(name, &known)))
}

/// Whether an export draws pictures.
fn is_drawn(export: &Export<'_>, arguments: &ExportArguments) -> bool {
    let results = &export.computed.planned.results[0];
    let sufficient = results.sufficient.iter().map(|outcome| &outcome.stage);
    let mut drawn = sufficient.chain(results.subsets.iter().map(|outcome| &outcome.stage));
    arguments.layout == Layout::Cache && drawn.any(|stage| *stage == arguments.name)
}
