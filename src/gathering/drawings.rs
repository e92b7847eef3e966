//! What analyses have for an experiment's figures.

use overinterp_artifacts::{Analysis, HeatMap, Scale, ScaleRange, Series};
use overinterp_report::figure::{
    Axis, AxisRange, Content, CurvePoint, CurveSample, HeatMapSample, Origin, merge_curves, merge_heat_maps,
    shared_axes,
};
use overinterp_spec::{Cell, Drawings, ShownStage};

use crate::failure::Failure;
use crate::gathering::figures::{Gatherer, Tally, pinned};

/// An analysis that a figure shows.
struct ShownAnalysis<'a> {
    source: usize,
    label: Option<String>,
    shown: &'a ShownStage,
    cell: Cell,
    analysis: Analysis,
}

impl Gatherer<'_> {
    /// The curves that a figure shows, and what is missing of it.
    pub(crate) fn curves(&self, drawings: &Drawings) -> Result<(Content, Vec<String>), Failure> {
        let (samples, notes) =
            self.samples(drawings, |analysis| &analysis.series, |series| (&series.figure, &series.name), curve)?;
        Ok((Content::Curves(merge_curves(&samples, &drawings.over)), notes))
    }

    /// The maps that a figure shows, and what is missing of it.
    pub(crate) fn heat_maps(&self, drawings: &Drawings) -> Result<(Content, Vec<String>), Failure> {
        let (samples, notes) =
            self.samples(drawings, |analysis| &analysis.maps, |map| (&map.figure, &map.name), heat_map)?;
        Ok((Content::HeatMaps(merge_heat_maps(&samples, &drawings.over)), notes))
    }

    /// What a figure shows of `all` that analyses draw, each `called` by its drawing and its name, and what is missing.
    fn samples<D, S>(
        &self,
        drawings: &Drawings,
        all: fn(&Analysis) -> &[D],
        called: fn(&D) -> (&str, &str),
        sample: fn(Origin, &D) -> S,
    ) -> Result<(Vec<S>, Vec<String>), Failure> {
        let (found, mut notes) = self.analyses(drawings)?;
        let mut shown = Vec::new();
        let mut others = Vec::new();
        for found in &found {
            let all = all(&found.analysis);
            for drawn in all {
                let (drawing, name) = called(drawn);
                if found.shows(drawings, drawing, name, &mut others) {
                    let only = all.iter().filter(|other| called(other).0 == drawing).count() == 1;
                    shown.push((found.origin(drawing, name, only), drawn));
                }
            }
        }
        notes.extend(unmatched(drawings, shown.is_empty(), &others));
        notes.extend(shared(shown.iter().map(|(from, _)| from), drawings));
        Ok((shown.into_iter().map(|(from, drawn)| sample(from, drawn)).collect(), notes))
    }

    fn analyses<'b>(&self, drawings: &'b Drawings) -> Result<(Vec<ShownAnalysis<'b>>, Vec<String>), Failure> {
        let mut tally = Tally::default();
        let mut found = Vec::new();
        for (source, shown) in drawings.shows.iter().enumerate() {
            for outcome in self.results.analyses.iter().map(|analysed| &analysed.outcome) {
                if outcome.stage != shown.stage || !pinned(&outcome.cell, &shown.pins) {
                    continue;
                }
                let Some(analysis) = self.load(outcome, &mut tally)? else { continue };
                let mut cell = outcome.cell.clone();
                cell.retain(|axis, _| !shown.pins.contains_key(axis));
                let several = drawings.shows.len() > 1;
                let label = shown.label.clone().or_else(|| several.then(|| shown.stage.clone()));
                found.push(ShownAnalysis { source, label, shown, cell, analysis });
            }
        }
        Ok((found, tally.note(("analysis", "analyses")).into_iter().collect()))
    }
}

impl ShownAnalysis<'_> {
    /// Whether the figure shows the curve or map of that drawing and name; notes in `others` what it leaves out.
    fn shows(&self, drawings: &Drawings, drawing: &str, name: &str, others: &mut Vec<String>) -> bool {
        let in_drawing = drawings.drawing.as_deref().is_none_or(|wanted| wanted == drawing);
        let named = self.shown.names.is_empty() || self.shown.names.iter().any(|wanted| wanted == name);
        let shown = in_drawing && named;
        let left_out = if in_drawing { name } else { drawing };
        if !shown && !others.iter().any(|known| known == left_out) {
            others.push(left_out.to_owned());
        }
        shown
    }

    /// Where the curve or map of that drawing and name comes from; `only` if the analysis has no other for the drawing.
    fn origin(&self, drawing: &str, name: &str, only: bool) -> Origin {
        // A label that the figure gives to a single curve names it.
        let name = if self.label.is_some() && (only || self.shown.names.len() == 1) { "" } else { name };
        Origin {
            source: self.source,
            label: self.label.clone(),
            cell: self.cell.clone(),
            drawing: drawing.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// A figure that asks for what no analysis has says what there is.
fn unmatched(drawings: &Drawings, empty: bool, others: &[String]) -> Option<String> {
    let asked = drawings.drawing.iter().chain(drawings.shows.iter().flat_map(|shown| &shown.names));
    let asked: Vec<String> = asked.map(|name| format!("\u{201c}{name}\u{201d}")).collect();
    (empty && !others.is_empty())
        .then(|| format!("No analysis has {}: there are {}.", asked.join(", "), others.join(", ")))
}

/// What no label says, as it holds for all.
fn shared<'a>(origins: impl Iterator<Item = &'a Origin>, drawings: &Drawings) -> Option<String> {
    let axes = shared_axes(origins, &drawings.over);
    let axes: Vec<String> = axes.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    (!axes.is_empty()).then(|| format!("All at {}.", axes.join(", ")))
}

fn curve(from: Origin, series: &Series) -> CurveSample {
    CurveSample {
        from,
        x: axis(&series.x),
        y: axis(&series.y),
        points: series
            .points
            .iter()
            .map(|point| CurvePoint { x: point.x, y: point.y, interval: point.interval, count: point.count })
            .collect(),
    }
}

fn axis(scale: &Scale) -> Axis {
    let range = match &scale.range {
        ScaleRange::Share => AxisRange::Share,
        ScaleRange::Number => AxisRange::Number,
        ScaleRange::Names(names) => AxisRange::Names(names.clone()),
    };
    Axis { label: scale.label.clone(), range }
}

fn heat_map(from: Origin, map: &HeatMap) -> HeatMapSample {
    HeatMapSample {
        from,
        height: map.height,
        width: map.width,
        values: map.values.iter().copied().map(f64::from).collect(),
        count: map.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_asks_for_what_is_not_there_says_what_is() {
        let drawings = |drawing: Option<&str>| Drawings {
            shows: Vec::new(),
            over: Vec::new(),
            drawing: drawing.map(str::to_owned),
        };
        let others = ["mean".to_owned(), "sizes".to_owned()];
        let said = unmatched(&drawings(Some("size")), true, &others).unwrap();
        assert_eq!(said, "No analysis has \u{201c}size\u{201d}: there are mean, sizes.");
        assert_eq!(unmatched(&drawings(Some("size")), false, &others), None);
        assert_eq!(unmatched(&drawings(Some("size")), true, &[]), None);
    }
}
