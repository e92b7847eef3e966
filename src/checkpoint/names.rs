//! Fits the tensors of a file to those that an architecture needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::error::quote;
use super::state_dict::is_bookkeeping;
use crate::artifacts::ParameterTensor;

/// What wrappers put before every name: PyTorch's `DataParallel`, and the authors' input dropout.
const PREFIXES: [&str; 2] = ["module.", INPUT_DROPOUT];
/// The latter: `ModelWithInputDropout` holds the network as its `model`.
const INPUT_DROPOUT: &str = "model.";
/// Names longer than this are not compared; no architecture has any.
const LONGEST_NAME: usize = 256;

/// Tensors that do not fit an architecture: all of them, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FitError {
    /// At least one, by kind and name.
    pub misfits: Vec<Misfit>,
}

/// A tensor that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The file has it; the architecture has no such name.
    Unknown {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The architecture's most similar name that the file lacks, or else most similar name.
        nearest: Option<String>,
    },
    /// The architecture has it; the file does not.
    Missing {
        /// Its name.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The file's most similar name that the architecture lacks.
        nearest: Option<String>,
    },
    /// Both have it, in different shapes.
    Misshapen {
        /// Its name.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the architecture.
        expected: Vec<usize>,
    },
}

/// Checks that `tensors` are exactly the `expected` ones, names and shapes, and returns them under those names.
///
/// If all names begin with `module.` or `model.` (or one after the other), and no expected name does, that prefix is
/// taken off; nothing else is renamed. Batch norm's `num_batches_tracked` is left out.
///
/// # Errors
/// When any tensor is unknown, missing or misshapen; the error lists all of them.
pub fn fit_names(
    tensors: BTreeMap<String, ParameterTensor>,
    expected: &[(String, Vec<usize>)],
) -> Result<BTreeMap<String, ParameterTensor>, FitError> {
    fit_names_without(tensors, expected, &[])
}

/// As [`fit_names`], leaving out tensors whose names begin with one of `left_out` once common prefixes are off.
///
/// # Errors
/// As [`fit_names`].
pub fn fit_names_without(
    tensors: BTreeMap<String, ParameterTensor>,
    expected: &[(String, Vec<usize>)],
    left_out: &[&str],
) -> Result<BTreeMap<String, ParameterTensor>, FitError> {
    let tensors: BTreeMap<_, _> = tensors.into_iter().filter(|(name, _)| !is_bookkeeping(name)).collect();
    let mut tensors = strip_prefixes(tensors, expected);
    tensors.retain(|name, _| !left_out.iter().any(|prefix| name.starts_with(prefix)));
    let wanted: BTreeMap<&str, &[usize]> =
        expected.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let unknown: BTreeSet<&str> =
        tensors.keys().map(String::as_str).filter(|name| !wanted.contains_key(name)).collect();
    let missing: BTreeSet<&str> = wanted.keys().copied().filter(|name| !tensors.contains_key(*name)).collect();

    let mut misfits = Vec::new();
    for &name in &unknown {
        let nearest = nearest(name, &missing).or_else(|| nearest(name, &wanted.keys().copied().collect()));
        misfits.push(Misfit::Unknown { name: name.to_owned(), found: tensors[name].shape.clone(), nearest });
    }
    for &name in &missing {
        let nearest = nearest(name, &unknown);
        misfits.push(Misfit::Missing { name: name.to_owned(), expected: wanted[name].to_vec(), nearest });
    }
    for (name, tensor) in &tensors {
        if let Some(&expected) = wanted.get(name.as_str()).filter(|expected| tensor.shape != **expected) {
            let (name, found, expected) = (name.clone(), tensor.shape.clone(), expected.to_vec());
            misfits.push(Misfit::Misshapen { name, found, expected });
        }
    }
    if misfits.is_empty() { Ok(tensors) } else { Err(FitError { misfits }) }
}

/// Whether [`fit_names`] takes off these names the prefix that the authors' input dropout puts before them.
#[must_use]
pub fn under_input_dropout(tensors: &BTreeMap<String, ParameterTensor>, expected: &[(String, Vec<usize>)]) -> bool {
    let names: Vec<&str> = tensors.keys().map(String::as_str).filter(|name| !is_bookkeeping(name)).collect();
    common_prefixes(&names, expected).contains(&INPUT_DROPOUT)
}

/// Takes the common prefixes off.
fn strip_prefixes(
    tensors: BTreeMap<String, ParameterTensor>,
    expected: &[(String, Vec<usize>)],
) -> BTreeMap<String, ParameterTensor> {
    let names: Vec<&str> = tensors.keys().map(String::as_str).collect();
    let length: usize = common_prefixes(&names, expected).into_iter().map(str::len).sum();
    tensors.into_iter().map(|(name, tensor)| (name[length..].to_owned(), tensor)).collect()
}

/// The prefixes that all names have, one after the other, each at most once.
fn common_prefixes(names: &[&str], expected: &[(String, Vec<usize>)]) -> Vec<&'static str> {
    let mut left: BTreeSet<&'static str> =
        PREFIXES.into_iter().filter(|prefix| !expected.iter().any(|(name, _)| name.starts_with(prefix))).collect();
    let mut found = Vec::new();
    let mut length = 0;
    while !names.is_empty()
        && let Some(prefix) =
            left.iter().copied().find(|prefix| names.iter().all(|name| name[length..].starts_with(prefix)))
    {
        left.remove(prefix);
        length += prefix.len();
        found.push(prefix);
    }
    found
}

