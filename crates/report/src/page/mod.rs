//! One HTML page with all that an experiment came to. It needs no other file and no network, and the same results
//! always make the same bytes.

mod caveats;
mod claims;
mod figures;
mod origins;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use caveats::Caveat;
pub use origins::{DataOrigin, MadeBy, SplitOrigin};

use super::claim::CheckedClaim;
use super::figure::{DrawnFigure, page_rules};
use super::measurement::Measurement;
use super::table::FilledTable;

/// Colours, type and layout of the page; those of figures come with them.
const STYLE: &str = include_str!("style.css");

/// What the page says.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// The experiment's name.
    pub name: &'a str,
    /// What it is about.
    pub description: &'a str,
    /// The experiment file, as the user named it.
    pub file: String,
    /// Steps whose results are there, and all steps.
    pub steps: (usize, usize),
    /// Where the images come from.
    pub data: Vec<DataOrigin>,
    /// What made the results.
    pub made: Vec<MadeBy>,
    /// Every table of the experiment, with the numbers that are there.
    pub tables: &'a [FilledTable],
    /// Every claim of the experiment, with its verdict.
    pub claims: &'a [CheckedClaim],
    /// Every figure of the experiment, drawn as far as its results are there.
    pub figures: &'a [DrawnFigure],
    /// Every number, for an experiment without tables.
    pub measurements: &'a [Measurement],
    /// Lines that belong to no table.
    pub remarks: &'a [String],
    /// What to keep in mind.
    pub caveats: Vec<Caveat>,
    /// The experiment as one TOML text.
    pub source: String,
}

impl Page<'_> {
    /// The whole HTML file. It needs no other file, and the same results make the same bytes.
    #[must_use]
    pub fn html(&self) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content="overinterp";
                    @if !self.description.is_empty() { meta name="description" content=(self.description); }
                    title { (self.name) " \u{2013} overinterp" }
                    style { (PreEscaped(STYLE)) (PreEscaped(page_rules())) }
                }
                body { (self.body()) }
            }
        }
        .into_string()
    }

    fn body(&self) -> Markup {
        html! {
            a class="skip" href="#results" { "Skip to the results" }
            header {
                h1 { (self.name) }
                @if !self.description.is_empty() { p class="lead" { (self.description) } }
                (self.summary())
                (self.contents())
            }
            main id="results" {
                @if !self.claims.is_empty() { (claims::section(self.claims)) }
                (self.tables())
                @if !self.figures.is_empty() { (figures::section(self.figures)) }
                @if !self.caveats.is_empty() { (caveats::section(&self.caveats)) }
                (origins::section(&self.data, &self.made, self.steps))
                section id="experiment" {
                    h2 { "The experiment" }
                    p { "These results are computed, or found in the cache, by " code { "overinterp run " (self.file) } "." }
                    details {
                        summary { "The experiment as one TOML file" }
                        pre tabindex="0" { code { (self.source) } }
                    }
                }
            }
        }
    }

    /// How the claims came out, and how much of the results is there.
    fn summary(&self) -> Markup {
        let (there, all) = self.steps;
        html! {
            ul class="summary" {
                @if !self.claims.is_empty() { li { (claims::summary(self.claims)) } }
                li class=[(there < all).then_some("incomplete")] {
                    @if there == all { "All " (all) " steps are computed" }
                    @else { (there) " of " (all) " steps are computed; what they would tell is left empty" }
                }
                @if let Some(dates) = origins::dates(&self.made) { li { "Made " (dates) } }
            }
        }
    }

    fn contents(&self) -> Markup {
        let shown = !self.tables.is_empty() || !self.measurements.is_empty() || !self.remarks.is_empty();
        let entries = [
            ("claims", "Claims", !self.claims.is_empty()),
            ("tables", "Tables", shown),
            ("figures", "Figures", !self.figures.is_empty()),
            ("caveats", "What to keep in mind", !self.caveats.is_empty()),
            ("origins", "Where this comes from", true),
            ("experiment", "The experiment", true),
        ];
        html! {
            nav aria-label="Contents" {
                ul { @for (id, title, _) in entries.iter().filter(|entry| entry.2) { li { a href=(format!("#{id}")) { (title) } } } }
            }
        }
    }

    fn tables(&self) -> Markup {
        html! {
            @if !self.tables.is_empty() || !self.measurements.is_empty() || !self.remarks.is_empty() {
                section id="tables" {
                    h2 { "Tables" }
                    @for table in self.tables { (tables::table(table)) }
                    @if self.tables.is_empty() && !self.measurements.is_empty() { (tables::measurements(self.measurements)) }
                    @for remark in self.remarks { p class="remark" { (remark) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
