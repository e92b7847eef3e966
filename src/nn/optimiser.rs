//! Stochastic gradient descent with momentum, Nesterov's look-ahead and weight decay, as in `PyTorch`.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp3, Layout, Result, Tensor, Var, bail};
use rayon::prelude::*;

use super::tensors::{TensorsError, download, upload};
use crate::artifacts::ParameterTensor;
use crate::spec::Recipe;

/// Values that one thread handles at a time.
const GRAIN: usize = 1 << 14;

/// The velocity of each weight, and what it is made of. With gradient g, weight w and velocity v:
/// g += decay w; v = momentum v + g; w -= rate (g + momentum v), or w -= rate v without look-ahead.
pub struct Optimiser {
    momentum: f32,
    weight_decay: f32,
    look_ahead: LookAhead,
    velocities: BTreeMap<String, Tensor>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LookAhead {
    Nesterov,
    None,
}

impl Optimiser {
    /// An optimiser of `weights` at rest.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(recipe: &Recipe, weights: &BTreeMap<String, Var>) -> Result<Self> {
        let still: Result<BTreeMap<String, Tensor>> =
            weights.iter().map(|(name, weight)| Ok((name.clone(), weight.zeros_like()?.detach()))).collect();
        Ok(Self {
            momentum: recipe.momentum as f32,
            weight_decay: recipe.weight_decay as f32,
            look_ahead: if recipe.nesterov { LookAhead::Nesterov } else { LookAhead::None },
            velocities: still?,
        })
    }

    /// Takes one step down the gradients. A weight without one is left alone.
    ///
    /// # Errors
    /// When the device fails.
    pub fn step(&mut self, weights: &BTreeMap<String, Var>, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        for (name, weight) in weights {
            let Some(gradient) = gradients.get(weight) else { continue };
            let Some(velocity) = self.velocities.get_mut(name) else { bail!("weight {name} has no velocity") };
            let gradient = gradient.contiguous()?;
            if weight.device().is_cpu() {
                let accelerate = Accelerate { momentum: self.momentum, weight_decay: self.weight_decay };
                velocity.inplace_op3(&gradient, weight, &accelerate)?;
                let advance = Advance {
                    learning_rate: learning_rate as f32,
                    weight_decay: self.weight_decay,
                    momentum: self.momentum,
                    look_ahead: self.look_ahead,
                };
                weight.inplace_op3(&gradient, velocity, &advance)?;
            } else {
                let decayed = (gradient + (weight.as_detached_tensor() * f64::from(self.weight_decay))?)?;
                *velocity = ((&*velocity * f64::from(self.momentum))? + &decayed)?;
                let step = match self.look_ahead {
                    LookAhead::Nesterov => (decayed + (&*velocity * f64::from(self.momentum))?)?,
                    LookAhead::None => velocity.clone(),
                };
                weight.set(&(weight.as_detached_tensor() - (step * learning_rate)?)?)?;
            }
        }
        Ok(())
    }

    /// Copies the velocities to the host.
    ///
    /// # Errors
    /// When the device fails.
    pub fn velocities(&self) -> Result<BTreeMap<String, ParameterTensor>> {
        self.velocities.iter().map(|(name, tensor)| Ok((name.clone(), download(tensor)?))).collect()
    }

    /// Goes on with these velocities, as [`Optimiser::velocities`] gave them.
    ///
    /// # Errors
    /// When they belong to other weights, or the device fails.
    pub fn restore(&mut self, velocities: &BTreeMap<String, ParameterTensor>) -> std::result::Result<(), TensorsError> {
        let fits = |(name, tensor): (&String, &Tensor)| {
            velocities.get(name).is_some_and(|velocity| velocity.shape == tensor.dims())
        };
        if velocities.len() != self.velocities.len() || !self.velocities.iter().all(fits) {
            return Err(TensorsError::Mismatch(vec!["velocities belong to other weights".to_owned()]));
        }
        for (name, tensor) in &mut self.velocities {
            *tensor = upload(&velocities[name], tensor.device())?;
        }
        Ok(())
    }
}

