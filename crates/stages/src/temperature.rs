//! `temperature`: a model whose confidence is that of the share of images which it classifies as labelled (Guo et al.
//! 2017). Two steps: one fits the temperature to images that the model was not trained on, one scales the model by it.

use std::sync::Arc;

use serde::Serialize;

use overinterp_artifacts::{Analysis, ImageSet, Model, Number, Pixels, ReadImages, UnreadableImage};
use overinterp_nn::images::batches::Samples;
use overinterp_nn::predict::logits;
use overinterp_nn::temperature::{fit, scale};
use overinterp_spec::Metric;
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::inference::{Watcher, halted};
use super::{DataSplit, Env};

/// The manifest of the fit.
#[derive(Debug, Serialize)]
pub struct FitTemperature {
    /// The model that is asked.
    pub model: Key<Model>,
    /// The images' split.
    pub images: DataSplit,
    /// Only so many of its last images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
}

impl Stage<Env> for FitTemperature {
    const KIND: &'static str = "fit-temperature";
    const VERSION: u32 = 1;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        vec![self.model.step().clone()]
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let model = context.load(&self.model)?;
        let all = self.images.load(context)?;
        let held_out = match self.last {
            None => None,
            Some(last) => Some(last_images(&all, last)?),
        };
        let images = held_out.as_ref().unwrap_or(&all);
        let logits = logits(&model, Samples::whole(images), &context.env().device, &Watcher(context));
        let logits = logits.map_err(|error| halted(error.map(|error| error.counted_from(all.len() - images.len()))))?;
        let found = fit(&logits, model.classes, &images.labels)?;
        context.log(&format!(
            "temperature {:.4}: cross-entropy of {} held-out images {:.4} instead of {:.4}",
            found.temperature,
            images.len(),
            found.after,
            found.before
        ));
        let number = |metric, value| Number { metric, value: Some(value), interval: None, count: images.len() };
        Ok(Analysis { numbers: vec![number(Metric::Temperature, found.temperature)], ..Analysis::default() })
    }
}

/// The last `count` images.
fn last_images(images: &ImageSet, count: usize) -> Result<ImageSet, StageError> {
    let Some(first) = images.len().checked_sub(count) else {
        let there = images.len();
        return Err(StageError::failed(format!(
            "cannot fit a temperature to the last {count} images: there are only {there}, set `last` to at most that"
        )));
    };
    let pixels = match &images.pixels {
        Pixels::Held(pixels) => Pixels::Held(pixels[first * images.shape.bytes()..].to_vec()),
        Pixels::Read(all) => Pixels::Read(Arc::new(Tail { all: all.clone(), first })),
    };
    Ok(ImageSet {
        shape: images.shape,
        classes: images.classes.clone(),
        normalise: images.normalise.clone(),
        pixels,
        labels: images.labels[first..].to_vec(),
    })
}

/// Images that stay in their files, from one on.
#[derive(Debug)]
struct Tail {
    all: Arc<dyn ReadImages>,
    first: usize,
}

impl ReadImages for Tail {
    fn read(&self, index: usize) -> Result<Vec<u8>, UnreadableImage> {
        self.all.read(self.first + index)
    }

    fn identity(&self) -> &[u8] {
        self.all.identity()
    }
}

/// The manifest of the scaled model.
#[derive(Debug, Serialize)]
pub struct ScaleModel {
    /// The model whose logits are divided.
    pub model: Key<Model>,
    /// What its logits are divided by.
    pub temperature: Key<Analysis>,
}

impl Stage<Env> for ScaleModel {
    const KIND: &'static str = "scale-model";
    const VERSION: u32 = 1;
    type Output = Model;

    fn inputs(&self) -> Vec<StepKey> {
        vec![self.model.step().clone(), self.temperature.step().clone()]
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Model, StageError> {
        let found = context.load(&self.temperature)?;
        let temperature = found.number(Metric::Temperature).and_then(|number| number.value);
        let temperature = temperature.filter(|value| value.is_finite() && *value > 0.0).ok_or_else(|| {
            StageError::failed("cannot scale a model: its temperature is no number above 0, fit it anew")
        })?;
        Ok(scale(context.load(&self.model)?, temperature)?)
    }
}
