//! `collection`: all disjoint sufficient input subsets of each image (`SIScollection`, Carter et al. 2019).

use serde::Serialize;

use overinterp_artifacts::{CollectionEnding, CollectionMember, Collections, Effort, ImageCollection, Model};
use overinterp_nn::exact::noted;
use overinterp_nn::scorer::NetworkScorer;
use overinterp_sis::{Collection, Ending, Member, collection, collections_in_lockstep};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::inference::{Asked, Finding, Unanswered, say_effort};
use super::parts::{Identity, in_parts};
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
        let finding = Finding::new(context, self.range.count);
        let asked = Asked::for_scores(&model, &images, &context.env().device)?;
        let identity = Identity::of(&model, &context.env().device);
        let collect = |part: Range| {
            let (images, efforts) = collections(&asked, part, self.threshold, &finding)?.into_iter().unzip();
            Ok(Collections { first: part.first, pixels, threshold: self.threshold, images, efforts })
        };
        let skip = |part: Range| finding.add(part.count);
        let mut found =
            Collections { first: self.range.first, pixels, threshold: self.threshold, images: vec![], efforts: vec![] };
        for part in in_parts(context, identity, self.range, asked.part(PART), skip, collect)? {
            found.images.extend(part.images);
            found.efforts.extend(part.efforts);
        }
        say_effort(context, &found.efforts);
        Ok(found)
    }
}

/// Images that a CPU searches before they are kept.
const PART: usize = 4;

/// The collections of some images.
fn collections(
    asked: &Asked<'_>,
    range: Range,
    threshold: f64,
    finding: &Finding<'_>,
) -> Result<Vec<Found>, Unanswered> {
    let inference = match asked {
        Asked::Cpu(inference) => {
            return inference.for_each(range.indexes(), |workspace, index, image| {
                let mut scorer = NetworkScorer::new(workspace, image);
                let class = scorer.class();
                let restart = |scorer: &mut NetworkScorer<'_>| scorer.restart(image);
                let found = collection(&mut scorer, restart, threshold, finding.watch());
                scorer.check(index)?;
                let found = found?;
                finding.add(1);
                Ok(stored(class, found))
            });
        }
        Asked::Device(inference) => inference,
    };
    let mut all = Vec::with_capacity(range.count);
    for numbers in inference.groups(range.indexes()) {
        let mut scorer = inference.scorer(&numbers).map_err(StageError::failed)?;
        let found = collections_in_lockstep(&mut scorer, threshold, finding.watch());
        scorer.check(&numbers)?;
        let classes = scorer.classes().to_vec();
        // A device that failed has stopped the selections, too.
        scorer.finish().map_err(StageError::failed)?;
        let found = found?;
        finding.add(numbers.len());
        all.extend(classes.into_iter().zip(found).map(|(class, found)| stored(class, found)));
    }
    Ok(all)
}

/// What was found of an image, and what it took.
type Found = (ImageCollection, Effort);

fn stored(class: usize, Collection { members, ending, effort }: Collection) -> Found {
    let member = |member: Member| CollectionMember {
        subset: member.features,
        full: member.selection.full,
        order: member.selection.order,
        values: member.selection.values,
    };
    let collection = ImageCollection {
        class: class as u16,
        members: members.into_iter().map(member).collect(),
        ending: match ending {
            Ending::BelowThreshold => CollectionEnding::BelowThreshold,
            Ending::EmptySubset => CollectionEnding::EmptySubset,
        },
    };
    (collection, noted(effort))
}
