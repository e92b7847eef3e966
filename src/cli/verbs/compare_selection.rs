//! `compare-selection`: selections made elsewhere beside this program's own scores, at every step of their way.
//!
//! From the reference's mask at each step, f of every candidate that the reference tells of must be within
//! [`CANDIDATE`] of its value, and f of its pick within [`PICK`] of our maximum. A file in the authors'
//! layout tells of the candidates that were picked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use overinterp_artifacts::{ImageSet, Model};
use overinterp_config::experiment::StageRef;
use overinterp_config::kinds::{ImportSelection, Settings};
use overinterp_exchange::{PackedFile, Prediction, Predictions, SelectionFile};
use overinterp_nn::agreement::{ComparedImage, Reference, Worst};
use overinterp_nn::inference::{Inference, Wanted};
use overinterp_nn::unanswered::{Halted, Unanswered};
use overinterp_spec::{Cell, DataSource, Selection, Split};
use overinterp_workflow::cancel::Cancel;

use crate::cli::args::{EventFormat, ExperimentArguments, at_least_one};
use crate::cli::screen::interrupt::stop_on_interrupt;
use crate::cli::screen::json;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::computed::cell::{self, AxisValue};
use crate::computed::files::selection_names;
use crate::computed::names::check_stages;
use crate::failure::{Failure, Kind, chain};
use crate::text;

/// How far a candidate's value may be from the reference's, and f(x) and its class's probability too.
const CANDIDATE: f64 = 1e-4;
/// How far the reference's pick may be below our maximum.
const PICK: f64 = 1e-6;

/// An `import-selection` stage at one cell, with what is needed to compare it.
struct Imported<'a> {
    cell: &'a Cell,
    selection: &'a ImportSelection,
    model: Model,
}

/// Sums over all images.
#[derive(Default)]
struct Total {
    images: usize,
    agreeing: usize,
    candidate: f64,
    pick: f64,
}
#[derive(Debug, Args)]
pub(crate) struct CompareSelectionArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// A stage of kind `import-selection` that names a model.
    #[arg(value_name = "STAGE")]
    pub name: String,
    /// Only the first images of each split.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub images: Option<usize>,
    /// Only cells with these values: `arch=resnet20,seed=0`.
    #[arg(long, value_delimiter = ',', value_name = "AXIS=VALUE")]
    pub cell: Vec<AxisValue>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

pub(crate) fn run(arguments: &CompareSelectionArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    check_stages(&session.experiments, std::slice::from_ref(&arguments.name))?;
    session.say_what_computes();
    session.name_damage()?;
    let cancel = Cancel::default();
    stop_on_interrupt(&cancel)?;
    let mut total = Total::default();
    for imported in imported(&session, arguments)? {
        match compare(&session, &imported, arguments, &cancel, &mut total) {
            Ok(()) => {}
            Err(Failure { kind: Kind::Cancelled, .. }) => {
                errln!("stopped");
                return Ok(Status::Cancelled);
            }
            Err(failure) => return Err(failure),
        }
    }
    let Total { images, agreeing, candidate, pick } = total;
    if images == 0 {
        return Err(nothing(&arguments.name));
    }
    if arguments.format == EventFormat::Json {
        json::line(&json!({
            "event": "comparison", "images": images, "agreeing": agreeing,
            "candidate": number(candidate), "pick": number(pick),
            "tolerance": {"candidate": CANDIDATE, "pick": PICK},
        }));
    } else {
        outln!(
            "{agreeing} of {} agree; candidates differ by at most {candidate:.2e} (allowed {CANDIDATE:.0e}), picks are at \
             most {pick:.2e} below the maximum (allowed {PICK:.0e})",
            text::count(images, "image")
        );
    }
    Ok(session.ended(if agreeing == images { Status::Success } else { Status::Stage }))
}

/// Nothing was there to compare, which is no agreement.
fn nothing(stage: &str) -> Failure {
    Failure::usage(format!("there is no image of `{stage}` to compare: nothing was compared"))
}

