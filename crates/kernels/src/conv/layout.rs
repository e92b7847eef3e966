//! Where the pixels of a channels-last map lie in a slice.

use super::geometry::Region;

/// Places a map's pixel (y, x) at `origin + y * row + x * pixel`; its channels follow one another.
///
/// The slice may hold only a part of the map (then the origin may be negative), every second pixel of a larger
/// one, or many maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Place of pixel (0, 0), which need not be in the slice.
    pub origin: isize,
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub pixel: usize,
}

impl Layout {
    /// A whole map that fills its slice.
    #[must_use]
    pub const fn dense(width: usize, channels: usize) -> Self {
        Self { origin: 0, row: width * channels, pixel: channels }
    }

    /// The place of a pixel.
    #[must_use]
    pub fn at(&self, y: isize, x: isize) -> isize {
        self.origin + y * self.row.cast_signed() + x * self.pixel.cast_signed()
    }

    /// Checks that the pixels of a region lie in a slice of `length` values, each with `extent` values from its
    /// place on.
    ///
    /// # Panics
    /// When they do not.
    pub(super) fn check(&self, region: Region, extent: usize, length: usize) {
        let first = self.at(region.top.cast_signed(), region.left.cast_signed());
        let last = self.at(region.bottom.cast_signed() - 1, region.right.cast_signed() - 1);
        assert!(
            first >= 0 && last + extent.cast_signed() <= length.cast_signed(),
            "region {region:?} of layout {self:?} exceeds its slice of {length} values"
        );
    }
}
