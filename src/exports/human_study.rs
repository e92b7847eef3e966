//! `export --human-study`: pictures of subsets for people to name, a sheet for their answers, and a key kept apart.

use std::fmt::Write;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::pipeline::Outcome;
use overinterp_artifacts::{ImageSet, Subsets};
use overinterp_config::LONGEST_OF_A_FILE;
use overinterp_config::kinds::{Mask, Settings};
use overinterp_data::study::{KeyRow, Picture, fingerprint, pictures, write_key, write_sheet};
use overinterp_nn::images::appearance::picture;
use overinterp_report::drawing::{Drawing, Panel, Shown};
use overinterp_spec::{Cell, Fraction, Keep, Split};

use super::Export;
use crate::computed::Computed;
use crate::computed::cell::{self, AxisValue};
use crate::failure::{Failure, Kind};
use crate::text;
use crate::writing;

/// A picture is scaled up to at least so many pixels a side, so that people see something.
const LEAST_SIDE: usize = 256;

/// The subsets of one size.
struct Set<'a> {
    keep: Fraction,
    outcome: &'a Outcome<Subsets>,
    subsets: Subsets,
}

/// Writes a study of a `mask` stage's subsets into the folder `into`, and its key beside it.
pub(crate) fn write(export: &Export<'_>, into: &Path, seed: u32, cell: &[AxisValue]) -> Result<(), Failure> {
    let sets = sets(export, cell)?;
    let Some(first) = sets.first() else {
        return Err(
            Failure::usage(format!("`{}` is no `mask` stage", export.name)).hint("a study shows the subsets of one")
        );
    };
    let data = first.outcome.data.as_ref().ok_or_else(|| Failure::usage("the images of this stage are unknown"))?;
    let images = export.computed.images_of(data)?;
    let available = sets.iter().map(|set| set.subsets.len()).min().unwrap_or(0).min(images.len());
    let count = export.images.unwrap_or(50);
    if count > available {
        return Err(Failure::usage(format!("cannot show {count} images: there are {available} with subsets")));
    }
    let shown = pictures(available as u32, count, sets.len(), seed);
    let key_file = key_beside(into)?;
    if key_file.exists() || fs::read_dir(into).is_ok_and(|mut entries| entries.next().is_some()) {
        let (into, key_file) = (into.display(), key_file.display());
        let failure = Failure::usage(format!("{into} or {key_file} is there already"));
        return Err(failure.hint("a study may have answers, so name another folder, or remove both"));
    }
    let (files, key) = (files(&images, &sets, &shown)?, key(&images, &sets, &shown)?);
    for (file, bytes) in &files {
        writing::write(&into.join(file), bytes)?;
    }
    writing::write(&key_file, write_key(&key).as_bytes())?;
    export.wrote(&into.join(SHEET));
    export.wrote(&key_file);
    export.note(&format!(
        "{} of {} of {}: hand out the folder, keep the key, and name both in a stage of kind `human`",
        text::count(shown.len(), "picture"),
        text::count(count, "image"),
        first.outcome.images
    ));
    Ok(())
}

/// The sheet's name in its folder.
const SHEET: &str = "answers.csv";

/// Where the key goes: beside the folder, which is handed out.
fn key_beside(folder: &Path) -> Result<PathBuf, Failure> {
    let name = folder.file_name().ok_or_else(|| Failure::usage("--human-study needs the name of a new folder"))?;
    let mut name = name.to_owned();
    name.push(".key.csv");
    if name.len() > LONGEST_OF_A_FILE {
        let problem = format!("the key beside {} would have a name of {} bytes", folder.display(), name.len());
        return Err(Failure::usage(format!("{problem}, more than file systems allow")).hint("choose a shorter folder"));
    }
    Ok(folder.with_file_name(name))
}

