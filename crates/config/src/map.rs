//! Settings with something else in the place of each reference: how names become instances that exist.

use overinterp_spec::Split;

use super::experiment::{Half, ImagesRef};

/// What makes any number of things of a reference. It is asked for each reference once, in the order in which settings
/// write them.
pub(super) trait Choose<'a, R: 'a, S>: FnMut(&'a R) -> Vec<S> {}

impl<'a, R: 'a, S, F: FnMut(&'a R) -> Vec<S>> Choose<'a, R, S> for F {}

/// What `choose` makes of a reference that stands for one thing.
pub(super) fn one<'a, R, S>(reference: &'a R, choose: &mut impl Choose<'a, R, S>) -> Option<S> {
    let mut chosen = choose(reference);
    chosen.pop().filter(|_| chosen.is_empty())
}

/// The same of a reference that need not be there.
pub(super) fn perhaps<'a, R, S>(reference: Option<&'a R>, choose: &mut impl Choose<'a, R, S>) -> Option<Option<S>> {
    match reference {
        Some(reference) => one(reference, choose).map(Some),
        None => Some(None),
    }
}

/// The same of halves of a data set.
pub(super) fn splits<'a, R, S>(
    images: &'a [(R, Split)],
    choose: &mut impl Choose<'a, R, S>,
) -> Option<Vec<(S, Split)>> {
    images.iter().map(|(source, split)| Some((one(source, choose)?, *split))).collect()
}

impl<R> ImagesRef<R> {
    /// As [`one`].
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<ImagesRef<S>> {
        Some(match self {
            Self::Data { source, split } => ImagesRef::Data { source: one(source, choose)?, split: *split },
            Self::Subset { mask, split } => ImagesRef::Subset { mask: one(mask, choose)?, split: *split },
        })
    }
}

impl<R> Half<R> {
    /// As [`one`].
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Half<S>> {
        Some(Half { stage: one(&self.stage, choose)?, split: self.split })
    }
}
