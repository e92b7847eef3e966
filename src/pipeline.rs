//! An experiment becomes a plan: the method of the paper as a DAG of steps.
//!
//! Train a model on full images; rank the pixels of every image by what the model needs; keep the few ranked highest
//! and mask the rest; train new models on those subsets, which is the same stage on other images; evaluate all of
//! them. Configuration has already expanded sweeps and joined references, so what is left is to say which step
//! computes what, and to cut long work into shards.

mod analyse;
mod images;
mod imported;
mod models;
mod perhaps;
mod select;
mod temperature;
mod work;

use std::collections::HashMap;
use std::path::Path;

use overinterp_artifacts::{Collections, Evaluation, HumanAnswers, Model, Ranking, SisSet, Subsets};
use overinterp_config::Experiment;
use overinterp_config::experiment::{ImagesRef, Instance, StageRef};
use overinterp_config::kinds::{self, Settings};
use overinterp_spec::{Cell, DataSource, Fraction, ImageShape, Keep, Normalise, Split, Work};
use overinterp_stages::{DataSplit, Env, Evaluate, FileKind, FindSis, Human, Images, Mask, SelectionFiles};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::plan::{Label, Plan};
use overinterp_workflow::stage::Stage;

pub use analyse::Analysed;
pub use perhaps::Unresolved;
pub use work::model_number;

use images::{Facts, KnownSplit, data_ref};
use models::Normalised;
use select::RankedSplit;
use work::Workload;

/// Why something that an experiment names cannot be used: where it was looked for, and how to get it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Absent(pub String);

/// What planning needs to know of the files that an experiment names.
pub trait Files {
    /// What a split of a data set is known by.
    ///
    /// # Errors
    /// When it cannot be used: where it was looked for, and how to get it.
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitContent, Absent>;

    /// The BLAKE3 of a file, in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read, or is no file of that kind.
    fn file(&self, kind: FileKind, path: &Path) -> Result<String, Absent>;

    /// How the network of a model file by this program normalises images; none where the file does not record it.
    fn normalise(&self, path: &Path) -> Option<Normalise>;

    /// The files of the selections of the first `count` images of `split` at `path`, which is a folder or a packed file.
    ///
    /// # Errors
    /// When it cannot be read, or images have no file or two.
    fn selections(&self, path: &Path, split: &DataSplit, count: usize) -> Result<SelectionFiles, Absent>;
}

/// What a split is known by.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitContent {
    /// The hash of its decoded content.
    pub content: String,
    /// The number of images.
    pub images: usize,
    /// The size of each.
    pub shape: ImageShape,
    /// How its data set normalises them, if that is known without reading them.
    pub normalise: Option<Normalise>,
}

/// The steps of some experiments, equal ones merged, and where the results of each will be found.
pub struct Planned {
    /// Every step once, with those that it depends on.
    pub plan: Plan<Env>,
    /// One entry an experiment.
    pub results: Vec<Results>,
    /// What each step has to compute, by its identity, as far as that is known.
    pub work: HashMap<StepKey, Vec<Work>>,
}

impl Planned {
    /// Only `stages` and what they need, if any are named.
    #[must_use]
    pub fn restricted(mut self, stages: &[String]) -> Self {
        if !stages.is_empty() {
            self.plan = self.plan.restricted(|label| stages.contains(&label.stage));
        }
        self
    }
}

/// Where an experiment's results will be found.
#[derive(Debug, Default)]
pub struct Results {
    /// Every evaluation, one entry for each model and images that it is asked about.
    pub evaluations: Vec<Evaluated>,
    /// Every trained or imported model, and every ensemble.
    pub models: Vec<Outcome<Model>>,
    /// Every shard of a ranking, in order.
    pub rankings: Vec<Outcome<Ranking>>,
    /// Every set of sufficient input subsets.
    pub sufficient: Vec<Outcome<SisSet>>,
    /// What people answered.
    pub answers: Vec<Outcome<HumanAnswers>>,
    /// Every set of subsets of one split.
    pub subsets: Vec<Outcome<Subsets>>,
    /// Every analysis, and the fit of every `temperature` stage.
    pub analyses: Vec<Analysed>,
}

/// An evaluation of an experiment.
#[derive(Debug)]
pub struct Evaluated {
    /// Where its result will be found.
    pub outcome: Outcome<Evaluation>,
    /// The model that is asked.
    pub asked: Key<Model>,
    /// What it is asked about.
    pub shown: Images,
}

/// A result of an experiment.
#[derive(Debug)]
pub struct Outcome<A> {
    /// The stage that produces it.
    pub stage: String,
    /// The stage that made the model, for an evaluation or an analysis.
    pub model: String,
    /// The images, such as `subset.test`; empty for a model.
    pub images: String,
    /// The data behind the images; none for a model.
    pub data: Option<DataSplit>,
    /// The axes on which it depends.
    pub cell: Cell,
    /// The key of the step whose output it is.
    pub key: Key<A>,
}

