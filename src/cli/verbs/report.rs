//! `report`: one HTML page with all that the cache holds of an experiment, and its figures beside it.

use std::path::PathBuf;

use clap::Args;
use overinterp_config::merged;
use overinterp_report::page::Page;

use crate::cli::args::ExperimentArguments;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::exports::names::within_limits;
use crate::failure::Failure;
use crate::gathering::answers::answers;
use crate::gathering::figures::figures;
use crate::gathering::origins::{caveats, data, made};
use crate::printable::printable;
use crate::text;
use crate::writing;

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// The folder for the page, which needs no other file, and for each figure as SVG and as CSV.
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

pub(crate) fn run(arguments: &ReportArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    let view = session.view()?;
    let (experiment, results) = (&session.experiments[0], &session.planned.results[0]);
    let answers = answers(&session, experiment, results)?;
    let figures = figures(&session, experiment, results)?;
    let source = merged(&arguments.file, &arguments.experiment.set)
        .map_err(|problems| Failure::problems(problems.to_string()))?;
    let (made, there) = made(&session, &view);
    let remarks = [answers.sufficient, answers.analyses, answers.answered].concat();
    let page = Page {
        name: &experiment.name,
        description: &experiment.description,
        file: arguments.file.display().to_string(),
        steps: (there, session.planned.plan.len()),
        data: data(&session, experiment),
        made,
        tables: &answers.tables,
        claims: &answers.claims,
        figures: &figures,
        measurements: &answers.measurements,
        remarks: &remarks,
        caveats: caveats(&session, experiment),
        source,
    };

    let name = file_name(&experiment.name);
    let write = |name: &str, ending: &str, content: &str| {
        let path = arguments.out.join(within_limits(name, ending));
        // Names of classes come from folders and files of others.
        writing::write(&path, printable(content).as_bytes())?;
        outln!("{}", path.display());
        Ok::<_, Failure>(())
    };
    write(&name, ".html", &page.html())?;
    for figure in &figures {
        let name = format!("{name}-{}", figure.name);
        if let Some(svg) = figure.svg_file() {
            write(&name, ".svg", &svg)?;
            write(&name, ".csv", &figure.numbers.csv())?;
        }
    }
    let (there, all) = page.steps;
    if there < all {
        errln!(
            "{} of {} are not in the cache and left empty: `overinterp run {}` computes them",
            all - there,
            text::count(all, "step"),
            page.file
        );
    }
    Ok(session.ended(Status::Success))
}

/// An experiment's name as that of a file: letters and digits stay, and what lies between them becomes a dash.
fn file_name(name: &str) -> String {
    let parts = name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join("-");
    if name.is_empty() { "report".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_become_names_of_files() {
        for (name, file) in [("cifar-resnet", "cifar-resnet"), ("Table 1: a/b", "Table-1-a-b"), ("../..", "report")] {
            assert_eq!(super::file_name(name), file);
        }
    }
}
