//! What `export` and `report` write into folders, and what must not lie there before.

pub(crate) mod authors;
pub(crate) mod human_study;
pub(crate) mod leftovers;
pub(crate) mod pictures;
pub(crate) mod preprocessed;
pub(crate) mod probabilities;
pub(crate) mod writing;
