//! Reads `[table.*]` and `[claim.*]`.

use std::collections::{BTreeMap, BTreeSet};

use overinterp_spec::{Bound, Check, Claim, Measure, Metric, Operand, Row, Subject, Table, Unit};

use super::catalog::check_name;
use super::document::{Entry, Value};
use super::kinds::Settings;
use super::nearest::{listing, nearest, suggestion};
use super::read::{Item, Reader};
use super::reference::Draft;
use super::schema::{CHECK, CLAIM, OPERAND_KEYS, ROW, TABLE};
use super::scope::Scope;

/// What is averaged over when a file does not say.
const REPLICATES: &str = "seed";

/// What there are numbers of.
pub(super) struct Evaluated {
    /// The pairs that are evaluated: model and images, by name.
    pub pairs: BTreeSet<(String, String)>,
    /// The drawings that analyses have: curves, then maps.
    pub drawings: [BTreeMap<String, BTreeSet<&'static str>>; 2],
    /// The analyses, with the numbers that each has.
    pub analyses: BTreeMap<String, BTreeSet<Metric>>,
    /// Whether these are all: a stage with a problem of its own may have more.
    pub complete: bool,
}

impl Evaluated {
    /// Notes the numbers and drawings that a stage has of its own.
    pub fn note_numbers(&mut self, stage: &str, settings: &Draft) {
        if let Settings::Analyse(analyse) = settings {
            let asked = analyse.question.asked();
            let drawings = &mut self.drawings[usize::from(asked.draws_maps)];
            drawings.entry(stage.to_owned()).or_default().extend(asked.drawings);
        }
        self.analyses.entry(stage.to_owned()).or_default().extend(settings.numbers());
    }
}

/// What tables and claims are read against.
pub(super) struct Questions<'a> {
    /// Names and axes.
    pub scope: &'a Scope<'a>,
    /// What there is to ask about.
    pub evaluated: Evaluated,
}

