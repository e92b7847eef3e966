//! Data sets, read and fetched.
//!
//! [`Library`] is what a run holds: it hands out each split of a [`overinterp_spec::DataSource`] as
//! [`overinterp_artifacts::ImageSet`] (decoded at most once) and the hash of its decoded content (remembered between
//! runs, so that planning reads nothing). Photographs, which are too many for memory, are decoded whenever one is asked
//! for, and known by the hash of their files. [`Dataset`] finds and reads one source; each format has a file of its own.
//! Loaders check structure, and name the file and what was expected when it is wrong. Content need not be the
//! published one: [`Provenance`] says whether it is. What is known of the published sets is in [`Official`].
//!
//! [`study`] reads and writes what a study with people consists of.
//!
//! Augmentation is not here: it belongs to training.

mod checksum;
mod cifar;
mod cifar10c;
mod content;
mod dataset;
mod error;
mod fetch;
mod folder;
mod idx;
mod index;
mod library;
mod listing;
mod locate;
mod official;
mod payload;
mod photographs;
mod picture;
mod resample;
pub mod study;

#[cfg(test)]
mod tests;

pub use content::{Content, ContentHash, Provenance};
pub use dataset::{Dataset, Loaded};
pub use error::DataError;
pub use fetch::{FetchError, FetchNotice, FetchOptions, Notify, fetch};
pub use library::Library;
pub use locate::usual_places;
pub use official::{Download, Official, normalise_of, official};
