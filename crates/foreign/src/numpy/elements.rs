//! The elements of an array in whatever type numpy wrote them, as exactly the values that are asked for.

use std::fmt;

use half::f16;

/// How numpy stores an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementType {
    kind: Kind,
    bytes: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// An element as it was stored, to the last bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Of an integer or a bool.
    Whole(i128),
    /// Of a floating-point type.
    Real(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}

/// A type that elements are read as, whatever they are stored as; none is ever rounded.
pub trait Exact: Copy {
    /// What an element must be, for messages.
    const EXPECTED: &'static str;

    /// The value that is exactly that number, if there is one.
    fn exactly(number: Number) -> Option<Self>;
}

impl Exact for i64 {
    const EXPECTED: &'static str = "a whole number of 64 bits";

    fn exactly(number: Number) -> Option<Self> {
        match number {
            Number::Whole(number) => number.try_into().ok(),
            // Both bounds are floating-point numbers themselves.
            Number::Real(number) => {
                let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
                (fits && number.fract() == 0.0).then_some(number as Self)
            }
        }
    }
}

impl Exact for f64 {
    const EXPECTED: &'static str = "a number that 64 bits of floating point hold exactly";

    fn exactly(number: Number) -> Option<Self> {
        match number {
            Number::Whole(whole) => Some(whole as Self).filter(|&real| real as i128 == whole),
            Number::Real(number) => Some(number),
        }
    }
}

impl Exact for bool {
    const EXPECTED: &'static str = "0 or 1";

    fn exactly(number: Number) -> Option<Self> {
        match i64::exactly(number) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        }
    }
}

impl ElementType {
    /// The type that a header calls `descr` (`|b1`, `<i8`, `>f4`); none if its elements are no numbers, or complex or
    /// wider than 64 bits.
    #[must_use]
    pub fn of(descr: &str) -> Option<Self> {
        let mut letters = descr.chars();
        let big_endian = match letters.next()? {
            '<' | '|' => false,
            '>' => true,
            _ => return None,
        };
        let kind = match letters.next()? {
            'b' => Kind::Bool,
            'i' => Kind::Signed,
            'u' => Kind::Unsigned,
            'f' => Kind::Float,
            _ => return None,
        };
        let bytes = match (kind, letters.as_str()) {
            (Kind::Bool | Kind::Signed | Kind::Unsigned, "1") => 1,
            (Kind::Signed | Kind::Unsigned | Kind::Float, "2") => 2,
            (Kind::Signed | Kind::Unsigned | Kind::Float, "4") => 4,
            (Kind::Signed | Kind::Unsigned | Kind::Float, "8") => 8,
            _ => return None,
        };
        Some(Self { kind, bytes, big_endian })
    }

    /// Bytes of an element.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bytes
    }

    /// Reads the elements that lie in `stored`, one after the other.
    ///
    /// # Errors
    /// At the first that is no such value: which it is, counted from 0, and what is there.
    ///
    /// # Panics
    /// When the last one is cut short.
    pub fn decode<T: Exact>(self, stored: &[u8]) -> Result<Vec<T>, (usize, Number)> {
        assert!(stored.len().is_multiple_of(self.bytes), "elements are whole");
        let elements = stored.chunks_exact(self.bytes).map(|element| self.number(element));
        let exact = |(place, number)| T::exactly(number).ok_or((place, number));
        elements.enumerate().map(exact).collect()
    }

    /// The number in an element's bytes.
    fn number(self, element: &[u8]) -> Number {
        let mut bits = 0_u64;
        let digit = |bits: u64, &byte: &u8| (bits << 8) | u64::from(byte);
        bits = if self.big_endian { element.iter().fold(bits, digit) } else { element.iter().rev().fold(bits, digit) };
        match (self.kind, self.bytes) {
            (Kind::Float, 2) => Number::Real(f16::from_bits(bits as u16).to_f64()),
            (Kind::Float, 4) => Number::Real(f32::from_bits(bits as u32).into()),
            (Kind::Float, _) => Number::Real(f64::from_bits(bits)),
            (Kind::Signed, bytes) => {
                let unused = 64 - 8 * bytes as u32;
                Number::Whole(((bits << unused).cast_signed() >> unused).into())
            }
            (Kind::Bool | Kind::Unsigned, _) => Number::Whole(bits.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<T: Exact>(descr: &str, stored: &[u8]) -> Result<Vec<T>, (usize, Number)> {
        ElementType::of(descr).unwrap().decode(stored)
    }

    #[test]
    fn integers_of_every_width_and_byte_order_are_read() {
        for (descr, stored) in [
            ("|b1", &[1][..]),
            ("|i1", &[1]),
            ("|u1", &[1]),
            ("<i2", &[1, 0]),
            (">i2", &[0, 1]),
            ("<u4", &[1, 0, 0, 0]),
            (">u4", &[0, 0, 0, 1]),
            ("<i8", &[1, 0, 0, 0, 0, 0, 0, 0]),
            (">u8", &[0, 0, 0, 0, 0, 0, 0, 1]),
            ("<f2", &[0, 0x3c]),
            (">f4", &[0x3f, 0x80, 0, 0]),
            ("<f8", &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
        ] {
            assert_eq!(decoded::<i64>(descr, stored), Ok(vec![1]), "{descr}");
            assert_eq!(decoded::<f64>(descr, stored), Ok(vec![1.0]), "{descr}");
            assert_eq!(decoded::<bool>(descr, stored), Ok(vec![true]), "{descr}");
        }
        assert_eq!(decoded::<i64>(">i2", &[0xff, 0xfe]), Ok(vec![-2]));
        assert_eq!(decoded::<i64>("|i1", &[0x80, 5]), Ok(vec![-128, 5]));
        assert_eq!(decoded::<f64>(">f8", &0.375_f64.to_be_bytes()), Ok(vec![0.375]));
    }

    #[test]
    fn what_has_no_exact_value_is_refused_by_its_place() {
        let halves: Vec<u8> = [1.0_f32, 0.5, 0.0].into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!(decoded::<bool>("<f4", &halves), Err((1, Number::Real(0.5))));
        assert_eq!(decoded::<i64>("<f4", &halves), Err((1, Number::Real(0.5))));
        assert_eq!(decoded::<f64>("<f4", &halves), Ok(vec![1.0, 0.5, 0.0]));
        assert_eq!(decoded::<bool>("|u1", &[0, 255]), Err((1, Number::Whole(255))));
        assert_eq!(decoded::<bool>("|i1", &[255]), Err((0, Number::Whole(-1))));
        assert_eq!(decoded::<i64>("<u8", &u64::MAX.to_le_bytes()), Err((0, Number::Whole(u64::MAX.into()))));
        assert_eq!(decoded::<f64>("<i8", &i64::MAX.to_le_bytes()), Err((0, Number::Whole(i64::MAX.into()))));
        for number in [f64::NAN, f64::INFINITY, 2.0_f64.powi(63)] {
            assert!(decoded::<i64>("<f8", &number.to_le_bytes()).is_err(), "{number}");
        }
        assert_eq!(decoded::<i64>("<f8", &(-(2.0_f64.powi(63))).to_le_bytes()), Ok(vec![i64::MIN]));
    }

    #[test]
    fn other_types_are_none() {
        for descr in ["|O", "<c8", "<f16", "<U4", "|S3", "<M8[ns]", "=i8", "i8", "<i3", "|b2", "", "<", "<i"] {
            assert_eq!(ElementType::of(descr), None, "{descr}");
        }
    }
}
