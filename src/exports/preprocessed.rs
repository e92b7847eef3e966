//! `export` of a data set: its images as the program reads them, decoded, resized and cropped, before they are normalised.

use std::io;
use std::path::Path;

use overinterp_artifacts::{ImageSet, UnreadableImage};
use overinterp_config::experiment::Experiment;
use overinterp_exchange::ArrayArchive;
use overinterp_spec::Split;

use super::Export;
use super::leftovers::nothing_else_of;
use super::names::{cell_part, file_name};
use crate::failure::Failure;
use crate::text;
use crate::writing::{WriteError, create};

/// Whether that is a data set of the experiment and no stage.
pub(crate) fn is_data(experiment: &Experiment, name: &str) -> bool {
    experiment.data.iter().any(|source| source.name == name) && experiment.stages.iter().all(|stage| stage.name != name)
}

/// Writes each half of each of the data sets of that name as `NAME-CELL-HALF.npz`.
pub(crate) fn write(export: &Export<'_>, into: &Path) -> Result<(), Failure> {
    let computed = export.computed;
    let sources = computed.experiments[0].data.iter().filter(|source| source.name == export.name);
    let mut halves = Vec::new();
    let mut absent = None;
    for (source, split) in sources.flat_map(|source| Split::ALL.map(|split| (source, split))) {
        if !source.kind.has(split) {
            continue;
        }
        match computed.env.library.images(source, split) {
            Ok(images) => {
                let name = file_name(&format!("{}{}-{split}", source.name, cell_part(&source.cell)), ".npz");
                halves.push((into.join(name), images));
            }
            Err(error) if error.is_missing() => absent = absent.or(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    let own = halves.iter().map(|(path, _)| path.clone()).collect();
    nothing_else_of(&computed.experiments[0], export.name, into, &own)?;
    for (path, images) in &halves {
        create(into)?;
        write_half(images, export, path)?;
    }
    match absent {
        Some(absent) if halves.is_empty() => return Err(absent.into()),
        Some(absent) => export.note(&format!("only one half is there: {absent}")),
        None => {}
    }
    Ok(())
}

fn write_half(images: &ImageSet, export: &Export<'_>, path: &Path) -> Result<(), Failure> {
    let count = export.images.map_or(images.len(), |count| count.min(images.len()));
    let (shape, normalise) = (images.shape, &images.normalise);
    ArrayArchive::write::<Unwritten>(path, |archive| {
        archive.start::<u8>("images", &[count, shape.height, shape.width, shape.channels])?;
        for image in 0..count {
            archive.push(images.image(image)?.iter().copied())?;
        }
        archive.array("labels", images.labels[..count].iter().map(|&label| i64::from(label)))?;
        archive.texts("classes", &images.classes)?;
        archive.array("mean", normalise.mean.iter().copied())?;
        archive.array("deviation", normalise.std.iter().copied())?;
        Ok(())
    })
    .map_err(|error| match error {
        Unwritten::Image(error) => Failure::from(error),
        Unwritten::File(error) => WriteError::at(path)(error).into(),
    })?;
    export.wrote(path);
    export.note(&format!(
        "{} of {}x{}x{}; a network sees (images - mean) / deviation",
        text::count(count, "image"),
        shape.height,
        shape.width,
        shape.channels
    ));
    Ok(())
}

/// Why an archive of images is not there.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Image(#[from] UnreadableImage),
    #[error(transparent)]
    File(#[from] io::Error),
}