/// The test images' subsets of every size, the smallest first.
fn sets<'a>(export: &'a Export<'a>, wanted: &[AxisValue]) -> Result<Vec<Set<'a>>, Failure> {
    let of_stage = export.computed.planned.results[0].subsets.iter();
    let of_stage = of_stage.filter(|outcome| outcome.stage == export.name && cell::matches(wanted, &outcome.cell));
    let outcomes: Vec<&Outcome<Subsets>> = of_stage.collect();
    let half = |outcome: &&&Outcome<Subsets>| outcome.data.as_ref().is_some_and(|data| data.split == Split::Test);
    let tested: Vec<&Outcome<Subsets>> = outcomes.iter().filter(half).copied().collect();
    let outcomes = if tested.is_empty() { outcomes } else { tested };
    if outcomes.is_empty() && !wanted.is_empty() {
        return Err(cell::none(&export.computed.experiments[0], export.name, wanted));
    }
    let mut sets: Vec<Set<'a>> = Vec::new();
    for outcome in outcomes {
        let keep = keep(export.computed, outcome)?;
        if let Some(twin) = sets.iter().find(|set| set.keep == keep) {
            let (one, other) = (shown(&twin.outcome.cell), shown(&outcome.cell));
            let problem = format!("several subsets keep {} of the pixels ({one}; {other})", keep.get());
            return Err(Failure::usage(problem).hint("choose with --cell AXIS=VALUE,..."));
        }
        let subsets = export.computed.load(&outcome.key)?.ok_or_else(|| {
            export.computed.worsened(Failure::not_computed("the subsets are not", export.file, export.name))
        })?;
        sets.push(Set { keep, outcome, subsets });
    }
    sets.sort_by(|a, b| a.keep.get().total_cmp(&b.keep.get()));
    Ok(sets)
}

fn shown(cell: &Cell) -> String {
    let pairs: Vec<String> = cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    pairs.join(",")
}

/// The share of the pixels that a set of subsets keeps.
fn keep(computed: &Computed, outcome: &Outcome<Subsets>) -> Result<Fraction, Failure> {
    let stages = computed.experiments[0].stages.iter().filter(|stage| stage.name == outcome.stage);
    let mut instances = stages.flat_map(|stage| &stage.instances).filter(|instance| instance.cell == outcome.cell);
    let keep = instances.find_map(|instance| match instance.settings {
        Settings::Mask(Mask { keep: Keep::Share(share) | Keep::Rounds(share), .. }) => Some(share),
        _ => None,
    });
    keep.ok_or_else(|| Failure::usage(format!("`{}` is no `mask` stage", outcome.stage)))
}

/// The files that are handed out: pictures, sheet and instructions.
fn files(images: &ImageSet, sets: &[Set<'_>], shown: &[Picture]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let side = images.shape.height.min(images.shape.width).max(1);
    let scale = NonZeroU32::new(LEAST_SIDE.div_ceil(side) as u32).unwrap_or(NonZeroU32::MIN);
    let drawing = Drawing::new(images.shape, &images.normalise, scale);
    let mut files = Vec::new();
    for picture in shown {
        let bytes = seen(images, sets, picture)?;
        let panel = Panel { image: &bytes, shown: Shown::All };
        let png = drawing.image(panel).map_err(|error| Failure::because(Kind::Internal, error))?;
        files.push((picture.file.clone(), png));
    }
    let sheet = write_sheet(shown.iter().map(|picture| picture.file.as_str()));
    files.push((SHEET.to_owned(), sheet.into_bytes()));
    files.push(("instructions.txt".to_owned(), instructions(images).into_bytes()));
    Ok(files)
}

fn instructions(images: &ImageSet) -> String {
    let mut text = format!(
        "Each picture shows a part of a photograph; the rest is covered by one colour.\n\
         Write what you see beside the picture's name in {SHEET}, as one of the classes below.\n\
         Leave the answer empty only where you cannot even guess.\n\nClasses:\n"
    );
    for class in &images.classes {
        let _ = writeln!(text, "{class}");
    }
    text
}

/// What people see of an image, before it is scaled.
fn seen(images: &ImageSet, sets: &[Set<'_>], shown: &Picture) -> Result<Vec<u8>, Failure> {
    picture(images, &sets[shown.set].subsets, shown.image).map_err(|error| Failure::because(Kind::Usage, error))
}

fn key(images: &ImageSet, sets: &[Set<'_>], shown: &[Picture]) -> Result<Vec<KeyRow>, Failure> {
    let row = |(number, picture): (usize, &Picture)| {
        Ok(KeyRow {
            line: number as u64 + 2,
            file: picture.file.clone(),
            image: picture.image,
            fraction: sets[picture.set].keep,
            label: images.classes[usize::from(images.labels[picture.image])].clone(),
            shown: fingerprint(&seen(images, sets, picture)?),
        })
    };
    shown.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_lies_beside_the_folder_that_is_handed_out() {
        let key = |folder: &str| key_beside(Path::new(folder)).map_err(|failure| failure.to_string());
        assert_eq!(key("out/study").unwrap(), Path::new("out/study.key.csv"));
        assert!(key("..").unwrap_err().contains("the name of a new folder"));
        let longest = "s".repeat(LONGEST_OF_A_FILE - ".key.csv".len());
        assert!(key(&longest).is_ok());
        assert!(key(&format!("{longest}s")).unwrap_err().ends_with(": choose a shorter folder"));
    }
}
