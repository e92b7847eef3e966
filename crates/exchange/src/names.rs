//! Finds the tensors of an architecture among the names of a file.
//!
//! One rule: the architecture's names all stand behind one prefix. That may be the dicts in which a script put the state
//! dict (`state_dict.`), what wrappers put before every name (`module.`, `_orig_mod.`, `model.`), or any other word.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::listing::{Listing, Named};
use super::misfit::{FitError, misfits};

/// Words that scripts and wrappers usually put before names, in the order in which they are preferred.
const USUAL: [&str; 12] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "_orig_mod",
    "params",
    "weights",
    "backbone",
    "encoder",
];
/// What the authors' input dropout puts before names: `ModelWithInputDropout` holds the network as its `model`.
const INPUT_DROPOUT: &str = "model";
/// What no weight depends on: counters and sizes that tools leave in modules.
const BOOKKEEPING: [&str; 4] = ["num_batches_tracked", "total_ops", "total_params", "_extra_state"];

/// The tensors that a network needs.
#[derive(Clone, Copy, Debug)]
pub struct Architecture<'e> {
    /// Names and shapes.
    pub expected: &'e [(String, Vec<usize>)],
    /// How names begin that files may hold and the network does without.
    pub left_out: &'e [&'e str],
}

/// Where the weights of an architecture lie in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitting {
    /// What stands before every name: dicts and wrappers, with a dot behind it, or nothing.
    pub prefix: String,
    /// The part of the prefix that is in the names of the dict itself.
    pub wrapper: String,
    /// The architecture's names.
    pub names: Vec<String>,
    /// Prefixes that fit as well.
    pub others: Vec<String>,
    /// Tensors of the same dict that are no weights of the architecture.
    pub passed_over: Vec<String>,
}

impl Fitting {
    /// Whether the names look as they do under the authors' input dropout.
    #[must_use]
    pub fn under_input_dropout(&self) -> bool {
        self.wrapper.split('.').any(|word| word == INPUT_DROPOUT)
    }

    /// Whether the prefix has words that neither wrappers nor scripts usually put before names.
    #[must_use]
    pub fn is_unusual(&self) -> bool {
        words(&self.prefix).any(|word| !USUAL.contains(&word))
    }
}

/// Whether a tensor is one that nothing depends on, such as batch norm's `num_batches_tracked`.
fn is_bookkeeping(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| BOOKKEEPING.contains(&last))
}

/// The words of a prefix.
fn words(prefix: &str) -> impl Iterator<Item = &str> {
    prefix.split('.').filter(|word| !word.is_empty())
}

/// Finds the weights of an architecture behind a prefix that begins with `weights`, if that is given.
pub(super) fn fit(
    listing: &Listing,
    architecture: &Architecture<'_>,
    weights: Option<&str>,
) -> Result<Fitting, FitError> {
    let search = Search::new(listing, architecture, weights);
    if !search.within(&search.root).any(|(_, named)| named.shape.is_some()) {
        return Err(search.no_such_weights(weights.unwrap_or_default()));
    }
    let votes = search.votes(&search.root);
    let fitting = search.fitting_prefixes(&votes);
    let Some((&prefix, others)) = fitting.split_first() else {
        let nearest = votes.iter().max_by_key(|(prefix, votes)| (**votes, Reverse(search.preference(prefix))));
        return Err(search.misfits(nearest.map_or_else(|| search.fullest_dict(), |(prefix, _)| *prefix)));
    };
    Ok(search.fitting(prefix, others))
}

/// Whether [`fit`] finds the weights.
pub(super) fn fits(listing: &Listing, architecture: &Architecture<'_>, weights: Option<&str>) -> bool {
    let search = Search::new(listing, architecture, weights);
    !search.fitting_prefixes(&search.votes(&search.root)).is_empty()
}

/// A search for the names of an architecture.
struct Search<'s> {
    listing: &'s Listing,
    /// What every name begins with that is looked at.
    root: String,
    left_out: &'s [&'s str],
    wanted: BTreeMap<&'s str, &'s [usize]>,
    /// First words of the architecture's names, without digits: `layer`, `conv`.
    modules: BTreeSet<String>,
    /// The most words of a name.
    deepest: usize,
}

