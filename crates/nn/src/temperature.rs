//! Temperature scaling: one number by which a model's logits are divided, so that its confidence is that of the share of
//! images which it classifies as labelled (Guo et al. 2017, section 4.2).

use crate::arch::{self, ArchError};
use crate::graph::Op;
use overinterp_artifacts::{Model, Network};

/// Steps of halving that reach the precision of a number.
const HALVINGS: usize = 200;

/// The temperature that suits some images best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// What logits are divided by.
    pub temperature: f64,
    /// Mean cross-entropy of the images at temperature 1.
    pub before: f64,
    /// The same at `temperature`.
    pub after: f64,
}

/// Why there is no temperature.
#[derive(Debug, thiserror::Error)]
pub enum TemperatureError {
    /// Nothing to fit.
    #[error("cannot fit a temperature to no images")]
    Empty,
    /// No finite 1/T is best.
    #[error(
        "cannot fit a temperature: no image is misclassified, so that the colder, the better; hold out images that the \
         model was not trained on, or more of them"
    )]
    AllCorrect,
    /// No T is better than an infinite one.
    #[error(
        "cannot fit a temperature: the model's logits say less of these labels than none would; hold out images of the \
         kind that the model was trained on"
    )]
    Uninformative,
    /// An architecture cannot take the model's images.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// The logits do not come out of a linear layer whose weights could be divided.
    #[error(
        "cannot scale a network of architecture {arch}: it does not end with a linear layer that has weights and biases"
    )]
    NoLinearLayer {
        /// Its architecture.
        arch: overinterp_spec::Arch,
    },
}

/// Finds the temperature T at which the mean cross-entropy of `logits / T` is least; `logits` are `[images, classes]`.
///
/// Cross-entropy is convex in 1/T, so that its slope there changes sign once; the place is found by halving, to the
/// last bit. Sums run in the images' order, so that the result is always the same.
///
/// # Errors
/// When there are no images, or no finite T above 0 is best.
pub fn fit(logits: &[f32], classes: usize, labels: &[u16]) -> Result<Fit, TemperatureError> {
    if labels.is_empty() {
        return Err(TemperatureError::Empty);
    }
    let images = Images { logits, classes, labels };
    if images.rows().all(|(_, largest, label)| label >= largest) {
        return Err(TemperatureError::AllCorrect);
    }
    if images.slope(0.0) >= 0.0 {
        return Err(TemperatureError::Uninformative);
    }
    // A misclassified image outweighs all others in the end, so that this does.
    let (mut below, mut above) = (0.0, 1.0);
    while images.slope(above) < 0.0 {
        (below, above) = (above, 2.0 * above);
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(below, above);
        if middle <= below || middle >= above {
            break;
        }
        if images.slope(middle) < 0.0 { below = middle } else { above = middle }
    }
    Ok(Fit { temperature: 1.0 / above, before: images.cross_entropy(1.0), after: images.cross_entropy(above) })
}

/// What is fitted to.
struct Images<'a> {
    logits: &'a [f32],
    classes: usize,
    labels: &'a [u16],
}

impl Images<'_> {
    /// Each image's logits, the largest of them, and that of its label.
    fn rows(&self) -> impl Iterator<Item = (&[f32], f64, f64)> {
        self.logits.chunks_exact(self.classes).zip(self.labels).map(|(row, label)| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            (row, f64::from(largest), f64::from(row[usize::from(*label)]))
        })
    }

    /// The slope of the summed cross-entropy with respect to 1/T: by how much the mean logit under the softmax lies
    /// above that of the label.
    fn slope(&self, inverse: f64) -> f64 {
        let of_image = |(row, largest, label): (&[f32], f64, f64)| {
            let (mut weight, mut sum) = (0.0, 0.0);
            for &logit in row {
                let logit = f64::from(logit);
                let share = (inverse * (logit - largest)).exp();
                weight += share;
                sum += share * logit;
            }
            sum / weight - label
        };
        self.rows().map(of_image).sum()
    }

    fn cross_entropy(&self, inverse: f64) -> f64 {
        let of_image = |(row, largest, label): (&[f32], f64, f64)| {
            let total: f64 = row.iter().map(|&logit| (inverse * (f64::from(logit) - largest)).exp()).sum();
            total.ln() - inverse * (label - largest)
        };
        self.rows().map(of_image).sum::<f64>() / self.labels.len() as f64
    }
}

