//! Which part of every map a masked pixel changes, and which part of it the changed parts are computed from.
//!
//! Both are rectangles whose rows depend only on the pixel's row and whose columns only on its column, so they are
//! tabulated once per program, axis by axis.

use std::ops::Range;

use super::program::{MapId, MapShape};
use crate::conv::{ConvShape, Region, Tiles};

/// What a layer reads.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) reach: Reach,
    pub(super) input: MapId,
    pub(super) addend: Option<MapId>,
}

/// Which of its inputs an operation's outputs read, vertically and horizontally.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    /// Tiles of so many outputs read a window each. Where one of them changes, all of them may, by rounding.
    Windows { tile: usize, axes: [Taps; 2] },
    /// All of them.
    All,
}

/// Windows along one axis: number n reads the `count` inputs from n stride - before on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    count: usize,
    stride: usize,
    before: isize,
}

impl Reach {
    /// A window per output, equal in both directions.
    pub(super) fn square(count: usize, stride: usize, padding: usize) -> Self {
        Self::Windows { tile: 1, axes: [Taps { count, stride, before: padding.cast_signed() }; 2] }
    }

    /// A direct convolution's windows.
    pub(super) fn direct(shape: &ConvShape) -> Self {
        let (stride, before) = (shape.stride, shape.before);
        Self::Windows {
            tile: 1,
            axes: [0, 1].map(|axis| Taps { count: shape.kernel[axis], stride, before: before[axis] }),
        }
    }

    /// The windows of a convolution in Winograd's tiles.
    pub(super) fn tiles(shape: &ConvShape, tiles: Tiles) -> Self {
        let (count, stride) = (tiles.inputs(), tiles.outputs());
        Self::Windows { tile: stride, axes: shape.before.map(|before| Taps { count, stride, before }) }
    }
}

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
    /// Those of a program with these maps, of which map l + 1 is linked to others by link l.
    pub(super) fn new(maps: &[MapShape], links: &[Link]) -> Self {
        Self { axes: [0, 1].map(|axis| Axis::new(maps, links, axis)) }
    }

    /// The rows (axis 0) or columns (axis 1) of a map that change, for each row or column of the input.
    pub(super) fn along(&self, axis: usize, map: MapId) -> &[Range<usize>] {
        &self.axes[axis].changed[map.0]
    }

    /// The region of a map that changes with pixel (y, x); none if it changes nothing there.
    pub(super) fn changed(&self, map: MapId, y: usize, x: usize) -> Option<Region> {
        let region = region(&self.axes[0].changed[map.0][y], &self.axes[1].changed[map.0][x]);
        (!region.rows().is_empty() && !region.columns().is_empty()).then_some(region)
    }

    /// The region of a map that a candidate for pixel (y, x) must have at hand.
    pub(super) fn needed(&self, map: MapId, y: usize, x: usize) -> Region {
        region(&self.axes[0].needed[map.0][y], &self.axes[1].needed[map.0][x])
    }

    /// The height and width that hold any pixel's needed region.
    pub(super) fn extent(&self, map: MapId) -> [usize; 2] {
        self.axes.each_ref().map(|axis| axis.needed[map.0].iter().map(ExactSizeIterator::len).max().unwrap_or(0))
    }
}

fn region(rows: &Range<usize>, columns: &Range<usize>) -> Region {
    Region { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end }
}

impl Axis {
    fn new(maps: &[MapShape], links: &[Link], axis: usize) -> Self {
        let size = |map: usize| maps[map].size()[axis];
        let mut changed: Vec<Vec<Range<usize>>> = vec![(0..size(0)).map(|place| place..place + 1).collect()];
        for (index, link) in links.iter().enumerate() {
            let spans = (0..size(0)).map(|place| {
                let own = link.reach.over(axis, &changed[link.input.0][place], size(index + 1));
                link.addend.map_or(own.clone(), |addend| hull(&own, &changed[addend.0][place]))
            });
            let spans = spans.collect();
            changed.push(spans);
        }
        let mut needed = changed.clone();
        for (index, link) in links.iter().enumerate() {
            for (place, output) in changed[index + 1].iter().enumerate() {
                let input = &mut needed[link.input.0][place];
                *input = hull(input, &link.reach.under(axis, output, size(link.input.0)));
                if let Some(addend) = link.addend {
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

impl Reach {
    /// The outputs, of `size`, that change with the `changed` inputs.
    fn over(self, axis: usize, changed: &Range<usize>, size: usize) -> Range<usize> {
        match self {
            _ if changed.is_empty() => 0..0,
            Self::Windows { tile, axes } => {
                let tiles = axes[axis].over(changed, size.div_ceil(tile));
                tiles.start * tile..(tiles.end * tile).min(size)
            }
            Self::All => 0..size,
        }
    }

    /// The inputs, of `size`, that the `wanted` outputs are computed from.
    fn under(self, axis: usize, wanted: &Range<usize>, size: usize) -> Range<usize> {
        match self {
            _ if wanted.is_empty() => 0..0,
            Self::Windows { tile, axes } => axes[axis].under(&(wanted.start / tile..wanted.end.div_ceil(tile)), size),
            Self::All => 0..size,
        }
    }
}

impl Taps {
    /// The windows, of so many, that meet the `changed` inputs: they are contiguous.
    fn over(self, changed: &Range<usize>, windows: usize) -> Range<usize> {
        let stride = self.stride.cast_signed();
        let (first, last) = (changed.start.cast_signed() + self.before, changed.end.cast_signed() - 1 + self.before);
        // The ceiling of the first quotient, the floor of the second.
        let start = (first - self.count.cast_signed() + stride).div_euclid(stride).max(0).cast_unsigned();
        let end = usize::try_from(last.div_euclid(stride) + 1).unwrap_or(0).min(windows);
        start..end.max(start)
    }

    /// The inputs, of `size`, under some windows.
    fn under(self, windows: &Range<usize>, size: usize) -> Range<usize> {
        let first = (windows.start * self.stride).cast_signed() - self.before;
        let end = ((windows.end - 1) * self.stride + self.count).cast_signed() - self.before;
        let start = usize::try_from(first).unwrap_or(0);
        start..usize::try_from(end).unwrap_or(0).min(size).max(start)
    }
}
