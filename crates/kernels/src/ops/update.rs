//! What a step of training leaves behind: running statistics and weights.

use candle_core::{Result, Tensor, bail};

#[cfg(feature = "cuda")]
use super::cuda;

/// `values`, of which a `share` is replaced by `others` of the same shape.
///
/// # Errors
/// When shapes differ or the device fails.
pub fn blend(values: &Tensor, others: &Tensor, share: f64) -> Result<Tensor> {
    agree("blend", &[values, others])?;
    #[cfg(feature = "cuda")]
    if values.device().is_cuda() {
        return cuda::compute([values, others], values.shape(), |gpu, [values, others]| {
            cuda::update::blend(gpu, values, others, share)
        });
    }
    (values * (1.0 - share))? + (others * share)?
}

/// How fast weights follow their gradients: stochastic gradient descent with momentum and weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// What steps are multiplied with.
    pub learning_rate: f32,
    /// The share of a velocity that a step keeps.
    pub momentum: f32,
    /// How much of a weight adds to its gradient.
    pub weight_decay: f32,
    /// Whether a step looks ahead, as Nesterov's does.
    pub look_ahead: bool,
}

impl Pace {
    /// Weights and velocities after a step: g += decay w; v = momentum v + g; w -= rate (g + momentum v), or w -= rate v
    /// without look-ahead. The three have one shape.
    ///
    /// # Errors
    /// When shapes differ or the device fails.
    pub fn step(self, weights: &Tensor, velocities: &Tensor, gradients: &Tensor) -> Result<[Tensor; 2]> {
        agree("move", &[weights, velocities, gradients])?;
        #[cfg(feature = "cuda")]
        if weights.device().is_cuda() {
            let gradients = gradients.contiguous()?;
            let operands = [weights, velocities, &gradients];
            let both = cuda::compute(operands, (2, weights.elem_count()), |gpu, operands| {
                cuda::update::descend(gpu, self, operands)
            })?;
            let part = |part: usize| both.get(part)?.reshape(weights.shape());
            return Ok([part(0)?, part(1)?]);
        }
        let Self { learning_rate, momentum, weight_decay, look_ahead } = self;
        let slopes = (gradients + (weights * f64::from(weight_decay))?)?;
        let velocities = ((velocities * f64::from(momentum))? + &slopes)?;
        let steps = if look_ahead { (slopes + (&velocities * f64::from(momentum))?)? } else { velocities.clone() };
        Ok([(weights - (steps * f64::from(learning_rate))?)?, velocities])
    }
}

/// Refuses tensors that are not alike.
fn agree(what: &str, tensors: &[&Tensor]) -> Result<()> {
    for pair in tensors.windows(2) {
        let [first, second] = [pair[0], pair[1]];
        if first.shape() != second.shape() || first.dtype() != second.dtype() {
            bail!("{what} values of {:?} by others of {:?}: they must be alike", first.shape(), second.shape());
        }
        if !first.device().same_device(second.device()) {
            bail!("{what} values on one device by others on another: move them first");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Operand;
    use super::*;

    #[test]
    fn values_that_are_not_alike_are_refused() {
        let [two, three] = [2, 3].map(|count| Operand::random(&[count], 1).frozen());
        assert!(blend(&two, &two, 0.5).is_ok());
        assert!(blend(&two, &three, 0.5).is_err());
        let pace = Pace { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0, look_ahead: false };
        assert!(pace.step(&two, &two, &two).is_ok());
        for [weights, velocities, gradients] in [[&two, &two, &three], [&two, &three, &two], [&three, &two, &two]] {
            assert!(pace.step(weights, velocities, gradients).is_err());
        }
    }
}
