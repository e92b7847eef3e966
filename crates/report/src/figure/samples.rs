//! What analyses have for figures, and how replicates become one curve or map.

use std::collections::BTreeSet;

use overinterp_spec::Cell;

use super::super::measurement::reduced;
use super::super::statistic::Statistic;

/// A curve of one analysis at one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveSample {
    /// Where it comes from.
    pub from: Origin,
    /// The scale along the bottom.
    pub x: Axis,
    /// The scale along the side.
    pub y: Axis,
    /// From left to right.
    pub points: Vec<CurvePoint>,
}

/// A map of an image's pixels of one analysis at one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMapSample {
    /// Where it comes from.
    pub from: Origin,
    /// Its height in pixels, that of the images.
    pub height: usize,
    /// Its width in pixels, that of the images.
    pub width: usize,
    /// One number a pixel, row by row.
    pub values: Vec<f64>,
    /// How many images the values are shares of.
    pub count: usize,
}

/// Where a curve or a map comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Which of the stages that the figure shows, counted from 0.
    pub source: usize,
    /// What the figure calls that stage, if it has a name for it.
    pub label: Option<String>,
    /// The axes on which the stage depends, but for those that the figure fixes.
    pub cell: Cell,
    /// The drawing that it belongs into.
    pub drawing: String,
    /// What tells it from the others of that drawing.
    pub name: String,
}

/// What an axis of a drawing counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What stands beside it.
    pub label: String,
    /// Which values it has.
    pub range: AxisRange,
}

/// The values of an [`Axis`].
#[derive(Clone, Debug, PartialEq)]
pub enum AxisRange {
    /// Shares and probabilities, from 0 to 1.
    Share,
    /// Numbers from 0 on.
    Number,
    /// Things that have names; the value 0 is the first.
    Names(Vec<String>),
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Its place along the bottom. On a scale of names, it is the number of one, counted from 0.
    pub x: f64,
    /// Its value on the scale along the side.
    pub y: f64,
    /// Where y lies with 95 % confidence, lower end first, if that is known.
    pub interval: Option<[f64; 2]>,
    /// What y is a number of.
    pub count: usize,
}

/// Curves with the same scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What they show.
    pub drawing: String,
    /// The scale along the bottom.
    pub x: Axis,
    /// The scale along the side.
    pub y: Axis,
    /// One for each curve that is left when replicates are averaged, in the order of the samples.
    pub curves: Vec<Curve>,
}

/// A curve, averaged over replicates.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is called.
    pub label: String,
    /// From left to right.
    pub points: Vec<MeanPoint>,
    /// Of how many replicates it is the mean.
    pub replicates: usize,
}

/// A point of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanPoint {
    /// Its place along the bottom, the same in all replicates that have it.
    pub x: f64,
    /// The mean of the replicates that have a point here.
    pub y: f64,
    /// The 95 % interval of a single replicate; of several, their mean less and plus their deviation.
    pub band: Option<[f64; 2]>,
    /// Replicates that have a point here.
    pub replicates: usize,
    /// What y is a number of, all replicates together.
    pub count: usize,
}

/// Heat maps with the same colours.
#[derive(Clone, Debug, PartialEq)]
pub struct MapGroup {
    /// What they show.
    pub drawing: String,
    /// One for each map that is left when replicates are averaged, in the order of the samples.
    pub maps: Vec<HeatMap>,
}

/// A heat map, averaged over replicates.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// What it is called.
    pub label: String,
    /// Its height in pixels, that of the images.
    pub height: usize,
    /// Its width in pixels, that of the images.
    pub width: usize,
    /// One number a pixel, row by row.
    pub values: Vec<f64>,
    /// Of how many replicates it is the mean.
    pub replicates: usize,
    /// Images counted, all replicates together.
    pub count: usize,
}

/// Averages curves over the axes of `over`, and sorts them into charts in the order in which they come.
#[must_use]
pub fn merge_curves(samples: &[CurveSample], over: &[String]) -> Vec<Chart> {
    let mut charts: Vec<Chart> = Vec::new();
    for (label, group) in groups(samples, over, |sample| &sample.from) {
        let first = group[0];
        let points: Vec<&[CurvePoint]> = group.iter().map(|sample| &sample.points[..]).collect();
        let curve = Curve { label, points: mean_curve(&points), replicates: group.len() };
        match charts.iter_mut().find(|chart| chart.drawing == first.from.drawing) {
            Some(chart) => chart.curves.push(curve),
            None => charts.push(Chart {
                drawing: first.from.drawing.clone(),
                x: first.x.clone(),
                y: first.y.clone(),
                curves: vec![curve],
            }),
        }
    }
    charts
}

