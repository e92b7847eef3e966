//! What a layer computes, for regions of one or many maps.

use super::program::{Layer, Op};
use crate::conv::{Finish, Job};

impl Layer {
    /// Computes each job's region: `output = relu(op(input) + addend)`; [`Op::Join`] has its second map as addend.
    ///
    /// `size` is the input's height and width; the jobs' layouts say where the maps lie.
    pub(super) fn compute(
        &self,
        size: [usize; 2],
        input: &[f32],
        addend: Option<&[f32]>,
        output: &mut [f32],
        jobs: &[Job],
    ) {
        match &self.op {
            Op::Conv { forward, .. } => {
                let finish = if self.relu { Finish::Relu } else { Finish::Linear };
                forward.apply(input, output, addend, finish, jobs);
            }
            Op::Affine { scale, shift } => {
                for_each_pixel(jobs, |job, y, x| {
                    let channels = scale.len();
                    let input = &input[place(job.input.at(y, x))..][..channels];
                    let output = &mut output[place(job.output.at(y, x))..][..channels];
                    for channel in 0..channels {
                        output[channel] = input[channel] * scale[channel] + shift[channel];
                    }
                    if let Some(addend) = addend {
                        let addend = &addend[place(job.addend.at(y, x))..][..channels];
                        output.iter_mut().zip(addend).for_each(|(value, addend)| *value += addend);
                    }
                    if self.relu {
                        // Not `max`, which would hide what is not a number.
                        for value in output {
                            *value = if *value < 0.0 { 0.0 } else { *value };
                        }
                    }
                });
            }
            Op::MaxPool { kernel, stride, padding } => {
                for_each_pixel(jobs, |job, y, x| {
                    let channels = job.input.pixel;
                    let output = &mut output[place(job.output.at(y, x))..][..channels];
                    output.fill(f32::NEG_INFINITY);
                    for (y, x) in pool_taps(size, *kernel, *stride, *padding, y, x) {
                        let input = &input[place(job.input.at(y, x))..][..channels];
                        // Stored in either case: a store that depends on a condition keeps the loop from vectors.
                        for (largest, value) in output.iter_mut().zip(input) {
                            *largest = if *value > *largest || value.is_nan() { *value } else { *largest };
                        }
                    }
                });
            }
            Op::MeanPool { kernel, stride, padding } => {
                let area = (kernel * kernel) as f32;
                for_each_pixel(jobs, |job, y, x| {
                    let channels = job.input.pixel;
                    let output = &mut output[place(job.output.at(y, x))..][..channels];
                    output.fill(0.0);
                    for (y, x) in pool_taps(size, *kernel, *stride, *padding, y, x) {
                        let input = &input[place(job.input.at(y, x))..][..channels];
                        output.iter_mut().zip(input).for_each(|(sum, value)| *sum += value);
                    }
                    for sum in output {
                        *sum /= area;
                    }
                });
            }
            Op::Join => {
                let behind = addend.unwrap_or_default();
                for_each_pixel(jobs, |job, y, x| {
                    let (channels, more) = (job.input.pixel, job.addend.pixel);
                    let output = &mut output[place(job.output.at(y, x))..][..channels + more];
                    let (first, second) = output.split_at_mut(channels);
                    first.copy_from_slice(&input[place(job.input.at(y, x))..][..channels]);
                    second.copy_from_slice(&behind[place(job.addend.at(y, x))..][..more]);
                });
            }
            Op::Subsample { stride, padding } => {
                let stride = stride.cast_signed();
                for_each_pixel(jobs, |job, y, x| {
                    let channels = job.input.pixel;
                    let input = &input[place(job.input.at(y * stride, x * stride))..][..channels];
                    let output = &mut output[place(job.output.at(y, x))..][..channels + 2 * padding];
                    output[..*padding].fill(0.0);
                    output[*padding..padding + channels].copy_from_slice(input);
                    output[padding + channels..].fill(0.0);
                });
            }
            Op::Mean => {
                for_each_pixel(jobs, |job, _, _| {
                    let channels = job.input.pixel;
                    let output = &mut output[place(job.output.at(0, 0))..][..channels];
                    output.fill(0.0);
                    for y in 0..size[0] {
                        for x in 0..size[1] {
                            let input = &input[place(job.input.at(y.cast_signed(), x.cast_signed()))..][..channels];
                            output.iter_mut().zip(input).for_each(|(sum, value)| *sum += value);
                        }
                    }
                    let pixels = (size[0] * size[1]) as f32;
                    for sum in output {
                        *sum /= pixels;
                    }
                });
            }
        }
    }
}

/// The pixels of the input under a pooling window.
pub(super) fn pool_taps(
    size: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
    y: isize,
    x: isize,
) -> impl Iterator<Item = (isize, isize)> {
    let span = move |output: isize, size: usize| {
        let first = output * stride.cast_signed() - padding.cast_signed();
        first.max(0)..(first + kernel.cast_signed()).min(size.cast_signed())
    };
    span(y, size[0]).flat_map(move |y| span(x, size[1]).map(move |x| (y, x)))
}

fn for_each_pixel(jobs: &[Job], mut compute: impl FnMut(&Job, isize, isize)) {
    for job in jobs {
        for y in job.region.rows() {
            for x in job.region.columns() {
                compute(job, y.cast_signed(), x.cast_signed());
            }
        }
    }
}

/// A place that lies in the slice; one before it becomes an index that no slice has.
pub(super) const fn place(signed: isize) -> usize {
    signed.cast_unsigned()
}