impl Questions<'_> {
    /// Reads a `[table.NAME]`.
    pub fn table(&self, entry: &Entry, item: &Item<'_>) -> Option<Table> {
        check_name(entry, "a table", item.sink());
        let table = item.table(TABLE)?;
        let title = table.required("title").and_then(|item| item.line());
        let columns = table.or("columns", None, |item| self.scope.axis(&item).map(Some));
        let taken = columns.as_ref().and_then(Option::as_deref);
        let over = self.over(&table, taken);
        let rows = table.required("rows").and_then(|item| all(&item, |item| self.row(item)));
        Some(Table { name: entry.key.clone(), title: title?, rows: rows?, columns: columns?, over: over? })
    }

    /// Reads a `[claim.NAME]`.
    pub fn claim(&self, entry: &Entry, item: &Item<'_>) -> Option<Claim> {
        check_name(entry, "a claim", item.sink());
        let table = item.table(CLAIM)?;
        let says = table.required("says").and_then(|item| item.line());
        let paper = table.or("paper", None, |item| item.line().map(Some));
        let over = self.over(&table, None);
        let checks = table.required("check").and_then(|item| all(&item, |item| self.check(item)));
        Some(Claim { name: entry.key.clone(), says: says?, paper: paper?, over: over?, checks: checks? })
    }

    fn row(&self, item: &Item<'_>) -> Option<Row> {
        let table = item.table(ROW)?;
        let label = table.required("label").and_then(|item| item.line());
        let measure = self.measure(&table, None);
        let unit = measure.as_ref().map_or(Unit::Share, |measure| measure.metric.unit());
        let published = table.or("published", None, |item| published(&item, unit).map(Some));
        Some(Row { label: label?, measure: measure?, published: published? })
    }

    fn check(&self, item: &Item<'_>) -> Option<Check> {
        let table = item.table(CHECK)?;
        let value = self.measure(&table, None);
        let metric = value.as_ref().map(|measure| measure.metric);
        let bound = match table.one_of(&["within", "at-least"]) {
            Some(("within", item)) => {
                for key in ["above", "below"] {
                    if let Some(item) = table.optional(key) {
                        item.fault::<()>("goes with `at-least`, not with `within`: write `of`");
                    }
                }
                let tolerance = item.number_where("at least 0", |value| value >= 0.0);
                let of = table.required("of").and_then(|item| self.operand(&item, metric));
                tolerance.map(Bound::Within).zip(of)
            }
            Some((_, item)) => {
                if let Some(item) = table.optional("of") {
                    item.fault::<()>("goes with `within`, not with `at-least`: write `above` or `below`");
                }
                let distance = item.number_where("at least 0", |value| value >= 0.0);
                let side = table.one_of(&["above", "below"]);
                let bound = side.as_ref().map(|&(key, _)| if key == "above" { Bound::Above } else { Bound::Below });
                let of = side.and_then(|(_, item)| self.operand(&item, metric));
                distance.zip(bound).map(|(distance, bound)| bound(distance)).zip(of)
            }
            None => None,
        };
        let (bound, of) = bound?;
        Some(Check { value: value?, bound, of })
    }

    /// The other side of a comparison of `metric`, which it measures too if it does not say otherwise.
    fn operand(&self, item: &Item<'_>, metric: Option<Metric>) -> Option<Operand> {
        match &item.node.value {
            Value::Text(text) if text == "chance" => match metric {
                Some(metric) if !metric.has_chance() => {
                    item.fault(format!("cannot be `chance`: guessing has no {}", metric.name()))
                }
                _ => Some(Operand::Chance),
            },
            Value::Integer(_) | Value::Float(_) => item.number().map(Operand::Number),
            Value::Table(_) => {
                let measure = self.measure(&item.table(OPERAND_KEYS)?, metric)?;
                if let Some(metric) = metric
                    && metric.unit() != measure.metric.unit()
                {
                    let (one, other) = (metric.name(), measure.metric.name());
                    return item.fault(format!("is measured as `{other}`, which cannot be compared with `{one}`"));
                }
                Some(Operand::Measure(measure))
            }
            _ => item.fault(
                "must be `\"chance\"`, a number, or a table such as `{ model = \"full\", images = \"cifar10.test\" }`",
            ),
        }
    }

    /// What names numbers that there are: a subject, with `where` and `metric`, which need not be written where it is
    /// `usual`, and of evaluations is the accuracy otherwise.
    fn measure(&self, table: &Reader<'_>, usual: Option<Metric>) -> Option<Measure> {
        let pins = self.scope.pins(table, "where");
        let metric = table.or("metric", usual, |item| item.choice("metrics", &Metric::ALL).map(Some));
        let subject = self.subject(table);
        let (subject, metric) = (subject?, metric?);
        let metric = match (metric, &subject) {
            (Some(metric), _) => metric,
            (None, Subject::Evaluation { .. }) => Metric::Accuracy,
            (None, Subject::Analysis { .. }) => table.required("metric").and(None)?,
        };
        self.check_measured(&subject, metric, table)?;
        Some(Measure { subject, pins: pins?, metric })
    }

    /// `model` and `images` of an evaluation that there is, or `analysis`.
    fn subject(&self, table: &Reader<'_>) -> Option<Subject> {
        if let Some(item) = table.optional("analysis") {
            for key in ["model", "images"] {
                if let Some(item) = table.optional(key) {
                    item.fault::<()>("has no place beside `analysis`, which has its own");
                }
            }
            let stage = item.text()?;
            let Evaluated { analyses, complete, .. } = &self.evaluated;
            if *complete && !analyses.contains_key(stage) {
                let help = suggestion(stage, "analyses", analyses.keys().map(String::as_str));
                let fault = format!("names `{stage}`, which is no stage of kind `analyse`");
                item.sink().report(item.problem(fault).help(help));
                return None;
            }
            return Some(Subject::Analysis { stage: stage.to_owned() });
        }
        let model = table.required("model").and_then(|item| Some((item.text()?.to_owned(), item)));
        let images = table.required("images").and_then(|item| Some((item.text()?.to_owned(), item)));
        let ((model, model_item), (images, images_item)) = (model?, images?);
        self.check_evaluated(&model_item, &model, &images_item, &images)?;
        Some(Subject::Evaluation { model, images })
    }

    /// Reports a metric that the subject does not measure.
    fn check_measured(&self, subject: &Subject, metric: Metric, table: &Reader<'_>) -> Option<()> {
        let (known, measures, key): (Vec<Metric>, _, _) = match subject {
            Subject::Evaluation { .. } => (Metric::OF_EVALUATIONS.to_vec(), "evaluations measure".to_owned(), "model"),
            Subject::Analysis { stage } => match self.evaluated.analyses.get(stage) {
                Some(known) => (known.iter().copied().collect(), format!("`{stage}` measures"), "analysis"),
                None => return Some(()), // it had a problem, so that this is not known
            },
        };
        if known.contains(&metric) {
            return Some(());
        }
        let item = table.optional("metric").or_else(|| table.optional(key))?;
        let help = match &known[..] {
            [] => format!("{measures} no number: it has maps alone"),
            known => format!("{measures} {}", listing(known.iter().map(|metric| metric.name()))),
        };
        item.sink().report(item.problem(format!("asks for `{}`, which is not there", metric.name())).help(help));
        None
    }

    pub fn check_evaluated(
        &self,
        model_item: &Item<'_>,
        model: &str,
        images_item: &Item<'_>,
        images: &str,
    ) -> Option<()> {
        let pairs = &self.evaluated.pairs;
        if !self.evaluated.complete || pairs.contains(&(model.to_owned(), images.to_owned())) {
            return Some(());
        }
        let of_model: Vec<&str> =
            pairs.iter().filter(|(known, _)| known == model).map(|(_, images)| images.as_str()).collect();
        let problem = if of_model.is_empty() {
            let models: BTreeSet<&str> = pairs.iter().map(|(model, _)| model.as_str()).collect();
            let help = suggestion(model, "models that are evaluated", models);
            model_item.problem(format!("names `{model}`, which no stage evaluates")).help(help)
        } else {
            let fault = format!("names `{images}`, but no stage evaluates `{model}` on these");
            let help = match nearest(images, of_model.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? Or add the pair to an `evaluate` stage"),
                None => format!(
                    "add the pair to an `evaluate` stage; `{model}` is evaluated on {}",
                    listing(of_model.iter().copied())
                ),
            };
            images_item.problem(fault).help(help)
        };
        images_item.sink().report(problem);
        None
    }

    /// The axes averaged over; `taken` is spoken for.
    pub fn over(&self, table: &Reader<'_>, taken: Option<&str>) -> Option<Vec<String>> {
        let Some(item) = table.optional("over") else {
            let replicated = self.scope.sweep.has(REPLICATES) && taken != Some(REPLICATES);
            return Some(replicated.then(|| REPLICATES.to_owned()).into_iter().collect());
        };
        let axes = self.scope.axes(&item)?;
        if let Some((axis, item)) = axes.iter().find(|(axis, _)| Some(axis.as_str()) == taken) {
            return item.fault(format!("cannot be `{axis}`, which makes the columns"));
        }
        Some(axes.into_iter().map(|(axis, _)| axis).collect())
    }
}

/// The paper's number, which must be one that its metric can have.
fn published(item: &Item<'_>, unit: Unit) -> Option<f64> {
    match unit {
        Unit::Share => item.number_where("from 0 to 1", |value| (0.0..=1.0).contains(&value)),
        Unit::Pixels | Unit::Count | Unit::Factor => item.number_where("at least 0", |value| value >= 0.0),
    }
}

/// Reads every item of a list that has some; none if one of them has a problem.
pub(super) fn all<T>(item: &Item<'_>, read: impl Fn(&Item<'_>) -> Option<T>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = item.full_list()?.iter().map(read).collect();
    read.into_iter().collect()
}
