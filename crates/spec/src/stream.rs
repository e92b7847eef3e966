//! Seeds of named random streams.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// The seed of a step. Every use of chance draws from its own stream, named after its purpose, so that adding
/// one use never moves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream called `name` (such as `init`), at position `index` (such as the epoch).
    #[must_use]
    pub fn stream(self, name: &str, index: u64) -> ChaCha8Rng {
        let mut hasher = blake3::Hasher::new_derive_key("overinterp random stream v1");
        hasher.update(&self.0.to_le_bytes()).update(&index.to_le_bytes()).update(name.as_bytes());
        ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
    }
}