/// Averages maps over the axes of `over`, and sorts them into groups in the order in which they come.
#[must_use]
pub fn merge_heat_maps(samples: &[HeatMapSample], over: &[String]) -> Vec<MapGroup> {
    let mut drawings: Vec<MapGroup> = Vec::new();
    for (label, group) in groups(samples, over, |sample| &sample.from) {
        let HeatMapSample { from, height, width, .. } = group[0];
        // Images of another size would be another data set, of which no mean can be taken.
        let alike: Vec<_> = group.iter().filter(|map| (map.height, map.width) == (*height, *width)).collect();
        let mean = |pixel: usize| alike.iter().map(|map| map.values[pixel]).sum::<f64>() / alike.len() as f64;
        let map = HeatMap {
            label,
            height: *height,
            width: *width,
            values: (0..height * width).map(mean).collect(),
            replicates: alike.len(),
            count: alike.iter().map(|map| map.count).sum(),
        };
        match drawings.iter_mut().find(|drawing| drawing.drawing == from.drawing) {
            Some(drawing) => drawing.maps.push(map),
            None => drawings.push(MapGroup { drawing: from.drawing.clone(), maps: vec![map] }),
        }
    }
    drawings
}

/// Samples that differ in axes of `over` alone, with what they are called together.
fn groups<'a, T>(samples: &'a [T], over: &[String], origin: impl Fn(&T) -> &Origin) -> Vec<(String, Vec<&'a T>)> {
    let kept = |cell: &Cell| reduced(cell, |axis| !over.iter().any(|averaged| averaged == axis));
    let mut groups: Vec<(Origin, Vec<&T>)> = Vec::new();
    for sample in samples {
        let from = origin(sample);
        let from = Origin { cell: kept(&from.cell), ..from.clone() };
        match groups.iter_mut().find(|(known, _)| *known == from) {
            Some((_, group)) => group.push(sample),
            None => groups.push((from, vec![sample])),
        }
    }
    let shared = shared_axes(samples.iter().map(origin), over);
    groups.into_iter().map(|(from, group)| (called(&from, &shared), group)).collect()
}

/// The axes that tell nothing apart, as all that depend on them have one value of theirs, with that value.
#[must_use]
pub fn shared_axes<'a>(origins: impl Iterator<Item = &'a Origin>, over: &[String]) -> Cell {
    let mut shared = Cell::new();
    let mut several = BTreeSet::new();
    for (axis, value) in origins.flat_map(|origin| &origin.cell).filter(|(axis, _)| !over.contains(axis)) {
        if shared.entry(axis.clone()).or_insert_with(|| value.clone()) != value {
            several.insert(axis);
        }
    }
    shared.retain(|axis, _| !several.contains(axis));
    shared
}

