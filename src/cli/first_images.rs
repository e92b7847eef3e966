//! The first images of models that have selected nothing yet, which `bench` selects to learn how sure they are. What they took
//! is kept beside the cache's steps, so that `plan` and progress bars know it, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::pipeline::model_number;
use overinterp_artifacts::{Effort, Model};
use overinterp_foreign::bounded;
use overinterp_nn::first_images::{FirstImagesError, first_images};
use overinterp_spec::{Activity, Cell, Rates, Work};
use overinterp_stages::DataSplit;
use overinterp_workflow::key::Key;

use super::args::EventFormat;
use super::failure::{Failure, chain};
use super::rates::{self, Shares};
use super::session::Session;
use super::writing::WriteError;
use super::{json, text};

/// A line a model; those of a thousand models have fewer.
const MOST_BYTES: u64 = 1 << 20;
/// How long the first images of a model may take.
const LONGEST: Duration = Duration::from_secs(120);
/// How many times fewer candidates than an exhaustive selection the surest network evaluates.
const AT_BEST: f64 = 50.0;
/// Images that a GPU selects in lockstep. Fewer would keep it waiting.
const ON_GPU: usize = 16;

fn file(cache: &Path) -> PathBuf {
    cache.join("v1").join("first-images.json")
}

/// What the first images of each model took, by the model's number; nothing if nothing is known.
pub(super) fn load(cache: &Path) -> BTreeMap<u64, Effort> {
    let text = bounded::read(&file(cache), MOST_BYTES).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// A model that selects exactly, and what it selects first.
struct Subject<'a> {
    number: u64,
    /// The stage and the cell of the model.
    name: (&'a str, &'a Cell),
    model: &'a Key<Model>,
    images: (&'a str, &'a DataSplit),
    /// All of its work on them, network by network.
    work: &'a [Work],
    /// Of an image.
    pixels: usize,
}

/// Selects the first images of every model that is in the cache and has selected nothing, and keeps what they took. A model
/// whose images take too long is told of and passed over.
///
/// # Errors
/// When the cache cannot be read or written.
pub(super) fn learn(
    session: &Session,
    measured: &[Rates],
    count: Option<usize>,
    format: EventFormat,
) -> Result<(), Failure> {
    if count == Some(0) {
        return Ok(());
    }
    let mut known = load(&session.cache);
    // What is known is only learnt again by as many images as somebody asks for.
    let shares = if count.is_some() { Shares::of(session) } else { Shares::all(session) };
    let count =
        count.unwrap_or_else(|| if session.env.device.is_cpu() { rayon::current_num_threads() } else { ON_GPU });
    for subject in subjects(session) {
        if shares.knows(subject.number) {
            continue;
        }
        let Some(model) = session.load(subject.model)? else { continue };
        let start = Instant::now();
        match take(session, &subject, &model, measured, count) {
            Ok(effort) => {
                tell(&subject, count, effort, start.elapsed(), format);
                known.insert(subject.number, effort);
                save(&session.cache, &known)?;
            }
            Err(why) => errln!("{} cannot foretell its selections: {why}", subject.title()),
        }
    }
    Ok(())
}

/// Each model once, with the first images that it selects.
fn subjects(session: &Session) -> Vec<Subject<'_>> {
    let planned = &session.planned;
    let mut subjects: Vec<Subject<'_>> = Vec::new();
    for results in &planned.results {
        for ranking in &results.rankings {
            let Some(work) = planned.work.get(ranking.key.step()) else { continue };
            let Some(&Work { model: number, shape, activity: Activity::Select, .. }) = work.first() else { continue };
            let model = results.models.iter().find(|model| model_number(model.key.step()) == number);
            if let (Some(model), Some(data)) = (model, &ranking.data)
                && subjects.iter().all(|subject| subject.number != number)
            {
                subjects.push(Subject {
                    number,
                    name: (&model.stage, &model.cell),
                    model: &model.key,
                    images: (&ranking.images, data),
                    work,
                    pixels: shape.pixels(),
                });
            }
        }
    }
    subjects
}

impl Subject<'_> {
    /// `` `full` seed=0 ``.
    fn title(&self) -> String {
        let (stage, cell) = self.name;
        format!("`{stage}`{}", text::cell(cell))
    }
}

/// What the first images took, or why that cannot be told.
fn take(
    session: &Session,
    subject: &Subject<'_>,
    model: &Model,
    measured: &[Rates],
    count: usize,
) -> Result<Effort, String> {
    let (name, DataSplit { source, split, .. }) = subject.images;
    let longest = text::duration(LONGEST.as_secs_f64());
    let images = text::count(count, "image");
    let alternative = "; `run` begins with them all the same, and `plan` goes by the first that are finished";
    // All networks of an ensemble select the same images.
    let exhaustive = (count * subject.pixels * (subject.pixels + 1) / 2) as u64;
    let one = |work: &Work| Work { times: exhaustive, ..*work };
    let work: Vec<Work> = subject.work.iter().map(one).collect();
    if let Some(at_most) = rates::seconds(&work, measured).filter(|seconds| seconds / AT_BEST > LONGEST.as_secs_f64()) {
        let at_most = text::duration(at_most);
        return Err(format!(
            "{images} of `{name}` take at most {at_most}, and at best more than {longest}{alternative}"
        ));
    }
    let of_data = session.env.library.images(source, *split).map_err(|error| chain(&error))?;
    let start = Instant::now();
    match first_images(model, &of_data, count, &session.env.device, || start.elapsed() < LONGEST) {
        Ok(efforts) => Ok(efforts.into_iter().sum()),
        Err(FirstImagesError::Stopped) => Err(format!("{images} of `{name}` take more than {longest}{alternative}")),
        Err(error) => Err(chain(&error)),
    }
}

fn tell(subject: &Subject<'_>, count: usize, effort: Effort, taken: Duration, format: EventFormat) {
    let ((stage, cell), (images, _)) = (subject.name, subject.images);
    let seconds = taken.as_secs_f64();
    if format == EventFormat::Json {
        let effort = json!(effort);
        json::line(
            &json!({"model": stage, "cell": cell, "images": images, "first": count, "seconds": seconds, "effort": effort}),
        );
        return;
    }
    let (title, first) = (subject.title(), text::count(count, "image"));
    outln!("\nThe first {first} of `{images}` by {title}, in {}", text::duration(seconds));
    outln!("  {effort}");
}

fn save(cache: &Path, known: &BTreeMap<u64, Effort>) -> Result<(), Failure> {
    let path = file(cache);
    let written = serde_json::to_vec_pretty(known).map_err(std::io::Error::from);
    Ok(written.and_then(|text| bounded::replace(&path, &text)).map_err(WriteError::at(&path))?)
}
