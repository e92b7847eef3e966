//! The stages that make a network or put several together: `train`, `import` and `ensemble`, and where models are found.

use std::sync::Arc;

use overinterp_artifacts::Model;
use overinterp_config::experiment::StageRef;
use overinterp_config::kinds;
use overinterp_spec::{DataKind, DataSource, Normalise, SeededDropout, Split};
use overinterp_stages::{Ensemble, FileKind, Import, Train, TrainedOn};
use overinterp_workflow::key::{Key, StepKey};

use super::images::KnownSplit;
use super::{Absent, Outcome, Planner, label};

/// How a network normalises images, as far as planning can tell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Normalised {
    /// By these means and deviations.
    By(Normalise),
    /// As a data set that must be read for it.
    As(Arc<DataSource>),
}

impl Normalised {
    fn of(split: &KnownSplit) -> Self {
        split.normalise.clone().map_or_else(|| Self::As(Arc::clone(&split.data.source)), Self::By)
    }
}

impl Planner<'_> {
    pub(super) fn model(&mut self, at: StageRef, key: Key<Model>) {
        self.results.models.push(Outcome {
            stage: at.stage.clone(),
            model: at.stage.clone(),
            images: String::new(),
            data: None,
            cell: at.cell.clone(),
            key: key.clone(),
        });
        self.models.insert(at, key);
    }

    pub(super) fn train(&mut self, at: StageRef, train: &kinds::Train) {
        let kinds::Train { images, arch, seed, recipe, init, normalise } = train;
        let (images, absent) = self.images(images);
        let (monitor, also_absent) = self.monitor(&images);
        let (learned, tested) = (self.known(&images), self.known(&monitor));
        let partial = self.partial(&images).or_else(|| self.partial(&monitor));
        let own = learned.as_ref().map(Normalised::of);
        let given = init.as_ref().map(|init| self.models[init].clone());
        // What does not differ from the data set's is no part of a manifest.
        let (normalise, normalised) = match (normalise, init) {
            (Some(normalise), _) => {
                (Some(TrainedOn::Given(normalise.clone())), Some(Normalised::By(normalise.clone())))
            }
            (None, Some(init)) => (Some(TrainedOn::LikeInit), self.normalised.get(init).cloned()),
            (None, None) => (None, own.clone()),
        };
        let normalise = normalise.filter(|_| normalised.is_none() || normalised != own);
        self.normalised.extend(normalised.map(|normalised| (at.clone(), normalised)));
        let (arch, seed, own_recipe) = (*arch, *seed, recipe.clone());
        let train = Train { images, monitor, arch, seed, recipe: own_recipe, init: given, normalise };
        let key = self.step(train, label(&at), absent.or(also_absent).or(partial));
        let samples = recipe.input_dropout.map_or(1, |dropout| dropout.samples);
        self.workload.model(key.step(), arch, samples);
        if let (Some(learned), Some(tested)) = (learned, tested) {
            self.workload.train(key.step(), arch, recipe, &learned, &tested);
        }
        self.model(at, key);
    }

    pub(super) fn import(&mut self, at: StageRef, import: &kinds::Import) {
        let kinds::Import { file, arch, data, input_dropout: stated, transform_input, normalise, weights } = import;
        // What keeps every pixel is no dropout, and no part of a manifest.
        let input_dropout = stated.filter(SeededDropout::drops);
        let mut like = self.split(data, Split::Train);
        if let (DataKind::ImageFolder(_), Some(_)) = (like.data.source.kind, &like.absent) {
            // Photographs may be there to be classified only.
            like = self.split(data, Split::Test);
        }
        let own = Normalised::of(&like);
        let known = normalise.clone().or_else(|| self.files.normalise(file));
        let other = known.filter(|normalise| like.normalise.as_ref() != Some(normalise));
        self.normalised.insert(at.clone(), other.clone().map_or(own, Normalised::By));
        let (content, absent) = match self.files.file(FileKind::Model, file) {
            Ok(content) => (content, like.absent.clone()),
            Err(Absent(why)) => (format!("absent: {}", file.display()), Some(why)),
        };
        let import = Import {
            content,
            file: file.clone(),
            arch: *arch,
            like: like.data.clone(),
            normalise: other,
            stated_normalise: normalise.clone(),
            input_dropout,
            stated: *stated,
            transform_input: *transform_input,
            weights: weights.clone(),
        };
        let key = self.step(import, label(&at), absent);
        self.workload.model(key.step(), *arch, input_dropout.map_or(1, |dropout| dropout.samples));
        self.model(at, key);
    }

    pub(super) fn ensemble(&mut self, at: StageRef, ensemble: &kinds::Ensemble) {
        let members: Vec<Key<Model>> = ensemble.members.iter().map(|member| self.models[member].clone()).collect();
        let networks: Vec<StepKey> = members.iter().map(|member| member.step().clone()).collect();
        let key = self.step(Ensemble { members }, label(&at), None);
        self.workload.ensemble(key.step(), &networks);
        self.model(at, key);
    }
}
