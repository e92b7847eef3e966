//! Curves as SVG: intervals as bands, each curve named where it ends.

use std::fmt::Write;

use maud::{Markup, html};

use super::numbers::place;
use super::palette::STYLES;
use super::samples::{Axis, AxisRange, Chart, Curve, MeanPoint};
use super::scale::Scale;
use super::svg::{LETTER, line, number, short_text, shortened, text, wrapped};
use super::{Picture, marks};

/// Width of the area that curves are drawn in.
const WIDTH: f64 = 540.0;
/// The least height of that area. It grows where many curves need a line each for their labels.
const HEIGHT: f64 = 300.0;
/// Above it, and above its heading if there is one.
const TOP: f64 = 14.0;
/// What a heading takes.
const HEADING: f64 = 22.0;
/// Below it, for the labels of its axis.
const BOTTOM: f64 = 48.0;
/// Distance of labels at the curves' ends.
const LABEL_LINE: f64 = 16.0;
/// Letters of a curve's label.
const LABEL_LETTERS: usize = 34;
/// From the area to a curve's label: a line that leads there, and a sample of the curve.
const LEAD: f64 = 44.0;
/// The drawing of accuracy against confidence, in which a calibrated model lies where the two are equal.
const RELIABILITY: &str = "reliability";
/// Curves of at most so many points have marks.
const MOST_MARKED: usize = 40;

/// Where values lie in the picture.
struct Frame {
    left: f64,
    top: f64,
    height: f64,
    x: Horizontal,
    y: Scale,
}

/// What is along the bottom.
enum Horizontal {
    Numbers(Scale),
    Names(Vec<String>),
}

/// Draws charts, one below the other.
pub(super) fn draw(charts: &[Chart]) -> Picture {
    let labels = charts.iter().flat_map(|chart| &chart.curves).map(|curve| curve.label.chars().count());
    let letters = labels.max().unwrap_or(0).min(LABEL_LETTERS);
    let scales: Vec<Scale> = charts.iter().map(vertical).collect();
    let left = scales.iter().map(Scale::widest_label).max().unwrap_or(0) as f64 * LETTER + 34.0;
    let heading = if charts.len() > 1 { HEADING } else { 0.0 };
    let mut top = 0.0;
    let mut content = Vec::new();
    for (chart, y) in charts.iter().zip(scales) {
        // Every curve has a line for its label.
        let height = HEIGHT.max(chart.curves.len() as f64 * LABEL_LINE);
        let frame = Frame { left, top: top + TOP + heading, height, x: horizontal(chart), y };
        if charts.len() > 1 {
            content.push(text(left, frame.top - 8.0, "f-strong", &chart.drawing));
        }
        content.push(frame.axes(chart));
        content.extend((chart.drawing == RELIABILITY).then(|| frame.diagonal()));
        content.push(frame.curves(&chart.curves));
        top = frame.top + frame.height + BOTTOM + frame.hanging();
    }
    let width = left + WIDTH + LEAD + letters as f64 * LETTER + 8.0;
    Picture { width, height: top, content: html! { @for part in content { (part) } } }
}

/// Where each curve begins and ends, for those who do not see it.
pub(super) fn described(charts: &[Chart]) -> String {
    let mut sentences = Vec::new();
    for chart in charts {
        sentences.push(format!("{} against {}.", chart.y.label, chart.x.label));
        for curve in &chart.curves {
            let at = |point: &MeanPoint| format!("{:.3} at {}", point.y, place(&chart.x.range, point.x));
            let course: Vec<String> = match (&chart.x.range, &curve.points[..]) {
                (AxisRange::Names(_), points) => points.iter().map(at).collect(),
                (_, [first, .., last]) => vec![at(first), at(last)],
                (_, points) => points.iter().map(at).collect(),
            };
            sentences.push(format!("{}: {}.", curve.label, course.join(", ")));
        }
    }
    sentences.join(" ")
}

fn points(chart: &Chart) -> impl Iterator<Item = &MeanPoint> {
    chart.curves.iter().flat_map(|curve| &curve.points)
}

/// The scale along the side. It starts at 0, so that heights can be compared.
fn vertical(chart: &Chart) -> Scale {
    let wider = |(low, high): (f64, f64), end: f64| (low.min(end), high.max(end));
    let heights = points(chart).map(|point| point.y).fold((0.0, 0.0), wider);
    let (low, high) = points(chart).filter_map(|point| point.band).flatten().fold(heights, wider);
    match chart.y.range {
        // A band around shares may leave the range that shares have; the drawing does not.
        AxisRange::Share => Scale::covering(low.max(heights.0), high.min(heights.1.max(1.0)), 5),
        AxisRange::Number | AxisRange::Names(_) => Scale::covering(low, high, 5),
    }
}

