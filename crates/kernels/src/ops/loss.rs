//! The loss of training: cross-entropy of a softmax.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

#[cfg(feature = "cuda")]
use super::cuda::{self, Operand};
use super::values::{Values, slice, stored, tensor};

/// The mean over the batch of -log softmax(logits)\[label\], a scalar. `logits` are `[batch, classes]`.
///
/// # Errors
/// When there is not one label per row, or a label names no class.
pub fn cross_entropy(logits: &Tensor, labels: &[u32]) -> Result<Tensor> {
    let (batch, classes) = logits.dims2()?;
    if labels.len() != batch || batch == 0 {
        bail!("compare {batch} rows of logits with {} labels: one label a row, and at least one", labels.len());
    }
    if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
        bail!("compare logits of {classes} classes with label {label}: labels count from 0");
    }
    let op = CrossEntropy {
        labels: labels.to_vec(),
        #[cfg(feature = "cuda")]
        on_device: Tensor::new(labels, logits.device())?,
    };
    logits.contiguous()?.apply_op1(op)
}

/// The same where each label is told only by 1 - `smoothing`, and the rest by all classes alike (Szegedy et al. 2016, section 7).
///
/// # Errors
/// As [`cross_entropy`].
pub fn smooth_cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    let sharp = cross_entropy(logits, labels)?;
    if smoothing == 0.0 {
        return Ok(sharp);
    }
    let (batch, classes) = logits.dims2()?;
    // About the largest so that nothing overflows, which is no part of the gradient.
    let about = logits.max_keepdim(1)?.detach();
    let logits = logits.broadcast_sub(&about)?;
    let alike = ((logits.exp()?.sum(1)?.log()?.sum(0)? - (logits.sum_all()? / classes as f64)?)? / batch as f64)?;
    (sharp * (1.0 - smoothing))? + (alike * smoothing)?
}

struct CrossEntropy {
    labels: Vec<u32>,
    /// The labels where the logits lie.
    #[cfg(feature = "cuda")]
    on_device: Tensor,
}

/// The mean loss over rows of `logits` `[batch, classes]`, one label a row.
///
/// # Panics
/// When a label names no class.
#[must_use]
pub fn softmax_loss(logits: &[f32], labels: &[u32]) -> f32 {
    smooth_softmax_loss(logits, labels, 0.0)
}

/// The same where each label is told only by 1 - `smoothing`, and the rest by all classes alike.
///
/// # Panics
/// When a label names no class.
#[must_use]
pub fn smooth_softmax_loss(logits: &[f32], labels: &[u32], smoothing: f64) -> f32 {
    let rows = logits.chunks_exact(logits.len() / labels.len());
    let told = |row: &[f32], label: u32| {
        let own = f64::from(row[label as usize]);
        if smoothing == 0.0 {
            return own;
        }
        let mean = row.iter().copied().map(f64::from).sum::<f64>() / row.len() as f64;
        (1.0 - smoothing) * own + smoothing * mean
    };
    let total: f64 = rows.zip(labels).map(|(row, &label)| log_sum(row) - told(row, label)).sum();
    (total / labels.len() as f64) as f32
}

/// The gradient of [`softmax_loss`] times `factor`: (softmax - one-hot) / batch.
#[must_use]
pub fn softmax_loss_gradient(logits: &[f32], labels: &[u32], factor: f32) -> Vec<f32> {
    smooth_softmax_loss_gradient(logits, labels, 0.0, factor)
}

