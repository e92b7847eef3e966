//! The markers of a JPEG file, one after the other.

/// The first byte of every marker.
const MARKER: u8 = 0xff;
/// End of image.
const END: u8 = 0xd9;
/// Start of a scan.
pub(super) const SCAN: u8 = 0xda;

/// A marker, what belongs to it, and what follows that.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    /// Without the length.
    pub(super) content: &'a [u8],
    pub(super) behind: &'a [u8],
}

/// The next marker, wherever it comes in what was coded; none where it, or what belongs to it, is not all there.
pub(super) fn next(bytes: &[u8]) -> Option<Segment<'_>> {
    let (marker, behind) = next_marker(bytes)?;
    match (marker, behind) {
        // Start and end of image, restarts, and one of a single byte: nothing belongs to them.
        (0x01 | 0xd0..=0xd9, _) => Some(Segment { marker, content: &[], behind }),
        // The length of what belongs to the marker counts itself.
        (_, [high, low, ..]) => {
            let length = usize::from(u16::from_be_bytes([*high, *low])).max(2);
            Some(Segment { marker, content: behind.get(2..length)?, behind: &behind[length..] })
        }
        _ => None,
    }
}

/// All of them before the one that ends the image.
pub(super) fn all(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let segment = next(rest)?;
        rest = segment.behind;
        (segment.marker != END).then_some(segment)
    })
}

/// Whether the markers of a JPEG file lead to the one that ends it. What follows that does not matter, nor do the
/// pictures inside of comments.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(segment) = next(rest) {
        if segment.marker == END {
            return true;
        }
        rest = segment.behind;
    }
    false
}

fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        let start = rest.iter().position(|byte| *byte == MARKER)?;
        rest = &rest[start + 1..];
        match rest.first()? {
            // A byte of data, and a byte that fills.
            0 | &MARKER => {}
            &marker => return Some((marker, &rest[1..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comment with another end marker in it, data with a stuffed byte, a restart, and the end.
    const WHOLE: [u8; 22] =
        [0xff, 0xd8, 0xff, 0xfe, 0, 6, 0xff, 0xd9, 1, 2, 0xff, 0xda, 0, 2, 7, 0xff, 0, 9, 0xff, 0xd0, 0xff, 0xd9];

    #[test]
    fn only_the_end_marker_of_the_image_itself_ends_it() {
        assert!(is_whole(&WHOLE));
        for length in 0..WHOLE.len() {
            assert!(!is_whole(&WHOLE[..length]), "{length} bytes");
        }
        let followed: Vec<u8> = WHOLE.into_iter().chain([1, 2, 3]).collect();
        assert!(is_whole(&followed));
    }
}
