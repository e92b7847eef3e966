//! `collection`: all disjoint sufficient input subsets of each image (`SIScollection`, Carter et al. 2019).

use serde::Serialize;

use crate::artifacts::{CollectionEnding, CollectionMember, Collections, ImageCollection, ImageSet, Model};
use crate::engine::key::{Key, StepKey};
use crate::engine::stage::{Context, Stage, StageError};
use crate::nn::device_inference::DeviceInference;
use crate::nn::device_scorer::DeviceScorer;
use crate::nn::inference::Inference;
use crate::nn::scorer::NetworkScorer;
use crate::sis::{Collection, Ending, Stopped, collection};

use super::inference::Masking;
use super::{DataSplit, Env, Range};

/// The manifest of a `collection` step: one shard of a split's images.
#[derive(Debug, Serialize)]
pub struct Collect {
    /// The model that is asked.
    pub model: Key<Model>,
    /// The images' split.
    pub images: DataSplit,
    /// The shard.
    pub range: Range,
    /// The confidence that a subset must reach.
    pub threshold: f64,
}

impl Stage<Env> for Collect {
    const KIND: &'static str = "collection";
    const VERSION: u32 = 1;
    type Output = Collections;

    fn inputs(&self) -> Vec<StepKey> {
        vec![self.model.step().clone()]
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Collections, StageError> {
        let images = self.images.load(context)?;
        let model = context.load(&self.model)?;
        let pixels = images.shape.pixels();
        let masking = Masking::new(context, self.range.count * pixels);
        let found = if context.env().device.is_cpu() {
            self.on_cpu(&model, &images, &masking)?
        } else {
            self.on_device(&model, &images, &masking, context)?
        };
        Ok(Collections { first: self.range.first, pixels, threshold: self.threshold, images: found })
    }
}

impl Collect {
    fn on_cpu(
        &self,
        model: &Model,
        images: &ImageSet,
        masking: &Masking<'_>,
    ) -> Result<Vec<ImageCollection>, StageError> {
        let inference = Inference::for_scores(model, images).map_err(StageError::failed)?;
        inference.for_each(self.range.indexes(), |workspace, index, image| {
            let mut scorer = NetworkScorer::new(workspace, image);
            let class = scorer.class();
            let restart = |scorer: &mut NetworkScorer<'_>| scorer.restart(image);
            let found = collection(&mut scorer, restart, self.threshold, masking.of_image());
            scorer.check(index)?;
            Ok(stored(class as u16, found.map_err(|Stopped| StageError::Cancelled)?))
        })
    }

    /// The same on a device without the fused engine: one image after the other, many candidates at once.
    fn on_device(
        &self,
        model: &Model,
        images: &ImageSet,
        masking: &Masking<'_>,
        context: &Context<'_, Env>,
    ) -> Result<Vec<ImageCollection>, StageError> {
        let inference = DeviceInference::new(model, images, &context.env().device).map_err(StageError::failed)?;
        let mut all = Vec::with_capacity(self.range.count);
        for index in self.range.indexes() {
            let mut scorer = inference.scorer(index).map_err(StageError::failed)?;
            let found = collection(&mut scorer, DeviceScorer::restart, self.threshold, masking.of_image());
            scorer.check(index)?;
            all.push(stored(scorer.class() as u16, found.map_err(|Stopped| StageError::Cancelled)?));
            scorer.finish().map_err(StageError::failed)?;
        }
        Ok(all)
    }
}

fn stored(class: u16, found: Collection) -> ImageCollection {
    let member = |member: crate::sis::Member| CollectionMember {
        subset: member.features,
        full: member.selection.full,
        order: member.selection.order,
        values: member.selection.values,
    };
    ImageCollection {
        class,
        members: found.members.into_iter().map(member).collect(),
        ending: match found.ending {
            Ending::BelowThreshold => CollectionEnding::BelowThreshold,
            Ending::EmptySubset => CollectionEnding::EmptySubset,
        },
    }
}
