//! Where the candidates' part of each map lives: maps that are never alive together share a slot.

use super::program::{Layer, MapId, MapShape};
use super::spans::Spans;

/// Values of all slots together that a group of candidates may take: half of a second-level cache of 1 MiB.
const GROUP_VALUES: usize = 128 * 1024;
/// More candidates than this in a group reuse weights no better.
const LARGEST_GROUP: usize = 16;

/// The assignment of maps to slots.
#[derive(Debug)]
pub(super) struct Slots {
    /// For each map: its slot.
    pub(super) of_map: Vec<usize>,
    /// For each map: how many values one candidate takes, its rows padded to the widest window.
    pub(super) stride: Vec<usize>,
    /// For each slot: values per candidate.
    pub(super) sizes: Vec<usize>,
    /// Candidates that are computed together.
    pub(super) group: usize,
}

impl Slots {
    pub(super) fn new(maps: &[MapShape], layers: &[Layer], spans: &Spans) -> Self {
        let stride: Vec<usize> = (0..maps.len())
            .map(|map| spans.extent(MapId(map)).into_iter().product::<usize>() * maps[map].channels)
            .collect();
        let mut last_use = vec![0; maps.len()];
        for (index, layer) in layers.iter().enumerate() {
            for source in layer.sources() {
                last_use[source.0] = index;
            }
        }
        last_use[layers.len()] = layers.len();
        let (mut of_map, mut sizes, mut free_after) = (Vec::new(), Vec::<usize>::new(), Vec::<usize>::new());
        for map in 0..maps.len() {
            // Map m is written by layer m - 1; a slot last read by an earlier layer is free.
            let slot = free_after.iter().position(|last| *last + 1 < map).unwrap_or_else(|| {
                sizes.push(0);
                free_after.push(0);
                sizes.len() - 1
            });
            sizes[slot] = sizes[slot].max(stride[map]);
            free_after[slot] = last_use[map].max(map);
            of_map.push(slot);
        }
        let group = (GROUP_VALUES / sizes.iter().sum::<usize>().max(1)).clamp(1, LARGEST_GROUP);
        Self { of_map, stride, sizes, group }
    }
}
