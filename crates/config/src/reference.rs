//! What a stage names: other stages and data sets, until their instances are chosen.

use overinterp_spec::{Cell, Split};

use super::analysis::{Half, Question};
use super::experiment::{ImagesRef, Settings};
use super::problem::Place;
use super::read::Item;

/// The settings of a stage before the instances of what it names are chosen.
pub(super) type Draft = Settings<Reference>;

/// A stage or a data set that a stage names.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// Its name.
    pub stage: String,
    /// Where it is named.
    pub place: Place,
    /// The split that is used of it, for images.
    pub split: Option<Split>,
    /// Axes with the values that they must have (`*-where`).
    pub pins: Cell,
    /// Axes whose values are taken together (`over`), and where they are named.
    pub over: Vec<(String, Place)>,
}

impl Reference {
    /// What `item` names.
    pub fn new(name: &str, item: &Item<'_>, split: Option<Split>, pins: Cell) -> Self {
        Self { stage: name.to_owned(), place: written(item), split, pins, over: Vec::new() }
    }
}

impl Draft {
    /// What the settings name.
    pub(super) fn references(&self) -> Vec<&Reference> {
        let mut references = Vec::new();
        self.map(&mut |reference| {
            references.push(reference);
            vec![()]
        });
        references
    }
}

impl<R> Settings<R> {
    /// The same settings with what `choose` makes of each reference in its place: one thing, but any number for a member
    /// of an ensemble. `None` if it makes another number.
    ///
    /// Each variant is written out, so that a reference that is forgotten here does not compile.
    pub(super) fn map<'a, S>(&'a self, choose: &mut impl FnMut(&'a R) -> Vec<S>) -> Option<Settings<S>> {
        Some(match self {
            Self::Train { images, arch, seed, recipe, init, normalise } => Settings::Train {
                images: images.map(choose)?,
                arch: *arch,
                seed: *seed,
                recipe: recipe.clone(),
                init: match init {
                    Some(init) => Some(one(init, choose)?),
                    None => None,
                },
                normalise: normalise.clone(),
            },
            Self::Import { file, arch, data, input_dropout, transform_input, normalise, weights } => Settings::Import {
                file: file.clone(),
                arch: *arch,
                data: one(data, choose)?,
                input_dropout: *input_dropout,
                transform_input: *transform_input,
                normalise: normalise.clone(),
                weights: weights.clone(),
            },
            Self::Ensemble { members } => Settings::Ensemble { members: members.iter().flat_map(choose).collect() },
            Self::Temperature { model, images: (data, split), last } => {
                Settings::Temperature { model: one(model, choose)?, images: (one(data, choose)?, *split), last: *last }
            }
            Self::Select { model, images, method, count } => Settings::Select {
                model: match model {
                    Some(model) => Some(one(model, choose)?),
                    None => None,
                },
                images: splits(images, choose)?,
                method: method.clone(),
                count: *count,
            },
            Self::ImportSelection { data, files, predictions, model, method, count } => Settings::ImportSelection {
                model: match model {
                    Some(model) => Some(one(model, choose)?),
                    None => None,
                },
                data: one(data, choose)?,
                files: files.clone(),
                predictions: predictions.clone(),
                method: method.clone(),
                count: *count,
            },
            Self::Mask { ranking, keep, appearance } => {
                Settings::Mask { ranking: one(ranking, choose)?, keep: *keep, appearance: *appearance }
            }
            Self::Evaluate { model, images } => {
                Settings::Evaluate { model: one(model, choose)?, images: images.map(choose)? }
            }
            Self::Analyse { question } => Settings::Analyse { question: question.map(choose)? },
            Self::Sis { ranking, threshold } => Settings::Sis { ranking: one(ranking, choose)?, threshold: *threshold },
            Self::Collection { model, images, threshold, count } => Settings::Collection {
                model: one(model, choose)?,
                images: splits(images, choose)?,
                threshold: *threshold,
                count: *count,
            },
            Self::Human { images, answers, key } => {
                Settings::Human { images: images.map(choose)?, answers: answers.clone(), key: key.clone() }
            }
        })
    }
}

impl<R> ImagesRef<R> {
    fn map<'a, S>(&'a self, choose: &mut impl FnMut(&'a R) -> Vec<S>) -> Option<ImagesRef<S>> {
        Some(match self {
            Self::Data { source, split } => ImagesRef::Data { source: one(source, choose)?, split: *split },
            Self::Subset { mask, split } => ImagesRef::Subset { mask: one(mask, choose)?, split: *split },
        })
    }
}

impl<R> Half<R> {
    fn map<'a, S>(&'a self, choose: &mut impl FnMut(&'a R) -> Vec<S>) -> Option<Half<S>> {
        Some(Half { stage: one(&self.stage, choose)?, split: self.split })
    }
}

impl<R> Question<R> {
    fn map<'a, S>(&'a self, choose: &mut impl FnMut(&'a R) -> Vec<S>) -> Option<Question<S>> {
        Some(match self {
            Self::SisSize { ranking, threshold, thresholds, bootstrap } => Question::SisSize {
                ranking: ranking.map(choose)?,
                threshold: *threshold,
                thresholds: thresholds.clone(),
                bootstrap: *bootstrap,
            },
            Self::ConfidenceCurve { ranking, bootstrap } => {
                Question::ConfidenceCurve { ranking: ranking.map(choose)?, bootstrap: *bootstrap }
            }
            Self::MaskedConfidence { ranking } => Question::MaskedConfidence { ranking: ranking.map(choose)? },
            Self::HeatMap { subset, per_class } => {
                Question::HeatMap { subset: subset.map(choose)?, per_class: *per_class }
            }
            Self::Overlap { subset, with, bootstrap } => {
                Question::Overlap { subset: subset.map(choose)?, with: with.map(choose)?, bootstrap: *bootstrap }
            }
            Self::Collections { collection, bootstrap } => {
                Question::Collections { collection: collection.map(choose)?, bootstrap: *bootstrap }
            }
            Self::DeletionInsertion { ranking, model, fractions, bootstrap } => Question::DeletionInsertion {
                ranking: ranking.map(choose)?,
                model: one(model, choose)?,
                fractions: fractions.clone(),
                bootstrap: *bootstrap,
            },
            Self::Calibration { model, images, bins } => {
                Question::Calibration { model: one(model, choose)?, images: images.map(choose)?, bins: *bins }
            }
        })
    }
}

/// What `choose` makes of a reference that stands for one thing.
fn one<'a, R, S>(reference: &'a R, choose: &mut impl FnMut(&'a R) -> Vec<S>) -> Option<S> {
    let mut chosen = choose(reference);
    chosen.pop().filter(|_| chosen.is_empty())
}

fn splits<'a, R, S>(images: &'a [(R, Split)], choose: &mut impl FnMut(&'a R) -> Vec<S>) -> Option<Vec<(S, Split)>> {
    images.iter().map(|(source, split)| Some((one(source, choose)?, *split))).collect()
}

/// Where a value is written, also if it came from an axis.
pub(super) fn written(item: &Item<'_>) -> Place {
    item.node.via.unwrap_or(item.node.place)
}