/// v = momentum v + (g + decay w), of velocity, gradient and weight.
struct Accelerate {
    momentum: f32,
    weight_decay: f32,
}

impl InplaceOp3 for Accelerate {
    fn name(&self) -> &'static str {
        "accelerate"
    }

    fn cpu_fwd(
        &self,
        velocity: &mut CpuStorage,
        vl: &Layout,
        gradient: &CpuStorage,
        gl: &Layout,
        weight: &CpuStorage,
        wl: &Layout,
    ) -> Result<()> {
        let (velocity, gradient, weight) = (values_mut(velocity, vl)?, values(gradient, gl)?, values(weight, wl)?);
        velocity.par_iter_mut().with_min_len(GRAIN).zip(gradient).zip(weight).for_each(
            |((velocity, gradient), weight)| {
                *velocity = self.momentum * *velocity + (gradient + self.weight_decay * weight);
            },
        );
        Ok(())
    }
}

/// w -= rate (g + decay w + momentum v), of weight, gradient and velocity.
struct Advance {
    learning_rate: f32,
    weight_decay: f32,
    momentum: f32,
    look_ahead: LookAhead,
}

impl InplaceOp3 for Advance {
    fn name(&self) -> &'static str {
        "advance"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        wl: &Layout,
        gradient: &CpuStorage,
        gl: &Layout,
        velocity: &CpuStorage,
        vl: &Layout,
    ) -> Result<()> {
        let (weight, gradient, velocity) = (values_mut(weight, wl)?, values(gradient, gl)?, values(velocity, vl)?);
        weight.par_iter_mut().with_min_len(GRAIN).zip(gradient).zip(velocity).for_each(
            |((weight, gradient), velocity)| {
                let step = match self.look_ahead {
                    LookAhead::Nesterov => gradient + self.weight_decay * *weight + self.momentum * velocity,
                    LookAhead::None => *velocity,
                };
                *weight -= self.learning_rate * step;
            },
        );
        Ok(())
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("update weights that are not contiguous f32"),
    }
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("update weights that are not contiguous f32"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::spec::Augment;

    fn recipe(nesterov: bool) -> Recipe {
        Recipe {
            epochs: 1,
            batch: 1,
            lr: 0.1,
            momentum: 0.9,
            nesterov,
            weight_decay: 0.05,
            milestones: Vec::new(),
            gamma: 1.0,
            augment: Augment::None,
        }
    }

    /// Three steps on the loss sum(w^2 * [1, 2, 3]) / 2, whose gradient is w * [1, 2, 3].
    fn descend(nesterov: bool) -> Vec<f32> {
        let weight = Var::from_slice(&[1.0_f32, -2.0, 0.5], 3, &Device::Cpu).unwrap();
        let factors = Tensor::new(&[0.5_f32, 1.0, 1.5], &Device::Cpu).unwrap();
        let weights = BTreeMap::from([("w".to_owned(), weight)]);
        let mut optimiser = Optimiser::new(&recipe(nesterov), &weights).unwrap();
        for learning_rate in [0.1, 0.1, 0.02] {
            let loss = (weights["w"].sqr().unwrap() * &factors).unwrap().sum_all().unwrap();
            optimiser.step(&weights, &loss.backward().unwrap(), learning_rate).unwrap();
        }
        weights["w"].to_vec1().unwrap()
    }

    #[test]
    fn steps_equal_pytorchs() {
        // torch.optim.SGD(lr=.1, momentum=.9, weight_decay=.05), two steps, then lr .02 and one more:
        // tests/fixtures/models/make.py prints these.
        let close = |found: Vec<f32>, expected: [f32; 3]| {
            assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
        };
        close(descend(true), NESTEROV);
        close(descend(false), PLAIN);
    }

    const NESTEROV: [f32; 3] = [0.504_650_35, -0.280_795_54, -0.063_668_005];
    const PLAIN: [f32; 3] = [0.657_762_47, -0.733_261_94, 0.054_119_743];
}
