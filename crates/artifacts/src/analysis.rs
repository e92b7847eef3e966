//! What an analysis found: numbers for tables and claims, curves and maps for figures.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Damage, json_file};
use overinterp_spec::Metric;
use overinterp_workflow::stage::{Artifact, ArtifactError};

const FILE: &str = "analysis.json";

/// What an analysis found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Analysis {
    /// At most one of each metric. Tables and claims name them by it.
    pub numbers: Vec<Number>,
    /// Curves, those of one figure next to each other.
    pub series: Vec<Series>,
    /// Maps of an image's pixels.
    pub maps: Vec<HeatMap>,
}

/// One headline number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Number {
    /// What it measures.
    pub metric: Metric,
    /// The number; none where there is nothing to measure, such as no misclassified image.
    pub value: Option<f64>,
    /// Where it lies with 95 % confidence, lower end first, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// What it is a number of: images, subsets.
    pub count: usize,
}

/// A curve, or a bar for each of some names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Series {
    /// What is drawn; series of the same `figure`, also those of other analyses, belong into one drawing and have the
    /// same scales.
    pub figure: String,
    /// What tells it from the others of the figure: `correct`.
    pub name: String,
    /// The scale along the bottom.
    pub x: Scale,
    /// The scale along the side.
    pub y: Scale,
    /// From left to right.
    pub points: Vec<Point>,
}

/// What an axis of a figure counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scale {
    /// What stands beside it: `pixels masked`.
    pub label: String,
    /// Which values it has.
    pub range: ScaleRange,
}

/// The values of a [`Scale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleRange {
    /// Shares and probabilities, from 0 to 1.
    Share,
    /// Numbers without a fixed range. The points decide where the axis ends.
    Number,
    /// Things that have names; the value 0 is the first.
    Names(Vec<String>),
}

/// A point of a [`Series`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Point {
    /// Its place along the bottom. On a scale of names, it is the number of one, counted from 0.
    pub x: f64,
    /// Its value on the scale along the side.
    pub y: f64,
    /// Where y lies with 95 % confidence, lower end first, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// What y is a number of: images, subsets.
    pub count: usize,
}

/// A number for each pixel: the share of images that keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HeatMap {
    /// What is drawn; maps of the same `figure` belong next to each other and have the same colours.
    pub figure: String,
    /// What tells it from the others of the figure: `all`, or a class.
    pub name: String,
    /// Its height in pixels, that of the images.
    pub height: usize,
    /// Its width in pixels, that of the images.
    pub width: usize,
    /// One number a pixel, row by row.
    pub values: Vec<f32>,
    /// How many images the values are shares of.
    pub count: usize,
}

impl Analysis {
    /// The number of that metric.
    #[must_use]
    pub fn number(&self, metric: Metric) -> Option<&Number> {
        self.numbers.iter().find(|number| number.metric == metric)
    }

    fn check(&self) -> Result<(), Damage> {
        for (place, number) in self.numbers.iter().enumerate() {
            if self.numbers[..place].iter().any(|other| other.metric == number.metric) {
                return Err(Damage::value(format_args!("it has two numbers '{}'", number.metric.name())));
            }
        }
        match self.maps.iter().find(|map| map.height.checked_mul(map.width) != Some(map.values.len())) {
            None => Ok(()),
            Some(map) => Err(Damage::value(format_args!("the map '{}' has not one value a pixel", map.name))),
        }
    }
}

impl Artifact for Analysis {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        json_file::write_compact(&dir.join(FILE), self)
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        json_file::read(&dir.join(FILE), Self::check)
    }
}
