//! Plans, caches and runs steps. It has never heard of neural nets: a stage is anything that serialises to a
//! manifest and produces an artifact.

pub mod key;
pub mod manifest;
pub mod plan;
pub mod stage;

#[cfg(test)]
mod toys;
