//! How much there is to compute, and how fast a machine computes it.

use serde::{Deserialize, Serialize};

use super::{Arch, ImageShape};

/// Something that a network does with one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// Learning from it: forward pass, backward pass and its share of a step.
    Learn,
    /// Classifying it, by a forward pass.
    Classify,
    /// Scoring it with one more pixel masked, in backward selection.
    Score,
    /// The confidence's gradient with respect to its mask.
    Differentiate,
    /// Selecting backwards, counted in the candidates of an exhaustive selection, of which a sure network needs few.
    Select,
    /// Finding all its disjoint sufficient input subsets: a selection each, and nobody knows how many.
    Collect,
}

/// So many times one activity of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The network that does it.
    pub arch: Arch,
    /// The size of the images that it is done with.
    pub shape: ImageShape,
    /// What is done.
    pub activity: Activity,
    /// How often it is done; where a network answers by the mean over samples, once for each.
    pub times: u64,
    /// The model that does it, by a number of its own: how much a selection costs depends on the weights.
    pub model: u64,
}

/// What a machine was measured to do with one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The network that was measured.
    pub arch: Arch,
    /// The size of the images that it was measured with.
    pub image: ImageShape,
    /// The CPU, as it calls itself; empty in rates that were kept before it was noted.
    #[serde(default)]
    pub processor: String,
    /// Threads that computed; on a GPU, those that fed it.
    pub threads: usize,
    /// The instruction set, or the GPU.
    pub isa: String,
    /// The seconds that each rate was measured for, or more; 0 in rates that were kept before it was noted.
    #[serde(default)]
    pub measured_for: f64,
    /// Images of a training step and of a gradient round.
    pub batch: usize,
    /// Candidates of backward selection scored in a second.
    pub candidates_per_second: f64,
    /// Milliseconds of a training step on `batch` images.
    pub train_step_ms: f64,
    /// Images classified in a second.
    pub images_per_second: f64,
    /// Milliseconds of a gradient round on `batch` images.
    pub gradient_round_ms: f64,
}

impl Rates {
    /// Seconds that `work` takes, if it is work of the same network on images of the same shape; at most, of a selection.
    #[must_use]
    pub fn seconds(&self, work: &Work) -> Option<f64> {
        if (self.arch, self.image) != (work.arch, work.shape) {
            return None;
        }
        let of_batch = |milliseconds: f64| milliseconds / 1e3 / self.batch as f64;
        let one = match work.activity {
            Activity::Learn => of_batch(self.train_step_ms),
            Activity::Classify => 1.0 / self.images_per_second,
            Activity::Score | Activity::Select => 1.0 / self.candidates_per_second,
            Activity::Collect => return None,
            Activity::Differentiate => of_batch(self.gradient_round_ms),
        };
        Some(one * work.times as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIFAR: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };
    const RATES: Rates = Rates {
        arch: Arch::Resnet20,
        image: CIFAR,
        processor: String::new(),
        threads: 2,
        isa: String::new(),
        measured_for: 1.0,
        batch: 128,
        candidates_per_second: 2_000.0,
        train_step_ms: 256.0,
        images_per_second: 1_000.0,
        gradient_round_ms: 128.0,
    };

    fn seconds(activity: Activity, times: u64) -> Option<f64> {
        RATES.seconds(&Work { arch: Arch::Resnet20, shape: CIFAR, activity, times, model: 0 })
    }

    #[test]
    fn work_takes_its_times_over_the_rate() {
        assert_eq!(seconds(Activity::Score, 524_800), Some(262.4));
        assert_eq!((seconds(Activity::Select, 524_800), seconds(Activity::Collect, 1)), (Some(262.4), None));
        assert_eq!(seconds(Activity::Learn, 50_000), Some(100.0));
        assert_eq!(seconds(Activity::Classify, 10_000), Some(10.0));
        assert_eq!(seconds(Activity::Differentiate, 1_000), Some(1.0));
    }

    #[test]
    fn rates_say_nothing_of_another_network_or_shape() {
        let shape = ImageShape { height: 28, width: 28, channels: 1 };
        let work = Work { arch: Arch::Resnet20, shape, activity: Activity::Score, times: 1, model: 0 };
        assert_eq!(RATES.seconds(&work), None);
        assert_eq!(RATES.seconds(&Work { arch: Arch::Resnet18, shape: CIFAR, ..work }), None);
    }
}
