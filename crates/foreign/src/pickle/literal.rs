//! Operands that protocol 0 writes as text, a line each.

use std::borrow::Cow;

use super::error::Fault;
use super::instruction::Constant;

/// `I` and `L`: a decimal integer, perhaps with Python 2's `L` behind it; `01` and `00` are True and False.
pub(super) fn integer<'a>(line: &[u8]) -> Result<Constant<'a>, Fault> {
    match line {
        b"01" => return Ok(Constant::Bool(true)),
        b"00" => return Ok(Constant::Bool(false)),
        _ => {}
    }
    let digits = line.strip_suffix(b"L").unwrap_or(line);
    if let Some(number) = std::str::from_utf8(digits).ok().and_then(|digits| digits.trim().parse().ok()) {
        return Ok(Constant::Int(number));
    }
    let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
    if !unsigned.is_empty() && unsigned.iter().all(u8::is_ascii_digit) {
        Ok(Constant::Huge)
    } else {
        Err(Fault::Literal("a line that should be an integer is none"))
    }
}

/// `g` and `p`: the number of a remembered value.
pub(super) fn number(line: &[u8]) -> Result<u32, Fault> {
    let number = std::str::from_utf8(line).ok().and_then(|digits| digits.parse().ok());
    number.ok_or(Fault::Literal("a line that should be the number of a memo is none"))
}

/// `F`: a float as Python prints it.
pub(super) fn float<'a>(line: &[u8]) -> Result<Constant<'a>, Fault> {
    let number = std::str::from_utf8(line).ok().and_then(|digits| digits.trim().parse().ok());
    number.map(Constant::Float).ok_or(Fault::Literal("a line that should be a float is none"))
}

/// `S`: a Python 2 string in quotes, with escapes.
pub(super) fn string(line: &[u8]) -> Result<Constant<'_>, Fault> {
    const FAULT: Fault = Fault::Literal("a line that should be a string in quotes is none");
    let [first @ (b'\'' | b'"'), inner @ .., last] = line else { return Err(FAULT) };
    if first != last {
        return Err(FAULT);
    }
    if !inner.contains(&b'\\') {
        return Ok(Constant::Bytes(Cow::Borrowed(inner)));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let [escape, after @ ..] = rest else { return Err(FAULT) };
        rest = after;
        let byte = match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'v' => 0x0b,
            b'x' => {
                let (code, after) = hexadecimal(rest, 2).ok_or(FAULT)?;
                rest = after;
                code as u8
            }
            b'0'..=b'7' => {
                let mut code = u32::from(escape - b'0');
                for _ in 0..2 {
                    let [digit @ b'0'..=b'7', after @ ..] = rest else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    rest = after;
                }
                code as u8
            }
            b'\\' | b'\'' | b'"' => *escape,
            other => {
                bytes.push(b'\\');
                *other
            }
        };
        bytes.push(byte);
    }
    Ok(Constant::Bytes(Cow::Owned(bytes)))
}

/// `V`: text in Latin-1 with `\u` and `\U` escapes.
pub(super) fn text(line: &[u8]) -> Result<Constant<'_>, Fault> {
    if line.is_ascii() && !line.contains(&b'\\') {
        return Ok(Constant::Text(String::from_utf8_lossy(line)));
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let [byte, after @ ..] = rest {
        rest = after;
        let digits = match (byte, rest.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(*byte));
                continue;
            }
        };
        let escape = rest.get(1..).and_then(|digits_on| hexadecimal(digits_on, digits));
        let (code, after) = escape.ok_or(Fault::Literal("an escape in a line of text is none"))?;
        // A half of a surrogate pair is no character; no name that is asked for has one.
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = after;
    }
    Ok(Constant::Text(Cow::Owned(text)))
}

/// The number that so many digits write, and what follows them.
fn hexadecimal(bytes: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(digits)?;
    let mut code = 0;
    for &digit in digits {
        code = (code << 4) | char::from(digit).to_digit(16)?;
    }
    Some((code, rest))
}
