//! Numbers and pictures of results, as tables, claims and figures want them.

pub(crate) mod drawings;
pub(crate) mod figures;
pub(crate) mod measure;
