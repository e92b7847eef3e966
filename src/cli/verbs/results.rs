//! `results`: what the cache holds of an experiment, as tables and claims.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use overinterp_report::{
    FilledTable, claims_human, claims_markdown, measurements_csv, table_human, table_latex, table_markdown,
};

use crate::cli::args::ExperimentArguments;
use crate::cli::screen::{json, terminal};
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::failure::Failure;
use crate::gathering::answers::{Answers, answers, evaluations};
use crate::gathering::measure::axes;
use crate::text;

/// Prints tables, subsets and claims for people; nothing of an experiment that has evaluated nothing yet.
pub(crate) fn print_human(answers: &Answers) {
    let evaluated = answers.measurements.iter().any(|measurement| measurement.value.is_some());
    for table in answers.tables.iter().filter(|_| evaluated) {
        let width = terminal::width_of_output();
        print_folded(table_human(table, width).trim_end(), 3);
    }
    let evaluations = evaluations(&answers.measurements);
    if answers.tables.is_empty() && !evaluations.is_empty() {
        print_folded(&evaluations.join("\n"), 2);
    }
    if !answers.sufficient.is_empty() {
        print_folded(&answers.sufficient.join("\n"), 2);
    }
    if !answers.analyses.is_empty() {
        print_folded(&format!("Analyses\n{}", answers.analyses.join("\n")), 4);
    }
    if !answers.answered.is_empty() {
        print_folded(&answers.answered.join("\n"), 2);
    }
    if evaluated && !answers.claims.is_empty() {
        print_folded(&format!("Claims\n{}", claims_human(&answers.claims).trim_end()), 17);
    }
    if evaluated && !answers.origins.is_empty() {
        print_folded(&answers.origins.join("\n"), 2);
    }
}

/// Prints lines, none longer than a terminal is wide.
fn print_folded(lines: &str, indent: usize) {
    outln!("\n{}", terminal::folded(lines, terminal::width_of_output(), indent));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultsFormat {
    Human,
    Csv,
    Json,
    Markdown,
    Latex,
}

#[derive(Debug, Args)]
pub(crate) struct ResultsArguments {
    /// Experiment file.
    pub file: PathBuf,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed; csv has one row an evaluation and metric, the others the file's tables and claims.
    #[arg(long, value_enum, default_value_t = ResultsFormat::Human)]
    pub format: ResultsFormat,
}

pub(crate) fn run(arguments: &ResultsArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    session.name_damage()?;
    for (experiment, results) in session.experiments.iter().zip(&session.planned.results) {
        let answers = answers(&session, experiment, results)?;
        match arguments.format {
            ResultsFormat::Human => {
                print_human(&answers);
                warn_of_gaps(&answers, arguments);
                if !experiment.figures.is_empty() {
                    errln!("\nfigures: `overinterp report {}` draws them on one page", arguments.file.display());
                }
            }
            ResultsFormat::Csv => out!("{}", measurements_csv(&axes(experiment), &answers.measurements)),
            ResultsFormat::Json => json::line(&json!({
                "experiment": experiment.name,
                "origins": answers.origins,
                "tables": answers.tables,
                "claims": answers.claims,
                "measurements": answers.measurements,
                "damaged": session.damaged_keys(),
            })),
            ResultsFormat::Markdown => {
                print_each(&answers.tables, table_markdown);
                if !answers.claims.is_empty() {
                    out!("\n**Claims**\n\n{}", claims_markdown(&answers.claims));
                }
                for origin in &answers.origins {
                    outln!("\n{origin}.");
                }
            }
            ResultsFormat::Latex => {
                print_each(&answers.tables, table_latex);
                for origin in &answers.origins {
                    outln!("% {origin}");
                }
            }
        }
    }
    Ok(session.ended(Status::Success))
}

fn print_each(tables: &[FilledTable], render: fn(&FilledTable) -> String) {
    let texts: Vec<String> = tables.iter().map(render).collect();
    out!("{}", texts.join("\n"));
}

fn warn_of_gaps(answers: &Answers, arguments: &ResultsArguments) {
    let missing = answers.measurements.iter().filter(|measurement| measurement.value.is_none()).count();
    if missing > 0 {
        errln!(
            "\n{missing} of {} are not in the cache: `overinterp run {}` computes them",
            text::count(answers.measurements.len(), "number"),
            arguments.file.display()
        );
    }
}
