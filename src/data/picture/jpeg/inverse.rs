//! From coefficients to values, as libjpeg's accurate integer transform does it, to the byte.

use std::num::Wrapping;

use super::byte;
use super::header::BLOCK;

/// Bits behind the point: of constants, and of what is between columns and rows.
const CONSTANT: usize = 13;
const BETWEEN: usize = 2;

/// Numbers that damaged files may make too large.
type Number = Wrapping<i32>;

/// Coefficients of bytes are at most 1024, and 2048 when rounded to steps as large. Of much larger ones libjpeg's many
/// forms make different values.
const MOST: i32 = 4096;

/// The 8x8 values of a block; none where coefficients are too large for any.
pub(super) fn values(block: &[i16; BLOCK], steps: &[u16; BLOCK]) -> Option<[[u8; 8]; 8]> {
    let mut coefficients = [Wrapping(0); BLOCK];
    let mut most = 0;
    for ((coefficient, value), step) in coefficients.iter_mut().zip(block).zip(steps) {
        let product = i32::from(*value) * i32::from(*step);
        most = most.max(product.abs());
        *coefficient = Wrapping(product);
    }
    if most > MOST {
        return None;
    }
    let mut columns = [[Wrapping(0); 8]; 8];
    for x in 0..8 {
        let at = |y: usize| coefficients[8 * y + x];
        if (1..8).all(|y| block[8 * y + x] == 0) {
            // The same as below, and true of most columns.
            let value = at(0) << BETWEEN;
            for row in &mut columns {
                row[x] = value;
            }
            continue;
        }
        for (y, value) in transformed(std::array::from_fn(at)).into_iter().enumerate() {
            columns[y][x] = rounded(value, CONSTANT - BETWEEN);
        }
    }
    let value = |scaled: Number| byte(rounded(scaled, CONSTANT + BETWEEN + 3).0 + 128);
    Some(columns.map(|row| transformed(row).map(value)))
}

fn rounded(value: Number, bits: usize) -> Number {
    (value + Wrapping(1 << (bits - 1))) >> bits
}

/// One dimension, scaled by 2^13 and by the root of 8: the method of Loeffler, Ligtenberg and Moschytz.
fn transformed(of: [Number; 8]) -> [Number; 8] {
    let times = |value: Number, constant: i32| value * Wrapping(constant);
    // Those of even frequency.
    let shared = times(of[2] + of[6], 4433);
    let (two, three) = (shared - times(of[6], 15137), shared + times(of[2], 6270));
    let (zero, one) = ((of[0] + of[4]) << CONSTANT, (of[0] - of[4]) << CONSTANT);
    let even = [zero + three, one + two, one - two, zero - three];
    // Those of odd frequency.
    let (a, b, c, d) = (of[7], of[5], of[3], of[1]);
    let shared = times(a + c + b + d, 9633);
    let (outer, inner) = (times(a + d, -7373), times(b + c, -20995));
    let (left, right) = (times(a + c, -16069) + shared, times(b + d, -3196) + shared);
    let odd = [
        times(d, 12299) + outer + right,
        times(c, 25172) + inner + left,
        times(b, 16819) + inner + right,
        times(a, 2446) + outer + left,
    ];
    std::array::from_fn(|place| if place < 4 { even[place] + odd[place] } else { even[7 - place] - odd[7 - place] })
}
