//! A cell of a sweep: one value for each axis that a stage depends on.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One value on a sweep axis.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum AxisValue {
    /// A whole number, such as a seed.
    Int(i64),
    /// A number, such as a fraction. Never NaN.
    Float(f64),
    /// A name, such as an architecture.
    Text(String),
}

impl Eq for AxisValue {}

impl PartialOrd for AxisValue {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AxisValue {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Int(_), _) | (Self::Float(_), Self::Text(_)) => std::cmp::Ordering::Less,
            (Self::Float(_), Self::Int(_)) | (Self::Text(_), _) => std::cmp::Ordering::Greater,
        }
    }
}

impl Hash for AxisValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Int(value) => value.hash(state),
            Self::Float(value) => value.to_bits().hash(state),
            Self::Text(value) => value.hash(state),
        }
    }
}

impl Serialize for AxisValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

impl fmt::Display for AxisValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// Axis name to value. Ordered, so that nothing depends on hash order. Copies share what they hold until one is changed: a
/// sweep names its cells over and over again.
#[derive(Clone, Debug, Default, Eq, PartialOrd, Ord)]
pub struct Cell(Arc<BTreeMap<String, AxisValue>>);

impl Cell {
    /// That of what depends on no axis.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Deref for Cell {
    type Target = BTreeMap<String, AxisValue>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Cell {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl FromIterator<(String, AxisValue)> for Cell {
    fn from_iter<T: IntoIterator<Item = (String, AxisValue)>>(values: T) -> Self {
        Self(Arc::new(values.into_iter().collect()))
    }
}

impl<const N: usize> From<[(String, AxisValue); N]> for Cell {
    fn from(values: [(String, AxisValue); N]) -> Self {
        values.into_iter().collect()
    }
}

impl IntoIterator for Cell {
    type Item = (String, AxisValue);
    type IntoIter = btree_map::IntoIter<String, AxisValue>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a> IntoIterator for &'a Cell {
    type Item = (&'a String, &'a AxisValue);
    type IntoIter = btree_map::Iter<'a, String, AxisValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|values| Self(Arc::new(values)))
    }
}
