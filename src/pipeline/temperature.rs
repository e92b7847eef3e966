//! Temperature scaling: one step that fits, one that scales.

use overinterp_config::experiment::StageRef;
use overinterp_config::kinds;
use overinterp_spec::Metric;
use overinterp_stages::{FitTemperature, ScaleModel};
use overinterp_workflow::plan::Label;

use super::images::Facts;
use super::{Analysed, Outcome, Planner, label};

impl Planner<'_> {
    pub(super) fn temperature(&mut self, at: StageRef, temperature: &kinds::Temperature) {
        let kinds::Temperature { model, images: (source, half), last } = temperature;
        let (half, last) = (*half, *last);
        let split = self.split(source, half);
        let unscaled = self.models[model].clone();
        let fit = FitTemperature { model: unscaled.clone(), images: split.data.clone(), last };
        let fitted = self.step(fit, Label { part: Some("fit".to_owned()), ..label(&at) }, split.absent.clone());
        let images = last.map_or(split.images, |last| last.min(split.images));
        self.workload.evaluate(fitted.step(), unscaled.step(), &Facts { images, ..Facts::clone(&split) });
        let scale = ScaleModel { model: unscaled.clone(), temperature: fitted.clone() };
        let key = self.step(scale, label(&at), None);
        self.workload.ensemble(key.step(), &[unscaled.step().clone()]);
        let outcome = Outcome {
            stage: at.stage.clone(),
            model: model.stage.clone(),
            images: format!("{}.{half}", source.stage),
            data: Some(split.data.clone()),
            cell: at.cell.clone(),
            key: fitted,
        };
        self.results.analyses.push(Analysed { outcome, metrics: &[Metric::Temperature] });
        self.model(at, key);
    }
}
