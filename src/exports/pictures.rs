//! Pictures of what a stage's subsets leave of the images: a contact sheet for every set, and each on its own.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use overinterp_artifacts::{ImageSet, SisSet, Subsets, UnreadableImage};
use overinterp_nn::images::appearance::picture;
use overinterp_report::drawing::{Drawing, Panel, Shown};
use overinterp_spec::{Cell, ImageShape};

use super::Export;
use super::names::{cell_part, file_name};
use crate::failure::{Failure, Kind};
use crate::writing::write;

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

    /// Whether there is something of an image to be shown.
    fn shows(&self, number: usize) -> bool {
        match self {
            Self::Sufficient(set) => set.images[number - set.first].subset.is_some(),
            Self::Kept(_) => true,
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

/// A set of subsets that is drawn.
pub(crate) struct Pictured {
    set: Set,
    images: Arc<ImageSet>,
    /// Images on the sheet.
    count: usize,
    /// The contact sheet: its first images, each beside what its subset leaves of it.
    pub sheet: PathBuf,
    /// The files of the pictures in [`Pictured::folder`], by the images' numbers. Where nothing suffices there is none.
    pub files: BTreeMap<usize, String>,
}

/// Every set of subsets of the stage that the cache has.
pub(crate) fn of_stage(export: &Export<'_>, into: &Path) -> Result<Vec<Pictured>, Failure> {
    let mut sets = Vec::new();
    let results = &export.computed.planned.results[0];
    for outcome in results.sufficient.iter().filter(|outcome| outcome.stage == export.name) {
        if let (Some(data), Some(set)) = (&outcome.data, export.computed.load(&outcome.key)?) {
            sets.push((sheet_name(&outcome.stage, &outcome.images, &outcome.cell), data, Set::Sufficient(set)));
        }
    }
    for outcome in results.subsets.iter().filter(|outcome| outcome.stage == export.name) {
        if let (Some(data), Some(subsets)) = (&outcome.data, export.computed.load(&outcome.key)?) {
            sets.push((sheet_name(&outcome.stage, &outcome.images, &outcome.cell), data, Set::Kept(subsets)));
        }
    }
    let count = export.images.unwrap_or(MOST_DRAWN);
    let pictured = sets.into_iter().map(|(name, data, set)| {
        let images = export.computed.images_of(data)?;
        let numbers = set.numbers(&images).take(count).filter(|number| set.shows(*number));
        let files = numbers.map(|number| (number, format!("{number:05}.png"))).collect();
        Ok(Pictured { set, images, count: count.min(MOST_DRAWN), sheet: into.join(name), files })
    });
    pictured.collect()
}

impl Pictured {
    /// The folder of the pictures, beside the sheet.
    pub fn folder(&self) -> PathBuf {
        self.sheet.with_extension("")
    }

    /// Draws and writes all of it; says where.
    pub fn write(&self) -> Result<Vec<PathBuf>, Failure> {
        let Self { set, images, count, sheet, files } = self;
        write(sheet, &draw_sheet(images, set, *count)?)?;
        let mut paths = vec![sheet.clone()];
        let folder = self.folder();
        let drawing = Drawing::new(images.shape, &images.normalise, scale(images.shape));
        for (&number, file) in files {
            let Some(seen) = set.seen(images, number)? else { continue };
            let image = images.image(number)?;
            let png = drawing.image(seen.panel(&image)).map_err(|error| Failure::because(Kind::Internal, error))?;
            write(&folder.join(file), &png)?;
        }
        if !files.is_empty() {
            paths.push(folder);
        }
        Ok(paths)
    }
}

fn sheet_name(stage: &str, images: &str, cell: &Cell) -> String {
    file_name(&format!("{stage}-{}{}", images.replace('.', "-"), cell_part(cell)), ".png")
}

/// Side of the square drawn for a pixel.
fn scale(shape: ImageShape) -> NonZeroU32 {
    let times = SIDE / shape.height.max(shape.width).max(1);
    NonZeroU32::new(times.clamp(1, LARGEST) as u32).unwrap_or(NonZeroU32::MIN)
}

fn draw_sheet(images: &ImageSet, set: &Set, count: usize) -> Result<Vec<u8>, Failure> {
    let nothing = || Seen::Only(Vec::new());
    let read = set
        .numbers(images)
        .take(count)
        .map(|number| Ok((images.image(number)?, set.seen(images, number)?.unwrap_or_else(nothing))));
    let read: Vec<_> = read.collect::<Result<_, UnreadableImage>>()?;
    let rows: Vec<Vec<Panel<'_>>> =
        read.iter().map(|(image, seen)| vec![Panel { image, shown: Shown::All }, seen.panel(image)]).collect();
    let drawing = Drawing::new(images.shape, &images.normalise, scale(images.shape)).contact_sheet(&rows);
    drawing.map_err(|error| Failure::because(Kind::Internal, error))
}
