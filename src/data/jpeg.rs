//! Whether a JPEG file is all there.

/// The first byte of every marker.
const MARKER: u8 = 0xff;
/// End of image.
const END: u8 = 0xd9;

/// Whether the markers of a JPEG file lead to the one that ends it. What follows that does not matter, nor do the
/// pictures inside of comments.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, behind)) = next_marker(rest) {
        rest = match marker {
            END => return true,
            // Start of image, restarts, and one of a single byte: nothing belongs to them.
            0x01 | 0xd0..=0xd8 => behind,
            // The length of what belongs to the marker counts itself.
            _ => match behind {
                [high, low, ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    behind.get(length.max(2)..).unwrap_or_default()
                }
                _ => return false,
            },
        };
    }
    false
}

/// The next marker, wherever it comes in what was coded, and what follows it.
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
