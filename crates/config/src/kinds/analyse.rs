//! `kind = "analyse"`: a question to what earlier stages left. Questions are declared in [`crate::questions`].

use overinterp_spec::Cell;

use super::{Kind, Makes, Measures};
use crate::experiment::StageRef;
use crate::map::Choose;
use crate::questions::{self, Question};
use crate::read::Item;
use crate::reference::Reference;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "analyse",
    about: "Answers a question from what other stages left, in numbers, curves and maps",
    makes: Makes::Analysis,
    keys: questions::keys,
    rows: None,
    measures: Measures::Numbers,
};

/// A stage that answers one question from what other stages left.
#[derive(Clone, Debug, PartialEq)]
pub struct Analyse<R = StageRef> {
    /// What is asked.
    pub question: Question<R>,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Analyse<Reference>> {
    questions::read(scope, item).map(|question| Analyse { question })
}

impl<R> Analyse<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Analyse<S>> {
        Some(Analyse { question: self.question.map(choose)? })
    }
}
