//! What a cache has of an experiment, as tables, claims, figures and the page want it.

pub(crate) mod answers;
pub(crate) mod drawings;
pub(crate) mod figures;
pub(crate) mod measure;
pub(crate) mod origins;
