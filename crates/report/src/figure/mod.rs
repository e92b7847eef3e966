//! Figures: each an SVG that needs no other file, beside the numbers that it shows.

mod curves;
mod gallery;
mod heat_map;
mod marks;
mod numbers;
mod palette;
mod samples;
mod scale;
mod svg;

use maud::Markup;

use super::drawing::DrawingError;
pub use gallery::{Block, Original, PictureRow, Subset, picture_scale};
pub use numbers::Numbers;
pub(super) use palette::page_rules;
pub use samples::{
    Axis, AxisRange, Chart, Curve, CurvePoint, CurveSample, HeatMap, HeatMapSample, MapGroup, MeanPoint, Origin,
    merge_curves, merge_heat_maps, shared_axes,
};

/// A figure, drawn.
#[derive(Clone, Debug)]
pub struct DrawnFigure {
    /// Its name in the file.
    pub name: String,
    /// What stands above it, as the experiment file words it.
    pub title: String,
    /// What can be seen in it, for those who do not see it.
    pub description: String,
    /// What a reader has to know: what bands mean, what is missing.
    pub notes: Vec<String>,
    /// The numbers that it shows.
    pub numbers: Numbers,
    /// The picture; none while nothing of it is there.
    picture: Option<Picture>,
}

/// What a figure shows.
#[derive(Clone, Debug)]
pub enum Content {
    /// Curves, those of one chart with the same scales.
    Curves(Vec<Chart>),
    /// Heat maps, those of one group with the same colours.
    HeatMaps(Vec<MapGroup>),
    /// Images and subsets of their pixels.
    Images(Vec<Block>),
}

impl Content {
    /// Whether there is nothing to show.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Curves(charts) => charts.is_empty(),
            Self::HeatMaps(groups) => groups.is_empty(),
            Self::Images(blocks) => blocks.is_empty(),
        }
    }

    /// The content without curves that have no points, and what those are called.
    fn with_points(self) -> (Self, Vec<String>) {
        let Self::Curves(charts) = self else { return (self, Vec::new()) };
        let mut without = Vec::new();
        let mut drawn = Vec::new();
        for chart in charts {
            let (curves, empty): (Vec<_>, Vec<_>) =
                chart.curves.into_iter().partition(|curve| !curve.points.is_empty());
            without.extend(empty.into_iter().map(|curve| format!("{}, {}", chart.drawing, curve.label)));
            if !curves.is_empty() {
                drawn.push(Chart { curves, ..chart });
            }
        }
        (Self::Curves(drawn), without)
    }
}

/// What is drawn, without the `<svg>` around it.
#[derive(Clone, Debug)]
struct Picture {
    width: f64,
    height: f64,
    content: Markup,
}

/// Draws a figure. `notes` are put before those that its content asks for.
///
/// # Errors
/// When an image does not fit its shape, or cannot be encoded.
pub fn draw(name: &str, title: &str, content: Content, mut notes: Vec<String>) -> Result<DrawnFigure, DrawingError> {
    let (content, without) = content.with_points();
    if !without.is_empty() {
        notes.push(format!("There is nothing to draw of: {}.", without.join("; ")));
    }
    let content = &content;
    let picture = match content {
        _ if content.is_empty() => None,
        Content::Curves(charts) => Some(curves::draw(charts)),
        Content::HeatMaps(groups) => Some(heat_map::draw(groups)?),
        Content::Images(blocks) => Some(gallery::draw(blocks)?),
    };
    let (numbers, description) = match content {
        Content::Curves(charts) => (numbers::of_curves(charts), curves::described(charts)),
        Content::HeatMaps(groups) => (numbers::of_heat_maps(groups), heat_map::described(groups)),
        Content::Images(blocks) => (numbers::of_images(blocks), gallery::described(blocks)),
    };
    notes.extend(explanation(content).map(str::to_owned));
    Ok(DrawnFigure { name: name.to_owned(), title: title.to_owned(), description, notes, numbers, picture })
}