impl<'s> Search<'s> {
    fn new(listing: &'s Listing, architecture: &Architecture<'s>, weights: Option<&str>) -> Self {
        let root = weights.map_or_else(String::new, |weights| format!("{}.", weights.trim_end_matches('.')));
        let Architecture { expected, left_out } = *architecture;
        let wanted: BTreeMap<&str, &[usize]> =
            expected.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
        let modules = wanted.keys().map(|name| module(name)).collect();
        let deepest = wanted.keys().map(|name| words(name).count()).max().unwrap_or(0);
        Self { listing, root, left_out, wanted, modules, deepest }
    }

    /// What has a name that begins with `prefix`, by the full name.
    fn within(&self, prefix: &str) -> impl Iterator<Item = (&'s str, &'s Named)> {
        let start = prefix.to_owned();
        let after = self.listing.named.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        after.take_while(move |(name, _)| name.starts_with(&start)).map(|(name, named)| (name.as_str(), named))
    }

    /// How many of the architecture's names stand behind each prefix.
    fn votes(&self, root: &str) -> BTreeMap<&'s str, usize> {
        let mut votes = BTreeMap::new();
        for (name, _) in self.within(root) {
            let starts = name.rmatch_indices('.').map(|(dot, _)| dot + 1).take(self.deepest);
            let starts = starts.chain((words(name).count() <= self.deepest).then_some(0));
            for start in starts.filter(|&start| start >= root.len()) {
                if self.wanted.contains_key(&name[start..]) {
                    *votes.entry(&name[..start]).or_insert(0) += 1;
                }
            }
        }
        votes
    }

    /// The prefixes that have all names with the right shapes, the preferred first.
    fn fitting_prefixes<'v>(&self, votes: &BTreeMap<&'v str, usize>) -> Vec<&'v str> {
        let full = votes.iter().filter(|(prefix, votes)| **votes == self.wanted.len() && self.fits(prefix));
        let mut fitting: Vec<&str> = full.map(|(prefix, _)| *prefix).collect();
        fitting.sort_by_cached_key(|prefix| self.preference(prefix));
        fitting
    }

    /// Whether all names behind a prefix have the right shapes, and no further layers of the network stand there.
    fn fits(&self, prefix: &str) -> bool {
        self.within(prefix).all(|(name, named)| {
            let name = &name[prefix.len()..];
            match (self.wanted.get(name), &named.shape) {
                // What is no tensor is told when it is read.
                (_, None) => true,
                (Some(expected), Some(found)) => found == expected,
                (None, Some(_)) => !self.is_of_the_network(name),
            }
        })
    }

    /// Whether a name that the architecture lacks is one more layer of such a network rather than something beside it:
    /// of a network with more blocks, say, all weights of a smaller one are there and nothing would be right.
    fn is_of_the_network(&self, name: &str) -> bool {
        !self.is_left_out(name) && self.modules.contains(&module(name))
    }

    fn is_left_out(&self, name: &str) -> bool {
        is_bookkeeping(name) || self.left_out.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Sorts prefixes: usual words before others, then the order of the file.
    fn preference(&self, prefix: &str) -> (usize, Vec<usize>, usize) {
        let rank = |word: &str| USUAL.iter().position(|usual| *usual == word).unwrap_or(USUAL.len());
        let ranks: Vec<usize> = words(prefix).map(rank).collect();
        let unusual = ranks.iter().filter(|rank| **rank == USUAL.len()).count();
        let first = self.within(prefix).map(|(_, named)| named.order).min().unwrap_or(0);
        (unusual, ranks, first)
    }

    /// The names before the dict that has the most tensors.
    fn fullest_dict(&self) -> &'s str {
        let mut tensors = vec![0_usize; self.listing.dicts.len()];
        for (_, named) in self.within(&self.root).filter(|(_, named)| named.shape.is_some()) {
            tensors[named.dict] += 1;
        }
        let fullest = (0..tensors.len()).rev().max_by_key(|&dict| tensors[dict]);
        fullest.map_or("", |dict| self.listing.dicts[dict].as_str())
    }

    fn fitting(&self, prefix: &str, others: &[&str]) -> Fitting {
        let first = self.wanted.keys().next().map(|name| format!("{prefix}{name}"));
        let dict = first.and_then(|name| self.listing.named.get(&name)).map_or(0, |named| named.dict);
        let path = &self.listing.dicts[dict];
        let beside = self.within(path).filter(|(_, named)| named.dict == dict && named.shape.is_some());
        // Of what `weights` did not ask for, nothing need be said.
        let beside = beside.filter(|(name, _)| name.starts_with(&self.root));
        let passed_over = beside.filter(|(name, _)| {
            let own = name.strip_prefix(prefix);
            let weight = own.is_some_and(|name| self.wanted.contains_key(name) || self.is_left_out(name));
            let of_others = others.iter().any(|other| !other.is_empty() && name.starts_with(other));
            !weight && !of_others && !is_bookkeeping(name)
        });
        Fitting {
            prefix: prefix.to_owned(),
            wrapper: prefix.get(path.len()..).unwrap_or_default().to_owned(),
            names: self.wanted.keys().map(|&name| name.to_owned()).collect(),
            others: others.iter().map(|&other| other.to_owned()).collect(),
            passed_over: passed_over.map(|(name, _)| name.to_owned()).collect(),
        }
    }

    fn misfits(&self, prefix: &str) -> FitError {
        let found =
            self.within(prefix).filter_map(|(name, named)| Some((&name[prefix.len()..], named.shape.as_deref()?)));
        let found: BTreeMap<&str, &[usize]> = found.filter(|(name, _)| !self.is_left_out(name)).collect();
        let there = |name: &str| self.listing.named.contains_key(&format!("{prefix}{name}"));
        misfits(&found, &self.wanted, there)
    }

    /// The error for `weights` that are not there, which lists those that are.
    fn no_such_weights(&self, weights: &str) -> FitError {
        let votes = self.votes("");
        let mut there: Vec<&str> =
            votes.iter().filter(|(_, votes)| **votes == self.wanted.len()).map(|(prefix, _)| *prefix).collect();
        if there.iter().all(|prefix| prefix.is_empty()) {
            let dicts = self.listing.named.values().filter(|named| named.shape.is_some()).map(|named| named.dict);
            let dicts: BTreeSet<usize> = dicts.collect();
            there = dicts.into_iter().map(|dict| self.listing.dicts[dict].as_str()).collect();
        }
        there.retain(|prefix| !prefix.is_empty());
        let there = there.into_iter().map(|prefix| prefix.trim_end_matches('.').to_owned()).collect();
        FitError::NoSuchWeights { weights: weights.to_owned(), there }
    }
}

