//! From coefficients to values, as libjpeg's accurate integer transform does it, to the byte.

use std::array::from_fn;

use super::byte;
use super::header::BLOCK;

/// Bits behind the point: of constants, and of what is between columns and rows.
const CONSTANT: u32 = 13;
const BETWEEN: u32 = 2;
/// Coefficients of bytes are at most 1024, and 2048 when rounded to steps as large. Of much larger ones libjpeg's many
/// forms make different values.
const MOST: i32 = 4096;

/// Eight numbers that are transformed at once; damaged files may make them too large.
type Lanes = [i32; 8];

/// The 8x8 values of a block; none where coefficients are too large for any.
pub(super) fn values(block: &[i16; BLOCK], steps: &[u16; BLOCK]) -> Option<[[u8; 8]; 8]> {
    let rows: [Lanes; 8] = from_fn(|y| from_fn(|x| i32::from(block[8 * y + x]) * i32::from(steps[8 * y + x])));
    if rows.as_flattened().iter().fold(false, |found, value| found | (value.abs() > MOST)) {
        return None;
    }
    let rows = transformed(&rows, CONSTANT - BETWEEN);
    let columns = transformed(&turned(&rows), CONSTANT + BETWEEN + 3);
    Some(turned(&columns).map(|row| row.map(|value| byte(value + 128))))
}

fn turned(of: &[Lanes; 8]) -> [Lanes; 8] {
    from_fn(|y| from_fn(|x| of[x][y]))
}

fn plus(a: Lanes, b: Lanes) -> Lanes {
    from_fn(|lane| a[lane].wrapping_add(b[lane]))
}

fn minus(a: Lanes, b: Lanes) -> Lanes {
    from_fn(|lane| a[lane].wrapping_sub(b[lane]))
}

fn times(a: Lanes, constant: i32) -> Lanes {
    a.map(|value| value.wrapping_mul(constant))
}

/// One dimension, scaled by the root of 8, with that many bits behind the point less: the method of Loeffler,
/// Ligtenberg and Moschytz.
fn transformed(of: &[Lanes; 8], bits: u32) -> [Lanes; 8] {
    // Those of even frequency.
    let shared = times(plus(of[2], of[6]), 4433);
    let (two, three) = (minus(shared, times(of[6], 15137)), plus(shared, times(of[2], 6270)));
    let (zero, one) = (times(plus(of[0], of[4]), 1 << CONSTANT), times(minus(of[0], of[4]), 1 << CONSTANT));
    let even = [plus(zero, three), plus(one, two), minus(one, two), minus(zero, three)];
    // Those of odd frequency.
    let (a, b, c, d) = (of[7], of[5], of[3], of[1]);
    let shared = times(plus(plus(a, c), plus(b, d)), 9633);
    let (outer, inner) = (times(plus(a, d), -7373), times(plus(b, c), -20995));
    let left = plus(times(plus(a, c), -16069), shared);
    let right = plus(times(plus(b, d), -3196), shared);
    let odd = [
        plus(times(d, 12299), plus(outer, right)),
        plus(times(c, 25172), plus(inner, left)),
        plus(times(b, 16819), plus(inner, right)),
        plus(times(a, 2446), plus(outer, left)),
    ];
    let rounded = |values: Lanes| values.map(|value| value.wrapping_add(1 << (bits - 1)) >> bits);
    from_fn(|place| {
        rounded(if place < 4 { plus(even[place], odd[place]) } else { minus(even[7 - place], odd[7 - place]) })
    })
}