/// The model whose logits are those of `model` divided by `temperature`, within rounding: the weights and biases of each
/// network's last layer are divided, so that it is a model like any other wherever one goes.
///
/// # Errors
/// When a network does not end with a linear layer.
pub fn scale(mut model: Model, temperature: f64) -> Result<Model, TemperatureError> {
    for network in &mut model.networks {
        let graph = arch::build(network.arch, model.shape, model.classes)?;
        let Network { arch, tensors, log, .. } = network;
        let arch = *arch;
        let no_linear_layer = || TemperatureError::NoLinearLayer { arch };
        let Some(Op::Linear { name }) = graph.nodes().last().map(|node| &node.op) else {
            return Err(no_linear_layer());
        };
        for part in ["weight", "bias"] {
            let tensor = tensors.get_mut(&format!("{name}.{part}")).ok_or_else(no_linear_layer)?;
            for value in &mut tensor.data {
                *value = (f64::from(*value) / temperature) as f32;
            }
        }
        // How it was trained is told by the model that was scaled.
        log.clear();
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::formula;
    use crate::images::batches::Samples;
    use crate::observer::Unobserved;
    use crate::predict;
    use overinterp_artifacts::ImageSet;
    use overinterp_spec::{Arch, Fraction, ImageShape, Normalise, Seed, SeededDropout};

    /// Two classes; every image has logits (margin, 0), and three of four are of class 0.
    fn three_of_four(margin: f32) -> Fit {
        let logits = [margin, 0.0].repeat(8);
        fit(&logits, 2, &[0, 0, 0, 1, 0, 1, 0, 0]).unwrap()
    }

    #[test]
    fn confidence_becomes_the_share_of_correct_images() {
        // The logistic of margin / T is 3/4 where margin / T = ln 3.
        for margin in [4.0, 0.5, 40.0] {
            let found = three_of_four(margin);
            assert!((found.temperature - f64::from(margin) / 3.0_f64.ln()).abs() < 1e-9, "{found:?}");
            // The entropy of 3/4.
            let entropy = -(0.75 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln());
            assert!((found.after - entropy).abs() < 1e-9 && found.before > found.after, "{found:?}");
        }
    }

    #[test]
    fn a_calibrated_model_keeps_its_temperature() {
        let found = three_of_four(3.0_f32.ln());
        assert!((found.temperature - 1.0).abs() < 1e-6 && (found.before - found.after).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn no_other_temperature_is_better() {
        let logits: Vec<f32> = (0..300_u32).map(|place| (place * 7919 % 101) as f32 / 20.0).collect();
        let labels: Vec<u16> = logits
            .chunks(3)
            .enumerate()
            .map(|(image, row)| {
                // Seven of ten as predicted.
                let best = (1..3).fold(0, |best, class| if row[class] > row[best] { class } else { best });
                ((best + usize::from(image % 10 > 6)) % 3) as u16
            })
            .collect();
        let images = Images { logits: &logits, classes: 3, labels: &labels };
        let found = fit(&logits, 3, &labels).unwrap();
        for factor in [0.5, 0.99, 0.9999, 1.0001, 1.01, 2.0] {
            let other = images.cross_entropy(1.0 / (found.temperature * factor));
            assert!(other > found.after, "{factor}: {other} {found:?}");
        }
        assert_eq!(fit(&logits, 3, &labels).unwrap(), found);
    }

    #[test]
    fn where_no_temperature_is_best_it_is_said_why() {
        assert!(matches!(fit(&[2.0, 0.0, 0.0, 3.0], 2, &[0, 1]), Err(TemperatureError::AllCorrect)));
        assert!(matches!(fit(&[2.0, 0.0, 0.0, 3.0], 2, &[1, 0]), Err(TemperatureError::Uninformative)));
        assert!(matches!(fit(&[2.0, 0.0, 1.0, 2.0], 2, &[1, 1]), Err(TemperatureError::Uninformative)));
        assert!(matches!(fit(&[0.0, 0.0], 2, &[1]), Err(TemperatureError::AllCorrect)));
        assert!(matches!(fit(&[], 2, &[]), Err(TemperatureError::Empty)));
    }

    #[test]
    fn logits_of_every_network_are_divided() {
        let shape = ImageShape { height: 8, width: 8, channels: 3 };
        let normalise = Normalise { mean: vec![100.0; 3], std: vec![50.0; 3] };
        let network = |arch, input_dropout| {
            let tensors = formula::tensors(&arch::build(arch, shape, 3).unwrap(), 1.0);
            Network { arch, normalise: normalise.clone(), input_dropout, tensors, log: Vec::new() }
        };
        let dropout = SeededDropout { keep: Fraction::try_from(0.8).unwrap(), samples: 2, seed: Seed(1) };
        let networks = vec![network(Arch::Cnn, None), network(Arch::Resnet20, Some(dropout))];
        let model = Model { shape, classes: 3, networks };
        let images = ImageSet {
            shape,
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            normalise: normalise.clone(),
            pixels: (0..5 * shape.bytes() as u32).map(|index| (index * 97 % 256) as u8).collect(),
            labels: vec![0; 5],
        };
        let logits =
            |model: &Model| predict::logits(model, Samples::whole(&images), &Device::Cpu, &Unobserved).unwrap();
        let (plain, scaled) = (logits(&model), logits(&scale(model.clone(), 2.5).unwrap()));
        assert!(plain.iter().any(|logit| logit.abs() > 0.1));
        for (plain, scaled) in plain.iter().zip(&scaled) {
            assert!((plain / 2.5 - scaled).abs() < 1e-5, "{scaled} for {plain}");
        }
    }

    #[test]
    fn every_architecture_can_be_scaled() {
        for arch in Arch::ALL {
            // Each at a size that it takes.
            let sized = |side| arch::build(arch, ImageShape { height: side, width: side, channels: 3 }, 2).ok();
            let graph = [32, 224, 299].into_iter().find_map(sized).unwrap();
            assert!(matches!(graph.nodes().last().map(|node| &node.op), Some(Op::Linear { .. })), "{arch}");
        }
    }
}
