//! Which part of every map a masked pixel changes, and which part of it the changed parts are computed from.
//!
//! Both are rectangles whose rows depend only on the pixel's row and whose columns only on its column, so they are
//! tabulated once per program, axis by axis.

use std::ops::Range;

use super::program::{Layer, MapId, MapShape, Op};
use crate::kernels::conv::{ConvShape, Window};

/// The tables of both axes.
#[derive(Debug)]
pub(super) struct Spans {
    axes: [Axis; 2],
}

/// For each map, for each coordinate of the masked pixel.
#[derive(Debug)]
struct Axis {
    /// Places that change.
    changed: Vec<Vec<Range<usize>>>,
    /// Places that change or that changed ones further on read: what a candidate must have at hand.
    needed: Vec<Vec<Range<usize>>>,
}

impl Spans {
    pub(super) fn new(maps: &[MapShape], layers: &[Layer]) -> Self {
        Self { axes: [0, 1].map(|axis| Axis::new(maps, layers, axis)) }
    }

    /// The window of a map that changes with pixel (y, x); none if it changes nothing there.
    pub(super) fn changed(&self, map: MapId, y: usize, x: usize) -> Option<Window> {
        let window = window(&self.axes[0].changed[map.0][y], &self.axes[1].changed[map.0][x]);
        (!window.rows().is_empty() && !window.columns().is_empty()).then_some(window)
    }

    /// The window of a map that a candidate for pixel (y, x) must have at hand.
    pub(super) fn needed(&self, map: MapId, y: usize, x: usize) -> Window {
        window(&self.axes[0].needed[map.0][y], &self.axes[1].needed[map.0][x])
    }

    /// The height and width that hold any pixel's needed window.
    pub(super) fn extent(&self, map: MapId) -> [usize; 2] {
        self.axes.each_ref().map(|axis| axis.needed[map.0].iter().map(ExactSizeIterator::len).max().unwrap_or(0))
    }
}

fn window(rows: &Range<usize>, columns: &Range<usize>) -> Window {
    Window { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end }
}

impl Axis {
    fn new(maps: &[MapShape], layers: &[Layer], axis: usize) -> Self {
        let coordinates = maps[0].size()[axis];
        let mut changed: Vec<Vec<Range<usize>>> = vec![(0..coordinates).map(|place| place..place + 1).collect()];
        for (index, layer) in layers.iter().enumerate() {
            let size = Sizes { input: maps[layer.input.0].size()[axis], output: maps[index + 1].size()[axis], axis };
            let spans = (0..coordinates).map(|place| {
                let own = size.reached(&layer.op, &changed[layer.input.0][place]);
                layer.addend.map_or(own.clone(), |addend| hull(&own, &changed[addend.0][place]))
            });
            let spans = spans.collect();
            changed.push(spans);
        }
        let mut needed = changed.clone();
        for (index, layer) in layers.iter().enumerate() {
            let size = Sizes { input: maps[layer.input.0].size()[axis], output: maps[index + 1].size()[axis], axis };
            for place in 0..coordinates {
                let output = &changed[index + 1][place];
                let input = &mut needed[layer.input.0][place];
                *input = hull(input, &size.read(&layer.op, output));
                if let Some(addend) = layer.addend {
                    let addend = &mut needed[addend.0][place];
                    *addend = hull(addend, output);
                }
            }
        }
        Self { changed, needed }
    }
}

/// The smallest range that holds both, an empty one counting for nothing.
fn hull(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (_, true) => a.clone(),
        (true, false) => b.clone(),
        (false, false) => a.start.min(b.start)..a.end.max(b.end),
    }
}

/// A layer's map sizes along one axis.
struct Sizes {
    input: usize,
    output: usize,
    axis: usize,
}

impl Sizes {
    /// The outputs that read any of the `changed` inputs.
    fn reached(&self, op: &Op, changed: &Range<usize>) -> Range<usize> {
        if changed.is_empty() {
            return 0..0;
        }
        match op {
            Op::Conv { forward, .. } => self.windows_over(Taps::of(forward.shape(), self.axis), changed),
            Op::MaxPool { kernel, stride, padding } => {
                self.windows_over(Taps { count: *kernel, stride: *stride, before: padding.cast_signed() }, changed)
            }
            Op::Subsample { stride, .. } => self.windows_over(Taps { count: 1, stride: *stride, before: 0 }, changed),
            Op::Affine { .. } => changed.clone(),
            Op::Mean => 0..self.output,
        }
    }

    /// The inputs that the `wanted` outputs read.
    fn read(&self, op: &Op, wanted: &Range<usize>) -> Range<usize> {
        if wanted.is_empty() {
            return 0..0;
        }
        match op {
            Op::Conv { forward, .. } => self.under_windows(Taps::of(forward.shape(), self.axis), wanted),
            Op::MaxPool { kernel, stride, padding } => {
                self.under_windows(Taps { count: *kernel, stride: *stride, before: padding.cast_signed() }, wanted)
            }
            Op::Subsample { stride, .. } => self.under_windows(Taps { count: 1, stride: *stride, before: 0 }, wanted),
            Op::Affine { .. } => wanted.clone(),
            Op::Mean => 0..self.input,
        }
    }

    /// Window o covers the inputs from o stride - before on: those that meet `changed` are contiguous.
    fn windows_over(&self, taps: Taps, changed: &Range<usize>) -> Range<usize> {
        let stride = taps.stride.cast_signed();
        let (first, last) = (changed.start.cast_signed() + taps.before, changed.end.cast_signed() - 1 + taps.before);
        // Ceiling of the first division, floor of the second.
        let start = (first - (taps.count.cast_signed() - 1) + stride - 1).div_euclid(stride).max(0).cast_unsigned();
        let end = usize::try_from(last.div_euclid(stride) + 1).unwrap_or(0).min(self.output);
        start..end.max(start)
    }

    fn under_windows(&self, taps: Taps, wanted: &Range<usize>) -> Range<usize> {
        let first = (wanted.start * taps.stride).cast_signed() - taps.before;
        let end = ((wanted.end - 1) * taps.stride + taps.count).cast_signed() - taps.before;
        let start = usize::try_from(first).unwrap_or(0);
        start..usize::try_from(end).unwrap_or(0).min(self.input).max(start)
    }
}

/// The windows of an operation along one axis.
#[derive(Clone, Copy)]
struct Taps {
    count: usize,
    stride: usize,
    before: isize,
}

impl Taps {
    fn of(shape: &ConvShape, axis: usize) -> Self {
        Self { count: shape.kernel[axis], stride: shape.stride, before: shape.before[axis] }
    }
}