/// The first word of a name, without digits.
fn module(name: &str) -> String {
    let first = name.split('.').next().unwrap_or_default();
    first.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Vec<(String, Vec<usize>)> {
        vec![
            ("conv1.weight".into(), vec![2, 1, 3, 3]),
            ("layer1.0.bias".into(), vec![4]),
            ("linear.bias".into(), vec![10]),
        ]
    }

    /// The weights behind a prefix, and more.
    fn file(prefixes: &[&str], more: &[(&str, &[usize])]) -> Listing {
        let weights = prefixes
            .iter()
            .flat_map(|prefix| expected().into_iter().map(move |(name, shape)| (format!("{prefix}{name}"), shape)));
        let more = more.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec()));
        Listing::flat(weights.chain(more))
    }

    fn found(listing: &Listing, weights: Option<&str>) -> Result<Fitting, FitError> {
        fit(listing, &Architecture { expected: &expected(), left_out: &["Aux."] }, weights)
    }

    #[test]
    fn any_common_prefix_is_taken_off() {
        for prefix in
            ["", "module.", "_orig_mod.", "module._orig_mod.", "net.", "model.model.", "backbone.encoder.", "a-b.7."]
        {
            let fitting = found(&file(&[prefix], &[]), None).unwrap();
            assert_eq!((fitting.prefix.as_str(), fitting.names.len()), (prefix, 3));
            assert_eq!(fitting.under_input_dropout(), prefix.starts_with("model."), "{prefix}");
            assert_eq!(fitting.is_unusual(), prefix == "a-b.7.", "{prefix}");
            assert!(fitting.others.is_empty() && fitting.passed_over.is_empty(), "{fitting:?}");
        }
    }

    #[test]
    fn what_is_no_weight_is_passed_over_and_named() {
        let beside: &[(&str, &[usize])] =
            &[("criterion.weight", &[1]), ("n_averaged", &[]), ("bn1.num_batches_tracked", &[]), ("model.Aux.w", &[3])];
        let fitting = found(&file(&["model."], beside), None).unwrap();
        assert_eq!(fitting.prefix, "model.");
        assert_eq!(fitting.passed_over, ["criterion.weight", "n_averaged"]);
        let fitting = found(&file(&[""], &beside[..3]), None).unwrap();
        assert_eq!((fitting.prefix.as_str(), fitting.passed_over.len()), ("", 2));
    }

    #[test]
    fn one_more_layer_of_the_network_is_no_such_thing() {
        for name in ["layer1.1.bias", "layer2.0.bias", "conv2.weight", "linear.weight"] {
            for prefix in ["", "module."] {
                let name = format!("{prefix}{name}");
                let error = found(&file(&[prefix], &[(&name, &[4])]), None).unwrap_err();
                assert!(error.to_string().starts_with("1 tensor does not fit the architecture"), "{error}");
            }
        }
    }

    #[test]
    fn a_prefix_that_some_names_lack_fits_nothing() {
        let mixed =
            Listing::flat([("module.conv1.weight".to_owned(), vec![2, 1, 3, 3]), ("linear.bias".to_owned(), vec![10])]);
        assert!(found(&mixed, None).is_err());
    }

    #[test]
    fn of_several_the_usual_one_is_taken_and_any_can_be_chosen() {
        let listing = file(&["teacher.", "student.", "model."], &[]);
        let fitting = found(&listing, None).unwrap();
        assert_eq!(
            (fitting.prefix.as_str(), fitting.others.as_slice()),
            ("model.", &["teacher.".to_owned(), "student.".to_owned()][..])
        );
        assert!(fitting.passed_over.is_empty());
        assert_eq!(found(&listing, Some("student")).unwrap().prefix, "student.");
        let error = found(&listing, Some("pupil")).unwrap_err();
        assert_eq!(error.to_string(), "there are no tensors under `pupil`; there are `model`, `student`, `teacher`");
        let error = found(&file(&[""], &[]), Some("ema")).unwrap_err();
        assert!(error.to_string().contains("leave `weights` out"), "{error}");
    }

    #[test]
    fn misfits_are_named_with_shapes_and_the_nearest_name() {
        let wrong = [
            ("conv1.weight", vec![2, 3, 3, 3]),
            ("layer1.0.bias", vec![4]),
            ("linea.bias", vec![10]),
            ("zebra", vec![]),
        ];
        let listing = Listing::flat(wrong.map(|(name, shape)| (format!("net.{name}"), shape)));
        assert_eq!(
            found(&listing, None).unwrap_err().to_string(),
            "4 tensors do not fit the architecture; check `arch` and the number of classes\n  \
             unknown: linea.bias [10] (nearest: linear.bias)\n  \
             unknown: zebra []\n  \
             missing: linear.bias [10] (nearest: linea.bias)\n  \
             misshapen: conv1.weight is [2, 3, 3, 3] where [2, 1, 3, 3] is expected"
        );
    }

    #[test]
    fn of_many_misfits_ten_are_listed_of_all_kinds() {
        let many = (0..3000).map(|number| (format!("conv{number}.weight"), vec![0]));
        let error = found(&Listing::flat(many), None).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("3002 tensors do not fit"), "{text}");
        assert_eq!(text.lines().count(), 12, "{text}");
        assert!(
            text.contains("unknown: ") && text.contains("missing: linear.bias") && text.contains("misshapen: "),
            "{text}"
        );
        assert!(text.ends_with("and 2992 more"), "{text}");
    }
}
