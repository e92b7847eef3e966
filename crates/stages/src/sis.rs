//! `sis`: the sufficient input subset of each ranked image, from its stored order and values, without the model
//! (`FindSIS`, Carter et al. 2019).

use serde::Serialize;

use overinterp_artifacts::{ImageSis, Ranking, SisSet};
use overinterp_sis::{Sis, find_sis};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::Env;

/// The manifest of a `sis` step.
#[derive(Debug, Serialize)]
pub struct FindSis {
    /// The shards of one split's ranking, in order.
    pub rankings: Vec<Key<Ranking>>,
    /// The confidence that a subset must reach.
    pub threshold: f64,
}

impl Stage<Env> for FindSis {
    const KIND: &'static str = "sis";
    const VERSION: u32 = 1;
    type Output = SisSet;

    fn inputs(&self) -> Vec<StepKey> {
        self.rankings.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<SisSet, StageError> {
        let mut found: Option<SisSet> = None;
        for key in &self.rankings {
            let ranking = context.load(key)?;
            let found = found.get_or_insert_with(|| SisSet {
                first: ranking.first(),
                pixels: ranking.pixels(),
                threshold: self.threshold,
                images: Vec::new(),
            });
            for index in 0..ranking.len() {
                found.images.push(find(&ranking, index, self.threshold)?);
            }
        }
        found.ok_or_else(|| StageError::failed("cannot find sufficient input subsets: the ranking has no images"))
    }
}

fn find(ranking: &Ranking, index: usize, threshold: f64) -> Result<ImageSis, StageError> {
    let curve = ranking.curve(index).ok_or_else(|| {
        StageError::failed("cannot find sufficient input subsets: a random ranking records no confidence")
    })?;
    let sis = find_sis(curve.full, ranking.order(index), curve.values, ranking.per_step(), threshold)?;
    let alone = match &sis {
        Sis::None => None,
        Sis::Empty => Some(curve.fully_masked()),
        Sis::Features(pixels) => ranking.confidence_of_last(index, pixels.len()),
    };
    Ok(ImageSis { class: curve.class, full: curve.full, alone, subset: sis.into_features() })
}