/// The cells of the stage that are asked for, each with its model from the cache.
fn imported<'a>(session: &'a Session, arguments: &CompareSelectionArguments) -> Result<Vec<Imported<'a>>, Failure> {
    let name = &arguments.name;
    let stages = session.experiments[0].stages.iter().filter(|stage| stage.name == *name);
    let mut found = Vec::new();
    for instance in
        stages.flat_map(|stage| &stage.instances).filter(|instance| cell::matches(&arguments.cell, &instance.cell))
    {
        let Settings::ImportSelection(selection) = &instance.settings else {
            let failure = Failure::usage(format!("`{name}` imports no selections"));
            return Err(failure.hint("name a stage of kind `import-selection`"));
        };
        if selection.method != Selection::Backward {
            return Err(Failure::usage(format!("`{name}` is not of method `backward`, which is what can be compared")));
        }
        let model = selection.model.as_ref().ok_or_else(|| {
            let failure = Failure::usage(format!("`{name}` has no model to compare with"));
            failure.hint(format!("add `model` to `stage.{name}`"))
        })?;
        let model = load(session, arguments, model)?;
        found.push(Imported { cell: &instance.cell, selection, model });
    }
    if found.is_empty() {
        return Err(cell::none(&session.experiments[0], name, &arguments.cell));
    }
    Ok(found)
}

fn load(session: &Session, arguments: &CompareSelectionArguments, model: &StageRef) -> Result<Model, Failure> {
    let models = &session.planned.results[0].models;
    let outcome = models.iter().find(|outcome| outcome.stage == model.stage && outcome.cell == model.cell);
    let absent = || {
        let (file, stage) = (arguments.file.display(), &model.stage);
        let failure = Failure::usage(format!("the model `{stage}` is not in the cache"));
        session.worsened(failure.hint(format!("`overinterp run {file} --stage {stage}` makes it")))
    };
    session.load(&outcome.ok_or_else(absent)?.key)?.ok_or_else(absent)
}

/// Compares every image of one cell, printing each.
fn compare(
    session: &Session,
    imported: &Imported<'_>,
    arguments: &CompareSelectionArguments,
    cancel: &Cancel,
    total: &mut Total,
) -> Result<(), Failure> {
    let ImportSelection { data, files, predictions, count, .. } = imported.selection;
    let sources = &session.experiments[0].data;
    let source = sources.iter().find(|source| source.name == data.stage && source.cell == data.cell);
    let source = source.ok_or_else(|| Failure::usage(format!("there is no data set `{}` here", data.stage)))?;
    for (half, path) in files {
        let images = session.env.library.images(source, *half)?;
        let count = [*count, arguments.images].into_iter().flatten().fold(images.len(), usize::min);
        if count == 0 {
            return Err(nothing(&arguments.name));
        }
        let references = References::open(session, path, (source, *half), count)?;
        let said = predictions.iter().find(|(known, _)| known == half).map(|(_, path)| Predictions::read(path));
        let said = said.transpose().map_err(|error| Failure::because(Kind::Usage, error))?;
        let inference = Inference::open(&imported.model, &images, &session.env.device, Wanted::Scores);
        let inference = inference.map_err(|error| Failure::because(Kind::Stage, error))?;
        let at_once = rayon::current_num_threads();
        for first in (0..count).step_by(at_once) {
            let range = first..count.min(first + at_once);
            let selections: Vec<SelectionFile> =
                range.clone().map(|image| references.get(image, &images)).collect::<Result<_, _>>()?;
            let reference = |image: usize| {
                let selection = &selections[image - first];
                Reference { order: selection.order(), values: selection.values(), candidates: selection.candidates() }
            };
            let compared = inference.compare(range.clone(), reference, || cancel.is_cancelled()).map_err(failure)?;
            for (image, compared) in range.zip(&compared) {
                let said = said.as_ref().map(|said| said.of(image, images.classes.len())).transpose();
                let said = said.map_err(|error| Failure::because(Kind::Stage, error))?;
                report(total, arguments, (imported.cell, *half, image), compared, said);
            }
        }
    }
    Ok(())
}

