//! `export`: copies a stage's results into a folder, and draws what its subsets leave of the images.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::artifacts::{ImageSet, SisSet, Subsets, UnreadableImage};
use crate::config::experiment::Experiment;
use crate::engine::plan::Label;
use crate::nn::appearance::picture;
use crate::report::drawing::{Drawing, Panel, Shown};
use crate::spec::{Cell, ImageShape};
use crate::stages::DataSplit;

use super::args::{ExportArguments, Layout};
use super::authors::nothing_else;
use super::failure::{Failure, Status};
use super::session::{Session, suggestion};
use super::writing::{copy, write};
use super::{authors, human_study, preprocessed, probabilities, text};

/// Images on a contact sheet at most, and pictures of a set of thousands if nothing else is asked for.
const MOST_DRAWN: usize = 24;
/// Small images are drawn larger, up to this side.
const SIDE: usize = 128;
/// The largest side of the square drawn for a pixel.
const LARGEST: usize = 4;

/// A set of subsets of a split's images.
enum Set {
    /// What suffices of each, of some.
    Sufficient(SisSet),
    /// What is kept of each.
    Kept(Subsets),
}

impl Set {
    /// The images' numbers in the split.
    fn numbers(&self, images: &ImageSet) -> Range<usize> {
        match self {
            Self::Sufficient(set) => set.first..images.len().min(set.first + set.images.len()),
            Self::Kept(subsets) => 0..images.len().min(subsets.len()),
        }
    }

    /// What the subset of an image shows; `None` where nothing suffices.
    fn seen(&self, images: &ImageSet, number: usize) -> Result<Option<Seen>, UnreadableImage> {
        match self {
            Self::Sufficient(set) => Ok(set.images[number - set.first].subset.clone().map(Seen::Only)),
            Self::Kept(subsets) => picture(images, subsets, number).map(|picture| Some(Seen::Picture(picture))),
        }
    }
}

/// What a subset shows of an image.
enum Seen {
    /// These pixels, before the mean colour.
    Only(Vec<u32>),
    /// An image of its own.
    Picture(Vec<u8>),
}

impl Seen {
    /// It, of `image`.
    fn panel<'a>(&'a self, image: &'a [u8]) -> Panel<'a> {
        match self {
            Self::Only(pixels) => Panel { image, shown: Shown::Only(pixels) },
            Self::Picture(picture) => Panel { image: picture, shown: Shown::All },
        }
    }
}

