//! From the components' values to pixels, as libjpeg and Pillow do it, to the byte.

use super::byte;
use super::header::{Colours, Component, Header};

/// The values of a component.
pub(super) struct Plane {
    values: Vec<u8>,
    /// Values from row to row.
    stride: usize,
    width: usize,
    height: usize,
    /// Pixels that share a value.
    across: usize,
    down: usize,
}

impl Plane {
    /// From whole blocks, of which no more counts than the picture has.
    pub(super) fn new(header: &Header, component: Component, stride: usize, values: Vec<u8>) -> Self {
        let most = header.most();
        Self {
            values,
            stride,
            width: (header.width * component.across).div_ceil(most.0),
            height: (header.height * component.down).div_ceil(most.1),
            across: most.0 / component.across,
            down: most.1 / component.down,
        }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.values[y.min(self.height - 1) * self.stride..][..self.width]
    }

    /// A row of as many values as the picture has, or a few more.
    ///
    /// Where two pixels share a value, one is made of it and the next value on its side; but where width is shared, in
    /// components of one or two columns both are the value.
    fn widen(&self, y: usize, out: &mut [u8]) {
        let near = self.row(y / self.down);
        let far = if y.is_multiple_of(2) { self.row((y / 2).saturating_sub(1)) } else { self.row(y / 2 + 1) };
        let is_wide = self.width > 2;
        match (self.across, self.down) {
            (1, 2) => {
                let rounding = if y.is_multiple_of(2) { 1 } else { 2 };
                for ((out, near), far) in out.iter_mut().zip(near).zip(far) {
                    *out = ((blend(*near, *far) + rounding) >> 2) as u8;
                }
            }
            (2, 1) if is_wide => {
                let values: Vec<u16> = near.iter().map(|value| u16::from(*value)).collect();
                widen(&values, out, [(1, 2), (2, 2)]);
            }
            (2, 2) if is_wide => {
                let values: Vec<u16> = near.iter().zip(far).map(|(near, far)| blend(*near, *far)).collect();
                widen(&values, out, [(8, 4), (7, 4)]);
            }
            (across, _) => {
                for (out, value) in out.chunks_exact_mut(across).zip(near) {
                    out.fill(*value);
                }
            }
        }
    }
}

/// Three parts of what is near, one of what is far.
fn blend(near: u8, far: u8) -> u16 {
    3 * u16::from(near) + u16::from(far)
}

/// Two values of each: three parts of it and one of its neighbour, to the left and then to the right, with what is
/// added for rounding and the bits that go. Beside the ends are the ends.
fn widen(values: &[u16], out: &mut [u8], [left, right]: [(u16, u32); 2]) {
    let two = |before: u16, value: u16, after: u16| {
        [((3 * value + before + left.0) >> left.1) as u8, ((3 * value + after + right.0) >> right.1) as u8]
    };
    let (out, _) = out.as_chunks_mut::<2>();
    if let ([first, second, ..], [.., before, last]) = (values, values) {
        out[0] = two(*first, *first, *second);
        out[values.len() - 1] = two(*before, *last, *last);
    }
    for (out, around) in out[1..].iter_mut().zip(values.windows(3)) {
        *out = two(around[0], around[1], around[2]);
    }
}

/// The pixels: one byte for grey, three for colours.
pub(super) fn pixels(header: &Header, colours: Colours, planes: &[Plane]) -> Vec<u8> {
    let channels = if colours == Colours::Grey { 1 } else { 3 };
    let mut out = vec![0; header.width * header.height * channels];
    let units = header.units();
    let mut rows = vec![vec![0; 8 * units.0 * header.most().0]; planes.len()];
    for (y, out) in out.chunks_exact_mut(header.width * channels).enumerate() {
        for (plane, row) in planes.iter().zip(&mut rows) {
            plane.widen(y, row);
        }
        let (colour, _) = out.as_chunks_mut::<3>();
        match (colours, &rows[..]) {
            (Colours::YCbCr, [a, b, c]) => merge(colour, a, b, c, rgb),
            (_, [a, b, c]) => merge(colour, a, b, c, |values| values),
            (_, [a, b, c, black]) => {
                if colours == Colours::Ycck {
                    merge(colour, a, b, c, |values| rgb(values).map(|ink| 255 - ink));
                } else {
                    merge(colour, a, b, c, |values| values);
                }
                for (pixel, black) in colour.iter_mut().zip(black) {
                    *pixel = pixel.map(|left| shaded(left, *black));
                }
            }
            (_, of_grey) => out.copy_from_slice(&of_grey[0][..header.width]),
        }
    }
    out
}

fn merge(out: &mut [[u8; 3]], a: &[u8], b: &[u8], c: &[u8], with: impl Fn([u8; 3]) -> [u8; 3]) {
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        *out = with([*a, *b, *c]);
    }
}

/// What one ink and black leave of white; each is given as what it leaves.
fn shaded(left: u8, black: u8) -> u8 {
    let (left, black) = (u32::from(left), u32::from(black));
    (black - ((255 - left) * black + 127) / 255) as u8
}

/// By JFIF's formula, in 16 bits behind the point.
fn rgb([light, blue, red]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (light, blue, red) = (i32::from(light), i32::from(blue) - 128, i32::from(red) - 128);
    [
        light + ((91_881 * red + HALF) >> 16),
        light + ((-22_554 * blue - 46_802 * red + HALF) >> 16),
        light + ((116_130 * blue + HALF) >> 16),
    ]
    .map(byte)
}
