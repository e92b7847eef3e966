//! What an experiment asks of its results: tables to print and claims to check.

use serde::Serialize;

use super::{Cell, Metric};

/// Numbers that belong together: those of one metric of one subject, over some cells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What the numbers are about: an evaluation or an analysis.
    pub subject: Subject,
    /// Values that axes must have (`where`).
    pub pins: Cell,
    /// What is measured.
    pub metric: Metric,
}

/// What numbers are about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// One stage's models on one set of images.
    Evaluation {
        /// The stage that made the models, such as `full`.
        model: String,
        /// The images, such as `subset.test`.
        images: String,
    },
    /// An `analyse` stage.
    Analysis {
        /// The name of the stage, which may also be of kind `temperature`.
        stage: String,
    },
}

/// A table as the paper prints it: mean and deviation (n-1) over the axes of `over`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name in the file.
    pub name: String,
    /// What stands above it, in one line.
    pub title: String,
    /// One row each, repeated for every value of axes that are neither in `columns` nor in `over`.
    pub rows: Vec<Row>,
    /// The axis whose values are the columns; without one there is a single column.
    pub columns: Option<String>,
    /// Axes averaged over.
    pub over: Vec<String>,
}

/// A row of a [`Table`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is written in front.
    pub label: String,
    /// What is averaged.
    pub measure: Measure,
    /// The paper's mean, where it is known.
    pub published: Option<f64>,
}

/// A sentence of the paper, checked against the results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// Its name in the file.
    pub name: String,
    /// The sentence that is checked, in one line.
    pub says: String,
    /// Where the paper says it.
    pub paper: Option<String>,
    /// Axes averaged over; the claim must hold for every value of the others.
    pub over: Vec<String>,
    /// All must hold.
    pub checks: Vec<Check>,
}

/// One comparison of a [`Claim`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What is compared.
    pub value: Measure,
    /// How the mean of `value` must stand to `of`, and by what margin.
    pub bound: Bound,
    /// What it is compared with: another mean, chance, or a number.
    pub of: Operand,
}

/// How two numbers must stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// |value - of| at most this (`within`).
    Within(f64),
    /// value - of at least this (`at-least`, `above`).
    Above(f64),
    /// of - value at least this (`at-least`, `below`).
    Below(f64),
}

/// The other side of a [`Check`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operand {
    /// The mean of these numbers, whose metric is counted in the same unit.
    Measure(Measure),
    /// One over the number of classes.
    Chance,
    /// A number in the file.
    Number(f64),
}

impl Bound {
    /// Whether `value` stands to `of` as demanded, with a slack of 1e-9 for rounding.
    #[must_use]
    pub fn is_met(self, value: f64, of: f64) -> bool {
        const SLACK: f64 = 1e-9;
        match self {
            Self::Within(tolerance) => (value - of).abs() <= tolerance + SLACK,
            Self::Above(margin) => value - of >= margin - SLACK,
            Self::Below(margin) => of - value >= margin - SLACK,
        }
    }
}
