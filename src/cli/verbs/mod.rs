//! The verbs, a file each, with what may be typed behind it.

pub(crate) mod arch;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod cache;
pub(crate) mod cancel;
pub(crate) mod compare_selection;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod log;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod report;
mod rerun;
pub(crate) mod results;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod trace;
pub(crate) mod transfer;
pub(crate) mod why_waiting;
pub(crate) mod work;
