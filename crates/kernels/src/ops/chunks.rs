//! Sums over the batch that do not depend on the number of threads.

use rayon::prelude::*;

/// Images whose contributions are summed in one go, in order; chunks are then summed in order.
pub(super) const IMAGES_PER_CHUNK: usize = 8;

/// Adds up what each chunk of images contributes: `contribute(images, sums)` adds to `length` zeros.
pub(super) fn sum_over_images<T, F>(images: usize, length: usize, contribute: F) -> Vec<T>
where
    T: Copy + Default + std::ops::AddAssign + Send + Sync,
    F: Fn(std::ops::Range<usize>, &mut [T]) + Sync,
{
    let partial: Vec<Vec<T>> = (0..images.div_ceil(IMAGES_PER_CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let start = chunk * IMAGES_PER_CHUNK;
            let mut sums = vec![T::default(); length];
            contribute(start..(start + IMAGES_PER_CHUNK).min(images), &mut sums);
            sums
        })
        .collect();
    let mut partial = partial.into_iter();
    let mut total = partial.next().unwrap_or_else(|| vec![T::default(); length]);
    for sums in partial {
        for (all, one) in total.iter_mut().zip(sums) {
            *all += one;
        }
    }
    total
}
