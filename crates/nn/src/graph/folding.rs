//! Batch norm at rest, which is a line for each channel, and how a layer before it takes that in.

/// What a batch norm with running statistics does to each channel: x * scale + shift.
pub(crate) struct Line {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Line {
    /// Of the batch norm with these tensors: `weight`, `bias`, `running_mean` and `running_var`.
    pub(crate) fn of<'t>(epsilon: f64, tensor: impl Fn(&str) -> &'t [f32]) -> Self {
        let tensor = |name| tensor(name).iter().map(|value| f64::from(*value));
        let scale: Vec<f64> = tensor("weight")
            .zip(tensor("running_var"))
            .map(|(weight, variance)| weight / (variance + epsilon).sqrt())
            .collect();
        let shift = tensor("bias").zip(tensor("running_mean")).zip(&scale);
        Self { shift: shift.map(|((bias, mean), scale)| bias - mean * scale).collect(), scale }
    }

    /// Scale and shift as numbers of a layer.
    pub(crate) fn rounded(&self) -> [Vec<f32>; 2] {
        [&self.scale, &self.shift].map(|values| values.iter().map(|value| *value as f32).collect())
    }

    /// Puts itself behind a layer with weights `[channels, ...]` and a bias `[channels]`, rounding once.
    pub(crate) fn put_behind(&self, weights: &mut [f32], bias: &mut [f32]) {
        let per_channel = weights.len() / self.scale.len();
        for (weights, scale) in weights.chunks_exact_mut(per_channel).zip(&self.scale) {
            for weight in weights {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        for (bias, (scale, shift)) in bias.iter_mut().zip(self.scale.iter().zip(&self.shift)) {
            *bias = (f64::from(*bias) * scale + shift) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_with_the_line_behind_it_yields_what_both_yield() {
        // Two channels: 2 (x - 1) / 2 + 3 and 5 (x + 2) / .5 - 1, epsilon being .01 beside variances 3.99 and .24.
        let line = Line::of(0.01, |name| match name {
            "weight" => &[2.0, 5.0],
            "bias" => &[3.0, -1.0],
            "running_mean" => &[1.0, -2.0],
            _ => &[3.99, 0.24],
        });
        let near = |found: &[f32], expected: &[f32]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
        };
        let [scale, shift] = line.rounded();
        near(&scale, &[1.0, 10.0]);
        near(&shift, &[2.0, 19.0]);
        let (mut weights, mut bias) = ([1.0, -1.0, 0.5, 2.0], [4.0, -3.0]);
        line.put_behind(&mut weights, &mut bias);
        near(&weights, &[1.0, -1.0, 5.0, 20.0]);
        near(&bias, &[6.0, -11.0]);
    }
}