/// `ResNet20, correct, fraction=0.05`, without what all share.
fn called(from: &Origin, shared: &Cell) -> String {
    let cell = from.cell.iter().filter(|(axis, _)| !shared.contains_key(*axis));
    let cell = cell.map(|(axis, value)| format!("{axis}={value}"));
    let parts: Vec<String> = from.label.iter().chain([&from.name]).cloned().chain(cell).collect();
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn mean_curve(replicates: &[&[CurvePoint]]) -> Vec<MeanPoint> {
    let mut places: Vec<f64> = replicates.iter().flat_map(|points| points.iter().map(|point| point.x)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let mean = |x: f64| {
        let here: Vec<&CurvePoint> =
            replicates.iter().flat_map(|points| points.iter()).filter(|point| point.x.total_cmp(&x).is_eq()).collect();
        let heights: Vec<f64> = here.iter().map(|point| point.y).collect();
        let statistic = Statistic::of(&heights)?;
        let band = match statistic.deviation {
            Some(deviation) => Some([statistic.mean - deviation, statistic.mean + deviation]),
            // Among means and deviations, the interval of one replicate would be something else.
            None if replicates.len() > 1 => None,
            None => here[0].interval,
        };
        let count = here.iter().map(|point| point.count).sum();
        Some(MeanPoint { x, y: statistic.mean, band, replicates: here.len(), count })
    };
    places.into_iter().filter_map(mean).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use overinterp_spec::AxisValue;

    /// A curve named `name` of seed `seed` through `points`, each with an interval of .1 to either side.
    pub fn curve(name: &str, seed: i64, points: &[(f64, f64)]) -> CurveSample {
        CurveSample {
            from: Origin {
                source: 0,
                label: None,
                cell: Cell::from([("seed".to_owned(), AxisValue::Int(seed))]),
                drawing: "size".into(),
                name: name.into(),
            },
            x: Axis { label: "threshold".into(), range: AxisRange::Share },
            y: Axis { label: "pixels".into(), range: AxisRange::Number },
            points: points
                .iter()
                .map(|&(x, y)| CurvePoint { x, y, interval: Some([y - 0.1, y + 0.1]), count: 10 })
                .collect(),
        }
    }

    fn over_seeds() -> Vec<String> {
        vec!["seed".to_owned()]
    }

    #[test]
    fn replicates_become_a_mean_with_their_deviation() {
        let samples = [
            curve("correct", 0, &[(0.5, 1.0), (0.9, 3.0)]),
            curve("correct", 1, &[(0.5, 2.0)]),
            curve("wrong", 0, &[(0.5, 4.0)]),
        ];
        let charts = merge_curves(&samples, &over_seeds());
        assert_eq!(charts.len(), 1);
        let [correct, wrong] = &charts[0].curves[..] else { panic!("{charts:?}") };
        assert_eq!((correct.label.as_str(), correct.replicates), ("correct", 2));
        let half = 0.5_f64.sqrt();
        let [low, high] = correct.points[0].band.unwrap();
        assert!((low - (1.5 - half)).abs() < 1e-12 && (high - (1.5 + half)).abs() < 1e-12);
        assert_eq!((correct.points[0].replicates, correct.points[0].count), (2, 20));
        assert_eq!((correct.points[1].y, correct.points[1].band, correct.points[1].replicates), (3.0, None, 1));
        assert_eq!(wrong.points[0].band, Some([3.9, 4.1]));
    }

    #[test]
    fn axes_that_are_not_averaged_name_the_curves() {
        let samples = [curve("all", 0, &[(0.5, 1.0)]), curve("all", 1, &[(0.5, 2.0)])];
        let charts = merge_curves(&samples, &[]);
        let labels: Vec<&str> = charts[0].curves.iter().map(|curve| curve.label.as_str()).collect();
        assert_eq!(labels, ["all, seed=0", "all, seed=1"]);
    }

    #[test]
    fn axes_that_all_share_name_no_curve() {
        let fraction = ("fraction".to_owned(), AxisValue::Float(0.05));
        let mut samples = [curve("all", 0, &[(0.5, 1.0)]), curve("all", 1, &[(0.5, 2.0)])];
        samples[0].from.cell.extend([fraction.clone()]);
        let origins = || samples.iter().map(|sample| &sample.from);
        assert_eq!(shared_axes(origins(), &[]), Cell::from([fraction.clone()]));
        assert_eq!(shared_axes(origins(), &over_seeds()), Cell::from([fraction.clone()]));
        assert_eq!(shared_axes(origins(), &[fraction.0]), Cell::new());
        let charts = merge_curves(&samples, &[]);
        let labels: Vec<&str> = charts[0].curves.iter().map(|curve| curve.label.as_str()).collect();
        assert_eq!(labels, ["all, seed=0", "all, seed=1"]);
    }

    #[test]
    fn each_drawing_is_a_chart_of_its_own() {
        let mut other = curve("all", 0, &[(1.0, 1.0)]);
        other.from.drawing = "confidence".into();
        let charts = merge_curves(&[curve("all", 0, &[(0.5, 1.0)]), other], &[]);
        assert_eq!(charts.iter().map(|chart| chart.drawing.as_str()).collect::<Vec<_>>(), ["size", "confidence"]);
    }

    #[test]
    fn maps_are_averaged_pixel_by_pixel() {
        let map = |seed, values: &[f64]| HeatMapSample {
            from: Origin { name: "all".into(), ..curve("", seed, &[]).from },
            height: 1,
            width: 2,
            values: values.to_vec(),
            count: 5,
        };
        let groups = merge_heat_maps(&[map(0, &[0.0, 1.0]), map(1, &[0.5, 1.0])], &over_seeds());
        assert_eq!(groups[0].maps[0].values, [0.25, 1.0]);
        assert_eq!((groups[0].maps[0].replicates, groups[0].maps[0].count), (2, 10));
    }
}
