//! The identity of a step.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The identity of a step by intent: its stage's kind and version, and the BLAKE3 of its manifest.
///
/// Shown as `train-v1:9f2c...` with all 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepKey {
    /// Borrowed from the stage, where the key is that of a plan's step.
    kind: Cow<'static, str>,
    version: u32,
    hash: Digits,
}

/// The 64 hexadecimal digits of a hash, in place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Digits([u8; 64]);

impl Digits {
    fn of(hash: blake3::Hash) -> Self {
        let mut digits = [b'0'; 64];
        digits.copy_from_slice(hash.to_hex().as_bytes());
        Self(digits)
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default() // They are digits.
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StepKey {
    /// The key of the step of that kind and version whose canonical manifest is `manifest`.
    #[must_use]
    pub fn of(kind: &str, version: u32, manifest: &str) -> Self {
        Self::new(kind.to_owned().into(), version, blake3::hash(manifest.as_bytes()))
    }

    /// The key of that hash.
    pub(crate) fn new(kind: Cow<'static, str>, version: u32, hash: blake3::Hash) -> Self {
        Self { kind, version, hash: Digits::of(hash) }
    }

    /// The stage kind, such as `train`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The stage version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The 64 hexadecimal digits of the manifest's hash.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.hash.as_str()
    }

    /// The hash of the manifest.
    pub(crate) fn hash_bytes(&self) -> blake3::Hash {
        blake3::Hash::from_hex(self.hash.0).unwrap_or(blake3::Hash::from_bytes([0; 32])) // They are digits.
    }

    /// The key with as many digits as people need: `train-v1:9f2c1ab0`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}-v{}:{}", self.kind, self.version, &self.hash()[..8])
    }

    /// Whether bytes may be a key, told without reading them: most texts are not.
    pub(crate) fn is_like(text: &[u8]) -> bool {
        text.len() > 68 && text[text.len() - 65] == b':'
    }

    /// Whether a text can name a stage kind: lower-case letters, digits and `-`, so that it can name a folder.
    #[must_use]
    pub fn is_kind(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

impl Hash for StepKey {
    /// Half of the digits tell keys apart well enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.hash.0[..32]);
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-v{}:{}", self.kind, self.version, self.hash())
    }
}

impl std::str::FromStr for StepKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let malformed = || ParseKeyError(text.to_owned());
        let (name, hash) = text.split_once(':').ok_or_else(malformed)?;
        let (kind, version) = name.rsplit_once("-v").ok_or_else(malformed)?;
        let version = version.parse().map_err(|_| malformed())?;
        if !Self::is_kind(kind) || !is_hash(hash) {
            return Err(malformed());
        }
        let mut digits = [b'0'; 64];
        digits.copy_from_slice(hash.as_bytes());
        Ok(Self { kind: kind.to_owned().into(), version, hash: Digits(digits) })
    }
}

/// Whether a text is 64 lower-case hexadecimal digits.
fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A text that is no step key.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a step key: one looks like 'train-v1:' followed by 64 hexadecimal digits")]
pub struct ParseKeyError(String);

impl Serialize for StepKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The BLAKE3 of what a step produced: of one file, or of all its files with their names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(blake3::Hash);

impl ContentHash {
    pub(crate) const fn new(hash: blake3::Hash) -> Self {
        Self(hash)
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl PartialOrd for ContentHash {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ContentHash {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl TryFrom<String> for ContentHash {
    type Error = ParseHashError;

    fn try_from(text: String) -> Result<Self, ParseHashError> {
        let lower = is_hash(&text).then(|| blake3::Hash::from_hex(&text).ok()).flatten();
        lower.map(Self).ok_or(ParseHashError(text))
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

/// A text that is no content hash.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a content hash: one has 64 lower-case hexadecimal digits")]
pub struct ParseHashError(String);

/// A handle on a step of a plan that produces an artifact of type `A`.
///
/// Only [`crate::plan::Plan::add`] makes one, so a stage can neither refer to a step that is not in the
/// plan, nor to one of the wrong kind, nor, directly or not, to itself.
pub struct Key<A> {
    step: StepKey,
    artifact: PhantomData<fn() -> A>,
}

impl<A> Key<A> {
    pub(crate) const fn new(step: StepKey) -> Self {
        Self { step, artifact: PhantomData }
    }

    /// The step's key.
    #[must_use]
    pub const fn step(&self) -> &StepKey {
        &self.step
    }
}

impl<A> Clone for Key<A> {
    fn clone(&self) -> Self {
        Self::new(self.step.clone())
    }
}

impl<A> fmt::Debug for Key<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.step, f)
    }
}

impl<A> Serialize for Key<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.step.serialize(serializer)
    }
}