/// The gradient of [`smooth_softmax_loss`] times `factor`.
#[must_use]
pub fn smooth_softmax_loss_gradient(logits: &[f32], labels: &[u32], smoothing: f64, factor: f32) -> Vec<f32> {
    let classes = logits.len() / labels.len();
    let [other, own] = [0.0, 1.0 - smoothing].map(|sharp| sharp + smoothing / classes as f64);
    let factor = f64::from(factor) / labels.len() as f64;
    let mut out = Vec::with_capacity(logits.len());
    for (row, &label) in logits.chunks_exact(logits.len() / labels.len()).zip(labels) {
        let log_sum = log_sum(row);
        for (class, &logit) in row.iter().enumerate() {
            let target = if class == label as usize { own } else { other };
            out.push((factor * ((f64::from(logit) - log_sum).exp() - target)) as f32);
        }
    }
    out
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(stored(vec![softmax_loss(slice(logits, layout)?, &self.labels)], ()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, logits: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (labels, labels_layout) = self.on_device.storage_and_layout();
        let labels = Operand::of(cuda::source_of(&labels)?, labels_layout)?;
        Ok((cuda::loss::cross_entropy(&logits.device, Operand::of(logits, layout)?, labels)?, ().into()))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !logits.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if logits.device().is_cuda() {
            let gradient = gradient.contiguous()?;
            return cuda::compute(
                [logits, &self.on_device, &gradient],
                logits.shape(),
                |gpu, [logits, labels, slope]| cuda::loss::cross_entropy_gradient(gpu, logits, labels, slope),
            )
            .map(Some);
        }
        let out = softmax_loss_gradient(&Values::of(logits)?, &self.labels, gradient.to_scalar()?);
        tensor(out, logits.shape()).map(Some)
    }
}

/// log(sum(exp(row))), about the largest so that nothing overflows; NaN if any logit is.
fn log_sum(row: &[f32]) -> f64 {
    let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    largest + row.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Operand, check, values};
    use super::{cross_entropy, smooth_cross_entropy, smooth_softmax_loss, smooth_softmax_loss_gradient};

    #[test]
    fn values_and_gradients_follow_the_definition() {
        let labels = [2, 0, 3];
        let operands = [Operand::random(&[3, 4], 1)];
        let oracle = |x: &[Vec<f64>]| -> Vec<f64> {
            let loss = |(row, label): (&[f64], &u32)| -> f64 {
                row.iter().map(|logit| logit.exp()).sum::<f64>().ln() - row[*label as usize]
            };
            vec![x[0].chunks(4).zip(&labels).map(loss).sum::<f64>() / 3.0]
        };
        check(&operands, oracle, |t| cross_entropy(t[0], &labels));
    }

    #[test]
    fn smoothed_labels_follow_the_definition_in_both_forms() {
        let (labels, smoothing) = ([2, 0, 3], 0.1);
        let operands = [Operand::random(&[3, 4], 1)];
        let oracle = |x: &[Vec<f64>]| -> Vec<f64> {
            let loss = |(row, label): (&[f64], &u32)| -> f64 {
                let log_sum = row.iter().map(|logit| logit.exp()).sum::<f64>().ln();
                let target =
                    |class: usize| smoothing / 4.0 + if class == *label as usize { 1.0 - smoothing } else { 0.0 };
                row.iter().enumerate().map(|(class, logit)| target(class) * (log_sum - logit)).sum()
            };
            vec![x[0].chunks(4).zip(&labels).map(loss).sum::<f64>() / 3.0]
        };
        check(&operands, oracle, |t| smooth_cross_entropy(t[0], &labels, smoothing));
        let logits: Vec<f32> = operands[0].values.iter().map(|value| *value as f32).collect();
        let expected = oracle(&[logits.iter().copied().map(f64::from).collect()])[0];
        assert!((f64::from(smooth_softmax_loss(&logits, &labels, smoothing)) - expected).abs() < 1e-6);
        let gradient = smooth_softmax_loss_gradient(&logits, &labels, smoothing, 1.0);
        for place in 0..12 {
            let moved = |by: f64| {
                let mut logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
                logits[place] += by;
                oracle(&[logits])[0]
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((f64::from(gradient[place]) - slope).abs() < 1e-6, "{place}: {} for {slope}", gradient[place]);
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let operand = Operand { dims: vec![1, 2], values: vec![1000.0, 0.0] };
        let loss = cross_entropy(&operand.frozen(), &[1]).expect("one label");
        assert_eq!(values(&loss), [1000.0]);
    }

    #[test]
    fn a_label_without_a_class_is_an_error() {
        let logits = Operand::random(&[1, 2], 1).frozen();
        assert!(cross_entropy(&logits, &[2]).is_err());
        assert!(cross_entropy(&logits, &[0, 1]).is_err());
    }
}
