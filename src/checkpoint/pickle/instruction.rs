//! The instructions of a pickle: protocols 2 to 5, as far as a checkpoint can contain them.
//!
//! Source of the codes: Python's `Lib/pickletools.py`.

use super::bytes::Bytes;
use crate::checkpoint::error::Fault;

/// One instruction with its operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Instruction<'a> {
    /// Ends the program; the value on top is its result.
    Stop,
    /// Does nothing here (`PROTO`, `FRAME`).
    Skip,
    /// Remembers how high the stack is.
    Mark,
    /// Drops the top value.
    Pop,
    /// Drops everything above the mark; so do the items of a set, since no set matters here.
    PopMark,
    /// Pushes the top value again.
    Duplicate,
    /// Pushes a constant.
    Push(Constant<'a>),
    /// Makes a tuple of everything above the mark.
    Tuple,
    /// Makes a tuple of the top values.
    TupleOf(usize),
    /// Pushes a list without items.
    EmptyList,
    /// Makes a list of everything above the mark.
    List,
    /// Adds the top value to the list below it.
    Append,
    /// Adds everything above the mark to the list below it.
    Appends,
    /// Pushes a dict without items.
    EmptyDict,
    /// Makes a dict of everything above the mark.
    Dict,
    /// Adds one key and value to the dict below them.
    SetItem,
    /// Adds all keys and values above the mark to the dict below it.
    SetItems,
    /// Pushes an empty set.
    EmptySet,
    /// Makes a frozen set of everything above the mark.
    FrozenSet,
    /// Pushes what a module calls by a name.
    Global {
        /// The module.
        module: &'a [u8],
        /// The name in it.
        name: &'a [u8],
    },
    /// The same, module and name being on the stack.
    StackGlobal,
    /// Calls the function under the top tuple with it.
    Reduce,
    /// Makes an object of the class under the top tuple with it.
    NewObject,
    /// Gives the object under the top value its state.
    Build,
    /// Replaces the top value by the storage that it identifies.
    PersistentId,
    /// Pushes a remembered value.
    Get(u32),
    /// Remembers the top value.
    Put(u32),
    /// Remembers the top value under the next number.
    Memoize,
}

/// A value that an instruction carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Constant<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
    /// Bytes, or text in no known encoding: nothing that a state dict needs.
    Bytes,
}

/// Decodes the next instruction.
///
/// # Errors
/// When the bytes end within it, or it is none.
pub(super) fn next<'a>(bytes: &mut Bytes<'a>) -> Result<Instruction<'a>, Fault> {
    use Instruction as I;
    Ok(match bytes.byte()? {
        b'.' => I::Stop,
        0x80 => match bytes.byte()? {
            2..=5 => I::Skip,
            version => return Err(Fault::Protocol(version)),
        },
        0x95 => bytes.array::<8>().map(|_| I::Skip)?,
        b'(' => I::Mark,
        b'0' => I::Pop,
        b'1' | 0x90 => I::PopMark,
        b'2' => I::Duplicate,
        b'N' => I::Push(Constant::None),
        0x88 => I::Push(Constant::Bool(true)),
        0x89 => I::Push(Constant::Bool(false)),
        b'K' => I::Push(Constant::Int(bytes.byte()?.into())),
        b'M' => I::Push(Constant::Int(u16::from_le_bytes(bytes.array()?).into())),
        b'J' => I::Push(Constant::Int(i32::from_le_bytes(bytes.array()?).into())),
        0x8a => {
            let length = bytes.byte()?;
            long(bytes, length.into())?
        }
        0x8b => {
            let length = short_count(bytes)?;
            long(bytes, length)?
        }
        b'G' => I::Push(Constant::Float(f64::from_be_bytes(bytes.array()?))),
        b'U' | 0x8c => {
            let length = bytes.byte()?;
            text(bytes, length.into())?
        }
        b'T' | b'X' => {
            let length = short_count(bytes)?;
            text(bytes, length)?
        }
        0x8d => {
            let length = u64::from_le_bytes(bytes.array()?);
            text(bytes, length)?
        }
        b'C' => {
            let length = bytes.byte()?;
            bytes.take(length.into()).map(|_| I::Push(Constant::Bytes))?
        }
        b'B' => {
            let length = short_count(bytes)?;
            bytes.take(length).map(|_| I::Push(Constant::Bytes))?
        }
        0x8e | 0x96 => {
            let length = u64::from_le_bytes(bytes.array()?);
            bytes.take(length).map(|_| I::Push(Constant::Bytes))?
        }
        b')' => I::TupleOf(0),
        0x85 => I::TupleOf(1),
        0x86 => I::TupleOf(2),
        0x87 => I::TupleOf(3),
        b't' => I::Tuple,
        b']' => I::EmptyList,
        b'l' => I::List,
        b'a' => I::Append,
        b'e' => I::Appends,
        b'}' => I::EmptyDict,
        b'd' => I::Dict,
        b's' => I::SetItem,
        b'u' => I::SetItems,
        0x8f => I::EmptySet,
        0x91 => I::FrozenSet,
        b'c' => I::Global { module: bytes.line()?, name: bytes.line()? },
        0x93 => I::StackGlobal,
        b'R' => I::Reduce,
        0x81 => I::NewObject,
        b'b' => I::Build,
        b'Q' => I::PersistentId,
        b'h' => I::Get(bytes.byte()?.into()),
        b'j' => I::Get(u32::from_le_bytes(bytes.array()?)),
        b'q' => I::Put(bytes.byte()?.into()),
        b'r' => I::Put(u32::from_le_bytes(bytes.array()?)),
        0x94 => I::Memoize,
        unknown => return Err(Fault::UnknownInstruction(unknown)),
    })
}

fn short_count(bytes: &mut Bytes<'_>) -> Result<u64, Fault> {
    bytes.array().map(|count| u32::from_le_bytes(count).into())
}

/// A two's complement integer, lowest byte first; no bytes are zero.
fn long<'a>(bytes: &mut Bytes<'a>, length: u64) -> Result<Instruction<'a>, Fault> {
    let digits = bytes.take(length)?;
    let fill = if digits.last().is_some_and(|top| top & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; size_of::<i128>()];
    wide.get_mut(..digits.len()).ok_or(Fault::LongInteger(digits.len()))?.copy_from_slice(digits);
    Ok(Instruction::Push(Constant::Int(i128::from_le_bytes(wide))))
}

fn text<'a>(bytes: &mut Bytes<'a>, length: u64) -> Result<Instruction<'a>, Fault> {
    let text = std::str::from_utf8(bytes.take(length)?);
    Ok(Instruction::Push(text.map_or(Constant::Bytes, Constant::Text)))
}
