//! The names in a model file: what may be weights, and where.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::{Fault, Located};
use super::tensor::Layout;
use super::torch::{self, Rebuilt};
use overinterp_foreign::pickle::{self, Handle, Pickle, Value};

/// How many dicts and modules may lie in each other.
const DEEPEST: usize = 24;
/// Entries of dicts that are looked at; a state dict with its optimiser has thousands.
const MOST_ENTRIES: usize = 1 << 20;
/// Longer names are passed over; no architecture has any.
const LONGEST_NAME: usize = 1024;
/// Bytes of all names together.
const MOST_BYTES: usize = 1 << 26;

/// Everything in a file that has a name, by that name: the keys of the dicts that it lies in and its own, with dots
/// between them.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// By full name.
    pub named: BTreeMap<String, Named>,
    /// The dicts, by the names in front of their keys (with a dot behind them, or empty).
    pub dicts: Vec<String>,
}

/// Something that has a name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// Its shape, if it is a tensor that can be read.
    pub shape: Option<Vec<usize>>,
    /// Its dict among [`Listing::dicts`].
    pub dict: usize,
    /// Its place in the file, counted from 0.
    pub order: usize,
    /// Its value in the pickle.
    pub value: Option<Handle>,
}

impl Listing {
    /// Lists tensors that all lie in one dict, by name and shape.
    pub fn flat(tensors: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let named = tensors
            .into_iter()
            .enumerate()
            .map(|(order, (name, shape))| (name, Named { shape: Some(shape), dict: 0, order, value: None }));
        Self { named: named.collect(), dicts: vec![String::new()] }
    }

    /// Lists what a pickle names, in dicts and modules.
    ///
    /// # Errors
    /// When there is no tensor, or there are too many names.
    pub fn of(pickle: &Pickle<'_>) -> Result<Self, Located> {
        let mut walk = Walk { pickle, listing: Self::default(), open: Vec::new(), entries: 0, bytes: 0 };
        walk.enter(pickle.root(), "", None).map_err(|fault| fault.at("the dicts of the pickle"))?;
        if walk.listing.named.values().any(|named| named.value.is_some_and(|value| torch::is_tensor(pickle, value))) {
            Ok(walk.listing)
        } else {
            Err(Fault::NoStateDict(pickle.describe(pickle.root())).at("the top of the pickle"))
        }
    }
}

/// A walk through the dicts of a pickle.
struct Walk<'p, 'a> {
    pickle: &'p Pickle<'a>,
    listing: Listing,
    /// What the walk is within: a dict may hold itself.
    open: Vec<Handle>,
    entries: usize,
    bytes: usize,
}

impl Walk<'_, '_> {
    /// Lists what lies in a dict or module whose names begin with `path`; a module's in the dict `dict`.
    fn enter(&mut self, at: Handle, path: &str, dict: Option<usize>) -> Result<(), Fault> {
        if self.open.len() >= DEEPEST || self.open.contains(&at) {
            return Ok(());
        }
        self.open.push(at);
        let pickle = self.pickle;
        if let Some(entries) = pickle.entries(at) {
            let dict = self.dict(path);
            for &(key, value) in entries.iter() {
                self.entry(key, value, path, dict)?;
            }
        } else if let Some(parts) = torch::module_parts(pickle, at) {
            let dict = dict.unwrap_or_else(|| self.dict(path));
            for part in parts {
                for &(key, value) in pickle.entries(part).iter().flat_map(|entries| entries.iter()) {
                    self.entry(key, value, path, dict)?;
                }
            }
        }
        self.open.pop();
        Ok(())
    }

    fn dict(&mut self, path: &str) -> usize {
        self.listing.dicts.push(path.to_owned());
        self.listing.dicts.len() - 1
    }

    fn entry(&mut self, key: Handle, value: Handle, path: &str, dict: usize) -> Result<(), Fault> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES || self.bytes > MOST_BYTES {
            return Err(pickle::Fault::TooManyValues(MOST_ENTRIES).into());
        }
        let number;
        let key = match (self.pickle.text(key), self.pickle.value(key)) {
            (Ok(text), _) => text,
            (Err(_), Value::Int(key)) => {
                number = key.to_string();
                number.as_str()
            }
            _ => return Ok(()),
        };
        if path.len() + key.len() > LONGEST_NAME {
            return Ok(());
        }
        let name = format!("{path}{key}");
        self.bytes += name.len();
        let nested = self.pickle.entries(value);
        if let Some(Cow::Owned(copied)) = &nested {
            self.entries += copied.len();
        }
        if nested.is_some() || torch::module_parts(self.pickle, value).is_some() {
            return self.enter(value, &format!("{name}."), Some(dict));
        }
        let order = self.listing.named.len();
        let shape = shape(self.pickle, value);
        self.listing.named.insert(name, Named { shape, dict, order, value: Some(value) });
        Ok(())
    }
}

/// The shape of the tensor at a handle, if there is one that makes sense.
fn shape(pickle: &Pickle<'_>, value: Handle) -> Option<Vec<usize>> {
    match torch::rebuilt(pickle, value)? {
        Rebuilt::Stored { parts, .. } => {
            let extents = pickle.items(*parts.get(2)?).ok()?;
            Layout::check_rank(extents.len()).ok()?;
            extents.iter().map(|&extent| pickle.extent(extent).ok()).collect()
        }
        Rebuilt::Array(array) => pickle.array_shape(array).ok(),
        Rebuilt::Otherwise => None,
    }
}
