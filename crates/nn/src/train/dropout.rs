//! What dropout zeroes: a pure function of the seed, the layer and the training step.

use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use crate::graph::NodeId;
use overinterp_spec::Seed;

/// Which values a batch loses.
#[derive(Clone, Copy, Debug)]
pub struct DropoutDraw {
    /// The training's seed.
    pub seed: Seed,
    /// Training steps before this one.
    pub step: u64,
}

impl DropoutDraw {
    /// 0 with probability `rate` and else 1/(1-rate), `per_image` values an image, for the layer at `node`. Each image
    /// has its own sequence of the stream, so that images can be drawn in any order.
    #[must_use]
    pub fn factors(self, node: NodeId, rate: f64, images: usize, per_image: usize) -> Vec<f32> {
        let stream = self.seed.stream(&format!("dropout {}", node.0), self.step);
        #[expect(clippy::cast_sign_loss, reason = "a probability is positive")]
        let dropped_below = (rate * 2.0_f64.powi(32)) as u64;
        let kept = (1.0 / (1.0 - rate)) as f32;
        let mut factors = vec![0.0; images * per_image];
        factors.par_chunks_mut(per_image).enumerate().for_each(|(image, factors)| {
            let mut stream = stream.clone();
            stream.set_stream(image as u64);
            for factor in factors {
                *factor = if u64::from(stream.next_u32()) < dropped_below { 0.0 } else { kept };
            }
        });
        factors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_mean_and_depends_on_seed_layer_step_and_image() {
        let draw = |seed, step, node| DropoutDraw { seed: Seed(seed), step }.factors(NodeId(node), 0.3, 4, 5_000);
        let factors = draw(1, 0, 5);
        let dropped = factors.iter().filter(|&&factor| factor == 0.0).count();
        // Four standard errors of a binomial of 20,000 draws.
        assert!((dropped as f64 - 6_000.0).abs() < 4.0 * (20_000.0_f64 * 0.3 * 0.7).sqrt(), "{dropped}");
        assert!(factors.iter().all(|&factor| factor == 0.0 || (factor - 1.0 / 0.7).abs() < 1e-6));
        assert_eq!(factors, draw(1, 0, 5));
        assert_ne!(factors[..5_000], factors[5_000..10_000]);
        for other in [draw(2, 0, 5), draw(1, 1, 5), draw(1, 0, 6)] {
            assert_ne!(factors, other);
        }
    }
}
