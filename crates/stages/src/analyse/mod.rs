//! What rankings, subsets and predictions have in common, from what earlier stages left. Only
//! [`AnalyseDeletionInsertion`] asks a model. One question a stage, so that each has a version of its own.

mod estimate;

use overinterp_artifacts::{Curve, ImageSet, Ranking, Scale, ScaleRange};
use overinterp_workflow::key::Key;
use overinterp_workflow::stage::{Artifact, Context, StageError};

use super::Env;

macro_rules! stages {
    ($($(#[$about:meta])* $module:ident::$question:ident),+ $(,)?) => {
        $(mod $module;)+
        $(pub use $module::*;)+
    };
}

overinterp_spec::each_question!(stages);

/// Hands each shard to `see`, one in memory at a time.
fn each_shard<A: Artifact>(
    context: &Context<'_, Env>,
    shards: &[Key<A>],
    mut see: impl FnMut(&A) -> Result<(), StageError>,
) -> Result<(), StageError> {
    for (done, key) in shards.iter().enumerate() {
        go_on(context)?;
        see(&context.load(key)?)?;
        context.progress("shards", done + 1, shards.len());
    }
    Ok(())
}

/// Ends the stage if the user asks.
fn go_on(context: &Context<'_, Env>) -> Result<(), StageError> {
    if context.cancelled() { Err(StageError::Cancelled) } else { Ok(()) }
}

/// The labels of the `count` images from number `first` on.
fn labels(images: &ImageSet, first: usize, count: usize) -> Result<&[u16], StageError> {
    first.checked_add(count).and_then(|end| images.labels.get(first..end)).ok_or_else(|| {
        StageError::failed(format!(
            "cannot analyse images {first} to {}: the data set has only {}",
            first.saturating_add(count),
            images.len()
        ))
    })
}

/// f of each image of a shard.
fn curves(ranking: &Ranking) -> Result<Vec<Curve<'_>>, StageError> {
    let curves: Option<Vec<Curve<'_>>> = (0..ranking.len()).map(|index| ranking.curve(index)).collect();
    curves.ok_or_else(|| StageError::failed("cannot analyse the ranking: random orders record no confidence"))
}

fn shares(label: &str) -> Scale {
    Scale { label: label.to_owned(), range: ScaleRange::Share }
}

fn numbers(label: &str) -> Scale {
    Scale { label: label.to_owned(), range: ScaleRange::Number }
}

fn names(label: &str, names: &[String]) -> Scale {
    Scale { label: label.to_owned(), range: ScaleRange::Names(names.to_vec()) }
}
