//! Where the candidates' part of each map lives, and how many candidates pass through a layer together.
//!
//! A layer on small maps has much to gain from many candidates, which share each pass over its weights; a layer on large
//! maps has its cache to lose. So the layers fall into segments, each with a larger group than the one before: a
//! segment's group is brought to its first layer a smaller group at a time.

use std::ops::Range;

use super::program::{Layer, MapId, MapShape, Op};
use super::spans::Spans;

/// Bytes that a layer's maps may take for a group: about a quarter of the second-level cache.
const GROUP_BYTES: usize = 256 * 1024;
/// More candidates than this in a group reuse weights no better.
const LARGEST_GROUP: usize = 64;

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
    /// Values per row, padded to the widest window.
    pub(super) row: usize,
    /// Values per candidate, padded to the highest window.
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
        let groups = groups(layers, &stride);
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

/// The group of each layer: as large as its own maps, and those of the layers after it, allow.
fn groups(layers: &[Layer], stride: &[usize]) -> Vec<usize> {
    let allowed = layers.iter().enumerate().map(|(index, layer)| {
        let values = stride[index + 1] + layer.sources().map(|source| stride[source.0]).sum::<usize>();
        let weights = match &layer.op {
            Op::Conv { forward, .. } => forward.weight_bytes(),
            Op::Affine { .. } | Op::MaxPool { .. } | Op::Subsample { .. } | Op::Mean => 0,
        };
        let group = GROUP_BYTES.max(weights) / (values * size_of::<f32>()).max(1);
        1 << group.clamp(1, LARGEST_GROUP).ilog2()
    });
    let mut groups: Vec<usize> = allowed.collect();
    for index in (1..groups.len()).rev() {
        groups[index - 1] = groups[index - 1].min(groups[index]);
    }
    groups
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
