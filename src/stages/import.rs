//! `import`: a model from a file made elsewhere.

use std::path::PathBuf;

use serde::Serialize;

use crate::artifacts::{Model, Network, recorded_input_dropout};
use crate::checkpoint::{fit_names, read, under_input_dropout};
use crate::engine::key::StepKey;
use crate::engine::stage::{Context, Stage, StageError};
use crate::nn::arch;
use crate::spec::{Arch, SeededDropout};

use super::{DataSplit, Env};

/// The manifest of an `import` step.
#[derive(Debug, Serialize)]
pub struct Import {
    /// The BLAKE3 of the file; a placeholder while it is absent.
    pub content: String,
    /// Where it lies.
    #[serde(skip)]
    pub file: PathBuf,
    /// The network that its tensors must fit.
    pub arch: Arch,
    /// Images of the kind that the network takes: their shape, classes and normalisation become the model's.
    pub like: DataSplit,
    /// What the network was trained not to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_dropout: Option<SeededDropout>,
    /// The same, if the experiment says anything of it, be it that every pixel is kept.
    #[serde(skip)]
    pub stated: Option<SeededDropout>,
}

impl Stage<Env> for Import {
    const KIND: &'static str = "import";
    const VERSION: u32 = 1;
    type Output = Model;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Model, StageError> {
        let images = self.like.load(context)?;
        let bytes = std::fs::read(&self.file).map_err(StageError::failed)?;
        if blake3::hash(&bytes).to_hex().as_str() != self.content {
            let file = self.file.display();
            return Err(StageError::failed(format!("{file} changed since this run was planned: run again")));
        }
        self.compare_with(recorded_input_dropout(&bytes), context)?;
        drop(bytes);
        let classes = images.classes.len();
        let graph = arch::build(self.arch, images.shape, classes).map_err(StageError::failed)?;
        let expected: Vec<(String, Vec<usize>)> =
            graph.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
        let tensors = read(&self.file).map_err(StageError::failed)?;
        if self.stated.is_none() && under_input_dropout(&tensors, &expected) {
            context.log(&format!(
                "the names in {} begin with `model.`, as they do under input dropout, of which this stage says nothing: \
                 the network is taken for one that sees every pixel. Write `input-dropout = {{ keep = 1.0 }}` if it is, \
                 or else the share of the pixels that it keeps",
                self.file.display()
            ));
        }
        let tensors = fit_names(tensors, &expected).map_err(StageError::failed)?;
        let network = Network { arch: self.arch, input_dropout: self.input_dropout, tensors, log: Vec::new() };
        let normalise = images.normalise.clone();
        Ok(Model { shape: images.shape, classes, normalise, networks: vec![network] })
    }
}

impl Import {
    /// Compares what the experiment says of input dropout with what the file records.
    fn compare_with(&self, recorded: Option<SeededDropout>, context: &Context<'_, Env>) -> Result<(), StageError> {
        let Some(recorded) = recorded.filter(|recorded| Some(*recorded) != self.stated) else { return Ok(()) };
        let file = self.file.display();
        let in_words = |SeededDropout { keep, samples, seed }: SeededDropout| {
            format!("`input-dropout = {{ keep = {:?}, samples = {samples}, seed = {} }}`", keep.get(), seed.0)
        };
        let Some(stated) = self.stated else {
            return Err(StageError::failed(format!(
                "{file} records a network with input dropout, of which this stage says nothing: add {}, or \
                 `input-dropout = {{ keep = 1.0 }}` to have it see every pixel",
                in_words(recorded)
            )));
        };
        context.log(&format!("{file} records {}; here the network has {}", in_words(recorded), in_words(stated)));
        Ok(())
    }
}
