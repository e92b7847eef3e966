//! Where the candidates' part of each map lives, and how many candidates pass through a layer together.
//!
//! A layer on small maps has much to gain from many candidates, which share each pass over its weights; a layer on large
//! maps has its cache to lose. So the layers fall into segments, each with a larger group than the one before: a
//! segment's group is brought to its first layer a smaller group at a time.

use std::ops::Range;

use super::program::{Layer, MapId, MapShape, Op};
use super::spans::Spans;

/// More candidates than this in a group reuse weights no better.
const LARGEST_GROUP: usize = 128;

/// The assignment of maps to slots, and of layers to segments.
#[derive(Debug)]
pub(super) struct Slots {
    /// For each map.
    pub(super) homes: Vec<Home>,
    /// For each slot: its number of values.
    pub(super) sizes: Vec<usize>,
    /// In order; groups grow, each a multiple of the one before.
    pub(super) segments: Vec<Segment>,
}

/// Where the candidates' parts of a map live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    pub(super) slot: usize,
    /// Values per row, padded to the widest region.
    pub(super) row: usize,
    /// Values per candidate, padded to the highest region.
    pub(super) stride: usize,
    /// Candidates in the slot: those of the last layer that reads the map.
    pub(super) group: usize,
}

/// Consecutive layers through which a group passes together.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) layers: Range<usize>,
    pub(super) group: usize,
}

impl Slots {
    pub(super) fn new(maps: &[MapShape], layers: &[Layer], spans: &Spans) -> Self {
        let extents: Vec<[usize; 2]> = (0..maps.len()).map(|map| spans.extent(MapId(map))).collect();
        let stride: Vec<usize> =
            maps.iter().zip(&extents).map(|(map, [height, width])| height * width * map.channels).collect();
        let groups = groups(maps, layers, spans);
        let mut last_reader: Vec<usize> = (0..maps.len()).map(|map| map.saturating_sub(1)).collect();
        for (index, layer) in layers.iter().enumerate() {
            for source in layer.sources() {
                last_reader[source.0] = index;
            }
        }
        let mut slots: Vec<Slot> = Vec::new();
        let mut homes = Vec::new();
        for map in 0..maps.len() {
            let (stride, last_reader) = (stride[map], last_reader[map]);
            let group = groups[last_reader];
            // Map m is written by layer m - 1; a slot last read before that is free.
            let free = slots.iter().position(|slot| slot.group == group && slot.last_reader + 1 < map);
            let slot = free.unwrap_or_else(|| {
                slots.push(Slot { group, stride: 0, last_reader: 0 });
                slots.len() - 1
            });
            slots[slot] = Slot { group, stride: slots[slot].stride.max(stride), last_reader };
            homes.push(Home { slot, row: extents[map][1] * maps[map].channels, stride, group });
        }
        Self { homes, sizes: slots.iter().map(|slot| slot.stride * slot.group).collect(), segments: segments(&groups) }
    }

    /// The largest group.
    pub(super) fn group(&self) -> usize {
        self.segments.last().map_or(1, |segment| segment.group)
    }
}

struct Slot {
    group: usize,
    stride: usize,
    last_reader: usize,
}

/// The group of each layer: large enough for its own weights, and never smaller than the one before.
fn groups(maps: &[MapShape], layers: &[Layer], spans: &Spans) -> Vec<usize> {
    let mut group = 1;
    let groups = layers.iter().enumerate().map(|(index, layer)| {
        if let Op::Conv { forward, .. } = &layer.op {
            // Summed over all candidates, of which there are as many as pixels.
            let rows = forward.weight_rows(spans.along(0, MapId(index + 1)), spans.along(1, MapId(index + 1)));
            let pixels = maps[0].height * maps[0].width;
            let wanted = (worthwhile_rows(forward.weight_bytes()) * pixels).div_ceil(rows.max(pixels));
            group = group.max(wanted.next_power_of_two().min(LARGEST_GROUP));
        }
        group
    });
    groups.collect()
}

/// How many rows of inputs should share a pass over so many bytes of weights, for the pass not to be what takes the
/// time: few if they come from a core's own cache, more from the shared one, most from memory.
const fn worthwhile_rows(weight_bytes: usize) -> usize {
    match weight_bytes / 1024 {
        0..512 => 16,
        512..4096 => 48,
        _ => 96,
    }
}

fn segments(groups: &[usize]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for (layer, group) in groups.iter().enumerate() {
        match segments.last_mut() {
            Some(last) if last.group == *group => last.layers.end = layer + 1,
            _ => segments.push(Segment { layers: layer..layer + 1, group: *group }),
        }
    }
    segments
}
