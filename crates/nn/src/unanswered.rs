//! Why a model does not answer.

use crate::finite::NotFinite;
use crate::images::batches::SamplesError;
pub use overinterp_sis::{Halted, unstopped};

/// Why a model does not answer about images.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// An image cannot be read from its file.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// What it answers are no numbers.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}
