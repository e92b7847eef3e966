//! `export --probabilities`: what a model said of every class, which an evaluation does not keep, computed once more.

use std::path::{Path, PathBuf};

use crate::pipeline::Evaluated;
use overinterp_artifacts::{Evaluation, Subsets};
use overinterp_exchange::Probabilities;
use overinterp_nn::images::batches::Samples;
use overinterp_nn::observer::Unobserved;
use overinterp_nn::predict::all_probabilities;
use overinterp_nn::unanswered::unstopped;
use overinterp_workflow::key::Key;

use super::Export;
use super::names::folder_name;
use crate::failure::{Failure, Kind};
use crate::printable::printable;
use crate::text;
use crate::writing::{WriteError, create};

/// A form of the probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Arrays for numpy.
    Npz,
    /// A table.
    Csv,
}

/// Refuses a stage that evaluates nothing.
pub(crate) fn check(export: &Export<'_>, forms: &[Form]) -> Result<(), Failure> {
    if forms.is_empty() || evaluations(export).next().is_some() {
        return Ok(());
    }
    Err(Failure::usage(format!("`--probabilities` are of an `evaluate` stage, and `{}` is none", export.name)))
}

/// An evaluation of which they are asked, and that the cache has with all that it is computed from.
pub(crate) struct Due<'a> {
    evaluated: &'a Evaluated,
    /// The step's name.
    label: String,
    /// Where its other files go.
    pub folder: PathBuf,
}

/// Each of the stage's evaluations whose probabilities can be computed. Says which cannot.
pub(crate) fn due<'a>(export: &'a Export<'a>, into: &Path, forms: &[Form]) -> Result<Vec<Due<'a>>, Failure> {
    let mut due = Vec::new();
    for evaluated in evaluations(export).filter(|_| !forms.is_empty()) {
        let plan = &export.computed.planned.plan;
        let Some(step) = plan.find(evaluated.outcome.key.step()) else { continue };
        if export.computed.verified(evaluated.outcome.key.step())?.is_none() {
            continue;
        }
        let mut needed = std::iter::once(evaluated.asked.step()).chain(evaluated.shown.subset.as_ref().map(Key::step));
        if needed.try_fold(true, |all, key| Ok::<_, Failure>(all && export.computed.verified(key)?.is_some()))? {
            let label = plan.step(step).label();
            due.push(Due { evaluated, label: label.to_string(), folder: into.join(folder_name(label)) });
        } else {
            let (model, images) = (&evaluated.outcome.model, &evaluated.outcome.images);
            let why = "its model or subsets are no longer in the cache";
            export.note(&format!("no probabilities of {model} on {images}: {why}"));
        }
    }
    Ok(due)
}

/// The forms that are asked for, each once, and the names of their files.
pub(crate) fn files(forms: &[Form]) -> impl Iterator<Item = (Form, &'static str)> {
    let all = [(Form::Npz, "probabilities.npz"), (Form::Csv, "probabilities.csv")];
    all.into_iter().filter(|(form, _)| forms.contains(form))
}

/// Writes them into the folders of the evaluations' other files. Says where.
pub(crate) fn write(export: &Export<'_>, forms: &[Form], due: &[Due<'_>]) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for Due { evaluated, label, folder } in due {
        let subsets = evaluated.shown.subset.as_ref().map(|key| export.computed.load(key)).transpose()?;
        let loaded = (export.computed.load(&evaluated.outcome.key)?, export.computed.load(&evaluated.asked)?);
        let (Some(evaluation), Some(model)) = loaded else { continue };
        // Where there are subsets, they were there a moment ago.
        let Some(subsets) = subsets.map_or(Some(None), |subsets: Option<Subsets>| subsets.map(Some)) else { continue };
        let images = export.computed.images_of(&evaluated.shown.data)?;
        let samples = Samples { images: &images, subsets: subsets.as_ref() };
        let rows = all_probabilities(&model, samples, &export.computed.env.device, &Unobserved);
        let rows = unstopped(rows).map_err(|error| Failure::because(Kind::Stage, error))?;
        say_difference(export, &evaluation, &rows, label);
        create(folder)?;
        let exact = Probabilities { classes: &images.classes, labels: &images.labels, rows: &rows };
        for (form, file) in files(forms) {
            let path = folder.join(file);
            let written = match form {
                Form::Npz => exact.write_npz(&path),
                Form::Csv => {
                    // People open tables in terminals.
                    let classes: Vec<String> =
                        images.classes.iter().map(|class| printable(class).into_owned()).collect();
                    Probabilities { classes: &classes, ..exact }.write_csv(&path)
                }
            };
            written.map_err(WriteError::at(&path))?;
            paths.push(path);
        }
    }
    Ok(paths)
}

fn evaluations<'a>(export: &'a Export<'a>) -> impl Iterator<Item = &'a Evaluated> {
    let all = export.computed.planned.results[0].evaluations.iter();
    all.filter(|evaluated| evaluated.outcome.stage == export.name)
}

/// Says where the device at hand gives other confidences than the evaluation has.
fn say_difference(export: &Export<'_>, evaluation: &Evaluation, rows: &[f32], label: &str) {
    let said = &evaluation.predictions;
    let each = rows.chunks_exact(said.classes.max(1)).zip(&said.predicted).zip(&said.confidence);
    let others = each.filter(|((row, class), confidence)| row[usize::from(**class)].to_bits() != confidence.to_bits());
    let count = others.count();
    if count > 0 {
        export.note(&format!(
            "{label}: the probabilities of {} differ in their last digits from the evaluation's, which another device or \
             version computed",
            text::count(count, "image")
        ));
    }
}
