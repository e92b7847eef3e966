//! Why the tensors of a file are not those of an architecture.

use std::collections::BTreeMap;
use std::fmt;

use super::error::quote;

/// Misfits that are listed at most; the others are counted.
const MOST_LISTED: usize = 10;
/// Names longer than this are not compared; no architecture has any.
const LONGEST_NAME: usize = 256;
/// Letters of one name times those of another that all comparisons of names may come to: a fraction of a second.
const MOST_WORK: usize = 1 << 20;

/// Why a file has not the weights of an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FitError {
    /// Tensors do not fit.
    Misfits {
        /// At least one and at most ten, by kind and name.
        listed: Vec<Misfit>,
        /// How many more there are.
        more: usize,
    },
    /// What `weights` names is not in the file.
    NoSuchWeights {
        /// What it names.
        weights: String,
        /// What could be named.
        there: Vec<String>,
    },
}

/// A tensor that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The file has it; the architecture has no such name.
    Unknown {
        /// The name that it has in the file, without the prefix of the weights.
        name: String,
        /// The shape that it has in the file.
        found: Vec<usize>,
        /// The architecture's most similar name that the file lacks, or else most similar name.
        nearest: Option<String>,
    },
    /// The architecture has it; the file does not.
    Missing {
        /// The name that the architecture gives it: `layer1.0.conv1.weight`.
        name: String,
        /// The shape that the architecture gives it.
        expected: Vec<usize>,
        /// The file's most similar name that the architecture lacks.
        nearest: Option<String>,
    },
    /// Both have it, in different shapes.
    Misshapen {
        /// The name that both give it, without the prefix of the weights.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the architecture.
        expected: Vec<usize>,
    },
}

/// Holds the tensors of a file against those that are wanted. Of what is no tensor that can be read, `there` still knows
/// the name.
pub(super) fn misfits(
    found: &BTreeMap<&str, &[usize]>,
    wanted: &BTreeMap<&str, &[usize]>,
    there: impl Fn(&str) -> bool,
) -> FitError {
    let unknown: Vec<&str> = found.keys().copied().filter(|name| !wanted.contains_key(name)).collect();
    let missing: Vec<&str> = wanted.keys().copied().filter(|name| !there(name)).collect();
    let misshapen: Vec<&str> = wanted
        .iter()
        .filter(|(name, shape)| found.get(*name).is_some_and(|found| found != *shape))
        .map(|(name, _)| *name)
        .collect();
    let all = [unknown.len(), missing.len(), misshapen.len()];
    let [unknown_listed, missing_listed, misshapen_listed] = shares(all);

    let mut search = Nearest { work: MOST_WORK };
    let every: Vec<&str> = wanted.keys().copied().collect();
    let mut listed = Vec::new();
    for &name in &unknown[..unknown_listed] {
        let nearest = search.among(name, &missing).or_else(|| search.among(name, &every));
        listed.push(Misfit::Unknown { name: name.to_owned(), found: found[name].to_vec(), nearest });
    }
    for &name in &missing[..missing_listed] {
        let nearest = search.among(name, &unknown);
        listed.push(Misfit::Missing { name: name.to_owned(), expected: wanted[name].to_vec(), nearest });
    }
    for &name in &misshapen[..misshapen_listed] {
        let (found, expected) = (found[name].to_vec(), wanted[name].to_vec());
        listed.push(Misfit::Misshapen { name: name.to_owned(), found, expected });
    }
    let more = all.iter().sum::<usize>() - listed.len();
    FitError::Misfits { listed, more }
}

/// How many of each kind are listed: in turns, until there are enough.
fn shares(all: [usize; 3]) -> [usize; 3] {
    let mut shares = [0; 3];
    let mut left = MOST_LISTED;
    while left > 0 && shares != all {
        for (share, all) in shares.iter_mut().zip(all) {
            if *share < all && left > 0 {
                *share += 1;
                left -= 1;
            }
        }
    }
    shares
}

/// A search for similar names that does not go on for ever.
struct Nearest {
    /// Work that is left.
    work: usize,
}

impl Nearest {
    /// The candidate that is most like `name`, if any is at all.
    fn among(&mut self, name: &str, candidates: &[&str]) -> Option<String> {
        const ALIKE: f64 = 0.7;
        let mut best: Option<(f64, &str)> = None;
        for &candidate in candidates {
            let (longer, shorter) = (name.len().max(candidate.len()), name.len().min(candidate.len()));
            // Names of which one is much longer cannot be alike.
            if longer > LONGEST_NAME || (shorter as f64) < ALIKE * longer as f64 {
                continue;
            }
            let Some(left) = self.work.checked_sub(longer * shorter) else { break };
            self.work = left;
            let score = strsim::normalized_damerau_levenshtein(name, candidate);
            if score >= ALIKE && best.is_none_or(|(best, _)| score >= best) {
                best = Some((score, candidate));
            }
        }
        best.map(|(_, candidate)| candidate.to_owned())
    }
}

impl std::error::Error for FitError {}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misfits { listed, more } => {
                let count = listed.len() + more;
                let verb = if count == 1 { " does" } else { "s do" };
                write!(f, "{count} tensor{verb} not fit the architecture; check `arch` and the number of classes")?;
                listed.iter().try_for_each(|misfit| write!(f, "\n  {misfit}"))?;
                if *more > 0 { write!(f, "\n  and {more} more") } else { Ok(()) }
            }
            Self::NoSuchWeights { weights, there } if there.is_empty() => write!(
                f,
                "there are no tensors under `{}`: the file has one state dict without a name, leave `weights` out",
                quote(weights)
            ),
            Self::NoSuchWeights { weights, there } => {
                write!(f, "there are no tensors under `{}`; there are {}", quote(weights), listed(there))
            }
        }
    }
}

/// Names in quotes, the first ten of them.
#[must_use]
pub fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(MOST_LISTED).map(|name| format!("`{}`", quote(name))).collect();
    let more = names.len() - quoted.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", quoted.join(", "))
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
