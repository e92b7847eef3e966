//! Sizes of a convolution, and which taps of its kernel fall inside the input for which outputs.

use std::ops::Range;

/// Sizes of a convolution. The first of each pair is vertical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Height and width of the input map.
    pub input: [usize; 2],
    /// Height and width of the output map.
    pub output: [usize; 2],
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step in both directions.
    pub stride: usize,
    /// How far the first tap of output (0, 0) lies before the input's first pixel; negative if after it.
    pub before: [isize; 2],
}

impl ConvShape {
    /// A convolution of a `[height, width, inputs]` map as a layer of a network defines it.
    ///
    /// # Panics
    /// When the kernel is larger than the padded map, or the stride is 0.
    #[must_use]
    pub fn layer(
        input: [usize; 2],
        inputs: usize,
        outputs: usize,
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
    ) -> Self {
        let extent = |axis: usize| (input[axis] + 2 * padding[axis] - kernel[axis]) / stride + 1;
        Self {
            input,
            output: [extent(0), extent(1)],
            inputs,
            outputs,
            kernel,
            stride,
            before: padding.map(usize::cast_signed),
        }
    }

    /// How many taps of the `wanted` outputs along an axis fall inside the input.
    pub(super) fn taps(&self, axis: usize, wanted: &Range<usize>) -> usize {
        segments(self, axis).iter().map(|s| overlap(&s.outputs, wanted).len() * s.taps.len()).sum()
    }

    /// Multiplications of the whole map, those with the border of zeros left out.
    #[must_use]
    pub fn multiplications(&self) -> u64 {
        self.region_multiplications(Region::whole(self.output))
    }

    /// Multiplications of a region of the output, those with the border of zeros left out.
    #[must_use]
    pub fn region_multiplications(&self, region: Region) -> u64 {
        let taps = self.taps(0, &region.rows()) * self.taps(1, &region.columns());
        (taps * self.inputs * self.outputs) as u64
    }
}

/// A rectangle of a map: rows from `top` up to but not including `bottom`, columns likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first row, counted from 0.
    pub top: usize,
    /// One past the last row.
    pub bottom: usize,
    /// The first column, counted from 0.
    pub left: usize,
    /// One past the last column.
    pub right: usize,
}

impl Region {
    /// A whole map of that height and width.
    #[must_use]
    pub const fn whole([height, width]: [usize; 2]) -> Self {
        Self { top: 0, bottom: height, left: 0, right: width }
    }

    /// Its rows, from `top` up to but not including `bottom`.
    #[must_use]
    pub const fn rows(&self) -> Range<usize> {
        self.top..self.bottom
    }

    /// Its columns, from `left` up to but not including `right`.
    #[must_use]
    pub const fn columns(&self) -> Range<usize> {
        self.left..self.right
    }
}

/// Consecutive outputs along one axis whose taps inside the input are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) outputs: Range<usize>,
    pub(super) taps: Range<usize>,
}

/// The outputs along `axis`, divided by which taps fall inside the input.
pub(super) fn segments(shape: &ConvShape, axis: usize) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let size = shape.input[axis].cast_signed();
    let kernel = shape.kernel[axis];
    for output in 0..shape.output[axis] {
        let first = (output * shape.stride).cast_signed() - shape.before[axis];
        let start = usize::try_from(-first).unwrap_or(0).min(kernel);
        let end = usize::try_from(size - first).unwrap_or(0).min(kernel).max(start);
        match segments.last_mut() {
            Some(last) if last.taps == (start..end) => last.outputs.end = output + 1,
            _ => segments.push(Segment { outputs: output..output + 1, taps: start..end }),
        }
    }
    segments
}

/// What two ranges share; empty where they do not meet.
pub(super) fn overlap(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::{ConvShape, Region, Segment, segments};

    #[test]
    fn a_padded_3x3_kernel_loses_a_tap_at_each_edge() {
        let shape = ConvShape::layer([8, 8], 1, 1, [3, 3], 1, [1, 1]);
        let expected = [
            Segment { outputs: 0..1, taps: 1..3 },
            Segment { outputs: 1..7, taps: 0..3 },
            Segment { outputs: 7..8, taps: 0..2 },
        ];
        assert_eq!(segments(&shape, 0), expected);
    }

    #[test]
    fn stride_two_on_an_even_map_loses_taps_only_at_the_start() {
        let shape = ConvShape::layer([8, 8], 1, 1, [3, 3], 2, [1, 1]);
        let expected = [Segment { outputs: 0..1, taps: 1..3 }, Segment { outputs: 1..4, taps: 0..3 }];
        assert_eq!(segments(&shape, 1), expected);
    }

    #[test]
    fn the_border_is_not_counted() {
        // 8x8, 3x3, padding 1: (8 * 3 - 2)^2 taps.
        let shape = ConvShape::layer([8, 8], 2, 5, [3, 3], 1, [1, 1]);
        assert_eq!(shape.multiplications(), 22 * 22 * 10);
        let corner = Region { top: 0, bottom: 1, left: 0, right: 2 };
        assert_eq!(shape.region_multiplications(corner), 2 * (2 + 3) * 10);
    }
}