pub(super) fn run(arguments: &ExportArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    let is_data = preprocessed::is_data(&session.experiments[0], &arguments.name);
    if !is_data {
        check_name(&session.experiments[0], &arguments.name)?;
    }
    session.name_damaged_data();
    // Not clap's `requires`, which gives way to what conflicts with `--to`.
    if arguments.human_study.is_none() && (arguments.seed.is_some() || !arguments.cell.is_empty()) {
        return Err(Failure::usage("`--seed` and `--cell` go with `--human-study`"));
    }
    if let (true, Some(into)) = (is_data, &arguments.to) {
        return preprocessed::run(&session, arguments, into);
    }
    if is_data {
        return Err(Failure::usage(format!("`{}` is a data set: people are shown a `mask` stage", arguments.name)));
    }
    probabilities::check(&session, arguments)?;
    if arguments.human_study.is_none() && arguments.images.is_some() && !is_drawn(&session, arguments) {
        return Err(Failure::usage(
            "`--images` counts pictures, which are made of `sis` and `mask` stages with `--human-study` or without \
             `--layout authors`",
        ));
    }
    match (&arguments.human_study, &arguments.to, arguments.layout, arguments.packed) {
        (Some(into), ..) => human_study::write(&session, arguments, into),
        (None, Some(_), Layout::Authors, _) if !arguments.probabilities.is_empty() => {
            Err(Failure::usage("the authors' layout has no place for all probabilities: leave `--layout` out"))
        }
        (None, Some(into), Layout::Authors, _) => authors::run(&session, arguments, into),
        (None, Some(into), Layout::Cache, false) => copy_all(&session, arguments, into),
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
    Err(Failure::usage(format!("there is no stage and no data set `{name}`: {}", suggestion(name, &known))))
}

/// Whether an export draws pictures.
fn is_drawn(session: &Session, arguments: &ExportArguments) -> bool {
    let results = &session.planned.results[0];
    let sufficient = results.sufficient.iter().map(|outcome| &outcome.stage);
    let mut drawn = sufficient.chain(results.subsets.iter().map(|outcome| &outcome.stage));
    arguments.layout == Layout::Cache && drawn.any(|stage| *stage == arguments.name)
}

/// Copies the files of a stage's steps into the folder `into`.
fn copy_all(session: &Session, arguments: &ExportArguments, into: &Path) -> Result<Status, Failure> {
    let mut copied = 0;
    let mut absent = 0;
    for (_, step) in session.planned.plan.steps().filter(|(_, step)| step.label().stage == arguments.name) {
        let to = into.join(folder_name(step.label()));
        match step.key().map(|key| session.verified(key)).transpose()?.flatten() {
            None => absent += 1,
            Some((from, record)) => {
                for file in record.files.keys() {
                    copy(&from.join(file), &to.join(file))?;
                }
                copied += 1;
            }
        }
    }
    if copied == 0 {
        let file = arguments.file.display();
        let message = format!(
            "no step of `{}` is in the cache: `overinterp run {file} --stage {}` computes them",
            arguments.name, arguments.name
        );
        return Err(Failure { status: session.ended(Status::Usage), message });
    }
    let drawn = draw(session, arguments, into)?;
    for path in drawn.into_iter().chain(probabilities::write(session, arguments, into)?) {
        outln!("{}", path.display());
    }
    let missing =
        if absent > 0 { format!("; {} not in the cache yet", text::count(absent, "step")) } else { String::new() };
    errln!("copied {} to {}{missing}", text::count(copied, "step"), into.display());
    Ok(session.ended(Status::Success))
}

/// The folder of a step's files.
pub(super) fn folder_name(label: &Label) -> String {
    let shard = label.shard.map_or_else(String::new, |(index, count)| format!("_shard_{}_{count}", index + 1));
    file_name(&Label { shard: None, ..label.clone() }.to_string(), &shard)
}

/// A name that every file system takes, of a cell and what is in front of it. Where another name could become the same
/// one (by what is replaced or cut, or on a system that does not tell upper from lower case), its hash is a part of it.
pub(super) fn file_name(text: &str, ending: &str) -> String {
    const LONGEST: usize = 200;
    let plain = |c: char| !(c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|'));
    let name: String = text.chars().map(|c| if c != ' ' && plain(c) { c } else { '_' }).collect();
    let is_own = text.chars().all(plain) && !text.chars().any(char::is_uppercase) && name.len() <= LONGEST;
    if is_own {
        return name + ending;
    }
    let mut cut = name.len().min(LONGEST);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("{}-{}{ending}", &name[..cut], &hash[..8])
}

/// A contact sheet for every set of subsets of the stage: its first images, each beside what its subset leaves of it.
/// What the subset leaves of an image is also a picture of its own, in a folder beside the sheet.
fn draw(session: &Session, arguments: &ExportArguments, into: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut sets: Vec<(String, &DataSplit, Set)> = Vec::new();
    let results = &session.planned.results[0];
    for outcome in results.sufficient.iter().filter(|outcome| outcome.stage == arguments.name) {
        if let (Some(data), Some(set)) = (&outcome.data, session.load(&outcome.key)?) {
            sets.push((sheet_name(&outcome.stage, &outcome.images, &outcome.cell), data, Set::Sufficient(set)));
        }
    }
    for outcome in results.subsets.iter().filter(|outcome| outcome.stage == arguments.name) {
        if let (Some(data), Some(subsets)) = (&outcome.data, session.load(&outcome.key)?) {
            sets.push((sheet_name(&outcome.stage, &outcome.images, &outcome.cell), data, Set::Kept(subsets)));
        }
    }
    let count = arguments.images.unwrap_or(MOST_DRAWN);
    let mut paths = Vec::new();
    for (name, data, set) in &sets {
        let images = images(session, data)?;
        let path = into.join(name);
        write(&path, &sheet(&images, set, count.min(MOST_DRAWN))?)?;
        let folder = path.with_extension("");
        paths.push(path);
        let drawing = Drawing::new(images.shape, &images.normalise, scale(images.shape));
        let mut own = BTreeSet::new();
        for number in set.numbers(&images).take(count) {
            let Some(seen) = set.seen(&images, number)? else { continue };
            let image = images.image(number)?;
            let png = drawing.image(seen.panel(&image)).map_err(|error| Failure::because(Status::Internal, &error))?;
            let picture = format!("{number:05}.png");
            write(&folder.join(&picture), &png)?;
            own.insert(picture);
        }
        nothing_else(&folder, &own).map_err(Failure::usage)?;
        if folder.is_dir() {
            paths.push(folder);
        }
    }
    Ok(paths)
}

/// The images behind subsets.
pub(super) fn images(session: &Session, data: &DataSplit) -> Result<Arc<ImageSet>, Failure> {
    Ok(session.env.library.images(&data.source, data.split)?)
}

fn sheet_name(stage: &str, images: &str, cell: &Cell) -> String {
    file_name(&format!("{stage}-{}{}", images.replace('.', "-"), cell_part(cell)), ".png")
}

/// `-arch=resnet20-seed=0`, for a part of a file's name.
pub(super) fn cell_part(cell: &Cell) -> String {
    cell.iter().map(|(axis, value)| format!("-{axis}={value}")).collect::<Vec<_>>().concat()
}

/// Side of the square drawn for a pixel.
fn scale(shape: ImageShape) -> NonZeroU32 {
    let times = SIDE / shape.height.max(shape.width).max(1);
    NonZeroU32::new(times.clamp(1, LARGEST) as u32).unwrap_or(NonZeroU32::MIN)
}

fn sheet(images: &ImageSet, set: &Set, count: usize) -> Result<Vec<u8>, Failure> {
    let nothing = || Seen::Only(Vec::new());
    let read = set
        .numbers(images)
        .take(count)
        .map(|number| Ok((images.image(number)?, set.seen(images, number)?.unwrap_or_else(nothing))));
    let read: Vec<_> = read.collect::<Result<_, UnreadableImage>>()?;
    let rows: Vec<Vec<Panel<'_>>> =
        read.iter().map(|(image, seen)| vec![Panel { image, shown: Shown::All }, seen.panel(image)]).collect();
    let drawing = Drawing::new(images.shape, &images.normalise, scale(images.shape)).contact_sheet(&rows);
    drawing.map_err(|error| Failure::because(Status::Internal, &error))
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
