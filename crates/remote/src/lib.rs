//! Finished steps in object stores, where workers on many machines share them: S3, Google Cloud Storage, Azure, folders.
//!
//! ```text
//! v1/steps/KIND/HASH/step.json      the step's record, put last and never replaced by another's
//! v1/files/KIND/HASH/BLAKE3         its files, each under the hash of its bytes
//! v1/partial/KIND/HASH/BLAKE3       checkpoints of an unfinished step, and
//! v1/partial/KIND/HASH/parts.json   which of them make one state
//! v1/claims/  workers/  failures/   notices of those who work
//! ```
//!
//! A file under the hash of its bytes is the same whoever puts it, so that two who push one step cannot mix its files, and
//! one that was interrupted goes on. What lists nothing but records tells in one request of a thousand steps whether they
//! are there.
//!
//! Nothing here computes, prints, or decides what is wanted. Credentials come from the environment alone.

mod error;
mod location;
mod notices;
mod objects;
mod pull;
mod push;
mod scrub;
mod sharing;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;

pub use error::{Cause, RemoteError};
pub use location::absent_folder;
pub use notices::SharedNotices;
pub use objects::{Persistence, Remote, Told};
pub use pull::Pulled;
pub use push::{Pushed, Pushing};
pub use scrub::{scrubbed, tells_secrets};
pub use sharing::{Came, Sharing};
