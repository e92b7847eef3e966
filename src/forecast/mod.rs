//! How long things take: rates that were measured, what selections took, and what is left of a run.

pub(crate) mod first_images;
pub(crate) mod memo;
pub(crate) mod rates;
pub(crate) mod remaining;
