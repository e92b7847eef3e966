//! Figures of the experiment, each beside its numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::super::figure::{DrawnFigure, Numbers};

/// A figure's numbers are shown as a table where they are at most so many; all can be had as CSV.
const MOST_ROWS: usize = 200;

pub(super) fn section(figures: &[DrawnFigure]) -> Markup {
    html! {
        section id="figures" {
            h2 { "Figures" }
            @for figure in figures { (element(figure)) }
        }
    }
}

fn element(figure: &DrawnFigure) -> Markup {
    html! {
        figure id=(format!("figure-{}", figure.name)) {
            h3 { (figure.title) }
            @match figure.inline() {
                Some(picture) => { div class="scroll" tabindex="0" { (picture) } }
                None => { p class="nothing" { "There is nothing to draw." } }
            }
            figcaption {
                @for note in &figure.notes { (note) " " }
                @if !figure.numbers.rows.is_empty() { (numbers(figure)) }
            }
        }
    }
}

fn numbers(figure: &DrawnFigure) -> Markup {
    let source = format!("data:text/csv;charset=utf-8;base64,{}", STANDARD.encode(figure.numbers.csv()));
    html! {
        a href=(source) download=(format!("{}.csv", figure.name)) { "Numbers as CSV" }
        @if figure.numbers.rows.len() <= MOST_ROWS {
            details { summary { "Numbers as a table" } (table(&figure.title, &figure.numbers)) }
        }
    }
}

fn table(title: &str, numbers: &Numbers) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table {
                caption class="hidden" { "Numbers of the figure \u{201c}" (title) "\u{201d}" }
                thead { tr { @for name in &numbers.header { th scope="col" { (name) } } } }
                tbody { @for row in &numbers.rows { tr { @for field in row { td { (shortened(field)) } } } } }
            }
        }
    }
}

/// A number to four decimals, anything else as it is.
fn shortened(field: &str) -> String {
    let decimals = field.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    match field.parse::<f64>() {
        Ok(value) if decimals > 4 => format!("{value:.4}"),
        _ => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn long_numbers_are_shortened_and_names_are_not() {
        assert_eq!(super::shortened("0.123456"), "0.1235");
        assert_eq!(super::shortened("v1.234567"), "v1.234567");
        assert_eq!(super::shortened("0.5"), "0.5");
    }
}
