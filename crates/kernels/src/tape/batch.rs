//! How a batch is divided: chunks are the tasks of threads and the terms of sums, groups fit the cache.

use rayon::prelude::*;

use crate::ops::MapShape;

/// Pixels of a group.
const PIXELS: usize = 512;
/// Images of a group at most.
const GROUP: usize = 32;
/// Images of a chunk at least.
const CHUNK: usize = 8;

/// Images that are treated at a time.
pub(super) fn group(map: MapShape) -> usize {
    (PIXELS / map.pixels().max(1)).clamp(1, GROUP)
}

/// Images of one task, whole groups of `group` images.
pub(super) fn chunk(group: usize) -> usize {
    group * CHUNK.div_ceil(group)
}

/// Runs a task for each chunk of the values to write: `task(chunk's place, first value, values)`.
pub(super) fn for_each_chunk(shape: MapShape, out: &mut [f32], task: impl Fn(usize, &mut [f32]) + Sync) {
    let length = (chunk(group(shape)) * shape.image()).max(1);
    out.par_chunks_mut(length).enumerate().for_each(|(place, out)| task(place * length, out));
}

/// Sums that each chunk of a map contributes to, added in order: `task(first value, end, sums)`.
pub(super) fn sum_over_chunks(
    shape: MapShape,
    length: usize,
    task: impl Fn(std::ops::Range<usize>, &mut [f64]) + Sync,
) -> Vec<f64> {
    let values = (chunk(group(shape)) * shape.image()).max(1);
    let partial: Vec<Vec<f64>> = (0..shape.values().div_ceil(values))
        .into_par_iter()
        .map(|place| {
            let mut sums = vec![0.0; length];
            task(place * values..((place + 1) * values).min(shape.values()), &mut sums);
            sums
        })
        .collect();
    total(partial, length)
}

/// Adds up in order.
pub(super) fn total(partial: Vec<Vec<f64>>, length: usize) -> Vec<f64> {
    let mut total = vec![0.0; length];
    for sums in partial {
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    total
}

/// What a task makes of each chunk of `length` values, in order.
pub(super) fn map_chunks<T: Send>(values: &[f32], length: usize, task: impl Fn(&[f32]) -> T + Send + Sync) -> Vec<T> {
    values.par_chunks(length.max(1)).map(task).collect()
}
