//! Reads `[figure.*]`.

use overinterp_spec::{Drawings, Figure, FigureKind, PicturedStage, ShownStage, Split};

use super::catalog::check_name;
use super::document::Entry;
use super::kinds::{Makes, StageKind};
use super::nearest::suggestion;
use super::question::{Questions, all};
use super::read::{Item, Reader};
use super::schema::{DRAWINGS, FIGURE, IMAGES, PICTURED, SHOWN};

/// Images in a row when a file does not say.
const COUNT: usize = 6;
/// More would make a picture that nobody can look at.
const MOST: usize = 60;

/// Kinds of figures by their names.
#[derive(Clone, Copy)]
enum Kind {
    Curves,
    HeatMaps,
    Images,
}

const KINDS: [(&str, Kind); 3] = [("curves", Kind::Curves), ("heat-maps", Kind::HeatMaps), ("images", Kind::Images)];
/// The names of [`KINDS`].
pub(super) fn kinds() -> Vec<&'static str> {
    KINDS.map(|(name, _)| name).to_vec()
}

const SPLITS: [(&str, Split); 2] = [("train", Split::Train), ("test", Split::Test)];

impl Questions<'_> {
    /// Reads a `[figure.NAME]`.
    pub fn figure(&self, entry: &Entry, item: &Item<'_>) -> Option<Figure> {
        check_name(entry, "a figure", item.sink());
        let Some(kind) = item.node.get("kind") else {
            return item.table(FIGURE)?.required("kind").and(None);
        };
        let kind = Item::new(kind, format!("{}.kind", item.path), item.sink()).choice("kinds of figures", &KINDS)?;
        let table = item.table(match kind {
            Kind::Curves | Kind::HeatMaps => DRAWINGS,
            Kind::Images => IMAGES,
        })?;
        let title = table.required("title").and_then(|item| item.line());
        let kind = match kind {
            Kind::Curves => self.drawings(&table, false).map(FigureKind::Curves),
            Kind::HeatMaps => self.drawings(&table, true).map(FigureKind::HeatMaps),
            Kind::Images => self.images(&table),
        };
        Some(Figure { name: entry.key.clone(), title: title?, kind: kind? })
    }

    /// What is drawn of analyses: their maps, or else their curves.
    fn drawings(&self, table: &Reader<'_>, maps: bool) -> Option<Drawings> {
        let shows = table.required("shows").and_then(|item| all(&item, |item| self.shown(item, maps)));
        let drawing = table.or("drawing", None, |item| {
            let name = item.words()?;
            let shown = shows.iter().flatten().map(|shown| shown.stage.as_str());
            let mut known = shown
                .filter_map(|stage| self.evaluated.drawings[usize::from(maps)].get(stage).map(|known| (stage, known)));
            match known.find(|(_, known)| !known.contains(name.as_str())) {
                None => Some(Some(name)),
                Some((stage, known)) => {
                    let problem = item.problem(format!("cannot be `{name}`, which `{stage}` does not draw"));
                    item.sink().report(problem.help(suggestion(&name, "its drawings", known.iter().copied())));
                    None
                }
            }
        });
        let over = self.over(table, None);
        Some(Drawings { shows: shows?, drawing: drawing?, over: over? })
    }

    fn shown(&self, item: &Item<'_>, maps: bool) -> Option<ShownStage> {
        let table = item.table(SHOWN)?;
        let pins = self.scope.pins(&table, "where");
        let label = table.or("label", None, |item| item.line().map(Some));
        let names = table.or("names", Vec::new(), |item| all(&item, words));
        let stage = self.figure_stage(&table, &[Makes::Analysis]).and_then(|(stage, _)| {
            let draws = |maps: bool| {
                self.evaluated.drawings[usize::from(maps)].get(&stage).is_some_and(|drawings| !drawings.is_empty())
            };
            // One with a problem of its own may draw anything.
            let is_known = self.evaluated.analyses.contains_key(&stage);
            if draws(maps) || !is_known {
                return Some(stage);
            }
            let (wanted, other) = if maps { ("maps", "curves") } else { ("curves", "heat-maps") };
            let item = table.required("stage")?;
            let problem = item.problem(format!("names `{stage}`, which draws no {wanted}"));
            item.sink().report(problem.help(if draws(!maps) {
                format!("a figure of `kind = \"{other}\"` shows it")
            } else {
                "its numbers stand in tables and claims".to_owned()
            }));
            None
        });
        Some(ShownStage { stage: stage?, label: label?, pins: pins?, names: names? })
    }

    fn images(&self, table: &Reader<'_>) -> Option<FigureKind> {
        let shows = table.required("shows").and_then(|item| all(&item, |item| self.pictured(item)));
        let count = table.or("count", COUNT, |item| {
            let count: usize = item.whole(1)?;
            if count > MOST { item.fault(format!("must be at most {MOST}, not {count}")) } else { Some(count) }
        });
        Some(FigureKind::Images { shows: shows?, count: count? })
    }

    fn pictured(&self, item: &Item<'_>) -> Option<PicturedStage> {
        let table = item.table(PICTURED)?;
        let pins = self.scope.pins(&table, "where");
        let label = table.or("label", None, |item| item.line().map(Some));
        let split = table.or("split", Split::Test, |item| item.choice("halves", &SPLITS));
        let stage = self.figure_stage(&table, &[Makes::Sufficient, Makes::Subsets]);
        let ((stage, kind), split) = (stage?, split?);
        let model = table.or("model", None, |item| {
            if kind.is_some_and(|kind| kind.declared().makes == Makes::Sufficient) {
                return item.fault("has no place here: a stage of kind `sis` knows what its model says");
            }
            let (model, images) = (item.text()?.to_owned(), format!("{stage}.{split}"));
            self.check_evaluated(&item, &model, &item, &images)?;
            Some(Some(model))
        });
        Some(PicturedStage { stage, label: label?, pins: pins?, split, model: model? })
    }

    /// The stage that is shown, and its kind if that is clear.
    fn figure_stage(&self, table: &Reader<'_>, makes: &[Makes]) -> Option<(String, Option<StageKind>)> {
        let item = table.required("stage")?;
        let name = item.text()?;
        self.scope.catalog.find_stage(name, &StageKind::making(makes), &item)?;
        Some((name.to_owned(), self.scope.catalog.stage(name).and_then(|stage| stage.kind)))
    }
}

fn words(item: &Item<'_>) -> Option<String> {
    item.words()
}
