//! An experiment's tables and claims, and lines for what no table shows.

use std::collections::BTreeMap;

use overinterp_artifacts::ImageSis;
use overinterp_config::Experiment;
use overinterp_data::Provenance;
use overinterp_report::{CheckedClaim, FilledTable, Measurement, check, fill, interval_text};
use overinterp_spec::{Cell, Metric};

use super::measure::{axes, measurements};
use crate::computed::Computed;
use crate::computed::files::Origin;
use crate::failure::Failure;
use crate::pipeline::{Analysed, Results};
use crate::text;

/// An experiment's tables and claims, filled from the cache.
pub(crate) struct Answers {
    pub measurements: Vec<Measurement>,
    pub tables: Vec<FilledTable>,
    pub claims: Vec<CheckedClaim>,
    pub sufficient: Vec<String>,
    pub analyses: Vec<String>,
    /// How many pictures people answered.
    pub answered: Vec<String>,
    /// Whose images are not the published ones.
    pub origins: Vec<String>,
}

/// Fills an experiment's tables and checks its claims.
pub(crate) fn answers(computed: &Computed, experiment: &Experiment, results: &Results) -> Result<Answers, Failure> {
    let measurements = measurements(computed, results)?;
    let axes = axes(experiment);
    Ok(Answers {
        tables: experiment.tables.iter().map(|table| fill(table, &axes, &measurements)).collect(),
        claims: experiment.claims.iter().map(|claim| check(claim, &measurements)).collect(),
        sufficient: sufficient(computed, results)?,
        analyses: analyses(results, &measurements),
        answered: answered(computed, results)?,
        origins: origins(computed, experiment),
        measurements,
    })
}

/// A line for each data set that is not the published one.
fn origins(computed: &Computed, experiment: &Experiment) -> Vec<String> {
    let mut names: Vec<&String> = experiment.data.iter().map(|data| &data.name).collect();
    names.dedup();
    let named = names.into_iter().filter_map(|name| computed.origins.get_key_value(name));
    let other = named.filter(|(_, origin)| origin.provenance != Provenance::Official);
    let line = |(name, origin): (&String, &Origin)| {
        let skipped = origin.skipped.iter().map(|(split, count)| {
            format!("; {} of {name}.{split} left out, because they do not decode", text::count(*count, "file"))
        });
        let passed = origin.passed.iter().map(|(split, count)| {
            format!(
                "; {} of {name}.{split} passed over, whose names do not end as images' do",
                text::count(*count, "file")
            )
        });
        format!("Images of {name}: {}{}", origin.provenance.describe(), skipped.chain(passed).collect::<String>())
    };
    other.map(line).collect()
}

/// A line for each sheet of answers and each size of subsets.
fn answered(computed: &Computed, results: &Results) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for outcome in &results.answers {
        let in_plan = computed.planned.plan.find(outcome.key.step()).is_some();
        let Some(answers) = in_plan.then(|| computed.load(&outcome.key)).transpose()?.flatten() else { continue };
        let cell = text::cell(&outcome.cell);
        let given = answers.answered();
        let shown = text::count(answers.pictures.len(), "picture");
        lines.push(format!("{}{cell} on {}: {given} of {shown} answered", outcome.stage, outcome.images));
    }
    Ok(lines)
}

/// A line for each set of sufficient input subsets.
fn sufficient(computed: &Computed, results: &Results) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for outcome in &results.sufficient {
        let in_plan = computed.planned.plan.find(outcome.key.step()).is_some();
        let Some(set) = in_plan.then(|| computed.load(&outcome.key)).transpose()?.flatten() else { continue };
        lines.push(format!(
            "Sufficient input subsets at {} of the first {} of {} ({}{}), in pixels of {}: {}",
            set.threshold,
            text::count(set.images.len(), "image"),
            outcome.images,
            outcome.stage,
            text::cell(&outcome.cell),
            set.pixels,
            sizes(&set.images)
        ));
    }
    Ok(lines)
}

