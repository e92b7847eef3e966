//! The marks that tell curves apart where there is no colour.

use maud::{Markup, html};

use super::svg::number;

/// The mark of a style at `(x, y)`; `tip` is shown where the pointer rests.
pub(super) fn mark(style: usize, x: f64, y: f64, tip: &str) -> Markup {
    let class = format!("f-mark{style}");
    let title = html! { @if !tip.is_empty() { title { (tip) } } };
    let corners: &[(f64, f64)] = match style {
        1 => &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
        2 => &[(0.0, -4.5), (4.5, 3.5), (-4.5, 3.5)],
        3 => &[(0.0, -4.8), (4.8, 0.0), (0.0, 4.8), (-4.8, 0.0)],
        4 => &[(-4.5, -3.5), (4.5, -3.5), (0.0, 4.5)],
        5 => &[
            (-4.6, -1.3),
            (-1.3, -1.3),
            (-1.3, -4.6),
            (1.3, -4.6),
            (1.3, -1.3),
            (4.6, -1.3),
            (4.6, 1.3),
            (1.3, 1.3),
            (1.3, 4.6),
            (-1.3, 4.6),
            (-1.3, 1.3),
            (-4.6, 1.3),
        ],
        _ => {
            return html! { circle cx=(number(x)) cy=(number(y)) r="3.8" class=(class) { (title) } };
        }
    };
    let points: Vec<String> =
        corners.iter().map(|(right, down)| format!("{},{}", number(x + right), number(y + down))).collect();
    html! { polygon points=(points.join(" ")) class=(class) { (title) } }
}
