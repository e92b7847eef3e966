//! A trained model at work on the CPU: compiled once, shared by all threads, one image a thread, or one group.

use rayon::prelude::*;

use crate::cpu::compiled_model::{CompiledModel, ModelWorkspace};
use crate::cpu::model_passes::ModelPasses;
use crate::cpu::pool::Pool;
use crate::images::batches::{Levels, Samples};
use crate::images::kind::check_kind;
use crate::inference::InferenceError;
use crate::input_dropout::Use;
use crate::unanswered::Unanswered;
use overinterp_artifacts::{ImageSet, Model};
use overinterp_kernels::engine::Purpose;
use overinterp_sis::Halted;

/// A compiled model, with the images that it is asked about.
pub(crate) struct CpuInference<'a> {
    model: CompiledModel,
    idle: Pool<ModelWorkspace>,
    idle_passes: Pool<ModelPasses>,
    levels: Levels,
    samples: Samples<'a>,
}

impl<'a> CpuInference<'a> {
    /// Compiles `model` for a purpose.
    ///
    /// # Errors
    /// When the model does not fit its architecture or the images.
    pub(crate) fn new(model: &Model, images: &'a ImageSet, purpose: Purpose) -> Result<Self, InferenceError> {
        let samples = checked(model, images)?;
        let compiled = CompiledModel::new(model, purpose)?;
        Ok(Self {
            model: compiled,
            idle: Pool::default(),
            idle_passes: Pool::default(),
            levels: Levels::of(model),
            samples,
        })
    }

    /// Does `work` for each image of `indexes`, one image a thread, and returns the results in the images' order.
    ///
    /// `work` is given a workspace, which has drawn what input dropout keeps of the image in a selection, the image's
    /// number, and its normalised values `[height, width, channels]`.
    ///
    /// # Errors
    /// The first error of `work`, or when an image cannot be read from its file.
    pub(crate) fn for_each<T: Send>(
        &self,
        indexes: std::ops::Range<usize>,
        work: impl Fn(&mut ModelWorkspace, usize, &[f32]) -> Result<T, Halted<Unanswered>> + Sync,
    ) -> Result<Vec<T>, Halted<Unanswered>> {
        indexes
            .into_par_iter()
            .with_max_len(1)
            .map(|index| {
                let image = self.samples.input(&self.levels, &[index as u32], None).map_err(Unanswered::from)?;
                self.idle.with(
                    || ModelWorkspace::new(&self.model),
                    |workspace| {
                        workspace.draw(Use::Selection, index);
                        work(workspace, index, &image)
                    },
                )
            })
            .collect()
    }

    /// Does `work` for groups of images of `indexes`, one group a thread, and returns the results in the images' order;
    /// `work` has one for each image. Of how many images a group is depends on the number of threads, and what `work`
    /// finds of an image must not depend on its group.
    ///
    /// `work` is given passes for the group, the images' numbers, and their normalised values
    /// `[images, height, width, channels]`.
    ///
    /// # Errors
    /// The first error of `work`, or when an image cannot be read from its file.
    pub(crate) fn for_groups<T: Send>(
        &self,
        indexes: std::ops::Range<usize>,
        work: impl Fn(&mut ModelPasses, &[u32], Vec<f32>) -> Result<Vec<T>, Halted<Unanswered>> + Sync,
    ) -> Result<Vec<T>, Halted<Unanswered>> {
        let numbers: Vec<u32> = indexes.map(|index| index as u32).collect();
        let together = ModelPasses::together(&self.model);
        let size = group_size(numbers.len(), together, rayon::current_num_threads());
        let groups: Vec<Vec<T>> = numbers
            .par_chunks(size)
            .with_max_len(1)
            .map(|numbers| {
                let images = self.samples.input(&self.levels, numbers, None).map_err(Unanswered::from)?;
                self.idle_passes
                    .with(|| ModelPasses::new(&self.model, together), |passes| work(passes, numbers, images))
            })
            .collect::<Result<_, Halted<Unanswered>>>()?;
        Ok(groups.into_iter().flatten().collect())
    }
}

/// How many of `count` images a thread takes at a time: at most as many as it pays to pass `together`, and so few that
/// all threads have as much to do.
fn group_size(count: usize, together: usize, threads: usize) -> usize {
    let rounds = count.div_ceil(threads * together).max(1);
    count.div_ceil(threads * rounds).max(1)
}

/// The images, which are of the kind that the model takes.
pub(crate) fn checked<'a>(model: &Model, images: &'a ImageSet) -> Result<Samples<'a>, InferenceError> {
    let samples = Samples::whole(images);
    samples.check()?;
    check_kind(model, images)?;
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::group_size;

    #[test]
    fn groups_are_as_large_as_it_pays_and_all_threads_have_as_much() {
        assert_eq!(group_size(500, 32, 2), 32);
        assert_eq!(group_size(500, 20, 16), 16);
        assert_eq!(group_size(10, 32, 2), 5);
        assert_eq!(group_size(3, 32, 16), 1);
        assert_eq!(group_size(0, 1, 4), 1);
        for (count, together, threads) in [(499, 7, 3), (64, 64, 1), (65, 64, 1), (1, 1, 1)] {
            let size = group_size(count, together, threads);
            assert!((1..=together).contains(&size), "{size} of {together}");
        }
    }
}