/// Plans experiments together: a step that several need is there once.
#[must_use]
pub fn plan(experiments: &[Experiment], files: &dyn Files) -> Planned {
    let mut planned = Planned { plan: Plan::new(), results: Vec::new(), work: HashMap::new() };
    for experiment in experiments {
        let mut planner = Planner::new(experiment, files, &mut planned.plan);
        for stage in &experiment.stages {
            for instance in &stage.instances {
                planner.add(&stage.name, instance);
            }
        }
        planned.results.push(planner.results);
        planned.work.extend(planner.workload.into_work());
    }
    planned
}

/// The shards of one split's collections.
type Collected = (Vec<Key<Collections>>, KnownSplit);

struct Planner<'a> {
    files: &'a dyn Files,
    sources: HashMap<StageRef, &'a DataSource>,
    splits: HashMap<(StageRef, Split), KnownSplit>,
    models: HashMap<StageRef, Key<Model>>,
    /// How each network normalises images.
    normalised: HashMap<StageRef, Normalised>,
    rankings: HashMap<StageRef, Vec<RankedSplit>>,
    subsets: HashMap<(StageRef, Split), (Key<Subsets>, KnownSplit)>,
    /// The first of the stages and halves whose subsets a step makes.
    masked_by: HashMap<StepKey, (StageRef, Split)>,
    collections: HashMap<(StageRef, Split), Collected>,
    /// The stage of the model that a selection, what is masked by it, or a collection asked.
    asked: HashMap<StageRef, String>,
    keeps: HashMap<StageRef, Fraction>,
    /// Why masks of a split cannot stand for its images: they are of the first ones alone.
    partial: HashMap<(StageRef, Split), String>,
    plan: &'a mut Plan<Env>,
    results: Results,
    workload: Workload,
}

impl<'a> Planner<'a> {
    fn new(experiment: &'a Experiment, files: &'a dyn Files, plan: &'a mut Plan<Env>) -> Self {
        Self {
            files,
            sources: experiment.data.iter().map(|source| (data_ref(source), source)).collect(),
            splits: HashMap::new(),
            models: HashMap::new(),
            normalised: HashMap::new(),
            rankings: HashMap::new(),
            subsets: HashMap::new(),
            masked_by: HashMap::new(),
            collections: HashMap::new(),
            asked: HashMap::new(),
            keeps: HashMap::new(),
            partial: HashMap::new(),
            plan,
            results: Results::default(),
            workload: Workload::default(),
        }
    }

    fn add(&mut self, stage: &str, instance: &'a Instance) {
        let at = StageRef { stage: stage.to_owned(), cell: instance.cell.clone() };
        match &instance.settings {
            Settings::Train(train) => self.train(at, train),
            Settings::Import(import) => self.import(at, import),
            Settings::Ensemble(ensemble) => self.ensemble(at, ensemble),
            Settings::Temperature(temperature) => self.temperature(at, temperature),
            Settings::Select(select) => self.select(&at, select),
            Settings::ImportSelection(import) => self.import_selection(&at, import),
            Settings::Mask(mask) => self.mask(&at, mask),
            Settings::Evaluate(evaluate) => self.evaluate(&at, evaluate),
            Settings::Sis(sis) => self.sis(&at, sis),
            Settings::Human(human) => self.human(&at, human),
            Settings::Collection(collection) => self.collection(&at, collection),
            Settings::Analyse(analyse) => self.analyse(&at, &analyse.question),
        }
    }

    /// Adds a step, or, while its data are absent, its place in the plan.
    fn step<S: Stage<Env>>(&mut self, stage: S, label: Label, absent: Option<String>) -> Key<S::Output> {
        match absent {
            None => self.plan.add(stage, label),
            Some(why) => self.plan.add_without_data(stage, label, why),
        }
    }