fn horizontal(chart: &Chart) -> Horizontal {
    match &chart.x.range {
        AxisRange::Names(names) => Horizontal::Names(names.clone()),
        AxisRange::Share if chart.drawing == RELIABILITY => Horizontal::Numbers(Scale::spanning(0.0, 1.0, 7)),
        AxisRange::Share | AxisRange::Number => {
            let places = || points(chart).map(|point| point.x);
            let (low, high) = (places().fold(f64::INFINITY, f64::min), places().fold(f64::NEG_INFINITY, f64::max));
            let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
            // A place alone has no distance to others.
            let (low, high) = if low < high { (low, high) } else { (low.min(0.0), high.max(low + 1.0)) };
            // What is counted from 0 is drawn from there, unless all of it lies far away.
            let low = if low > 0.0 && low < high / 4.0 { 0.0 } else { low };
            Horizontal::Numbers(Scale::spanning(low, high, 7))
        }
    }
}

impl Frame {
    fn right(&self) -> f64 {
        self.left + WIDTH
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.y.share(value).clamp(0.0, 1.0) * self.height
    }

    /// Where a point of curve number `index` of `count` lies. Those at the same name stand side by side.
    fn x(&self, value: f64, index: usize, count: usize) -> f64 {
        match &self.x {
            Horizontal::Numbers(scale) => scale.share(value).mul_add(WIDTH, self.left),
            Horizontal::Names(names) => {
                let room = WIDTH / names.len().max(1) as f64;
                let aside = (index as f64 + 0.5) / count.max(1) as f64 - 0.5;
                (value + 0.5 + aside * 0.6).mul_add(room, self.left)
            }
        }
    }

    /// Whether names stand upright below the axis, for want of room.
    fn upright(&self) -> bool {
        matches!(&self.x, Horizontal::Names(names) if names.len() > 12)
    }

    /// What names take below the axis that numbers do not.
    fn hanging(&self) -> f64 {
        match &self.x {
            Horizontal::Numbers(_) => 0.0,
            Horizontal::Names(_) if self.upright() => 72.0,
            Horizontal::Names(_) => 14.0,
        }
    }

    fn axes(&self, chart: &Chart) -> Markup {
        let middle = self.top + self.height / 2.0;
        html! {
            @for tick in self.y.ticks() {
                (line((self.left, self.y(tick)), (self.right(), self.y(tick)), "f-grid"))
                (text(self.left - 8.0, self.y(tick) + 4.0, "f-muted f-end", &self.y.label(tick)))
            }
            (line((self.left, self.bottom()), (self.right(), self.bottom()), "f-axis"))
            (self.below(&chart.x))
            text x="14" y=(number(middle)) class="f-text f-middle" transform=(format!("rotate(-90 14 {})", number(middle))) {
                (chart.y.label)
            }
        }
    }

    /// Where both axes have the same value.
    fn diagonal(&self) -> Markup {
        line((self.x(0.0, 0, 1), self.y(0.0)), (self.x(1.0, 0, 1), self.y(1.0)), "f-grid")
    }

    /// What stands below the axis.
    fn below(&self, axis: &Axis) -> Markup {
        let bottom = self.bottom();
        let label = text(self.left + WIDTH / 2.0, bottom + 38.0 + self.hanging(), "f-middle", &axis.label);
        match &self.x {
            Horizontal::Numbers(scale) => html! {
                @for tick in scale.ticks() {
                    @let x = self.x(tick, 0, 1);
                    (line((x, bottom), (x, bottom + 5.0), "f-axis"))
                    (text(x, bottom + 18.0, "f-muted f-middle", &scale.label(tick)))
                }
                (label)
            },
            Horizontal::Names(names) => html! {
                @for (place, name) in names.iter().enumerate() { (self.name(place, name, names.len())) }
                (label)
            },
        }
    }

