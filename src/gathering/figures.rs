//! An experiment's figures, from what the cache holds.

use std::collections::BTreeMap;

use crate::pipeline::{Outcome, Results};
use overinterp_artifacts::{Evaluation, ImageSet, SisSet, Subsets, UnreadableImage};
use overinterp_config::Experiment;
use overinterp_nn::images::appearance::picture;
use overinterp_report::drawing::Drawing;
use overinterp_report::figure::{Block, Content, DrawnFigure, Original, PictureRow, Subset, draw, picture_scale};
use overinterp_spec::{Cell, FigureKind, PicturedStage};
use overinterp_stages::DataSplit;
use overinterp_workflow::stage::Artifact;

use crate::computed::Computed;
use crate::failure::{Failure, Kind};

/// Draws every figure of an experiment.
pub(crate) fn figures(
    computed: &Computed,
    experiment: &Experiment,
    results: &Results,
) -> Result<Vec<DrawnFigure>, Failure> {
    let gatherer = Gatherer { computed, results };
    let figures = experiment.figures.iter().map(|figure| {
        let (content, notes) = match &figure.kind {
            FigureKind::Images { shows, count } => gatherer.images(shows, *count)?,
            FigureKind::Curves(drawings) => gatherer.curves(drawings)?,
            FigureKind::HeatMaps(drawings) => gatherer.heat_maps(drawings)?,
        };
        draw(&figure.name, &figure.title, content, notes).map_err(|error| Failure::because(Kind::Internal, error))
    });
    figures.collect()
}

/// Gathers what figures show.
pub(crate) struct Gatherer<'a> {
    pub computed: &'a Computed,
    pub results: &'a Results,
}

/// How much of what a figure shows is there.
#[derive(Default)]
pub(crate) struct Tally {
    pub all: usize,
    pub missing: usize,
}

/// A row of pictures before its images are known.
struct LabelledRow<'a> {
    data: &'a DataSplit,
    label: String,
    /// By the image's number in the split.
    subsets: BTreeMap<usize, RawSubset>,
}

/// A subset whose class is still a number.
struct RawSubset {
    kept: Option<Vec<u32>>,
    seen: Option<Vec<u8>>,
    class: Option<u16>,
    full: Option<f64>,
    alone: Option<f64>,
}

impl Tally {
    /// What is missing of things that are called so, one and several.
    pub fn note(&self, (one, several): (&str, &str)) -> Option<String> {
        let Self { all, missing } = self;
        let noun = if *all == 1 { one } else { several };
        let are = if *missing == 1 { "is" } else { "are" };
        (*missing > 0).then(|| format!("{missing} of the {all} {noun} behind this figure {are} not computed."))
    }
}

impl<'a> Gatherer<'a> {
    /// A result, if it is in the plan and there.
    pub fn load<A: Artifact>(&self, outcome: &Outcome<A>, tally: &mut Tally) -> Result<Option<A>, Failure> {
        let plan = &self.computed.planned.plan;
        let Some(step) = plan.find(outcome.key.step()).map(|id| plan.step(id)) else { return Ok(None) };
        tally.all += 1;
        let loaded = match step.key() {
            None => None,
            Some(_) => self.computed.load(&outcome.key)?,
        };
        tally.missing += usize::from(loaded.is_none());
        Ok(loaded)
    }

    fn images(&self, shows: &[PicturedStage], count: usize) -> Result<(Content, Vec<String>), Failure> {
        let mut tally = Tally::default();
        let mut found: Vec<LabelledRow<'_>> = Vec::new();
        for shown in shows {
            let mut rows = self.sufficient(shown, count, &mut tally)?;
            rows.extend(self.masked(shown, count, &mut tally)?);
            let several = rows.len() > 1;
            found.extend(rows.into_iter().map(|(data, cell, subsets)| {
                let name = shown.label.as_ref().unwrap_or(&shown.stage);
                let free = cell.iter().filter(|(axis, _)| !shown.pins.contains_key(*axis));
                let cell: Vec<String> = free.map(|(axis, value)| format!("{axis}={value}")).collect();
                let label =
                    if several && !cell.is_empty() { format!("{name} {}", cell.join(" ")) } else { name.clone() };
                LabelledRow { data, label, subsets }
            }));
        }
        let mut blocks = Vec::new();
        while let Some(first) = found.first() {
            let data = first.data;
            let (rows, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|row| row.data == data);
            found = rest;
            blocks.push(self.block(data, &rows, count)?);
        }
        Ok((Content::Images(blocks), tally.note(("result", "results")).into_iter().collect()))
    }

