//! `collection`: all disjoint sufficient input subsets of each image (`SIScollection`, Carter et al. 2019).

use serde::Serialize;

use overinterp_artifacts::{CollectionEnding, CollectionMember, Collections, Effort, ImageCollection, Model};
use overinterp_nn::exact::noted;
use overinterp_nn::image_scorer::ImageScorer;
use overinterp_nn::inference::{Finder, Wanted};
use overinterp_nn::unanswered::Unanswered;
use overinterp_sis::{Collection, Ending, Halted, Member};
use overinterp_spec::Scoring;
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::inference::{Finding, halted, open, say_effort};
use super::parts::{Identity, in_parts};
use super::{DataSplit, Env, Range};

/// The manifest of a `collection` step: one shard of a split's images.
#[derive(Debug, Serialize)]
pub struct Collect {
    /// The model that is asked.
    pub model: Key<Model>,
    /// How the model's candidates are scored.
    #[serde(skip_serializing_if = "Scoring::is_first")]
    pub scoring: Scoring,
    /// The images' split.
    pub images: DataSplit,
    /// Which of the split's images the shard is of.
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
        let collecting = Collecting { threshold: self.threshold, finding: Finding::new(context, self.range.count) };
        let inference = open(context, &model, &images, Wanted::Scores)?;
        let identity = Identity::of(&model, &context.env().device);
        let collect = |part: Range| {
            let (images, efforts) = inference.find(part.indexes(), &collecting).map_err(halted)?.into_iter().unzip();
            Ok(Collections { first: part.first, pixels, threshold: self.threshold, images, efforts })
        };
        let skip = |part: Range| collecting.finding.add(part.count);
        let mut found =
            Collections { first: self.range.first, pixels, threshold: self.threshold, images: vec![], efforts: vec![] };
        for part in in_parts(context, identity, self.range, inference.part(PART), skip, collect)? {
            found.images.extend(part.images);
            found.efforts.extend(part.efforts);
        }
        say_effort(context, &found.efforts);
        Ok(found)
    }
}

/// Images that a CPU searches before they are kept.
const PART: usize = 4;

/// Finds the collections of images.
struct Collecting<'a> {
    threshold: f64,
    finding: Finding<'a>,
}

impl Finder for Collecting<'_> {
    type Found = Found;

    fn of_images<S: ImageScorer>(&self, scorer: &mut S) -> Result<Vec<Found>, Halted<Unanswered>> {
        let found = scorer.collect(self.threshold, self.finding.watch())?;
        self.finding.add(found.len());
        Ok(scorer.said().into_iter().zip(found).map(|(said, found)| stored(said.class, found)).collect())
    }
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