    fn name(&self, place: usize, name: &str, names: usize) -> Markup {
        let room = WIDTH / names as f64;
        let (x, bottom) = (self.x(place as f64, 0, 1), self.bottom());
        if self.upright() {
            // One name a line of text; of more, every second or third.
            #[expect(clippy::cast_sign_loss, reason = "the room is positive")]
            let every = (12.0 / room).ceil() as usize;
            let at = format!("rotate(-90 {} {})", number(x + 4.0), number(bottom + 10.0));
            return html! {
                @if place.is_multiple_of(every) {
                    text x=(number(x + 4.0)) y=(number(bottom + 10.0)) class="f-text f-muted f-end" transform=(at) {
                        (shortened(name, 12))
                    }
                }
            };
        }
        #[expect(clippy::cast_sign_loss, reason = "the room is positive")]
        let letters = (room / (0.9 * LETTER)) as usize;
        html! {
            @for (row, part) in wrapped(name, letters).into_iter().take(2).enumerate() {
                (short_text(x, (row as f64).mul_add(14.0, bottom + 18.0), "f-muted f-middle", &part, letters))
            }
        }
    }

    fn curves(&self, curves: &[Curve]) -> Markup {
        let ends: Vec<f64> = match self.x {
            Horizontal::Numbers(_) => {
                curves.iter().map(|curve| curve.points.last().map_or(self.bottom(), |point| self.y(point.y))).collect()
            }
            // Where points are not joined, labels make a legend from the top.
            Horizontal::Names(_) => (0..curves.len()).map(|row| (row as f64).mul_add(LABEL_LINE, self.top)).collect(),
        };
        let labels = apart(&ends, self.top, self.bottom());
        html! {
            @for (index, curve) in curves.iter().enumerate() { (self.band(curve, index, curves.len())) }
            @for (index, curve) in curves.iter().enumerate() { (self.curve(curve, index, curves.len())) }
            @for (index, curve) in curves.iter().enumerate() { (self.label(curve, index, ends[index], labels[index])) }
        }
    }

    fn band(&self, curve: &Curve, index: usize, count: usize) -> Markup {
        let style = index % STYLES;
        let banded: Vec<(f64, [f64; 2])> = curve
            .points
            .iter()
            .filter_map(|point| Some((self.x(point.x, index, count), point.band?.map(|end| self.y(end)))))
            .collect();
        match self.x {
            Horizontal::Numbers(_) if banded.len() > 1 => {
                let mut outline = String::new();
                let there = banded.iter().map(|&(x, [_, high])| (x, high));
                for (x, y) in there.chain(banded.iter().rev().map(|&(x, [low, _])| (x, low))) {
                    let _ = write!(outline, "{},{} ", number(x), number(y));
                }
                html! { polygon points=(outline.trim_end()) class=(format!("f-band{style}")) {} }
            }
            _ => html! {
                @for (x, [low, high]) in banded { (line((x, low), (x, high), &format!("f-line{style}"))) }
            },
        }
    }

    fn curve(&self, curve: &Curve, index: usize, count: usize) -> Markup {
        let style = index % STYLES;
        let places: Vec<(f64, f64)> =
            curve.points.iter().map(|point| (self.x(point.x, index, count), self.y(point.y))).collect();
        let mut path = String::new();
        for (x, y) in &places {
            let _ = write!(path, "{},{} ", number(*x), number(*y));
        }
        let joined = matches!(self.x, Horizontal::Numbers(_)) && places.len() > 1;
        let marked = !joined || places.len() <= MOST_MARKED;
        html! {
            @if joined { polyline points=(path.trim_end()) class=(format!("f-line{style}")) {} }
            @if marked {
                @for (point, (x, y)) in curve.points.iter().zip(places) {
                    (marks::mark(style, x, y, &format!("{}: {} at {}", curve.label, point.y, point.x)))
                }
            }
        }
    }

    /// The name of a curve that ends at height `end`, written at height `at`.
    fn label(&self, curve: &Curve, index: usize, end: f64, at: f64) -> Markup {
        let style = index % STYLES;
        let from = self.right() + LEAD - 28.0;
        let led = matches!(self.x, Horizontal::Numbers(_)).then(|| {
            let last = curve.points.last().map_or(self.right(), |point| self.x(point.x, 0, 1));
            line((last + 5.0, end), (from - 3.0, at), &format!("f-lead{style}"))
        });
        html! {
            @if let Some(led) = led { (led) }
            (line((from, at), (from + 22.0, at), &format!("f-line{style}")))
            (marks::mark(style, from + 11.0, at, ""))
            (short_text(from + 28.0, at + 4.0, "", &curve.label, LABEL_LETTERS))
        }
    }
}