    /// The sufficient input subsets of each cell that `shown` names.
    fn sufficient(&self, shown: &PicturedStage, count: usize, tally: &mut Tally) -> Result<Vec<Row<'a>>, Failure> {
        let mut rows = Vec::new();
        for (outcome, data) in chosen(&self.results.sufficient, shown) {
            let Some(SisSet { first, images, .. }) = self.load(outcome, tally)? else { continue };
            let subsets = images.into_iter().take(count).enumerate().map(|(place, image)| {
                let [full, alone] = [Some(image.full), image.alone].map(|value| value.map(f64::from));
                (first + place, RawSubset { kept: image.subset, seen: None, class: Some(image.class), full, alone })
            });
            rows.push((data, outcome.cell.clone(), subsets.collect()));
        }
        Ok(rows)
    }

    /// What masks keep in each cell that `shown` names, and what the models say of it.
    fn masked(&self, shown: &PicturedStage, count: usize, tally: &mut Tally) -> Result<Vec<Row<'a>>, Failure> {
        let mut rows = Vec::new();
        for (outcome, data) in chosen(&self.results.subsets, shown) {
            let Some(subsets) = self.load(outcome, tally)? else { continue };
            let images = self.computed.images_of(data)?;
            let Some(model) = &shown.model else {
                rows.push((data, outcome.cell.clone(), kept(&images, &subsets, None, count)?));
                continue;
            };
            let evaluations = self.results.evaluations.iter().map(|evaluated| &evaluated.outcome);
            let says = evaluations.filter(|evaluation| {
                evaluation.model == *model
                    && evaluation.images == outcome.images
                    && pinned(&evaluation.cell, &shown.pins)
                    && outcome.cell.iter().all(|(axis, value)| evaluation.cell.get(axis).is_none_or(|own| own == value))
            });
            for evaluation in says {
                let predictions = self.load(evaluation, tally)?;
                let cell = outcome.cell.clone().into_iter().chain(evaluation.cell.clone()).collect();
                rows.push((data, cell, kept(&images, &subsets, predictions.as_ref(), count)?));
            }
        }
        Ok(rows)
    }

    fn block(&self, data: &DataSplit, rows: &[LabelledRow<'_>], count: usize) -> Result<Block, Failure> {
        let images = self.computed.images_of(data)?;
        let mut numbers: Vec<usize> = rows.iter().flat_map(|row| row.subsets.keys().copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.truncate(count);
        let name = |class: u16| class_name(&images, class);
        let original = |&number: &usize| {
            let (class, bytes) = (name(images.labels[number]), images.image(number)?.into_owned());
            Ok(Original { number, class, bytes })
        };
        let originals = numbers.iter().map(original).collect::<Result<_, UnreadableImage>>()?;
        let rows = rows.iter().map(|row| PictureRow {
            label: row.label.clone(),
            subsets: numbers
                .iter()
                .map(|number| {
                    let RawSubset { kept, seen, class, full, alone } = row.subsets.get(number)?;
                    let (kept, seen) = (kept.clone(), seen.clone());
                    Some(Subset { kept, seen, class: class.map(name), full: *full, alone: *alone })
                })
                .collect(),
        });
        Ok(Block {
            images: format!("{}.{}", data.source.name, data.split),
            drawing: Drawing::new(images.shape, &images.normalise, picture_scale(images.shape.width)),
            originals,
            rows: rows.collect(),
        })
    }
}

type Row<'a> = (&'a DataSplit, Cell, BTreeMap<usize, RawSubset>);

/// The outcomes of the stage and the half of the data that `shown` names.
fn chosen<'a, A>(
    outcomes: &'a [Outcome<A>],
    shown: &PicturedStage,
) -> impl Iterator<Item = (&'a Outcome<A>, &'a DataSplit)> {
    outcomes
        .iter()
        .filter(|outcome| outcome.stage == shown.stage && pinned(&outcome.cell, &shown.pins))
        .filter_map(|outcome| Some((outcome, outcome.data.as_ref()?)))
        .filter(|(_, data)| data.split == shown.split)
}

/// Whether a cell has these values. What does not vary over an axis is the same at each of its values.
pub(crate) fn pinned(cell: &Cell, pins: &Cell) -> bool {
    pins.iter().all(|(axis, value)| cell.get(axis).is_none_or(|own| own == value))
}

/// The pixels kept of the first images, and what a model says of them.
fn kept(
    images: &ImageSet,
    subsets: &Subsets,
    says: Option<&Evaluation>,
    count: usize,
) -> Result<BTreeMap<usize, RawSubset>, UnreadableImage> {
    let shown = 0..subsets.len().min(images.len()).min(count);
    let subset = |image: usize| {
        let subset = subsets.subset(image)?;
        let kept = (0..subsets.pixels()).filter(|&pixel| subset.keeps(pixel)).map(|pixel| pixel as u32);
        let predictions = says.map(|says| &says.predictions);
        let subset = RawSubset {
            kept: Some(kept.collect()),
            seen: Some(picture(images, subsets, image)?),
            class: predictions.and_then(|said| said.predicted.get(image).copied()),
            full: None,
            alone: predictions.and_then(|said| said.confidence.get(image).copied().map(f64::from)),
        };
        Ok((image, subset))
    };
    shown.map(subset).collect()
}

fn class_name(images: &ImageSet, class: u16) -> String {
    images.classes.get(usize::from(class)).cloned().unwrap_or_else(|| format!("class {class}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_spec::AxisValue;

    #[test]
    fn what_is_missing_of_a_figure_is_counted() {
        let note = |all, missing| Tally { all, missing }.note(("analysis", "analyses"));
        assert_eq!(note(3, 0), None);
        assert_eq!(note(1, 1).unwrap(), "1 of the 1 analysis behind this figure is not computed.");
        assert_eq!(note(3, 2).unwrap(), "2 of the 3 analyses behind this figure are not computed.");
    }

    #[test]
    fn a_pin_holds_for_what_does_not_vary_over_its_axis() {
        let cell = |pairs: &[(&str, i64)]| -> Cell {
            pairs.iter().map(|(axis, value)| ((*axis).to_owned(), AxisValue::Int(*value))).collect()
        };
        let of_seed = cell(&[("seed", 0)]);
        assert!(pinned(&of_seed, &cell(&[])) && pinned(&of_seed, &cell(&[("seed", 0)])));
        assert!(pinned(&of_seed, &cell(&[("width", 3)])) && !pinned(&of_seed, &cell(&[("seed", 1)])));
    }
}
