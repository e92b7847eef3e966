//! `report`: one HTML page with all that the cache holds of an experiment, and its figures beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use overinterp_config::experiment::ImagesRef;
use overinterp_config::kinds::{Select, Settings, Train};
use overinterp_config::{Experiment, merged};
use overinterp_data::Provenance;
use overinterp_report::page::{Caveat, DataOrigin, MadeBy, Page, SplitOrigin};
use overinterp_spec::{Selection, Split};
use overinterp_workflow::store::{Lookup, Maker};
use overinterp_workflow::view::View;

use crate::cli::args::ExperimentArguments;
use crate::cli::exports::writing;
use crate::cli::failure::{Failure, Status};
use crate::cli::files::full_name;
use crate::cli::gathering::figures::figures;
use crate::cli::screen::output::printable;
use crate::cli::screen::text;
use crate::cli::session::Session;
use crate::cli::verbs::export::within_limits;
use crate::cli::verbs::results::answers;
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
    let source =
        merged(&arguments.file, &arguments.experiment.set).map_err(|problems| Failure::usage(problems.to_string()))?;
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

/// What made the results that are there, and how many there are.
fn made(session: &Session, view: &View) -> (Vec<MadeBy>, usize) {
    let mut makers: BTreeMap<(&str, &str, &str), (MadeBy, f64)> = BTreeMap::new();
    let mut there = 0;
    for (_, step) in session.planned.plan.steps() {
        let Lookup::Intact(record) = view.entry(step.identity()) else { continue };
        there += 1;
        let Maker { program, host, device } = &record.made.by;
        let date = &record.made.date;
        let (made, seconds) = makers.entry((program, host, device)).or_insert_with(|| {
            let (program, host, device) = (program.clone(), host.clone(), device.clone());
            let dates = (date.clone(), date.clone());
            (MadeBy { program, host, device, dates, steps: 0, took: String::new() }, 0.0)
        });
        made.steps += 1;
        // Dates are written so that their order as text is that of time.
        if *date < made.dates.0 {
            made.dates.0.clone_from(date);
        }
        if *date > made.dates.1 {
            made.dates.1.clone_from(date);
        }
        if record.taken_from.is_none() {
            *seconds += record.seconds;
        }
    }
    let made = makers.into_values().map(|(made, seconds)| MadeBy { took: text::duration(seconds), ..made });
    (made.collect(), there)
}

fn data(session: &Session, experiment: &Experiment) -> Vec<DataOrigin> {
    let origin = |split: Split, name: &str| {
        let content = session.contents.get(&(name.to_owned(), split))?;
        Some(SplitOrigin {
            split: split.name().to_owned(),
            images: content.images,
            origin: [(content.skipped, "left out"), (content.passed, "passed over")].into_iter().fold(
                content.provenance.describe().to_owned(),
                |origin, (count, what)| match count {
                    0 => origin,
                    count => format!("{origin}; {} {what}", text::count(count, "file")),
                },
            ),
            content: content.hash.to_string(),
        })
    };
    let sets = experiment.data.iter().map(|source| {
        let name = full_name(source);
        let splits = Split::ALL.into_iter().filter_map(|split| origin(split, &name)).collect();
        DataOrigin { name, kind: source.kind.name().to_owned(), splits }
    });
    sets.collect()
}

/// What the results must be read with, by what the experiment does.
fn caveats(session: &Session, experiment: &Experiment) -> Vec<Caveat> {
    let settings = || experiment.stages.iter().flat_map(|stage| &stage.instances).map(|instance| &instance.settings);
    let by_model = |settings: &Settings| match settings {
        Settings::Select(Select { method, .. }) => !matches!(method, Selection::Random { .. }),
        other => matches!(other, Settings::Collection(_)),
    };
    let masks =
        |settings: &Settings| matches!(settings, Settings::Mask(_) | Settings::Sis(_) | Settings::Collection(_));
    let retrains =
        |settings: &Settings| matches!(settings, Settings::Train(Train { images: ImagesRef::Subset { .. }, .. }));
    let partial = experiment.data.iter().any(|source| {
        source.limit.train.is_some()
            || source.limit.test.is_some()
            || session.origins.get(&source.name).is_some_and(|origin| origin.provenance == Provenance::Excerpt)
    });
    let candidates = [
        (Caveat::Ties, settings().any(by_model)),
        (Caveat::Edges, settings().any(masks)),
        (Caveat::Positions, settings().any(retrains)),
        (Caveat::Scale, partial),
    ];
    candidates.into_iter().filter(|(_, holds)| *holds).map(|(caveat, _)| caveat).collect()
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
