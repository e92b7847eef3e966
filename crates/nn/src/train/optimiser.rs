//! Stochastic gradient descent with momentum, Nesterov's look-ahead and weight decay, as in `PyTorch`.

use rayon::prelude::*;

use overinterp_kernels::ops::Pace;
use overinterp_spec::Recipe;

/// Values that one thread handles at a time.
const GRAIN: usize = 1 << 14;

/// How a weight w of velocity v follows its gradient g: g += decay w; v = momentum v + g;
/// w -= rate (g + momentum v), or w -= rate v without look-ahead.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    momentum: f32,
    weight_decay: f32,
    look_ahead: LookAhead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookAhead {
    Nesterov,
    None,
}

impl Sgd {
    /// What a recipe says.
    #[must_use]
    pub const fn new(recipe: &Recipe) -> Self {
        Self {
            momentum: recipe.momentum as f32,
            weight_decay: recipe.weight_decay as f32,
            look_ahead: if recipe.nesterov { LookAhead::Nesterov } else { LookAhead::None },
        }
    }

    /// Takes one step in place. The three have one length.
    pub fn update(self, weight: &mut [f32], velocity: &mut [f32], gradient: &[f32], learning_rate: f64) {
        let learning_rate = learning_rate as f32;
        let parts = weight.par_chunks_mut(GRAIN).zip(velocity.par_chunks_mut(GRAIN)).zip(gradient.par_chunks(GRAIN));
        parts.for_each(|((weight, velocity), gradient)| {
            for ((weight, velocity), gradient) in weight.iter_mut().zip(velocity).zip(gradient) {
                let decayed = gradient + self.weight_decay * *weight;
                *velocity = self.momentum * *velocity + decayed;
                let step = match self.look_ahead {
                    LookAhead::Nesterov => decayed + self.momentum * *velocity,
                    LookAhead::None => *velocity,
                };
                *weight -= learning_rate * step;
            }
        });
    }

    /// The same steps for tensors, at one learning rate.
    #[must_use]
    pub fn pace(self, learning_rate: f64) -> Pace {
        Pace {
            learning_rate: learning_rate as f32,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            look_ahead: self.look_ahead == LookAhead::Nesterov,
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;

    /// Three steps of torch.optim.SGD (rate .1, .1, .02; momentum .9; decay .05) on the loss sum(w^2 [1, 2, 3]) / 2,
    /// with look-ahead and without: tests/fixtures/models/make.py prints these.
    const PYTORCH: [(bool, [f32; 3]); 2] =
        [(true, [0.504_650_35, -0.280_795_54, -0.063_668_005]), (false, [0.657_762_47, -0.733_261_94, 0.054_119_743])];
    const START: [f32; 3] = [1.0, -2.0, 0.5];
    const RATES: [f64; 3] = [0.1, 0.1, 0.02];

    fn sgd(nesterov: bool) -> Sgd {
        Sgd::new(&Recipe { batch: 1, nesterov, weight_decay: 0.05, ..Recipe::usual(1) })
    }

    fn assert_close(found: &[f32], expected: [f32; 3]) {
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn steps_in_place_equal_pytorchs() {
        for (nesterov, expected) in PYTORCH {
            let (mut weight, mut velocity) = (START, [0.0; 3]);
            for rate in RATES {
                let gradient: Vec<f32> = weight.iter().zip([1.0, 2.0, 3.0]).map(|(w, factor)| w * factor).collect();
                sgd(nesterov).update(&mut weight, &mut velocity, &gradient, rate);
            }
            assert_close(&weight, expected);
        }
    }

    #[test]
    fn steps_on_a_device_equal_pytorchs() {
        for (nesterov, expected) in PYTORCH {
            let mut weight = Tensor::new(&START, &Device::Cpu).unwrap();
            let mut velocity = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
            let factors = Tensor::new(&[1.0_f32, 2.0, 3.0], &Device::Cpu).unwrap();
            for rate in RATES {
                let gradient = (&weight * &factors).unwrap();
                [weight, velocity] = sgd(nesterov).pace(rate).step(&weight, &velocity, &gradient).unwrap();
            }
            assert_close(&weight.to_vec1::<f32>().unwrap(), expected);
        }
    }
}
