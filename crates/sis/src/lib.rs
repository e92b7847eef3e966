//! Sufficient input subsets (Carter et al. 2019) over any scorer. Nothing here knows of images, networks or files.
//!
//! In the order of the papers:
//!
//! - [`back_select()`]: masks one feature at a time, always the one that f misses least (`BackSelect`).
//! - [`batched_gradient()`]: the same for large inputs, many features at a time, by the gradient of the mask.
//! - [`find_sis()`]: from what either recorded, the smallest suffix of the order that suffices (`FindSIS`).
//! - [`collection()`]: one sufficient subset after the other until the rest does not suffice (`SIScollection`).
//! - [`back_select_in_lockstep()`], [`collections_in_lockstep()`]: the same of many inputs at a time, for a GPU.
//! - [`gradient_magnitudes()`], [`integrated_gradients()`]: rivals, which order features by the gradient of f alone.
//! - [`perturb()`]: what f is when the features that an order ends with go first, and when they come first.
//! - [`agreement()`]: how far f is from that of a selection made elsewhere, along its way.
//! - [`random_order()`]: the control, which asks no model: numpy's random permutations.
//!
//! An *order* always runs from the feature masked first, the least needed, to the one masked last; a subset of n
//! features is its last n ([`subset_of_order()`]).
//!
#![doc = include_str!("../README.md")]

pub use overinterp_foreign::numpy::RandomState;

mod agreement;
mod attribution;
mod back_select;
mod batched_gradient;
mod collection;
mod curve;
mod find;
mod halted;
mod lockstep;
mod noise;
mod order;
mod scorer;
mod search;
#[cfg(test)]
mod support;

pub use agreement::{Agreement, Reference, Worst, agreement};
pub use attribution::{ascending, gradient_magnitudes, integrated_gradients};
pub use back_select::{BackSelection, Step, back_select, back_select_among, watch_nothing};
pub use batched_gradient::batched_gradient;
pub use collection::{Collection, Ending, Member, collection};
pub use curve::{Perturbation, area_under, mask_in_order, perturb};
pub use find::{FindSisError, Sis, find_sis};
pub use halted::{Halted, unstopped};
pub use lockstep::{Alone, back_select_in_lockstep, collections_in_lockstep};
pub use noise::GradientNoise;
pub use order::{random_order, subset_of_order};
pub use scorer::{Bound, Candidate, CurveScorer, Exhaustive, GradientScorer, LockstepScorer, Scorer, norm};
pub use search::Effort;
