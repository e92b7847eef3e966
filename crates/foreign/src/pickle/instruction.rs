//! The instructions of a pickle, of all protocols.
//!
//! Source of the codes and their operands: Python's `Lib/pickletools.py`.

use std::borrow::Cow;

use super::bytes::Bytes;
use super::error::Fault;
use super::literal;

/// One instruction with its operand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Instruction<'a> {
    /// Ends the program; the value on top is its result.
    Stop,
    /// Does nothing here (`PROTO`, `FRAME`, `READONLY_BUFFER`).
    Skip,
    /// Remembers how high the stack is.
    Mark,
    /// Drops the top value, or the mark on it.
    Pop,
    /// Drops everything above the mark.
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
    /// Adds everything above the mark to the set below it.
    AddItems,
    /// Makes a frozen set of everything above the mark.
    FrozenSet,
    /// Pushes what a module calls by a name.
    Global {
        /// The name of the module: `torch._utils`.
        module: &'a [u8],
        /// The name in it.
        name: &'a [u8],
    },
    /// The same, module and name being on the stack.
    StackGlobal,
    /// Pushes what Python's registry of extensions has under a number.
    Extension(u32),
    /// Calls the function under the top tuple with it.
    Reduce,
    /// Makes an object of the class under the top tuple with it.
    NewObject,
    /// The same, with a dict of named arguments above the tuple.
    NewObjectNamed,
    /// Makes an object of a class with everything above the mark.
    Instance {
        /// The name of the module: `torch._utils`.
        module: &'a [u8],
        /// The class in it.
        name: &'a [u8],
    },
    /// The same, the class being the first value above the mark.
    Object,
    /// Gives the object under the top value its state.
    Build,
    /// Replaces the top value by what it identifies outside of the pickle.
    PersistentId,
    /// Pushes what this text identifies outside of the pickle.
    PersistentText(&'a [u8]),
    /// Pushes a remembered value.
    Get(u32),
    /// Remembers the top value.
    Put(u32),
    /// Remembers the top value under the next number.
    Memoize,
}

/// A value that an instruction carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant<'a> {
    None,
    Bool(bool),
    Int(i128),
    /// An integer of more than 16 bytes.
    Huge,
    Float(f64),
    Text(Cow<'a, str>),
    /// Bytes, among them what Python 2 calls a string.
    Bytes(Cow<'a, [u8]>),
    /// Bytes that lie outside of the pickle.
    OutOfBand,
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
            0..=5 => I::Skip,
            version => return Err(Fault::Protocol(version)),
        },
        0x95 => bytes.array::<8>().map(|_| I::Skip)?,
        0x98 => I::Skip,
        b'(' => I::Mark,
        b'0' => I::Pop,
        b'1' => I::PopMark,
        b'2' => I::Duplicate,
        b'N' => I::Push(Constant::None),
        0x88 => I::Push(Constant::Bool(true)),
        0x89 => I::Push(Constant::Bool(false)),
        b'I' | b'L' => I::Push(literal::integer(bytes.line()?)?),
        b'K' => I::Push(Constant::Int(bytes.byte()?.into())),
        b'M' => I::Push(Constant::Int(u16::from_le_bytes(bytes.array()?).into())),
        b'J' => I::Push(Constant::Int(i32::from_le_bytes(bytes.array()?).into())),
        0x8a => {
            let length = bytes.byte()?;
            long(bytes, length.into())?
        }
        0x8b => {
            let length = count(bytes)?;
            long(bytes, length)?
        }
        b'F' => I::Push(literal::float(bytes.line()?)?),
        b'G' => I::Push(Constant::Float(f64::from_be_bytes(bytes.array()?))),
        b'S' => I::Push(literal::string(bytes.line()?)?),
        b'V' => I::Push(literal::text(bytes.line()?)?),
        0x8c => {
            let length = bytes.byte()?;
            text(bytes, length.into())?
        }
        b'X' => {
            let length = count(bytes)?;
            text(bytes, length)?
        }
        0x8d => {
            let length = long_count(bytes)?;
            text(bytes, length)?
        }
        b'U' | b'C' => {
            let length = bytes.byte()?;
            raw(bytes, length.into())?
        }
        b'T' | b'B' => {
            let length = count(bytes)?;
            raw(bytes, length)?
        }
        0x8e | 0x96 => {
            let length = long_count(bytes)?;
            raw(bytes, length)?
        }
        0x97 => I::Push(Constant::OutOfBand),
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
        0x90 => I::AddItems,
        0x91 => I::FrozenSet,
        b'c' => I::Global { module: bytes.line()?, name: bytes.line()? },
        0x93 => I::StackGlobal,
        0x82 => I::Extension(bytes.byte()?.into()),
        0x83 => I::Extension(u16::from_le_bytes(bytes.array()?).into()),
        0x84 => I::Extension(u32::from_le_bytes(bytes.array()?)),
        b'R' => I::Reduce,
        0x81 => I::NewObject,
        0x92 => I::NewObjectNamed,
        b'i' => I::Instance { module: bytes.line()?, name: bytes.line()? },
        b'o' => I::Object,
        b'b' => I::Build,
        b'Q' => I::PersistentId,
        b'P' => I::PersistentText(bytes.line()?),
        b'g' => I::Get(literal::number(bytes.line()?)?),
        b'h' => I::Get(bytes.byte()?.into()),
        b'j' => I::Get(u32::from_le_bytes(bytes.array()?)),
        b'p' => I::Put(literal::number(bytes.line()?)?),
        b'q' => I::Put(bytes.byte()?.into()),
        b'r' => I::Put(u32::from_le_bytes(bytes.array()?)),
        0x94 => I::Memoize,
        unknown => return Err(Fault::UnknownInstruction(unknown)),
    })
}

fn count(bytes: &mut Bytes<'_>) -> Result<u64, Fault> {
    bytes.array().map(|count| u32::from_le_bytes(count).into())
}

fn long_count(bytes: &mut Bytes<'_>) -> Result<u64, Fault> {
    bytes.array().map(u64::from_le_bytes)
}

/// A two's complement integer, lowest byte first; no bytes are zero.
fn long<'a>(bytes: &mut Bytes<'a>, length: u64) -> Result<Instruction<'a>, Fault> {
    let digits = bytes.take(length)?;
    let fill = if digits.last().is_some_and(|top| top & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; size_of::<i128>()];
    let Some(start) = wide.get_mut(..digits.len()) else { return Ok(Instruction::Push(Constant::Huge)) };
    start.copy_from_slice(digits);
    Ok(Instruction::Push(Constant::Int(i128::from_le_bytes(wide))))
}

/// Python's text may hold halves of surrogate pairs, which are no UTF-8: such stay bytes.
fn text<'a>(bytes: &mut Bytes<'a>, length: u64) -> Result<Instruction<'a>, Fault> {
    let raw = bytes.take(length)?;
    let text = std::str::from_utf8(raw).map_or(Constant::Bytes(Cow::Borrowed(raw)), |text| Constant::Text(text.into()));
    Ok(Instruction::Push(text))
}

fn raw<'a>(bytes: &mut Bytes<'a>, length: u64) -> Result<Instruction<'a>, Fault> {
    bytes.take(length).map(|raw| Instruction::Push(Constant::Bytes(Cow::Borrowed(raw))))
}
