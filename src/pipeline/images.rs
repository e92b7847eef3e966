//! The images of an experiment: halves of data sets, and subsets of them.

use std::rc::Rc;
use std::sync::Arc;

use overinterp_config::experiment::{ImagesRef, StageRef};
use overinterp_spec::{DataSource, ImageShape, Normalise, Split};
use overinterp_stages::{DataSplit, Images};

use super::{Absent, Planner};

/// A split in use, which all that use it share.
pub(super) type KnownSplit = Rc<Facts>;

/// What the manifest says of a split, how many images it has, and why it is absent if it is.
#[derive(Clone)]
pub(super) struct Facts {
    pub data: DataSplit,
    pub images: usize,
    /// The size of each, if that is known.
    pub shape: Option<ImageShape>,
    /// How the data set normalises them, if that is known without reading them.
    pub normalise: Option<Normalise>,
    pub absent: Option<String>,
}

impl Planner<'_> {
    /// Images as a stage's manifest names them, and why their data are absent if they are.
    pub(super) fn images(&mut self, images: &ImagesRef) -> (Images, Option<String>) {
        match images {
            ImagesRef::Data { source, split } => {
                let split = self.split(source, *split);
                (Images { data: split.data.clone(), subset: None }, split.absent.clone())
            }
            ImagesRef::Subset { mask, split } => {
                let (key, split) = self.subsets[&(mask.clone(), *split)].clone();
                (Images { data: split.data.clone(), subset: Some(key) }, split.absent.clone())
            }
        }
    }

    /// What a training on `images` is tested on after each epoch: the test images masked alike, or, where there are
    /// none, `images` themselves.
    pub(super) fn monitor(&mut self, images: &Images) -> (Images, Option<String>) {
        match &images.subset {
            None => {
                let source = data_ref(&images.data.source);
                let split = self.sources.contains_key(&source).then(|| self.split(&source, Split::Test));
                split.map_or_else(
                    || (images.clone(), None),
                    |split| (Images { data: split.data.clone(), subset: None }, split.absent.clone()),
                )
            }
            Some(subset) => {
                let trained_on = self.masked_by.get(subset.step());
                let tested_on = trained_on.and_then(|(mask, _)| self.subsets.get(&(mask.clone(), Split::Test)));
                tested_on.map_or_else(
                    || (images.clone(), None),
                    |(key, split)| {
                        (Images { data: split.data.clone(), subset: Some(key.clone()) }, split.absent.clone())
                    },
                )
            }
        }
    }

    /// Why images cannot all be trained on or evaluated, if that is so: some have no mask.
    pub(super) fn partial(&self, images: &Images) -> Option<String> {
        let subset = images.subset.as_ref()?;
        self.partial.get(self.masked_by.get(subset.step())?).cloned()
    }

    /// The split behind images.
    pub(super) fn known(&self, images: &Images) -> Option<KnownSplit> {
        let DataSplit { source, split, .. } = &images.data;
        self.splits.get(&(data_ref(source), *split)).cloned()
    }

    pub(super) fn split(&mut self, at: &StageRef, split: Split) -> KnownSplit {
        let source = self.sources[at];
        let files = self.files;
        let known = self.splits.entry((at.clone(), split)).or_insert_with(|| match files.split(source, split) {
            Ok(facts) => Rc::new(Facts {
                data: DataSplit { content: facts.content.into(), split, source: Arc::new(source.clone()) },
                images: facts.images,
                shape: Some(facts.shape),
                normalise: facts.normalise,
                absent: None,
            }),
            Err(Absent(why)) => {
                // Images that are not there yet are told apart by their name and cell.
                let cell: Vec<String> = source.cell.iter().map(|(axis, value)| format!(" {axis}={value}")).collect();
                Rc::new(Facts {
                    data: DataSplit {
                        content: format!("absent: {}{}.{split}", source.name, cell.concat()).into(),
                        split,
                        source: Arc::new(source.clone()),
                    },
                    images: source.published_images(split).unwrap_or(1),
                    shape: source.kind.image_shape(),
                    normalise: None,
                    absent: Some(why),
                })
            }
        });
        known.clone()
    }
}

/// What a data set is known by in its experiment.
pub(super) fn data_ref(source: &DataSource) -> StageRef {
    StageRef { stage: source.name.clone(), cell: source.cell.clone() }
}
