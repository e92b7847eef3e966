//! What stages hand on, and how it lies on disk. Plain data: nothing here computes.
//!
//! Arrays are stored as safetensors with the plain facts beside them as JSON in the header, small and ragged results
//! as JSON. The same artifact always writes the same bytes, and a damaged file is an error that names it.

mod analysis;
mod bits;
mod damage;
#[cfg(test)]
mod damaged_files;
mod effort;
mod evaluation;
mod exported;
mod human;
mod images;
mod json_file;
mod model;
mod ranking;
mod recorded;
mod sis_set;
mod subsets;
mod tensor_file;
mod training_log;

pub use analysis::{Analysis, HeatMap, Number, Point, Scale, ScaleRange, Series};
pub use damage::Damage;
pub use effort::{Effort, noted_effort};
pub use evaluation::{Evaluation, Metrics, Predictions};
pub use exported::{ExportError, exported};
pub use human::{AnsweredPicture, HumanAnswers};
pub use images::{ImageSet, Pixels, ReadImages, UnreadableImage};
pub use model::{EnsembleError, EpochLog, Model, Network, ParameterTensor};
pub use ranking::{Curve, Ranking};
pub use recorded::{Recorded, recorded, recorded_in};
pub use sis_set::{CollectionEnding, CollectionMember, Collections, ImageCollection, ImageSis, SisSet};
pub use subsets::{GrowingSubsets, Subset, Subsets};