/// Judges one image, and prints what came out.
fn report(
    total: &mut Total,
    arguments: &CompareSelectionArguments,
    (cell, half, image): (&Cell, Split, usize),
    compared: &ComparedImage,
    said: Option<Prediction>,
) {
    let ComparedImage { class, full, agreement } = *compared;
    let (candidate, pick) = (agreement.candidate, agreement.pick);
    let full_off = said.map(|said| f64::from((full - said.confidence).abs()));
    let same_class = said.is_none_or(|said| usize::from(said.class) == class);
    // Written so that neither what is not a number agrees nor what was not compared.
    let agrees = agreement.compared > 0
        && candidate.difference <= CANDIDATE
        && pick.difference <= PICK
        && full_off.is_none_or(|off| off <= CANDIDATE)
        && same_class;
    total.images += 1;
    total.agreeing += usize::from(agrees);
    for (largest, worst) in [(&mut total.candidate, candidate), (&mut total.pick, pick)] {
        if worst.difference > *largest || worst.difference.is_nan() {
            *largest = worst.difference;
        }
    }
    if arguments.format == EventFormat::Json {
        let place =
            |worst: Worst| json!({"difference": number(worst.difference), "step": worst.step, "pixel": worst.feature});
        json::line(&json!({
            "event": "image", "cell": cell, "split": half.name(), "image": image, "agrees": agrees,
            "candidate": place(candidate), "pick": place(pick), "compared": agreement.compared,
            "class": class, "reference-class": said.map(|said| said.class),
            "full": full, "full-difference": full_off.map(number),
        }));
        return;
    }
    let cell = text::cell(cell);
    let verdict = if agrees { "agrees" } else { "DIFFERS" };
    let class = match said {
        Some(said) if !same_class => format!("; predicts class {class}, not {}", said.class),
        _ => String::new(),
    };
    let full = full_off.map_or_else(String::new, |off| format!("; f(x) differs by {off:.2e}"));
    outln!(
        "{half} {image}{cell}: {verdict}; candidates differ by at most {:.2e} (step {}, pixel {}), picks are at most {:.2e} \
         below the maximum (step {}){full}{class}",
        candidate.difference,
        candidate.step,
        candidate.feature,
        pick.difference,
        pick.step,
    );
}

/// A number as JSON has it, which knows none that is not finite.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

fn failure(halted: Halted<Unanswered>) -> Failure {
    match halted {
        Halted::Stopped => Failure::new(Kind::Cancelled, "stopped"),
        Halted::Failed(error) => Failure::because(Kind::Stage, error),
    }
}

/// The selections of a split's first images.
enum References {
    /// One file an image.
    Single(Vec<PathBuf>),
    /// Those of a packed file.
    Packed { path: PathBuf, rows: BTreeMap<usize, SelectionFile> },
}

impl References {
    /// Finds those of the first `count` images of a split.
    fn open(session: &Session, path: &Path, split: (&DataSource, Split), count: usize) -> Result<Self, Failure> {
        if !path.is_file() {
            let names = selection_names(&session.env.library, split.0, split.1)
                .map_err(|error| Failure::because(Kind::Usage, error))?;
            let files = names.list(path, count).map_err(|error| Failure::because(Kind::Usage, error))?;
            return Ok(Self::Single(files));
        }
        let unreadable = |error| Failure::because(Kind::Stage, error);
        let packed = PackedFile::open(path).map_err(unreadable)?;
        let mut rows = BTreeMap::new();
        let mut fault = None;
        let visit = |row: overinterp_exchange::PackedSelection| match SelectionFile::new(
            packed.height(),
            packed.width(),
            row.order,
            row.values,
            Vec::new(),
        ) {
            Ok(selection) if !rows.contains_key(&row.image) => {
                rows.insert(row.image, selection);
                true
            }
            Ok(_) => {
                fault = Some(format!("{} has two rows of image {}", path.display(), row.image));
                false
            }
            Err(error) => {
                fault = Some(format!("{}, image {}: {}", path.display(), row.image, chain(&error)));
                false
            }
        };
        packed.for_each(|image| image < count, visit).map_err(unreadable)?;
        match fault {
            None => Ok(Self::Packed { path: path.to_owned(), rows }),
            Some(message) => Err(Failure::new(Kind::Stage, message)),
        }
    }

    /// The selection of one image, which must be of an image of that size and name each of its pixels.
    fn get(&self, image: usize, images: &ImageSet) -> Result<SelectionFile, Failure> {
        let (selection, path) = match self {
            Self::Single(paths) => {
                let path = &paths[image];
                (SelectionFile::read(path).map_err(|error| Failure::because(Kind::Stage, error))?, path)
            }
            Self::Packed { path, rows } => {
                let missing = || Failure::usage(format!("{} has no row of image {image}", path.display()));
                (rows.get(&image).ok_or_else(missing)?.clone(), path)
            }
        };
        let found = [selection.height(), selection.width(), selection.order().len()];
        let shape = images.shape;
        if found == [shape.height, shape.width, shape.pixels()] {
            return Ok(selection);
        }
        let [height, width, steps] = found;
        let message = format!(
            "{} orders {steps} pixels of an image of {height}x{width}: these images have {}x{}, and every pixel must be in \
             the order",
            path.display(),
            shape.height,
            shape.width
        );
        Err(Failure::new(Kind::Stage, message))
    }
}
