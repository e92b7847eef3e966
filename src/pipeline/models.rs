//! The stages that make a network or put several together: `import` and `ensemble`, and where models are found.

use std::path::Path;

use crate::artifacts::Model;
use crate::config::experiment::StageRef;
use crate::engine::key::{Key, StepKey};
use crate::spec::{Arch, DataKind, SeededDropout, Split};
use crate::stages::{Ensemble, Import};

use super::{Outcome, Planner, label};

/// A file of weights, and what is not in it.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub path: &'a Path,
    pub input_dropout: Option<SeededDropout>,
    pub transform_input: Option<bool>,
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

    pub(super) fn import(&mut self, at: StageRef, file: File<'_>, arch: Arch, data: &StageRef) {
        let File { path, input_dropout: stated, transform_input } = file;
        // What keeps every pixel is no dropout, and no part of a manifest.
        let input_dropout = stated.filter(SeededDropout::drops);
        let mut like = self.split(data, Split::Train);
        if let (DataKind::ImageFolder(_), Some(_)) = (like.data.source.kind, &like.absent) {
            // Photographs may be there to be classified only.
            like = self.split(data, Split::Test);
        }
        let (content, absent) = match self.files.file("model file", path) {
            Ok(content) => (content, like.absent),
            Err(why) => (format!("absent: {}", path.display()), Some(why)),
        };
        let file = path.to_owned();
        let import = Import { content, file, arch, like: like.data, input_dropout, stated, transform_input };
        let key = self.step(import, label(&at), absent);
        self.workload.model(key.step(), arch, input_dropout.map_or(1, |dropout| dropout.samples));
        self.model(at, key);
    }

    pub(super) fn ensemble(&mut self, at: StageRef, members: &[StageRef]) {
        let members: Vec<Key<Model>> = members.iter().map(|member| self.models[member].clone()).collect();
        let networks: Vec<StepKey> = members.iter().map(|member| member.step().clone()).collect();
        let key = self.step(Ensemble { members }, label(&at), None);
        self.workload.ensemble(key.step(), &networks);
        self.model(at, key);
    }
}
