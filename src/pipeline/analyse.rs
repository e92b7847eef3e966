//! Analyses: which step answers which question, and what its answer is about.

use overinterp_artifacts::{Analysis, Ranking, Subsets};
use overinterp_config::experiment::{Half, StageRef};
use overinterp_config::questions::{self, Question};
use overinterp_spec::Metric;
use overinterp_stages::{
    AnalyseCalibration, AnalyseCollections, AnalyseConfidenceCurve, AnalyseDeletionInsertion, AnalyseHeatMap,
    AnalyseMaskedConfidence, AnalyseOverlap, AnalyseSisSize, DataSplit, Env,
};
use overinterp_workflow::key::Key;
use overinterp_workflow::stage::Stage;

use super::images::{Facts, KnownSplit};
use super::{Collected, Outcome, Planner, label};

/// An analysis of an experiment.
#[derive(Debug)]
pub struct Analysed {
    /// Where its answer will be found.
    pub outcome: Outcome<Analysis>,
    /// The numbers that the answer has.
    pub metrics: &'static [Metric],
}

impl<'a> Planner<'a> {
    pub(super) fn analyse(&mut self, at: &StageRef, question: &'a Question) {
        match question {
            Question::SisSize(questions::SisSize { ranking, threshold, thresholds, bootstrap }) => {
                let Some((rankings, split)) = self.ranking_of(ranking) else { return };
                let (threshold, thresholds, bootstrap) = (*threshold, thresholds.clone(), *bootstrap);
                let images = split.data.clone();
                let analyse = AnalyseSisSize { rankings, images, threshold, thresholds, bootstrap };
                self.analysis(at, question, analyse, ranking, &split);
            }
            Question::ConfidenceCurve(questions::ConfidenceCurve { ranking, bootstrap }) => {
                let Some((rankings, split)) = self.ranking_of(ranking) else { return };
                let analyse = AnalyseConfidenceCurve { rankings, bootstrap: *bootstrap };
                self.analysis(at, question, analyse, ranking, &split);
            }
            Question::MaskedConfidence(questions::MaskedConfidence { ranking }) => {
                let Some((rankings, split)) = self.ranking_of(ranking) else { return };
                let analyse = AnalyseMaskedConfidence { rankings, images: split.data.clone() };
                self.analysis(at, question, analyse, ranking, &split);
            }
            Question::HeatMap(questions::HeatMap { subset, per_class }) => {
                let Some((key, split)) = self.subsets_of(subset) else { return };
                let analyse = AnalyseHeatMap { subset: key, images: split.data.clone(), per_class: *per_class };
                self.analysis(at, question, analyse, subset, &split);
            }
            Question::Overlap(questions::Overlap { subset, with, bootstrap }) => {
                let Some((key, split)) = self.subsets_of(subset) else { return };
                let Some((other, _)) = self.subsets_of(with) else { return };
                let analyse = AnalyseOverlap { subset: key, with: other, bootstrap: *bootstrap };
                self.analysis(at, question, analyse, subset, &split);
            }
            Question::Collections(questions::Collections { collection, bootstrap }) => {
                let Some((collections, split)) = self.collections_of(collection) else { return };
                let analyse = AnalyseCollections { collections, bootstrap: *bootstrap };
                self.analysis(at, question, analyse, collection, &split);
            }
            Question::DeletionInsertion(questions::DeletionInsertion { ranking, model, fractions, bootstrap }) => {
                let Some((rankings, split)) = self.ranking_of(ranking) else { return };
                let (asked, images) = (self.models[model].clone(), split.data.clone());
                let (fractions, bootstrap) = (fractions.clone(), *bootstrap);
                let points = fractions.len() + 2;
                let (model_key, scoring) = (asked.clone(), self.workload.scoring(asked.step()));
                let analyse =
                    AnalyseDeletionInsertion { rankings, model: model_key, scoring, images, fractions, bootstrap };
                let key = self.step(analyse, label(at), split.absent.clone());
                let evaluated = Facts { images: 2 * points * split.images, ..Facts::clone(&split) };
                self.workload.evaluate(key.step(), asked.step(), &evaluated);
                let images = format!("{}.{}", split.data.source.name, split.data.split);
                self.answer(at, question, key, model.stage.clone(), images, split.data.clone());
            }
            Question::Calibration(questions::Calibration { model, images, bins }) => {
                let (evaluation, name, images) = self.evaluation(at, model, images);
                let calibration = AnalyseCalibration { evaluation, bins: *bins };
                let key = self.step(calibration, label(at), None);
                self.answer(at, question, key, model.stage.clone(), name, images.data);
            }
        }
    }

    fn analysis<S: Stage<Env, Output = Analysis>>(
        &mut self,
        at: &StageRef,
        question: &Question,
        stage: S,
        of: &Half,
        split: &KnownSplit,
    ) {
        let key = self.step(stage, label(at), split.absent.clone());
        let subset = |half: &Half| format!("{}.{}", half.stage.stage, half.split);
        let images = match question {
            Question::Overlap(questions::Overlap { subset: one, with, .. }) => {
                format!("{} and {}", subset(one), subset(with))
            }
            _ if self.subsets_of(of).is_some() => subset(of),
            _ => format!("{}.{}", split.data.source.name, split.data.split),
        };
        let model = self.asked.get(&of.stage).cloned().unwrap_or_default();
        self.answer(at, question, key, model, images, split.data.clone());
    }

    fn answer(
        &mut self,
        at: &StageRef,
        question: &Question,
        key: Key<Analysis>,
        model: String,
        images: String,
        data: DataSplit,
    ) {
        let (stage, cell, data) = (at.stage.clone(), at.cell.clone(), Some(data));
        let outcome = Outcome { stage, model, images, data, cell, key };
        self.results.analyses.push(Analysed { outcome, metrics: question.metrics() });
    }

    fn ranking_of(&self, half: &Half) -> Option<(Vec<Key<Ranking>>, KnownSplit)> {
        self.ranked(&half.stage).into_iter().find(|(_, split)| split.data.split == half.split)
    }

    fn subsets_of(&self, half: &Half) -> Option<(Key<Subsets>, KnownSplit)> {
        self.subsets.get(&(half.stage.clone(), half.split)).cloned()
    }

    fn collections_of(&self, half: &Half) -> Option<Collected> {
        self.collections.get(&(half.stage.clone(), half.split)).cloned()
    }
}
