//! `mask`: keeps the pixels that a ranking masks last (`docs/method.md`, section 5).

use serde::Serialize;

use overinterp_artifacts::{GrowingSubsets, Ranking, Subsets};
use overinterp_spec::{Appearance, Keep};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::Env;

/// The manifest of a `mask` step: the subsets of all images of one split.
#[derive(Debug, Serialize)]
pub struct Mask {
    /// The shards of the split's ranking, in order.
    pub rankings: Vec<Key<Ranking>>,
    /// How many of an image's pixels are kept.
    pub keep: Keep,
    /// What kept and masked pixels show.
    #[serde(skip_serializing_if = "Appearance::is_default")]
    pub appearance: Appearance,
}

impl Stage<Env> for Mask {
    const KIND: &'static str = "mask";
    const VERSION: u32 = 1;
    type Output = Subsets;

    fn inputs(&self) -> Vec<StepKey> {
        self.rankings.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Subsets, StageError> {
        let mut subsets: Option<GrowingSubsets<'_>> = None;
        for (done, key) in self.rankings.iter().enumerate() {
            if context.cancelled() {
                return Err(StageError::Cancelled);
            }
            let ranking = context.load(key)?;
            let subsets = subsets.get_or_insert_with(|| GrowingSubsets::new(ranking.pixels(), context.scratch()));
            for kept in ranking.last(self.keep.pixels_kept(ranking.pixels(), ranking.per_step())) {
                subsets.push(kept)?;
            }
            context.progress("shards", done + 1, self.rankings.len());
        }
        let subsets = subsets.ok_or_else(|| StageError::failed("cannot mask: the ranking has no images"))?;
        Ok(subsets.finish().shown_as(self.appearance))
    }
}
