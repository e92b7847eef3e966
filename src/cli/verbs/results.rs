//! `results`: what the cache holds of an experiment, as tables and claims.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use overinterp_report::{
    FilledTable, claims_human, claims_markdown, measurements_csv, table_human, table_latex, table_markdown,
};

use crate::cli::args::ExperimentArguments;
use crate::cli::screen::{json, terminal};
use crate::cli::session::{Session, open_cache};
use crate::cli::status::Status;
use crate::cli::whereabouts::Whereabouts;
use crate::failure::{Failure, Kind};
use crate::gathering::answers::{Answers, answers, evaluations};
use crate::gathering::measure::axes;
use crate::records::bundle;
use crate::records::past::Past;
use crate::text;

/// Tables, subsets and claims for people, in lines of at most `width` columns; nothing of an experiment that has evaluated
/// nothing yet.
pub(crate) fn human(answers: &Answers, width: Option<usize>) -> String {
    let evaluated = answers.measurements.iter().any(|measurement| measurement.value.is_some());
    let mut text = String::new();
    let mut add = |lines: &str, indent| {
        text.push('\n');
        text.push_str(&terminal::folded(lines, width, indent));
        text.push('\n');
    };
    for table in answers.tables.iter().filter(|_| evaluated) {
        add(table_human(table, width).trim_end(), 3);
    }
    let evaluations = evaluations(&answers.measurements);
    if answers.tables.is_empty() && !evaluations.is_empty() {
        add(&evaluations.join("\n"), 2);
    }
    if !answers.sufficient.is_empty() {
        add(&answers.sufficient.join("\n"), 2);
    }
    if !answers.analyses.is_empty() {
        add(&format!("Analyses\n{}", answers.analyses.join("\n")), 4);
    }
    if !answers.answered.is_empty() {
        add(&answers.answered.join("\n"), 2);
    }
    if evaluated && !answers.claims.is_empty() {
        add(&format!("Claims\n{}", claims_human(&answers.claims).trim_end()), 17);
    }
    if evaluated && !answers.origins.is_empty() {
        add(&answers.origins.join("\n"), 2);
    }
    text
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
    #[arg(required_unless_present_any = ["run", "bundle"])]
    pub file: Option<PathBuf>,
    /// What this run computed, by its settings and data as they were then: a name of `overinterp runs`, or `last`.
    #[arg(long, value_name = "ID", conflicts_with_all = ["file", "set"])]
    pub run: Option<String>,
    /// What an archive of `overinterp bundle` holds, which is checked first. Needs neither data nor a cache.
    #[arg(long, value_name = "ARCHIVE", conflicts_with_all = ["file", "set", "stage", "run", "cache"])]
    pub bundle: Option<PathBuf>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed; csv has one row an evaluation and metric, the others the file's tables and claims.
    #[arg(long, value_enum, default_value_t = ResultsFormat::Human)]
    pub format: ResultsFormat,
}

pub(crate) fn run(arguments: &ResultsArguments) -> Result<Status, Failure> {
    let place = tempfile::tempdir().map_err(|error| Failure::because(Kind::Usage, error))?;
    let session = opened(arguments, place.path())?;
    session.name_damage()?;
    for (experiment, results) in session.experiments.iter().zip(&session.planned.results) {
        let answers = answers(&session, experiment, results)?;
        match arguments.format {
            ResultsFormat::Human => {
                out!("{}", human(&answers, terminal::width_of_output()));
                warn_of_gaps(&answers, arguments, &experiment.file);
                if !experiment.figures.is_empty() {
                    errln!("\nfigures: `overinterp report {}` draws them on one page", experiment.file.display());
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

/// The experiment of a file, or that of a run as it was.
fn opened(arguments: &ResultsArguments, place: &Path) -> Result<Session, Failure> {
    if let Some(archive) = &arguments.bundle {
        let (_, past) = bundle::unpack(archive, place)?;
        let session = Session::of_run(&past, place, &arguments.experiment)?;
        let holds = bundle::check(&session, &past)?;
        errln!(
            "checked: {} have the bytes of their records, {} chain up to the experiment, {} of the plan are not there",
            text::count(holds.results, "result"),
            text::count(holds.records, "record"),
            text::count(holds.absent, "step")
        );
        return Ok(session);
    }
    if let Some(run) = &arguments.run {
        let cache = Whereabouts::of(arguments.experiment.machine.cache.as_deref(), &[]).cache;
        let past = Past::find(&open_cache(&cache)?, run)?;
        return Session::of_run(&past, &cache, &arguments.experiment);
    }
    Session::open(arguments.file.as_slice(), &arguments.experiment)
}

fn warn_of_gaps(answers: &Answers, arguments: &ResultsArguments, file: &Path) {
    let missing = answers.measurements.iter().filter(|measurement| measurement.value.is_none()).count();
    if missing > 0 {
        let all = text::count(answers.measurements.len(), "number");
        if arguments.bundle.is_some() {
            errln!("\n{missing} of {all} are not in the bundle");
        } else if let Some(run) = &arguments.run {
            errln!(
                "\n{missing} of {all} are not in the cache: run {run} did not come to them, or they have left it since"
            );
        } else {
            errln!("\n{missing} of {all} are not in the cache: `overinterp run {}` computes them", file.display());
        }
    }
}
