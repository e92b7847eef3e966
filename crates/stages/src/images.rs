//! The images that a stage reads.

use std::sync::Arc;

use serde::Serialize;

use overinterp_artifacts::{ImageSet, Subsets};
use overinterp_spec::{DataSource, Split};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, StageError};

use super::Env;

/// One split of a data set, known by the hash of its decoded content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataSplit {
    /// The hash of the decoded content; a placeholder while the data are absent.
    pub content: Arc<str>,
    /// Which half of the data set it is.
    pub split: Split,
    /// Where it comes from.
    #[serde(skip)]
    pub source: Arc<DataSource>,
}

impl DataSplit {
    /// The split's images with their labels, from the library that all steps share.
    pub(super) fn load(&self, context: &Context<'_, Env>) -> Result<Arc<ImageSet>, StageError> {
        Ok(context.env().library.images(&self.source, self.split)?)
    }
}

/// Images as a network sees them: whole, or with all but a subset of their pixels masked.
#[derive(Clone, Debug, Serialize)]
pub struct Images {
    /// The split whose images they are.
    pub data: DataSplit,
    /// The pixels kept of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<Key<Subsets>>,
}

impl Images {
    /// The step that made the subset, if there is one.
    pub(super) fn inputs(&self) -> Option<StepKey> {
        self.subset.as_ref().map(|subset| subset.step().clone())
    }

    /// The images and their subsets.
    pub(super) fn load(&self, context: &Context<'_, Env>) -> Result<(Arc<ImageSet>, Option<Subsets>), StageError> {
        let images = self.data.load(context)?;
        let subsets = self.subset.as_ref().map(|key| context.load(key)).transpose()?;
        Ok((images, subsets))
    }
}

/// Successive images of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The number of the first image in the split, counted from 0.
    pub first: usize,
    /// How many images there are.
    pub count: usize,
}

impl Range {
    /// Their numbers in the split, from `first` on.
    #[must_use]
    pub const fn indexes(self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }

    /// `count` images cut into shards of `size`, the last perhaps smaller.
    #[must_use]
    pub fn shards(count: usize, size: usize) -> Vec<Self> {
        (0..count).step_by(size).map(|first| Self { first, count: size.min(count - first) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_image_once() {
        let shards = Range::shards(10, 4);
        assert_eq!(shards.iter().flat_map(|shard| shard.indexes()).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(shards.last(), Some(&Range { first: 8, count: 2 }));
        assert!(Range::shards(0, 4).is_empty());
    }

    #[test]
    fn more_images_leave_the_earlier_full_shards_as_they_are() {
        assert_eq!(Range::shards(8, 4)[..], Range::shards(10, 4)[..2]);
    }
}
