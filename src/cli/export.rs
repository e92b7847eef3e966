//! `export`: copies a stage's results into a folder, and draws what its subsets leave of the images.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::artifacts::{ImageSet, ImageSis, UnreadableImage};
use crate::engine::plan::Label;
use crate::engine::store::StoreError;
use crate::nn::appearance::picture;
use crate::report::drawing::{Drawing, Panel, Shown};
use crate::spec::ImageShape;
use crate::stages::DataSplit;

use super::args::{ExportArguments, Layout};
use super::failure::{Failure, Status, chain};
use super::session::{Session, check_stages};
use super::{authors, human_study, text};

/// Images drawn of a stage that has thousands.
const MOST_DRAWN: usize = 24;
/// Small images are drawn larger, up to this side.
const SIDE: usize = 128;
/// The largest side of the square drawn for a pixel.
const LARGEST: usize = 4;

/// What is drawn of each image, by its number in the split.
type Drawn = BTreeMap<usize, Seen>;

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
    check_stages(&session.experiments, std::slice::from_ref(&arguments.name))?;
    // Not clap's `requires`, which gives way to what conflicts with `--to`.
    let of_study = [arguments.images.is_some(), arguments.seed.is_some(), !arguments.cell.is_empty()];
    if arguments.human_study.is_none() && of_study.contains(&true) {
        return Err(Failure::usage("`--images`, `--seed` and `--cell` go with `--human-study`"));
    }
    match (&arguments.human_study, &arguments.to, arguments.layout, arguments.packed) {
        (Some(into), ..) => human_study::write(&session, arguments, into),
        (None, Some(into), Layout::Authors, _) => authors::run(&session, arguments, into),
        (None, Some(into), Layout::Cache, false) => copy_all(&session, arguments, into),
        (None, Some(_), Layout::Cache, true) => Err(Failure::usage("`--packed` goes with `--layout authors`")),
        (None, None, ..) => Err(Failure::usage("export needs --to DIR or --human-study DIR")),
    }
}

/// Copies the files of a stage's steps into the folder `into`.
fn copy_all(session: &Session, arguments: &ExportArguments, into: &Path) -> Result<Status, Failure> {
    let mut copied = 0;
    let mut absent = 0;
    for (_, step) in session.planned.plan.steps().filter(|(_, step)| step.label().stage == arguments.name) {
        let to = into.join(folder_name(step.label()));
        match step.key().map(|key| session.store.verified(key)) {
            None | Some(Err(StoreError::Absent { .. })) => absent += 1,
            Some(Err(error)) => return Err(Failure::from(error)),
            Some(Ok((from, record))) => {
                for file in record.files.keys() {
                    copy(&from.join(file), &to.join(file))?;
                }
                copied += 1;
            }
        }
    }
    if copied == 0 {
        let file = arguments.file.display();
        return Err(Failure::usage(format!(
            "no step of `{}` is in the cache: `overinterp run {file} --stage {}` computes them",
            arguments.name, arguments.name
        )));
    }
    let drawn = draw(session, arguments, into)?;
    for path in drawn {
        outln!("{}", path.display());
    }
    let missing =
        if absent > 0 { format!("; {} not in the cache yet", text::count(absent, "step")) } else { String::new() };
    errln!("copied {} to {}{missing}", text::count(copied, "step"), into.display());
    Ok(Status::Success)
}

fn folder_name(label: &Label) -> String {
    label.to_string().replace(['/', ' '], "_")
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let copied = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(from, to));
    copied.map(drop).map_err(|error| Failure::usage(format!("cannot write {}: {error}", to.display())))
}

