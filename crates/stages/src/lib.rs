//! What each step of the method computes. Each stage's struct is its manifest: what it serialises to decides its
//! key, and nothing else may change what it produces. No stage knows of a cache.

mod analyse;
mod collection;
mod ensemble;
mod env;
mod evaluate;
mod human;
mod images;
mod import;
mod import_selection;
mod inference;
mod mask;
mod named_files;
mod parts;
mod select;
mod selection_files;
mod sis;
mod temperature;
mod train;

pub use analyse::*;
pub use collection::Collect;
pub use ensemble::Ensemble;
pub use env::{Env, ON_DEVICE};
pub use evaluate::Evaluate;
pub use human::Human;
pub use images::{DataSplit, Images, Range};
pub use import::Import;
pub use import_selection::ImportSelection;
pub use mask::Mask;
pub use named_files::{FileKind, HashedFile, hash_file};
pub use select::Select;
pub use selection_files::SelectionFiles;
pub use sis::FindSis;
pub use temperature::{FitTemperature, ScaleModel};
pub use train::{Train, TrainedOn};
