//! The first images of models that have selected nothing yet, which `bench` selects to learn how sure they are. What they took
//! is kept beside the cache's steps, so that `plan` and progress bars know it, too.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::pipeline::model_number;
use overinterp_artifacts::{Effort, Model, Network};
use overinterp_nn::exact::{FirstImagesError, first_images};
use overinterp_spec::{Activity, Cell, Rates, Work};
use overinterp_stages::DataSplit;
use overinterp_workflow::key::{Key, StepKey};

use crate::computed::Computed;
use crate::failure::{Failure, chain};
use crate::forecast::memo::Memo;
use crate::forecast::rates::{self, Runs};
use crate::text;

/// Those of a thousand models have fewer bytes.
const MEMO: Memo = Memo {
    name: "first-images.json",
    most: 1 << 20,
    said: |file| format!("what is known of first images in {file} is"),
    advice: "",
};
/// How long the first images of a model may take.
const LONGEST: Duration = Duration::from_secs(120);
/// How many times fewer candidates than an exhaustive selection the surest network evaluates.
const AT_BEST: f64 = 50.0;
/// Images that a GPU selects in lockstep. Fewer would keep it waiting.
const ON_GPU: usize = 16;

/// What the first images of each model took, by the model's number: nothing of one whose images took too long.
pub(crate) fn load(cache: &Path) -> BTreeMap<u64, Effort> {
    MEMO.load(cache)
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
}

/// Selects the first images of every model that is in the cache and has selected nothing, and keeps what they took. A model
/// whose images take too long is told of and passed over.
///
/// # Errors
/// When the cache cannot be read or written.
pub(crate) fn learn(
    computed: &Computed,
    runs: &Runs,
    measured: &[Rates],
    count: Option<usize>,
    tell: impl Fn(Learnt<'_>),
) -> Result<(), Failure> {
    if count == Some(0) {
        return Ok(());
    }
    // What was tried is only tried again with as many images as somebody asks for.
    let tried = if count.is_some() { BTreeMap::new() } else { load(&computed.cache) };
    let count =
        count.unwrap_or_else(|| if computed.env.device.is_cpu() { rayon::current_num_threads() } else { ON_GPU });
    for subject in subjects(computed) {
        let number = subject.number;
        if tried.contains_key(&number) || runs.have_selected(number) {
            continue;
        }
        let Some(model) = computed.load(subject.model)? else { continue };
        match take(computed, &subject, &model, measured, count) {
            Ok(Taken { count, effort, seconds }) => {
                let ((stage, cell), (images, _)) = (subject.name, subject.images);
                tell(Learnt::Took { stage, cell, images, first: count, seconds, effort });
                remember(&computed.cache, number, effort)?;
            }
            Err(NotTaken { why, too_long }) => {
                tell(Learnt::Nothing { title: &subject.title(), why: &why });
                if too_long {
                    remember(&computed.cache, number, Effort::default())?;
                }
            }
        }
    }
    Ok(())
}

/// Each model once, with the first images that it selects.
fn subjects(computed: &Computed) -> Vec<Subject<'_>> {
    let planned = &computed.planned;
    let wanted: BTreeSet<&StepKey> = planned.plan.steps().map(|(_, step)| step.identity()).collect();
    let mut subjects: Vec<Subject<'_>> = Vec::new();
    for results in &planned.results {
        for ranking in results.rankings.iter().filter(|ranking| wanted.contains(ranking.key.step())) {
            let Some(work) = planned.work.get(ranking.key.step()) else { continue };
            let Some(&Work { model: number, activity: Activity::Select, .. }) = work.first() else { continue };
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
                });
            }
        }
    }
    subjects
}

impl Subject<'_> {
    fn title(&self) -> String {
        title(self.name.0, self.name.1)
    }
}

/// A model as it is called: `` `full` seed=0 ``.
pub(crate) fn title(stage: &str, cell: &Cell) -> String {
    format!("`{stage}`{}", text::cell(cell))
}

/// What was learnt of a model.
pub(crate) enum Learnt<'a> {
    /// What its first images took.
    Took {
        /// The stage and the cell of the model.
        stage: &'a str,
        cell: &'a Cell,
        images: &'a str,
        /// How many they were.
        first: usize,
        seconds: f64,
        effort: Effort,
    },
    /// Nothing, and why.
    Nothing { title: &'a str, why: &'a str },
}

/// What the first images took.
struct Taken {
    /// How many they were.
    count: usize,
    effort: Effort,
    seconds: f64,
}

/// Why that cannot be told.
struct NotTaken {
    why: String,
    /// Whether it will be so the next time, too.
    too_long: bool,
}

/// Selects the first images, at most `count`.
fn take(
    computed: &Computed,
    subject: &Subject<'_>,
    model: &Model,
    measured: &[Rates],
    count: usize,
) -> Result<Taken, NotTaken> {
    let (name, DataSplit { source, split, .. }) = subject.images;
    let failed = |error: &dyn Error| NotTaken { why: chain(error), too_long: false };
    let images = computed.env.library.images(source, *split).map_err(|error| failed(&error))?;
    let count = count.min(images.len());
    let too_long = |how_long: &str| {
        let (first, longest) = (text::count(count, "image"), text::duration(LONGEST.as_secs_f64()));
        let why = format!(
            "{first} of `{name}` take {how_long} {longest}; `run` begins with them all the same, and `plan` goes by those \
             that are finished"
        );
        NotTaken { why, too_long: true }
    };
    // All networks of an ensemble select the same images, each as often as it is asked for one answer.
    let pixels = images.shape.pixels();
    let exhaustive = (count * pixels * (pixels + 1) / 2) as u64;
    let one = |(work, network): (&Work, &Network)| {
        let samples = network.input_dropout.map_or(1, |dropout| dropout.samples as u64);
        Work { times: exhaustive * samples, ..*work }
    };
    let work: Vec<Work> = subject.work.iter().zip(&model.networks).map(one).collect();
    let at_best = rates::seconds(&work, measured).map(|at_most| at_most / AT_BEST);
    if at_best.is_some_and(|seconds| seconds > LONGEST.as_secs_f64()) {
        return Err(too_long("at best more than"));
    }
    let start = Instant::now();
    match first_images(model, &images, count, &computed.env.device, || start.elapsed() < LONGEST) {
        Ok(efforts) => {
            let seconds = start.elapsed().as_secs_f64();
            Ok(Taken { count, effort: efforts.into_iter().sum(), seconds })
        }
        Err(FirstImagesError::Stopped) => Err(too_long("more than")),
        Err(error) => Err(failed(&error)),
    }
}

/// Notes what a model's images took beside what is known of others.
fn remember(cache: &Path, model: u64, effort: Effort) -> Result<(), Failure> {
    let mut known = load(cache);
    known.insert(model, effort);
    MEMO.save(cache, &known)
}