/// Heights near `wanted` with room for a line of text between each two, none outside `top` and `bottom`.
fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));
    let mut heights = wanted.to_vec();
    let mut least = top;
    for &index in &order {
        heights[index] = heights[index].max(least);
        least = heights[index] + LABEL_LINE;
    }
    let mut most = bottom;
    for &index in order.iter().rev() {
        heights[index] = heights[index].min(most);
        most = heights[index] - LABEL_LINE;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::super::samples::merge_curves;
    use super::super::samples::tests::curve;
    use super::*;

    #[test]
    fn labels_never_overlap_and_stay_inside() {
        let heights = apart(&[100.0, 100.0, 101.0, 300.0, 299.0], 0.0, 300.0);
        let mut sorted = heights.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_LINE - 1e-9), "{heights:?}");
        assert!(sorted[0] >= 0.0 && sorted[4] <= 300.0, "{heights:?}");
        assert!(heights[0] < heights[1] && heights[4] < heights[3], "{heights:?}");
    }

    #[test]
    fn a_curve_is_drawn_with_its_band_and_its_name() {
        let samples =
            [curve("correct <b>", 0, &[(0.5, 1.0), (0.9, 3.0)]), curve("wrong", 0, &[(0.5, 2.0), (0.9, 2.5)])];
        let drawn = draw(&merge_curves(&samples, &["seed".to_owned()])).content.into_string();
        assert_eq!(drawn.matches("<polyline").count(), 2);
        assert_eq!(drawn.matches("class=\"f-band").count(), 2, "{drawn}");
        assert!(
            drawn.contains("correct &lt;b&gt;") && drawn.contains("threshold") && drawn.contains("pixels"),
            "{drawn}"
        );
    }

    #[test]
    fn the_side_starts_at_zero_and_shares_end_at_one() {
        let mut share = curve("all", 0, &[(0.0, 0.98), (1.0, 0.95)]);
        share.y.range = AxisRange::Share;
        let scale = vertical(&merge_curves(&[share], &[])[0]);
        assert_eq!((scale.share(0.0), scale.share(1.0)), (0.0, 1.0));
    }

    #[test]
    fn a_band_does_not_leave_the_range_of_shares() {
        let mut share = curve("all", 0, &[(0.0, 0.98), (1.0, 0.02)]);
        share.y.range = AxisRange::Share;
        let scale = vertical(&merge_curves(&[share], &["seed".to_owned()])[0]);
        assert_eq!((scale.share(0.0), scale.share(1.0)), (0.0, 1.0));
    }

    #[test]
    fn reliability_is_drawn_from_0_to_1_beside_what_it_should_be() {
        let chart = |drawing: &str, points| {
            let mut sample = curve("all", 0, points);
            (sample.x.range, sample.y.range) = (AxisRange::Share, AxisRange::Share);
            sample.from.drawing = drawing.to_owned();
            merge_curves(&[sample], &[])
        };
        let Horizontal::Numbers(x) = horizontal(&chart(RELIABILITY, &[(0.5, 0.4), (0.9, 0.7)])[0]) else {
            panic!("confidences are numbers")
        };
        assert_eq!((x.share(0.0), x.share(1.0)), (0.0, 1.0));
        let lines =
            |drawing| draw(&chart(drawing, &[(0.0, 0.1), (1.0, 0.9)])).content.into_string().matches("<line").count();
        assert_eq!(lines(RELIABILITY), lines("deletion") + 1);
    }

    #[test]
    fn names_have_no_lines_between_them() {
        let mut bars = curve("f(masked)", 0, &[(0.0, 0.1), (1.0, 0.9)]);
        bars.x.range = AxisRange::Names(vec!["T-shirt/top".into(), "Trouser".into()]);
        let drawn = draw(&merge_curves(&[bars], &["seed".to_owned()])).content.into_string();
        assert!(!drawn.contains("<polyline") && drawn.contains("Trouser"), "{drawn}");
    }

    #[test]
    fn curves_are_described_by_their_ends() {
        let charts = merge_curves(&[curve("all", 0, &[(0.5, 1.0), (0.7, 2.0), (0.9, 3.0)])], &["seed".to_owned()]);
        assert_eq!(described(&charts), "pixels against threshold. all: 1.000 at 0.5, 3.000 at 0.9.");
    }

    #[test]
    fn nothing_is_drawn_as_nothing() {
        let empty = draw(&merge_curves(&[curve("all", 0, &[])], &[]));
        assert!(empty.width.is_finite() && empty.height > 0.0);
        assert!(!empty.content.into_string().contains("NaN"));
    }
}