/// The size of each subset; of more than a line of them, how they are distributed.
fn sizes(images: &[ImageSis]) -> String {
    const IN_A_LINE: usize = 24;
    if images.len() <= IN_A_LINE {
        let size = |image: &ImageSis| {
            image.subset.as_ref().map_or_else(|| "none suffices".to_owned(), |subset| subset.len().to_string())
        };
        return images.iter().map(size).collect::<Vec<_>>().join(", ");
    }
    let mut sizes: Vec<usize> = images.iter().filter_map(|image| Some(image.subset.as_ref()?.len())).collect();
    sizes.sort_unstable();
    let none = images.len() - sizes.len();
    match &sizes[..] {
        [] => "none suffices for any".to_owned(),
        [least, ..] => {
            let (median, most) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
            let empty = sizes.iter().filter(|size| **size == 0).count();
            format!("median {median}, from {least} to {most}; none suffices for {none}, the empty one for {empty}")
        }
    }
}

/// A line for each evaluation, for an experiment without tables.
pub(crate) fn evaluations(measurements: &[Measurement]) -> Vec<String> {
    if measurements.iter().all(|measurement| measurement.value.is_none()) {
        return Vec::new();
    }
    let line = |measurement: &Measurement| {
        let cell = text::cell(&measurement.cell);
        let value = measurement.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let Measurement { stage, model, images, metric, .. } = measurement;
        format!("{stage}{cell}: {} of {model} on {images}: {value}", metric.name())
    };
    let of_evaluations = |measurement: &&Measurement| Metric::OF_EVALUATIONS.contains(&measurement.metric);
    measurements.iter().filter(of_evaluations).map(line).collect()
}

/// A line for each analysis that has run: its numbers, also those that no table shows.
fn analyses(results: &Results, measurements: &[Measurement]) -> Vec<String> {
    let mut by_stage: BTreeMap<(&str, &Cell), Vec<&Measurement>> = BTreeMap::new();
    for measurement in measurements {
        by_stage.entry((&measurement.stage, &measurement.cell)).or_default().push(measurement);
    }
    let mut lines = Vec::new();
    for Analysed { outcome, metrics } in &results.analyses {
        let of_outcome = by_stage.get(&(outcome.stage.as_str(), &outcome.cell)).into_iter().flatten();
        let of_outcome = of_outcome.filter(|measurement| metrics.contains(&measurement.metric));
        let numbers: Vec<String> = of_outcome.filter_map(|measurement| number(measurement)).collect();
        if !numbers.is_empty() {
            let of = if outcome.model.is_empty() { String::new() } else { format!("{} on ", outcome.model) };
            let cell = text::cell(&outcome.cell);
            lines.push(format!("  {}{cell} ({of}{}): {}", outcome.stage, outcome.images, numbers.join(", ")));
        }
    }
    lines
}

/// `sis-size 61.2 [58.0, 64.1] of 500`; none while the analysis has not run.
fn number(measurement: &Measurement) -> Option<String> {
    let unit = measurement.metric.unit();
    let n = measurement.n?;
    let value = match measurement.value {
        Some(value) => interval_text(value, measurement.interval, unit),
        None => "-".to_owned(),
    };
    Some(format!("{} {value} of {n}", measurement.metric.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sizes_are_told_by_their_distribution() {
        let image = |size: Option<u32>| ImageSis {
            class: 0,
            full: 1.0,
            alone: None,
            subset: size.map(|size| (0..size).collect()),
        };
        let few = [Some(3), None, Some(0)].map(image);
        assert_eq!(sizes(&few), "3, none suffices, 0");
        let many: Vec<ImageSis> = (0..30).map(|size| image((size > 4).then(|| size - 5))).collect();
        assert_eq!(sizes(&many), "median 12, from 0 to 24; none suffices for 5, the empty one for 1");
    }
}