/// A contact sheet for every set of subsets of the stage: each image beside what its subset leaves of it. What
/// suffices of each image is also a picture of its own, in a folder beside the sheet.
fn draw(session: &Session, arguments: &ExportArguments, into: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut sheets: Vec<(String, &DataSplit, Drawn)> = Vec::new();
    let mut single: Vec<(String, &DataSplit, Drawn)> = Vec::new();
    let results = &session.planned.results[0];
    for outcome in results.sufficient.iter().filter(|outcome| outcome.stage == arguments.name) {
        if let (Some(data), Ok(set)) = (&outcome.data, session.store.load(&outcome.key)) {
            let set = &set;
            let drawn = || set.images.iter().enumerate().take(MOST_DRAWN);
            let seen = |(place, image): (usize, &ImageSis)| {
                (set.first + place, Seen::Only(image.subset.clone().unwrap_or_default()))
            };
            let name = sheet_name(&outcome.stage, &outcome.images, &outcome.cell);
            single.push((name.clone(), data, drawn().filter(|(_, image)| image.subset.is_some()).map(seen).collect()));
            sheets.push((name, data, drawn().map(seen).collect()));
        }
    }
    for outcome in results.subsets.iter().filter(|outcome| outcome.stage == arguments.name) {
        if let (Some(data), Ok(subsets)) = (&outcome.data, session.store.load(&outcome.key)) {
            let images = images(session, data)?;
            let seen = |image: usize| Ok((image, Seen::Picture(picture(&images, &subsets, image)?)));
            let drawn = (0..subsets.len().min(images.len()).min(MOST_DRAWN)).map(seen);
            let drawn = drawn.collect::<Result<_, UnreadableImage>>();
            let drawn = drawn.map_err(|error| Failure::because(Status::Usage, &error))?;
            sheets.push((sheet_name(&outcome.stage, &outcome.images, &outcome.cell), data, drawn));
        }
    }
    let mut paths = Vec::new();
    for (name, data, subsets) in sheets {
        let images = images(session, data)?;
        let path = into.join(name);
        write(&path, &sheet(&images, &subsets)?)?;
        paths.push(path);
    }
    for (name, data, subsets) in single {
        let images = images(session, data)?;
        let drawing = Drawing::new(images.shape, &images.normalise, scale(images.shape));
        let folder = into.join(name).with_extension("");
        for (number, seen) in &subsets {
            let image = images.image(*number).map_err(|error| Failure::because(Status::Usage, &error))?;
            let png = drawing.image(seen.panel(&image)).map_err(|error| Failure::because(Status::Internal, &error))?;
            write(&folder.join(format!("{number:05}.png")), &png)?;
        }
        paths.push(folder);
    }
    Ok(paths)
}

/// The images behind subsets.
pub(super) fn images(session: &Session, data: &DataSplit) -> Result<Arc<ImageSet>, Failure> {
    let images = session.env.library.images(&data.source, data.split);
    images.map_err(|error| Failure::because(Status::Usage, &error))
}

fn write(path: &Path, png: &[u8]) -> Result<(), Failure> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, png));
    written.map_err(|error| Failure::usage(format!("cannot write {}: {}", path.display(), chain(&error))))
}

fn sheet_name(stage: &str, images: &str, cell: &crate::spec::Cell) -> String {
    let cell: String = cell.iter().map(|(axis, value)| format!("-{axis}={value}")).collect::<Vec<_>>().concat();
    format!("{stage}-{}{cell}.png", images.replace('.', "-"))
}

/// Side of the square drawn for a pixel.
fn scale(shape: ImageShape) -> NonZeroU32 {
    let times = SIDE / shape.height.max(shape.width).max(1);
    NonZeroU32::new(times.clamp(1, LARGEST) as u32).unwrap_or(NonZeroU32::MIN)
}

fn sheet(images: &ImageSet, subsets: &Drawn) -> Result<Vec<u8>, Failure> {
    let read = subsets.iter().map(|(&index, subset)| Ok((images.image(index)?, subset)));
    let read: Vec<_> =
        read.collect::<Result<_, UnreadableImage>>().map_err(|error| Failure::because(Status::Usage, &error))?;
    let rows: Vec<Vec<Panel<'_>>> =
        read.iter().map(|(image, subset)| vec![Panel { image, shown: Shown::All }, subset.panel(image)]).collect();
    let drawing = Drawing::new(images.shape, &images.normalise, scale(images.shape)).contact_sheet(&rows);
    drawing.map_err(|error| Failure::because(Status::Internal, &error))
}