    fn mask(&mut self, at: &StageRef, mask: &kinds::Mask) {
        let kinds::Mask { ranking, keep, appearance } = mask;
        let keep = *keep;
        if let Some(asked) = self.asked.get(ranking).cloned() {
            self.asked.insert(at.clone(), asked);
        }
        let (Keep::Share(share) | Keep::Rounds(share)) = keep;
        self.keeps.insert(at.clone(), share);
        for RankedSplit { split, count, .. } in &self.rankings[ranking] {
            let Facts { data: DataSplit { split: half, source, .. }, images, absent, .. } = &**split;
            if count < images && absent.is_none() {
                let (mask, ranking, data) = (&at.stage, &ranking.stage, &source.name);
                let why = format!(
                    "`{mask}` masks the first {count} of {images} images of {data}.{half} alone, because `{ranking}` ranks \
                     no more: raise its `count`, or give `{data}` a `limit` of {half} = {count}"
                );
                self.partial.insert((at.clone(), *half), why);
            }
        }
        for (shards, split) in self.ranked(ranking) {
            let half = split.data.split;
            let mask = Mask { rankings: shards, keep, appearance: appearance.of(half) };
            let key = self.step(mask, part(at, half), split.absent.clone());
            self.results.subsets.push(Outcome {
                stage: at.stage.clone(),
                model: String::new(),
                images: format!("{}.{half}", at.stage),
                data: Some(split.data.clone()),
                cell: at.cell.clone(),
                key: key.clone(),
            });
            let place = (at.clone(), half);
            let first = self.masked_by.entry(key.step().clone()).or_insert_with(|| place.clone());
            if place < *first {
                first.clone_from(&place);
            }
            self.subsets.insert(place, (key, split));
        }
    }

    /// The step that evaluates a model, and the images, with their name.
    fn evaluation(
        &mut self,
        at: &StageRef,
        model: &StageRef,
        images: &'a ImagesRef,
    ) -> (Key<Evaluation>, String, Images) {
        let name = images_name(images);
        let (images, absent) = self.images(images);
        let absent = absent.or_else(|| self.partial(&images));
        let known = self.known(&images);
        let evaluate = Evaluate { model: self.models[model].clone(), images: images.clone() };
        let label = Label { part: Some(format!("{} on {name}", model.stage)), ..label(at) };
        let key = self.step(evaluate, label, absent);
        if let Some(known) = known {
            self.workload.evaluate(key.step(), self.models[model].step(), &known);
        }
        (key, name, images)
    }

    fn evaluate(&mut self, at: &StageRef, evaluate: &'a kinds::Evaluate) {
        let kinds::Evaluate { model, images } = evaluate;
        let (key, images, shown) = self.evaluation(at, model, images);
        let (stage, asked, data) = (at.stage.clone(), self.models[model].clone(), Some(shown.data.clone()));
        let outcome = Outcome { stage, model: model.stage.clone(), images, data, cell: at.cell.clone(), key };
        self.results.evaluations.push(Evaluated { outcome, asked, shown });
    }

    fn sis(&mut self, at: &StageRef, sis: &kinds::Sis) {
        for (shards, split) in self.ranked(&sis.ranking) {
            let half = split.data.split;
            let key =
                self.step(FindSis { rankings: shards, threshold: sis.threshold }, part(at, half), split.absent.clone());
            self.results.sufficient.push(Outcome {
                stage: at.stage.clone(),
                model: String::new(),
                images: format!("{}.{half}", split.data.source.name),
                data: Some(split.data.clone()),
                cell: at.cell.clone(),
                key,
            });
        }
    }

    fn human(&mut self, at: &StageRef, human: &kinds::Human) {
        let kinds::Human { images, answers, key } = human;
        let ImagesRef::Subset { mask, .. } = images else { return };
        let (name, keep) = (images_name(images), self.keeps[mask]);
        let (images, mut absent) = self.images(images);
        let data = images.data.clone();
        let named = [(FileKind::Answers, answers), (FileKind::AnswerKey, key)];
        let [answers_hash, key_hash] = named.map(|(kind, file)| match self.files.file(kind, file) {
            Ok(hash) => hash,
            Err(Absent(why)) => {
                let make = format!("`overinterp export FILE {} --human-study DIR` makes a sheet and a key", mask.stage);
                absent.get_or_insert_with(|| format!("{why} ({make})"));
                format!("absent: {}", file.display())
            }
        });
        let human = Human {
            answers: answers_hash,
            key: key_hash,
            images,
            keep,
            answers_file: answers.clone(),
            key_file: key.clone(),
        };
        let key = self.step(human, label(at), absent);
        self.results.answers.push(Outcome {
            stage: at.stage.clone(),
            model: at.stage.clone(),
            images: name,
            data: Some(data),
            cell: at.cell.clone(),
            key,
        });
    }
}

fn label(at: &StageRef) -> Label {
    let cell = at.cell.iter().map(|(axis, value)| (axis.clone(), serde_json::json!(value))).collect();
    Label { stage: at.stage.clone(), cell, part: None, shard: None }
}

fn part(at: &StageRef, split: Split) -> Label {
    Label { part: Some(split.name().to_owned()), ..label(at) }
}

fn images_name(images: &ImagesRef) -> String {
    match images {
        ImagesRef::Data { source, split } => format!("{}.{split}", source.stage),
        ImagesRef::Subset { mask, split } => format!("{}.{split}", mask.stage),
    }
}
