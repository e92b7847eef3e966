//! `export --probabilities`: what a model said of every class, which an evaluation does not keep, computed once more.

use std::path::{Path, PathBuf};

use crate::artifacts::{Evaluation, Model, Subsets};
use crate::checkpoint::Probabilities;
use crate::nn::batches::Samples;
use crate::nn::observer::Unobserved;
use crate::nn::predict::all_probabilities;
use crate::pipeline::Evaluated;

use super::args::{ArrayForm, ExportArguments};
use super::export::{folder_name, images};
use super::failure::{Failure, Status};
use super::session::Session;
use super::text;
use super::writing::{WriteError, create};

/// Refuses a stage that evaluates nothing.
pub(super) fn check(session: &Session, arguments: &ExportArguments) -> Result<(), Failure> {
    if arguments.probabilities.is_empty() || evaluations(session, arguments).next().is_some() {
        return Ok(());
    }
    Err(Failure::usage(format!("`--probabilities` are of an `evaluate` stage, and `{}` is none", arguments.name)))
}

/// Writes them for each of the stage's evaluations that the cache has, into the folder of its other files. Says where.
pub(super) fn write(session: &Session, arguments: &ExportArguments, into: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    if arguments.probabilities.is_empty() {
        return Ok(paths);
    }
    for evaluated in evaluations(session, arguments) {
        let Some(evaluation) = session.load(&evaluated.outcome.key)? else { continue };
        let Some((model, subsets)) = needed(session, evaluated)? else { continue };
        let images = images(session, &evaluated.shown.data)?;
        let samples = Samples { images: &images, subsets: subsets.as_ref() };
        let rows = all_probabilities(&model, samples, &session.env.device, &Unobserved)
            .map_err(|error| Failure::because(Status::Stage, &error))?;
        let plan = &session.planned.plan;
        let Some(step) = plan.find(evaluated.outcome.key.step()) else { continue };
        let label = plan.step(step).label();
        say_difference(&evaluation, &rows, &label.to_string());
        let folder = into.join(folder_name(label));
        create(&folder)?;
        let probabilities = Probabilities { classes: &images.classes, labels: &images.labels, rows: &rows };
        for form in &arguments.probabilities {
            let path = folder.join(match form {
                ArrayForm::Npz => "probabilities.npz",
                ArrayForm::Csv => "probabilities.csv",
            });
            let written = match form {
                ArrayForm::Npz => probabilities.write_npz(&path),
                ArrayForm::Csv => probabilities.write_csv(&path),
            };
            written.map_err(WriteError::at(&path))?;
            paths.push(path);
        }
    }
    Ok(paths)
}

fn evaluations<'a>(session: &'a Session, arguments: &'a ExportArguments) -> impl Iterator<Item = &'a Evaluated> {
    let all = session.planned.results[0].evaluations.iter();
    all.filter(|evaluated| evaluated.outcome.stage == arguments.name)
}

/// The model and the subsets, or nothing where they have left the cache, which is said.
fn needed(session: &Session, evaluated: &Evaluated) -> Result<Option<(Model, Option<Subsets>)>, Failure> {
    let subsets = match &evaluated.shown.subset {
        None => Some(None),
        Some(key) => session.load(key)?.map(Some),
    };
    let needed = session.load(&evaluated.asked)?.zip(subsets);
    if needed.is_none() {
        let (model, images) = (&evaluated.outcome.model, &evaluated.outcome.images);
        errln!("no probabilities of {model} on {images}: its model or subsets are no longer in the cache");
    }
    Ok(needed)
}

/// Says where the device at hand gives other confidences than the evaluation has.
fn say_difference(evaluation: &Evaluation, rows: &[f32], label: &str) {
    let said = &evaluation.predictions;
    let each = rows.chunks_exact(said.classes.max(1)).zip(&said.predicted).zip(&said.confidence);
    let others = each.filter(|((row, class), confidence)| row[usize::from(**class)].to_bits() != confidence.to_bits());
    let count = others.count();
    if count > 0 {
        errln!(
            "{label}: the probabilities of {} differ in their last digits from the evaluation's, which another device or \
             version computed",
            text::count(count, "image")
        );
    }
}
