//! The numbers behind a figure, as a table.

use super::super::render::quoted;
use super::gallery::{Block, Subset};
use super::samples::{AxisRange, Chart, MapGroup, MeanPoint};

/// A header, and as many fields in every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// What the columns hold.
    pub header: Vec<&'static str>,
    /// One entry a row, each with a field for every column.
    pub rows: Vec<Vec<String>>,
}

impl Numbers {
    /// The table as CSV.
    #[must_use]
    pub fn csv(&self) -> String {
        let rows = self.rows.iter().map(|row| row.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(","));
        std::iter::once(self.header.join(",")).chain(rows).fold(String::new(), |text, line| text + &line + "\n")
    }
}

/// A row for each point of each curve.
pub(super) fn of_curves(charts: &[Chart]) -> Numbers {
    let header = vec!["drawing", "curve", "x", "y", "low", "high", "replicates", "count"];
    let mut rows = Vec::new();
    for chart in charts {
        for curve in &chart.curves {
            rows.extend(curve.points.iter().map(|point| {
                let MeanPoint { x, y, band, replicates, count } = point;
                let [low, high] = band.map_or([const { String::new() }; 2], |band| band.map(|end| end.to_string()));
                let drawing = chart.drawing.clone();
                let x = place(&chart.x.range, *x);
                vec![
                    drawing,
                    curve.label.clone(),
                    x,
                    y.to_string(),
                    low,
                    high,
                    replicates.to_string(),
                    count.to_string(),
                ]
            }));
        }
    }
    Numbers { header, rows }
}

/// A place on an axis: its name where it has one.
pub(super) fn place(range: &AxisRange, value: f64) -> String {
    #[expect(clippy::cast_sign_loss, reason = "what is below 0 is no name's number, and becomes 0")]
    let name = |names: &[String]| names.get(value.round() as usize).cloned();
    match range {
        AxisRange::Names(names) => name(names).unwrap_or_else(|| value.to_string()),
        AxisRange::Share | AxisRange::Number => value.to_string(),
    }
}

/// A row for each pixel of each map.
pub(super) fn of_heat_maps(groups: &[MapGroup]) -> Numbers {
    let header = vec!["drawing", "map", "row", "column", "value", "replicates", "count"];
    let mut rows = Vec::new();
    for group in groups {
        for map in &group.maps {
            rows.extend(map.values.iter().enumerate().map(|(pixel, value)| {
                let [row, column] = [pixel / map.width, pixel % map.width].map(|place| place.to_string());
                let [replicates, count] = [map.replicates, map.count].map(|count| count.to_string());
                vec![group.drawing.clone(), map.label.clone(), row, column, value.to_string(), replicates, count]
            }));
        }
    }
    Numbers { header, rows }
}

/// A row for each subset drawn.
pub(super) fn of_images(blocks: &[Block]) -> Numbers {
    let header = vec!["images", "image", "class", "row", "predicted", "full", "alone", "pixels"];
    let mut rows = Vec::new();
    for block in blocks {
        for row in &block.rows {
            for (subset, original) in row.subsets.iter().zip(&block.originals) {
                let Some(Subset { kept, class, full, alone, .. }) = subset else { continue };
                let [full, alone] =
                    [full, alone].map(|value| value.map_or_else(String::new, |value| value.to_string()));
                rows.push(vec![
                    block.images.clone(),
                    original.number.to_string(),
                    original.class.clone(),
                    row.label.clone(),
                    class.clone().unwrap_or_default(),
                    full,
                    alone,
                    kept.as_ref().map_or_else(String::new, |kept| kept.len().to_string()),
                ]);
            }
        }
    }
    Numbers { header, rows }
}

#[cfg(test)]
mod tests {
    use super::super::gallery::tests::block;
    use super::super::samples::tests::curve;
    use super::super::samples::{HeatMap, merge_curves};
    use super::*;

    #[test]
    fn every_point_pixel_and_subset_has_a_row() {
        let mut names = curve("correct, all", 0, &[(1.0, 2.0)]);
        names.x.range = AxisRange::Names(vec!["cat".into(), "dog".into()]);
        assert_eq!(
            of_curves(&merge_curves(&[names], &["seed".to_owned()])).csv(),
            "drawing,curve,x,y,low,high,replicates,count\nsize,\"correct, all\",dog,2,1.9,2.1,1,10\n"
        );
        let map = HeatMap { label: "all".into(), height: 1, width: 2, values: vec![0.5, 1.0], replicates: 1, count: 3 };
        assert_eq!(
            of_heat_maps(&[MapGroup { drawing: "kept".into(), maps: vec![map] }]).csv(),
            "drawing,map,row,column,value,replicates,count\nkept,all,0,0,0.5,1,3\nkept,all,0,1,1,1,3\n"
        );
        assert_eq!(
            of_images(&[block()]).csv(),
            "images,image,class,row,predicted,full,alone,pixels\npets.test,0,cat,ResNet20,cat,0.999,0.9912,1\n"
        );
    }
}
