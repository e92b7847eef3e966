//! `export`: copies a stage's results into a folder, and draws what its subsets leave of the images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use overinterp_artifacts::ImageSet;
use overinterp_config::experiment::Experiment;
use overinterp_spec::Cell;
use overinterp_stages::DataSplit;
use overinterp_workflow::plan::Label;

use crate::cli::args::{ExperimentArguments, at_least_one};
use crate::cli::cell::AxisValue;
use crate::cli::exports::authors;
use crate::cli::exports::human_study;
use crate::cli::exports::leftovers::{nothing_else, nothing_else_of};
use crate::cli::exports::pictures::{self, Pictured};
use crate::cli::exports::preprocessed;
use crate::cli::exports::probabilities;
use crate::cli::exports::writing::copy;
use crate::cli::failure::{Failure, Status};
use crate::cli::screen::text;
use crate::cli::session::{Session, suggestion};
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

pub(crate) fn run(arguments: &ExportArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    // What is damaged may be why something stands in the way.
    export(&session, arguments).map_err(|failure| session.worsened(failure))
}

fn export(session: &Session, arguments: &ExportArguments) -> Result<Status, Failure> {
    let is_data = preprocessed::is_data(&session.experiments[0], &arguments.name);
    if !is_data {
        check_name(&session.experiments[0], &arguments.name)?;
    }
    session.name_damage()?;
    // Not clap's `requires`, which gives way to what conflicts with `--to`.
    if arguments.human_study.is_none() && (arguments.seed.is_some() || !arguments.cell.is_empty()) {
        return Err(Failure::usage("`--seed` and `--cell` go with `--human-study`"));
    }
    if let (true, Some(into)) = (is_data, &arguments.to) {
        return preprocessed::run(session, arguments, into);
    }
    if is_data {
        return Err(Failure::usage(format!("`{}` is a data set: people are shown a `mask` stage", arguments.name)));
    }
    probabilities::check(session, arguments)?;
    if arguments.human_study.is_none() && arguments.images.is_some() && !is_drawn(session, arguments) {
        return Err(Failure::usage(
            "`--images` counts pictures, which are made of `sis` and `mask` stages with `--human-study` or without \
             `--layout authors`",
        ));
    }
    match (&arguments.human_study, &arguments.to, arguments.layout, arguments.packed) {
        (Some(into), ..) => human_study::write(session, arguments, into),
        (None, Some(_), Layout::Authors, _) if !arguments.probabilities.is_empty() => {
            Err(Failure::usage("the authors' layout has no place for all probabilities: leave `--layout` out"))
        }
        (None, Some(into), Layout::Authors, _) => authors::run(session, arguments, into),
        (None, Some(into), Layout::Cache, false) => copy_all(session, arguments, into),
        (None, Some(_), Layout::Cache, true) => Err(Failure::usage("`--packed` goes with `--layout authors`")),
        (None, None, ..) => Err(Failure::usage("export needs --to DIR or --human-study DIR")),
    }
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
fn is_drawn(session: &Session, arguments: &ExportArguments) -> bool {
    let results = &session.planned.results[0];
    let sufficient = results.sufficient.iter().map(|outcome| &outcome.stage);
    let mut drawn = sufficient.chain(results.subsets.iter().map(|outcome| &outcome.stage));
    arguments.layout == Layout::Cache && drawn.any(|stage| *stage == arguments.name)
}

/// A step whose files are copied.
struct Copied {
    from: PathBuf,
    to: PathBuf,
    files: Vec<String>,
}

/// Copies the files of a stage's steps into the folder `into`.
fn copy_all(session: &Session, arguments: &ExportArguments, into: &Path) -> Result<Status, Failure> {
    let mut steps = Vec::new();
    let mut absent = 0;
    for (_, step) in session.planned.plan.steps().filter(|(_, step)| step.label().stage == arguments.name) {
        match step.key().map(|key| session.verified(key)).transpose()?.flatten() {
            None => absent += 1,
            Some((from, record)) => {
                let to = into.join(folder_name(step.label()));
                steps.push(Copied { from, to, files: record.files.keys().cloned().collect() });
            }
        }
    }
    if steps.is_empty() {
        let file = arguments.file.display();
        let name = &arguments.name;
        let failure = Failure::usage(format!("no step of `{name}` is in the cache"));
        return Err(session.worsened(failure.hint(format!("`overinterp run {file} --stage {name}` computes them"))));
    }
    let pictured = pictures::of_stage(session, arguments, into)?;
    let asked = probabilities::due(session, arguments, into)?;
    check_leftovers(session, arguments, into, &steps, &pictured, &asked)?;
    for Copied { from, to, files } in &steps {
        for file in files {
            copy(&from.join(file), &to.join(file))?;
        }
        outln!("{}", to.display());
    }
    for path in pictured.iter().map(Pictured::write).collect::<Result<Vec<_>, _>>()?.concat() {
        outln!("{}", path.display());
    }
    for path in probabilities::write(session, arguments, &asked)? {
        outln!("{}", path.display());
    }
    let missing =
        if absent > 0 { format!("; {} not in the cache yet", text::count(absent, "step")) } else { String::new() };
    errln!("copied {} to {}{missing}", text::count(steps.len(), "step"), into.display());
    Ok(session.ended(Status::Success))
}

/// Refuses what an earlier export left where this one goes, before anything is written.
fn check_leftovers(
    session: &Session,
    arguments: &ExportArguments,
    into: &Path,
    steps: &[Copied],
    pictured: &[Pictured],
    asked: &[probabilities::Due<'_>],
) -> Result<(), Failure> {
    let steps = steps.iter().map(|step| (step.to.clone(), step.files.iter().cloned().collect::<BTreeSet<_>>()));
    let mut folders: BTreeMap<PathBuf, BTreeSet<String>> = steps.collect();
    let mut own: BTreeSet<PathBuf> = folders.keys().cloned().collect();
    for due in asked {
        let files = folders.entry(due.folder.clone()).or_default();
        files.extend(probabilities::files(arguments).map(|(_, file)| file.to_owned()));
    }
    for pictures in pictured {
        own.insert(pictures.sheet.clone());
        if !pictures.files.is_empty() {
            own.insert(pictures.folder());
        }
        folders.insert(pictures.folder(), pictures.files.values().cloned().collect());
    }
    nothing_else_of(&session.experiments[0], &arguments.name, into, &own)?;
    folders.iter().try_for_each(|(folder, files)| nothing_else(folder, files))
}

/// The folder of a step's files.
pub(crate) fn folder_name(label: &Label) -> String {
    let shard = label.shard.map_or_else(String::new, |(index, count)| format!("_shard_{}_{count}", index + 1));
    file_name(&Label { shard: None, ..label.clone() }.to_string(), &shard)
}

/// Bytes that a file's name may have in front of its hash and ending.
const LONGEST: usize = 200;

/// A name that every file system takes, of a cell and what is in front of it. Where another name could become the same
/// one (by what is replaced or cut, or on a system that does not tell upper from lower case), its hash is a part of it.
pub(crate) fn file_name(text: &str, ending: &str) -> String {
    let plain = |c: char| !(c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|'));
    let name: String = text.chars().map(|c| if c != ' ' && plain(c) { c } else { '_' }).collect();
    let is_own = text.chars().all(plain) && !text.chars().any(char::is_uppercase) && name.len() <= LONGEST;
    if is_own { name + ending } else { hashed(&name, text, ending) }
}

/// A name that may stand as it is but for its length: a long one is cut, and the hash of all of it is a part.
pub(crate) fn within_limits(name: &str, ending: &str) -> String {
    if name.len() <= LONGEST { format!("{name}{ending}") } else { hashed(name, name, ending) }
}

/// What fits of a name, with the hash of the text that it stands for.
fn hashed(name: &str, text: &str, ending: &str) -> String {
    let mut cut = name.len().min(LONGEST);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("{}-{}{ending}", &name[..cut], &hash[..8])
}

/// The images behind subsets.
pub(crate) fn images(session: &Session, data: &DataSplit) -> Result<Arc<ImageSet>, Failure> {
    Ok(session.env.library.images(&data.source, data.split)?)
}

/// `-arch=resnet20-seed=0`, for a part of a file's name.
pub(crate) fn cell_part(cell: &Cell) -> String {
    cell.iter().map(|(axis, value)| format!("-{axis}={value}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn every_cell_has_a_name_of_its_own_that_file_systems_take() {
        assert_eq!(file_name("subset fraction=0.05 seed=0", ".png"), "subset_fraction=0.05_seed=0.png");
        let names = ["x a=b/c", "x a=b_c", "x a=B/c", "x a=..", "x a=A", "x a=a"].map(|text| file_name(text, ""));
        for (index, name) in names.iter().enumerate() {
            assert!(
                !name.contains('/') && !names[..index].iter().any(|other| other.eq_ignore_ascii_case(name)),
                "{name}"
            );
        }
        let long = file_name(&format!("x a={}", "\u{e9}".repeat(300)), ".png");
        assert!(
            long.len() <= 255 && std::path::Path::new(&long).extension().is_some_and(|ending| ending == "png"),
            "{long}"
        );
    }
}