/// The candidate that is most like `name`, if any is at all.
fn nearest(name: &str, candidates: &BTreeSet<&str>) -> Option<String> {
    const ALIKE: f64 = 0.7;
    let comparable = |text: &str| text.len() <= LONGEST_NAME;
    let scored = candidates.iter().filter(|candidate| comparable(name) && comparable(candidate));
    let scored = scored.map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), *candidate));
    let best = scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, candidate)| candidate.to_owned())
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.misfits.len();
        let verb = if count == 1 { " does" } else { "s do" };
        write!(f, "{count} tensor{verb} not fit the architecture; check `arch` and the number of classes")?;
        self.misfits.iter().try_for_each(|misfit| write!(f, "\n  {misfit}"))
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nearest = match self {
            Self::Unknown { name, found, nearest } => {
                write!(f, "unknown: {} {found:?}", quote(name))?;
                nearest
            }
            Self::Missing { name, expected, nearest } => {
                write!(f, "missing: {name} {expected:?}")?;
                nearest
            }
            Self::Misshapen { name, found, expected } => {
                return write!(f, "misshapen: {name} is {found:?} where {expected:?} is expected");
            }
        };
        nearest.as_ref().map_or(Ok(()), |nearest| write!(f, " (nearest: {})", quote(nearest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(names: &[(&str, &[usize])]) -> BTreeMap<String, ParameterTensor> {
        let tensor =
            |shape: &[usize]| ParameterTensor { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] };
        names.iter().map(|(name, shape)| ((*name).to_owned(), tensor(shape))).collect()
    }

    fn expected() -> Vec<(String, Vec<usize>)> {
        vec![("conv1.weight".into(), vec![2, 1, 3, 3]), ("linear.bias".into(), vec![10])]
    }

    #[test]
    fn names_that_match_are_returned_as_they_are() {
        let fitting = tensors(&[("conv1.weight", &[2, 1, 3, 3]), ("linear.bias", &[10])]);
        assert_eq!(fit_names(fitting.clone(), &expected()), Ok(fitting));
    }

    #[test]
    fn one_common_prefix_of_either_kind_or_both_is_taken_off() {
        let fitting = tensors(&[("conv1.weight", &[2, 1, 3, 3]), ("linear.bias", &[10])]);
        for prefix in ["module.", "model.", "module.model.", "model.module."] {
            let prefixed: BTreeMap<_, _> =
                fitting.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect();
            assert_eq!(under_input_dropout(&prefixed, &expected()), prefix.contains("model."), "{prefix}");
            assert_eq!(fit_names(prefixed, &expected()), Ok(fitting.clone()), "{prefix}");
        }
    }

    #[test]
    fn a_prefix_that_some_names_lack_or_that_comes_twice_stays() {
        let mixed = tensors(&[("module.conv1.weight", &[2, 1, 3, 3]), ("linear.bias", &[10])]);
        assert!(fit_names(mixed, &expected()).is_err());
        let twice = tensors(&[("model.model.conv1.weight", &[2, 1, 3, 3]), ("model.model.linear.bias", &[10])]);
        assert!(fit_names(twice, &expected()).is_err());
    }

    #[test]
    fn a_prefix_of_the_architecture_itself_stays() {
        let expected = vec![("model.conv1.weight".to_owned(), vec![1])];
        let fitting = tensors(&[("model.conv1.weight", &[1])]);
        assert!(!under_input_dropout(&fitting, &expected));
        assert_eq!(fit_names(fitting.clone(), &expected), Ok(fitting));
    }

    #[test]
    fn batch_counters_are_left_out() {
        let counted =
            tensors(&[("conv1.weight", &[2, 1, 3, 3]), ("bn1.num_batches_tracked", &[]), ("linear.bias", &[10])]);
        assert!(fit_names(counted, &expected()).is_ok());
    }

    #[test]
    fn what_an_architecture_does_without_is_left_out_behind_a_common_prefix() {
        let fitting = tensors(&[("conv1.weight", &[2, 1, 3, 3]), ("linear.bias", &[10])]);
        let more = tensors(&[
            ("module.conv1.weight", &[2, 1, 3, 3]),
            ("module.linear.bias", &[10]),
            ("module.Aux.weight", &[7]),
        ]);
        assert_eq!(fit_names_without(more.clone(), &expected(), &["Aux."]), Ok(fitting));
        assert!(fit_names(more, &expected()).is_err());
    }

    #[test]
    fn every_misfit_is_named_with_shapes_and_the_nearest_name() {
        let wrong = tensors(&[("conv1.weight", &[2, 3, 3, 3]), ("linea.bias", &[10]), ("zebra", &[])]);
        let error = fit_names(wrong, &expected()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4 tensors do not fit the architecture; check `arch` and the number of classes\n  \
             unknown: linea.bias [10] (nearest: linear.bias)\n  \
             unknown: zebra []\n  \
             missing: linear.bias [10] (nearest: linea.bias)\n  \
             misshapen: conv1.weight is [2, 3, 3, 3] where [2, 1, 3, 3] is expected"
        );
    }
}
