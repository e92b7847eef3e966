//! Claims with their verdicts and the numbers behind them.

use maud::{Markup, html};

use super::super::claim::{CheckedClaim, Comparison, Verdict};
use super::super::render::{interval_text, value_text};
use overinterp_spec::Cell;

pub(super) fn section(claims: &[CheckedClaim]) -> Markup {
    html! {
        section id="claims" {
            h2 { "Claims" }
            @for claim in claims { (article(claim)) }
        }
    }
}

/// `3 of 4 claims hold, 1 does not`.
pub(super) fn summary(claims: &[CheckedClaim]) -> String {
    let count = |verdict| claims.iter().filter(|claim| claim.verdict == verdict).count();
    let (holds, fails, open) = (count(Verdict::Holds), count(Verdict::Fails), count(Verdict::NotEvaluated));
    let all = claims.len();
    let mut parts = vec![format!("{holds} of {all} claims {}", if holds == 1 { "holds" } else { "hold" })];
    if fails > 0 {
        parts.push(format!("{fails} {} not", if fails == 1 { "does" } else { "do" }));
    }
    if open > 0 {
        parts.push(format!("{open} {} not evaluated", if open == 1 { "is" } else { "are" }));
    }
    parts.join(", ")
}

/// A verdict in words, and the sign before it.
const fn verdict(verdict: Verdict) -> (&'static str, &'static str, &'static str) {
    match verdict {
        Verdict::Holds => ("holds", "\u{2713}", "Holds"),
        Verdict::Fails => ("fails", "\u{2717}", "Does not hold"),
        Verdict::NotEvaluated => ("open", "\u{2013}", "Not evaluated"),
    }
}

fn article(claim: &CheckedClaim) -> Markup {
    let (class, sign, text) = verdict(claim.verdict);
    html! {
        article class=(format!("claim {class}")) id=(format!("claim-{}", claim.name)) {
            p class="verdict" { span aria-hidden="true" { (sign) " " } (text) }
            h3 { (claim.says) }
            @if let Some(paper) = &claim.paper { p class="paper" { "In the paper: " (paper) } }
            (comparisons(claim))
        }
    }
}

fn comparisons(claim: &CheckedClaim) -> Markup {
    let cells = claim.comparisons.iter().any(|comparison| !comparison.cell.is_empty());
    html! {
        div class="scroll" tabindex="0" {
            table {
                caption class="hidden" { "Comparisons behind the claim \u{201c}" (claim.says) "\u{201d}" }
                thead {
                    tr {
                        @if cells { th scope="col" { "At" } }
                        th scope="col" class="demand" { "Demanded" }
                        th scope="col" class="number" { "Found" }
                        th scope="col" class="number" { "Against" }
                        th scope="col" class="number" { "Difference" }
                        th scope="col" { "Met" }
                    }
                }
                tbody { @for comparison in &claim.comparisons { (row(comparison, cells)) } }
            }
        }
    }
}

fn row(comparison: &Comparison, cells: bool) -> Markup {
    let Comparison { cell, metric, value, interval, demand, of, of_interval, verdict } = comparison;
    let unit = metric.unit();
    let difference = value.zip(*of).map(|(value, of)| {
        let sign = if value < of { "\u{2212}" } else { "+" };
        format!("{sign}{}", value_text((value - of).abs(), unit))
    });
    let met = match verdict {
        Verdict::Holds => "yes",
        Verdict::Fails => "no",
        Verdict::NotEvaluated => "unknown",
    };
    html! {
        tr {
            @if cells { th scope="row" { (described(cell)) } }
            td class="demand" { (demand) }
            (number(value.map(|value| interval_text(value, *interval, unit))))
            (number(of.map(|value| interval_text(value, *of_interval, unit))))
            (number(difference))
            td { (met) }
        }
    }
}

/// `arch=resnet20, seed=0`.
pub(super) fn described(cell: &Cell) -> String {
    cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>().join(", ")
}

/// A field with a number, empty where there is none.
pub(super) fn number(text: Option<String>) -> Markup {
    html! {
        @match text {
            Some(text) => { td class="number" { (text) } }
            None => { td class="number missing" { span class="hidden" { "not computed" } } }
        }
    }
}
