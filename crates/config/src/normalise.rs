//! Reads the `normalise` of a `train` or `import`.

use overinterp_spec::Normalise;

use super::field::{Field, list, table};
use super::read::{Item, Reader};

/// `normalise` of a model; what holds without it depends on the stage.
pub(super) const NORMALISATION: Field = table(
    "normalise",
    "Mean and deviation with which the network is shown every image, of pixels from 0 to 1, one a channel",
    "{ mean = [0.485, 0.456, 0.406], deviation = [0.229, 0.224, 0.225] }",
    NORMALISE,
);

const NORMALISE: &[Field] = &[
    list("mean", "What is subtracted", "[0.485, 0.456, 0.406]", "numbers"),
    list("deviation", "What the rest is divided by", "[0.229, 0.224, 0.225]", "numbers"),
];

/// Reads means and deviations of pixels from 0 to 1, one of each for each of so many channels, where that is known.
pub(super) fn normalise(item: &Item<'_>, channels: Option<usize>) -> Option<Normalise> {
    let table = item.table(NORMALISE)?;
    let means = numbers(&table, "mean", "at least 0", |mean| mean >= 0.0);
    let deviations = numbers(&table, "deviation", "above 0", |deviation| deviation > 0.0);
    let (means, deviations) = (means?, deviations?);
    if means.len() != deviations.len() {
        let (means, deviations) = (means.len(), deviations.len());
        return item
            .fault(format!("has {means} in `mean` and {deviations} in `deviation`: write one of each a channel"));
    }
    if let Some(channels) = channels.filter(|&channels| channels != means.len()) {
        let means = means.len();
        return item
            .fault(format!("is for {means} channels, but the images have {channels}: write one of each a channel"));
    }
    Some(Normalise::of_unit_range(&means, &deviations))
}

/// A list of numbers for each of which `holds`, and none of which is above 1.
fn numbers(table: &Reader<'_>, key: &str, requirement: &str, holds: fn(f64) -> bool) -> Option<Vec<f64>> {
    let items = table.required(key)?.full_list()?;
    let mut found = Vec::with_capacity(items.len());
    let mut sound = true;
    for item in &items {
        match item.number_where(requirement, holds) {
            Some(value) if value > 1.0 => {
                let problem = item.problem(format!("must be at most 1, not {value}: it is of pixels from 0 to 1"));
                let help = "if it is of pixels from 0 to 255, divide it by 255";
                item.sink().report(problem.help(help));
                // The others are of the same scale.
                return None;
            }
            Some(value) => found.push(value),
            None => sound = false,
        }
    }
    sound.then_some(found)
}
