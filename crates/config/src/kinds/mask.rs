//! `kind = "mask"`: keeps the pixels that a ranking masks last.

use overinterp_spec::{Appearance, Cell, Content, Keep};

use super::{Kind, Makes, Measures};
use crate::appearance::{appearance, fills};
use crate::document::Value;
use crate::experiment::StageRef;
use crate::field::{Field, number, one_of, pins, stage, table_or, whole};
use crate::map::{Choose, one};
use crate::read::Item;
use crate::reference::Reference;
use crate::schema::KIND as NAME;
use crate::scope::{Scope, fraction};

pub(super) const KIND: Kind = Kind {
    name: "mask",
    about: "Keeps the pixels of each image that a ranking masks last, and masks the others",
    makes: Makes::Subsets,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    stage("ranking", "The ranking", "\"ranking\"", &[Makes::Ranking]),
    pins("ranking-where"),
    table_or("keep", "How many", "0.05", "a share of the pixels, or a table", KEEP),
    one_of("content", "What kept pixels show: themselves, or all the same white", "\"mask-only\"", || {
        Content::ALL.map(|(name, _)| name).to_vec()
    })
    .or("`\"pixels\"`"),
    one_of("fill", "What masked pixels show", "\"black\"", fills).or("`\"mean\"`"),
    whole("seed", "For `fill = \"noise\"`: where its draws start", "0").or("0"),
];

/// `keep` of a mask, where it is no number.
const KEEP: &[Field] =
    &[number("rounds", "The share of the rounds whose pixels are kept, by the authors' rule for ImageNet", "0.1")];

/// Subsets of a ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask<R = StageRef> {
    /// The stage that ranks.
    pub ranking: R,
    /// How many pixels of each image are kept, those at the end of its order.
    pub keep: Keep,
    /// What kept and masked pixels show.
    pub appearance: Appearance,
}

pub(super) fn read(scope: &Scope<'_>, _: &Cell, item: &Item<'_>) -> Option<Mask<Reference>> {
    let table = item.table(KEYS)?;
    let ranking = scope.stage(&table, "ranking");
    let keep = table.required("keep").and_then(|item| match &item.node.value {
        Value::Table(_) => item.table(KEEP)?.required("rounds").and_then(|item| fraction(&item)).map(Keep::Rounds),
        _ => fraction(&item).map(Keep::Share),
    });
    let appearance = appearance(&table);
    Some(Mask { ranking: ranking?, keep: keep?, appearance: appearance? })
}

impl<R> Mask<R> {
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Mask<S>> {
        Some(Mask { ranking: one(&self.ranking, choose)?, keep: self.keep, appearance: self.appearance })
    }
}
