//! `kind = "ensemble"`: models whose logits are averaged.

use overinterp_spec::Cell;

use super::{Kind, Makes, Measures, StageKind};
use crate::experiment::StageRef;
use crate::field::{Field, list, pins};
use crate::map::Choose;
use crate::read::Item;
use crate::reference::{Reference, written};
use crate::schema::KIND as NAME;
use crate::scope::Scope;

pub(super) const KIND: Kind = Kind {
    name: "ensemble",
    about: "Averages the logits of several networks",
    makes: Makes::Model,
    keys: || KEYS,
    rows: None,
    measures: Measures::Nothing,
};

const KEYS: &[Field] = &[
    NAME,
    list("members", "Its networks", "[\"full\"]", "stages of kind `train` or `import`"),
    pins("members-where"),
    list("over", "Axes whose values are further members", "[\"seed\"]", "axes").or("one member a stage"),
];

/// A model whose logits are the mean over those of its networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble<R = StageRef> {
    /// At least one, in file order, and of one stage in the order of its axes' values.
    pub members: Vec<R>,
}

pub(super) fn read(scope: &Scope<'_>, cell: &Cell, item: &Item<'_>) -> Option<Ensemble<Reference>> {
    let table = item.table(KEYS)?;
    let pins = scope.pins(&table, "members-where");
    let over = table.or("over", Vec::new(), |item| {
        let axes = scope.axes(&item)?;
        let fixed = |axis: &String| pins.as_ref().is_some_and(|pins| pins.contains_key(axis));
        for (axis, item) in &axes {
            if cell.contains_key(axis) {
                return item.fault(format!("cannot be `{axis}`, of which this stage mentions the value itself"));
            }
            if fixed(axis) {
                return item.fault(format!("cannot be `{axis}`, which `members-where` fixes"));
            }
        }
        Some(axes.into_iter().map(|(axis, item)| (axis, written(&item))).collect())
    });
    let members = table.required("members").and_then(|item| read_members(scope, &item));
    let (mut members, pins, over) = (members?, pins?, over?);
    for member in &mut members {
        member.pins.clone_from(&pins);
        member.over.clone_from(&over);
    }
    Some(Ensemble { members })
}

fn read_members(scope: &Scope<'_>, item: &Item<'_>) -> Option<Vec<Reference>> {
    let networks = StageKind::making(&[Makes::Network]);
    let mut members: Vec<Reference> = Vec::new();
    let mut sound = true;
    for item in item.full_list()? {
        let name = item.text().filter(|name| scope.catalog.find_stage(name, &networks, &item).is_some());
        match name {
            Some(name) if members.iter().any(|known| known.stage == name) => {
                sound = false;
                item.fault::<()>("is there twice");
            }
            Some(name) => members.push(Reference::new(name, &item, None, Cell::new())),
            None => sound = false,
        }
    }
    sound.then_some(members)
}

impl<R> Ensemble<R> {
    #[expect(clippy::unnecessary_wraps, reason = "as of every kind")]
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl Choose<'a, R, S>) -> Option<Ensemble<S>> {
        Some(Ensemble { members: self.members.iter().flat_map(choose).collect() })
    }
}
