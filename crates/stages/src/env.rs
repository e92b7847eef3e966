//! What all stages of a run share. Nothing of it reaches a manifest.

use candle_core::Device;

use overinterp_data::Library;

/// Where a run computes and where it finds images.
#[derive(Debug)]
pub struct Env {
    /// Where networks run.
    pub device: Device,
    /// The data sets.
    pub library: Library,
}