/// What marks, bands and colours mean.
fn explanation(content: &Content) -> Option<&'static str> {
    match content {
        Content::Curves(charts) => {
            let curves = || charts.iter().flat_map(|chart| &chart.curves);
            let banded = |averaged: bool| {
                curves()
                    .filter(|curve| (curve.replicates > 1) == averaged)
                    .any(|curve| curve.points.iter().any(|point| point.band.is_some()))
            };
            match (banded(true), banded(false)) {
                (true, true) => {
                    Some("Bands: mean \u{b1} deviation of several replicates; of a single one, its 95 % interval.")
                }
                (true, false) => Some("Bands: mean \u{b1} deviation of the replicates."),
                (false, true) => Some("Bands: 95 % intervals."),
                (false, false) => None,
            }
        }
        Content::HeatMaps(groups) if groups.is_empty() => None,
        Content::HeatMaps(_) => Some("Lighter pixels are those of higher value; the scale starts at 0."),
        Content::Images(blocks) if blocks.is_empty() => None,
        Content::Images(_) => Some(
            "The first images of the split, not chosen ones. Masked pixels show the mean colour, if nothing else stands in their place. Below a subset: the \
             class that the model predicts, its probability for the subset alone, and the pixels kept; \u{201c}none\u{201d}: \
             no subset reaches the threshold, and the probability is that of the full image; \u{201c}empty\u{201d}: the \
             fully masked image reaches it already.",
        ),
    }
}

impl DrawnFigure {
    /// The figure as part of a page, which has its style sheet.
    pub(super) fn inline(&self) -> Option<Markup> {
        self.picture.as_ref().map(|picture| svg::inline(self, picture))
    }

    /// The figure as a file of its own, on white paper; none while nothing of it is there.
    #[must_use]
    pub fn svg_file(&self) -> Option<String> {
        self.picture.as_ref().map(|picture| svg::file(self, picture).into_string())
    }
}

#[cfg(test)]
mod tests {
    use super::samples::tests::curve;
    use super::*;

    #[test]
    fn bands_are_explained_as_what_they_are() {
        let notes = |samples: &[CurveSample]| {
            let charts = merge_curves(samples, &["seed".to_owned()]);
            draw("size", "Size", Content::Curves(charts), vec!["one".into()]).expect("it can be drawn").notes
        };
        let points = [(0.5, 1.0), (0.9, 2.0)];
        let (single, double) = ([curve("a", 0, &points)], [curve("a", 0, &points), curve("a", 1, &points)]);
        assert_eq!(notes(&single), ["one", "Bands: 95 % intervals."]);
        assert_eq!(notes(&double), ["one", "Bands: mean \u{b1} deviation of the replicates."]);
    }

    #[test]
    fn curves_without_points_are_named_rather_than_drawn() {
        let charts = merge_curves(&[curve("a", 0, &[(0.5, 1.0)]), curve("b", 0, &[])], &["seed".to_owned()]);
        let figure = draw("size", "Size", Content::Curves(charts), vec![]).expect("it can be drawn");
        assert_eq!(figure.notes[0], "There is nothing to draw of: size, b.");
        assert_eq!(figure.numbers.rows.len(), 1);
        assert!(!figure.svg_file().expect("there is a curve").contains(">b<"));
    }

    #[test]
    fn a_figure_is_a_file_of_its_own_and_the_same_every_time() {
        let draw = || draw("sis", "SIS & more", Content::Images(vec![gallery::tests::block()]), vec![]).unwrap();
        let file = draw().svg_file().unwrap();
        assert!(file.starts_with("<?xml") && file.ends_with("</svg>\n"), "{file}");
        assert!(file.contains("<title id=\"title-sis\">SIS &amp; more</title>"), "{file}");
        assert_eq!(Some(file), draw().svg_file());
    }

    #[test]
    fn a_figure_without_content_has_no_picture() {
        let figure = draw("empty", "Empty", Content::HeatMaps(vec![]), vec![]).unwrap();
        assert!(figure.svg_file().is_none() && figure.notes.is_empty());
    }
}
