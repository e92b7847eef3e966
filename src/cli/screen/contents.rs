//! What a step's result says of images, as people read it: a line an image, the first of them or all.

use std::path::Path;

use serde::Serialize;

use overinterp_artifacts::{
    CollectionEnding, Collections, Effort, Evaluation, ImageCollection, ImageSis, Model, Network, Ranking, SisSet,
    Subsets, UnreadableImage,
};
use overinterp_spec::SeededDropout;
use overinterp_workflow::stage::{Artifact, ArtifactError};

use crate::text;

/// Images that are shown if not all are.
const IMAGES: usize = 10;
/// Pixels of each.
const PIXELS: usize = 8;

/// How much is shown.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// The first images, and the first pixels of each.
    First,
    /// All images, and all pixels of each.
    All,
}

impl Extent {
    const fn images(self) -> usize {
        match self {
            Self::First => IMAGES,
            Self::All => usize::MAX,
        }
    }

    /// Pixels by number, row by row from 0.
    fn pixels<'p>(self, pixels: impl ExactSizeIterator<Item = &'p u32>) -> String {
        let most = match self {
            Self::First => PIXELS,
            Self::All => usize::MAX,
        };
        let more = if pixels.len() > most { " ..." } else { "" };
        let shown: Vec<String> = pixels.take(most).map(u32::to_string).collect();
        shown.join(" ") + more
    }
}

/// A table: its head, then a row an image.
struct Listing {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// Prints what the result in `dir`, which has these files, says; `false` where it is one whose files people can read. What a
/// result is its files tell, whatever stage made it.
///
/// # Errors
/// When the result cannot be loaded.
pub(crate) fn print(files: &[&str], dir: &Path, extent: Extent) -> Result<bool, ArtifactError> {
    let has = |file: &str| files.contains(&file);
    if has(Ranking::FILE) {
        ranking(&load(dir)?, extent);
    } else if has(SisSet::FILE) {
        sufficient(&load(dir)?, extent);
    } else if has(Collections::FILE) {
        collections(&load(dir)?, extent);
    } else if has(Subsets::FILE) {
        subsets(&load(dir)?, extent).map_err(|error| ArtifactError::reading(dir, error))?;
    } else if has(Evaluation::FILE) {
        evaluation(&load(dir)?, extent);
    } else if has(Model::WEIGHTS) || has(Model::ENSEMBLE) {
        model(&load(dir)?);
        // The log of a training is a table already.
        return Ok(false);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn load<A: Artifact>(dir: &Path) -> Result<A, ArtifactError> {
    A::load(dir)
}

fn ranking(ranking: &Ranking, extent: Extent) {
    let method = inline(ranking.method());
    outln!("\n{} of {} pixels, ranked by {method}", text::count(ranking.len(), "image"), ranking.pixels());
    effort(ranking.efforts());
    let shown = 0..ranking.len().min(extent.images());
    let rows = shown.map(|index| {
        let pixels = extent.pixels(ranking.order(index).iter().rev());
        let of_curve = match ranking.curve(index) {
            None => vec![String::new(); 3],
            Some(curve) => vec![curve.class.to_string(), share(curve.full), share(curve.fully_masked())],
        };
        [vec![(ranking.first() + index).to_string()], of_curve, vec![pixels]].concat()
    });
    let head = &["image", "class", "f(x)", "f masked", "pixels, the one masked last in front"];
    list(&Listing { head, rows: rows.collect() }, ranking.len());
}

/// What backward selections took, where that is known.
fn effort(efforts: &[Effort]) {
    let total: Effort = efforts.iter().copied().sum();
    if total.exhaustive > 0 {
        outln!("{total}");
    }
}

fn sufficient(set: &SisSet, extent: Extent) {
    let without = set.images.iter().filter(|image| image.subset.is_none()).count();
    outln!(
        "\nSufficient input subsets of {} of {} pixels at a threshold of {}; nothing suffices in {without}",
        text::count(set.images.len(), "image"),
        set.pixels,
        set.threshold
    );
    let rows = set.images.iter().take(extent.images()).enumerate().map(|(place, image)| {
        let ImageSis { class, full, alone, subset } = image;
        let (size, pixels) = match subset.as_deref() {
            None => ("none".to_owned(), "f(x) is below the threshold".to_owned()),
            Some([]) => ("0".to_owned(), "everything masked reaches it already".to_owned()),
            Some(pixels) => (pixels.len().to_string(), extent.pixels(pixels.iter())),
        };
        let alone = alone.map_or_else(String::new, share);
        vec![(set.first + place).to_string(), class.to_string(), share(*full), alone, size, pixels]
    });
    let head = &["image", "class", "f(x)", "f alone", "size", "pixels, the one masked last in front"];
    list(&Listing { head, rows: rows.collect() }, set.images.len());
}

fn collections(set: &Collections, extent: Extent) {
    let members: usize = set.images.iter().map(|image| image.members.len()).sum();
    outln!(
        "\n{} in {} of {} pixels at a threshold of {}",
        text::count(members, "sufficient input subset"),
        text::count(set.images.len(), "image"),
        set.pixels,
        set.threshold
    );
    effort(&set.efforts);
    let mut rows = Vec::new();
    for (place, ImageCollection { class, members, ending }) in set.images.iter().take(extent.images()).enumerate() {
        let image = (set.first + place).to_string();
        for (turn, member) in members.iter().enumerate() {
            let pixels = extent.pixels(member.subset.iter());
            let (number, size) = ((turn + 1).to_string(), member.subset.len().to_string());
            rows.push(vec![image.clone(), class.to_string(), number, share(member.full), size, pixels]);
        }
        let ending = match ending {
            CollectionEnding::BelowThreshold => "no more: what is left is below the threshold",
            CollectionEnding::EmptySubset => "no more: everything masked reaches the threshold",
        };
        rows.push([&image, &class.to_string(), "", "", "", ending].map(str::to_owned).to_vec());
    }
    let head = &["image", "class", "number", "f before", "size", "pixels, the one masked last in front"];
    list_of(&Listing { head, rows }, set.images.len().min(extent.images()), set.images.len());
}

fn subsets(subsets: &Subsets, extent: Extent) -> Result<(), UnreadableImage> {
    let appearance = subsets.appearance();
    let look = if appearance.is_default() { String::new() } else { format!(", shown as {}", inline(&appearance)) };
    outln!("\nSubsets of {} of {} pixels{look}", text::count(subsets.len(), "image"), subsets.pixels());
    let mut rows = Vec::new();
    for image in 0..subsets.len().min(extent.images()) {
        let subset = subsets.subset(image)?;
        let kept: Vec<u32> = (0..subsets.pixels() as u32).filter(|&pixel| subset.keeps(pixel as usize)).collect();
        rows.push(vec![image.to_string(), kept.len().to_string(), extent.pixels(kept.iter())]);
    }
    list(&Listing { head: &["image", "size", "pixels kept, by their number"], rows }, subsets.len());
    Ok(())
}

fn evaluation(evaluation: &Evaluation, extent: Extent) {
    let Evaluation { predictions: said, metrics } = evaluation;
    outln!(
        "\nAccuracy {} on {} in {} classes, mean confidence {}",
        share(metrics.accuracy as f32),
        text::count(metrics.images, "image"),
        metrics.classes,
        share(metrics.mean_confidence as f32)
    );
    let rows = (0..metrics.images.min(extent.images())).map(|image| {
        let (label, class) = (said.labels[image], said.predicted[image]);
        let right = if label == class { "right" } else { "wrong" };
        vec![image.to_string(), label.to_string(), class.to_string(), share(said.confidence[image]), right.to_owned()]
    });
    list(&Listing { head: &["image", "label", "class", "confidence", ""], rows: rows.collect() }, metrics.images);
}

/// What each network of a model is: its weights say nothing to people.
fn model(model: &Model) {
    outln!("  takes    images of {}, tells {} classes apart", model.shape, model.classes);
    for Network { arch, normalise, input_dropout, .. } in &model.networks {
        let dropout = input_dropout.map_or_else(String::new, |SeededDropout { keep, samples, seed }| {
            format!(", input-dropout = {{ keep = {:?}, samples = {samples}, seed = {} }}", keep.get(), seed.0)
        });
        outln!("  network  {arch}, normalise = {normalise}{dropout}");
    }
}

/// A setting as TOML has it.
fn inline(setting: &impl Serialize) -> String {
    toml::Value::try_from(setting).map_or_else(|_| String::new(), |value| value.to_string())
}

fn share(value: f32) -> String {
    format!("{value:.4}")
}

/// Prints a listing of a row an image, of as many images as there are.
fn list(listing: &Listing, images: usize) {
    list_of(listing, listing.rows.len(), images);
}

/// Prints a listing, and how many images are not in it.
fn list_of(Listing { head, rows }: &Listing, shown: usize, images: usize) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let last = cells.len() - 1;
        // Numbers to the right, what ends the line to the left.
        let aligned = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == last { (*cell).to_owned() } else { format!("{cell:>width$}") }
        });
        outln!("  {}", aligned.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(head);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if shown < images {
        outln!("  ... and {} more: `--all` shows all in full", images - shown);
    }
}
