//! The stack machine that a pickle is a program for.

use std::collections::BTreeMap;

use super::bytes::Bytes;
use super::error::{Fault, LoadError};
use super::instruction::{self, Constant, Instruction};
use super::value::{Handle, Object, Pickle, Value};

/// Values that one pickle may make. ResNet-152 needs about 20,000, and a state dict with its optimiser thrice that.
const MOST_VALUES: usize = 1 << 21;
/// How often, on average, a value may stand in tuples, lists and dicts.
const MOST_MENTIONS: usize = 4;

/// Runs the pickle that `bytes` begin with; what follows it is not looked at.
///
/// # Errors
/// At the first instruction that cannot be followed, with its place.
pub fn read(bytes: &[u8]) -> Result<Pickle<'_>, LoadError> {
    load(&mut Bytes::new(bytes))
}

/// The same of a pickle that needs no more than `most` values, which bounds the memory that they take.
///
/// # Errors
/// As [`read`], and when there are more.
pub fn read_within(bytes: &[u8], most: usize) -> Result<Pickle<'_>, LoadError> {
    run(&mut Bytes::new(bytes), Machine::new(most.min(MOST_VALUES)))
}

/// Runs the pickle at the position of `bytes`, and leaves the position after it.
///
/// # Errors
/// At the first instruction that cannot be followed, with its place.
pub fn load<'a>(bytes: &mut Bytes<'a>) -> Result<Pickle<'a>, LoadError> {
    run(bytes, Machine::new(MOST_VALUES))
}

fn run<'a>(bytes: &mut Bytes<'a>, mut machine: Machine<'a>) -> Result<Pickle<'a>, LoadError> {
    let start = bytes.position();
    loop {
        let byte = bytes.position() - start;
        let at = |fault| LoadError { byte, fault };
        match instruction::next(bytes).map_err(at)? {
            Instruction::Stop => {
                let root = machine.pop().map_err(at)?;
                return Ok(Pickle { heap: machine.heap, root, persistent: machine.persistent });
            }
            instruction => machine.execute(instruction).map_err(at)?,
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    /// How many values there may be.
    most: usize,
    /// How many are in tuples, lists and dicts, or were when these were made.
    mentions: usize,
    heap: Vec<Value<'a>>,
    stack: Vec<Handle>,
    /// Heights of the stack; no instruction but one that ends a mark reaches below the last.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Handle>,
    persistent: Vec<Handle>,
}

impl<'a> Machine<'a> {
    fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    fn execute(&mut self, instruction: Instruction<'a>) -> Result<(), Fault> {
        match instruction {
            Instruction::Stop | Instruction::Skip => Ok(()),
            Instruction::Mark => {
                self.marks.push(self.stack.len());
                self.within_limit(self.marks.len())
            }
            Instruction::Pop if self.stack.len() == self.floor() && !self.marks.is_empty() => {
                self.pop_to_mark().map(drop)
            }
            Instruction::Pop => self.pop().map(drop),
            Instruction::PopMark => self.pop_to_mark().map(drop),
            Instruction::Duplicate => self.top().and_then(|top| self.push_handle(top)),
            Instruction::Push(constant) => {
                let value = match constant {
                    Constant::None => Value::None,
                    Constant::Bool(value) => Value::Bool(value),
                    Constant::Int(value) => Value::Int(value),
                    Constant::Huge => Value::Huge,
                    Constant::Float(value) => Value::Float(value),
                    Constant::Text(text) => Value::Text(text),
                    Constant::Bytes(bytes) => Value::Bytes(bytes),
                    Constant::OutOfBand => Value::Persistent(self.add(Value::None)?),
                };
                self.push(value)
            }
            Instruction::Tuple => self.pop_to_mark().and_then(|items| self.push(Value::Tuple(items))),
            Instruction::TupleOf(count) => {
                let start = self.stack.len().checked_sub(count).filter(|&start| start >= self.floor());
                let items = self.stack.split_off(start.ok_or(Fault::EmptyStack)?);
                self.mention(items.len())?;
                self.push(Value::Tuple(items))
            }
            Instruction::EmptyList => self.push(Value::List(Vec::new())),
            Instruction::List => self.pop_to_mark().and_then(|items| self.push(Value::List(items))),
            Instruction::Append => {
                let item = self.pop()?;
                self.mention(1)?;
                self.append(&[item])
            }
            Instruction::Appends => self.pop_to_mark().and_then(|items| self.append(&items)),
            Instruction::EmptyDict => self.push(Value::Dict(Vec::new())),
            Instruction::Dict => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&items)?))
            }
            Instruction::SetItem => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.mention(2)?;
                self.set_items(&[key, value])
            }
            Instruction::SetItems => self.pop_to_mark().and_then(|items| self.set_items(&items)),
            Instruction::EmptySet => self.push(Value::Set),
            Instruction::AddItems => self.pop_to_mark().and_then(|_| self.top()).map(drop),
            Instruction::FrozenSet => self.pop_to_mark().and_then(|_| self.push(Value::Set)),
            Instruction::Global { module, name } => {
                let global = self.global(module, name)?;
                self.push_handle(global)
            }
            Instruction::StackGlobal => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.push(Value::Global { module, name })
            }
            Instruction::Extension(code) => self.push(Value::Extension(code)),
            Instruction::NewObjectNamed => {
                self.pop()?;
                self.call()
            }
            Instruction::Reduce | Instruction::NewObject => self.call(),
            Instruction::Instance { module, name } => {
                let items = self.pop_to_mark()?;
                let class = self.global(module, name)?;
                self.instance(class, items)
            }
            Instruction::Object => {
                let mut items = self.pop_to_mark()?;
                if items.is_empty() {
                    return Err(Fault::EmptyStack);
                }
                let class = items.remove(0);
                self.instance(class, items)
            }
            Instruction::Build => self.build(),
            Instruction::PersistentId => self.pop().and_then(|id| self.outside(id)),
            Instruction::PersistentText(id) => {
                let id = self.add(Value::Text(String::from_utf8_lossy(id)))?;
                self.outside(id)
            }
            Instruction::Get(number) => {
                let handle = *self.memo.get(&number).ok_or(Fault::UnknownMemo(number))?;
                self.push_handle(handle)
            }
            Instruction::Put(number) => {
                let top = self.top()?;
                self.memo.insert(number, top);
                self.within_limit(self.memo.len())
            }
            Instruction::Memoize => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u32, top);
                self.within_limit(self.memo.len())
            }
        }
    }

    /// A fault when there is no room for one more.
    const fn within_limit(&self, count: usize) -> Result<(), Fault> {
        if count < self.most { Ok(()) } else { Err(Fault::TooManyValues(self.most)) }
    }

    /// Counts values that become items or entries.
    const fn mention(&mut self, count: usize) -> Result<(), Fault> {
        self.mentions += count;
        if self.mentions <= MOST_MENTIONS * self.most { Ok(()) } else { Err(Fault::TooManyValues(self.most)) }
    }

    /// The height below which the stack is out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// Adds a value to the heap alone.
    fn add(&mut self, value: Value<'a>) -> Result<Handle, Fault> {
        self.within_limit(self.heap.len())?;
        let handle = Handle(self.heap.len() as u32);
        self.heap.push(value);
        Ok(handle)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Fault> {
        let handle = self.add(value)?;
        self.push_handle(handle)
    }

    fn push_handle(&mut self, handle: Handle) -> Result<(), Fault> {
        self.within_limit(self.stack.len())?;
        self.stack.push(handle);
        Ok(())
    }

    fn pop(&mut self) -> Result<Handle, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Handle, Fault> {
        self.stack[self.floor()..].last().copied().ok_or(Fault::EmptyStack)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Handle>, Fault> {
        let mark = self.marks.pop().ok_or(Fault::EmptyStack)?;
        let items = self.stack.split_off(mark);
        self.mention(items.len())?;
        Ok(items)
    }

    fn fault(&self, expected: &'static str, found: Handle) -> Fault {
        // Names would need the whole pickle; the kind of a plain value does not.
        let found = match &self.heap[found.0 as usize] {
            Value::Tuple(_) => "a tuple",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Dict(_) => "a dict",
            Value::List(_) => "a list",
            _ => "something else",
        };
        Fault::Unexpected { expected, found: found.to_owned() }
    }

    /// Adds to a list; what is added to an object is let go.
    fn append(&mut self, items: &[Handle]) -> Result<(), Fault> {
        let list = self.top()?;
        match &mut self.heap[list.0 as usize] {
            Value::List(list) => list.extend_from_slice(items),
            Value::Object(_) | Value::Persistent(_) => {}
            _ => return Err(self.fault("a list", list)),
        }
        Ok(())
    }

    /// Sets entries of a dict, or of an object that behaves like one.
    fn set_items(&mut self, items: &[Handle]) -> Result<(), Fault> {
        let dict = self.top()?;
        match &mut self.heap[dict.0 as usize] {
            Value::Dict(entries) => entries.extend(pairs(items)?),
            Value::Object(object) => object.entries.extend(pairs(items)?),
            Value::Persistent(_) => {}
            _ => return Err(self.fault("a dict", dict)),
        }
        Ok(())
    }

    fn global(&mut self, module: &'a [u8], name: &'a [u8]) -> Result<Handle, Fault> {
        let module = self.add(Value::Text(String::from_utf8_lossy(module)))?;
        let name = self.add(Value::Text(String::from_utf8_lossy(name)))?;
        self.add(Value::Global { module, name })
    }

    /// A call, which is not made.
    fn call(&mut self) -> Result<(), Fault> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        match self.heap[arguments.0 as usize] {
            Value::Tuple(_) => self.object(callee, arguments),
            _ => Err(self.fault("a tuple of arguments", arguments)),
        }
    }

    fn instance(&mut self, class: Handle, items: Vec<Handle>) -> Result<(), Fault> {
        let arguments = self.add(Value::Tuple(items))?;
        self.object(class, arguments)
    }

    fn object(&mut self, callee: Handle, arguments: Handle) -> Result<(), Fault> {
        match self.heap[callee.0 as usize] {
            Value::Global { .. } | Value::Extension(_) | Value::Object(_) | Value::Persistent(_) => {}
            _ => return Err(self.fault("a function or class", callee)),
        }
        self.push(Value::Object(Box::new(Object { callee, arguments, state: None, entries: Vec::new() })))
    }

    /// Keeps an object's state. That of anything else (an ordered dict's `_metadata`, say) is let go.
    fn build(&mut self) -> Result<(), Fault> {
        let state = self.pop()?;
        let object = self.top()?;
        if let Value::Object(object) = &mut self.heap[object.0 as usize] {
            object.state = Some(state);
        }
        Ok(())
    }

    /// A value outside of the pickle.
    fn outside(&mut self, id: Handle) -> Result<(), Fault> {
        self.persistent.push(id);
        self.push(Value::Persistent(id))
    }
}

fn pairs(items: &[Handle]) -> Result<Vec<(Handle, Handle)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    } else {
        Err(Fault::Unexpected { expected: "a value for each key", found: "a key alone".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(program: &[u8]) -> (usize, Fault) {
        let LoadError { byte, fault } = read(program).unwrap_err();
        (byte, fault)
    }

    #[test]
    fn items_reach_a_dict_that_was_remembered_before_it_was_filled() {
        // {'a': d, 'b': d} where d = {}, remembered empty and filled later with 1 -> 2.
        let program = b"\x80\x02}(X\x01\0\0\0a}q\x01X\x01\0\0\0bh\x01uh\x01K\x01K\x02s0.";
        let pickle = read(program).unwrap();
        let [a, b] = ["a", "b"].map(|key| pickle.get(pickle.root(), key).unwrap());
        assert_eq!(a, b);
        let inner = pickle.entries(a).unwrap();
        assert_eq!((pickle.extent(inner[0].0).unwrap(), pickle.extent(inner[0].1).unwrap()), (1, 2));
    }

    #[test]
    fn integers_of_every_length_keep_their_sign() {
        for (program, number) in [
            (&b"\x8a\x00."[..], 0),
            (b"\x8a\x01\xff.", -1),
            (b"\x8a\x02\xff\x00.", 255),
            (b"J\xfe\xff\xff\xff.", -2),
            (b"\x8b\x01\0\0\0\x80.", -128),
            (b"I-7\n.", -7),
            (b"L-12345678901234567890L\n.", -12_345_678_901_234_567_890),
        ] {
            let pickle = read(program).unwrap();
            assert_eq!(pickle.value(pickle.root()), &Value::Int(number));
        }
        for program in [&b"\x8a\x11aaaaaaaaaaaaaaaaa."[..], b"L999999999999999999999999999999999999999999L\n."] {
            let pickle = read(program).unwrap();
            assert_eq!(pickle.value(pickle.root()), &Value::Huge);
        }
    }

    #[test]
    fn what_would_be_imported_and_called_only_says_so() {
        for program in [
            &b"\x80\x02cposix\nsystem\nX\x02\0\0\0ls\x85R."[..],
            b"U\x05posixU\x06system\x93U\x02ls\x85R.",
            b"(S'ls'\niposix\nsystem\n.",
            b"(cposix\nsystem\nS'ls'\no.",
            b"cposix\nsystem\nU\x02ls\x85\x81.",
            b"cposix\nsystem\nU\x02ls\x85}\x92.",
        ] {
            let pickle = read(program).unwrap();
            let call = pickle.call(pickle.root()).unwrap();
            assert_eq!((call.module, call.name), ("posix", "system"));
            assert_eq!(pickle.text(call.arguments[0]).unwrap(), "ls");
            assert_eq!(pickle.describe(pickle.root()), "an object of `posix.system`");
        }
    }

    #[test]
    fn a_huge_count_is_refused_before_anything_is_reserved() {
        assert!(matches!(fault(b"X\xff\xff\xff\xffabc"), (0, Fault::Truncated { wanted: 0xffff_ffff, left: 3 })));
        assert!(matches!(fault(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), (0, Fault::Truncated { .. })));
        assert!(matches!(fault(b"\x96\0\0\0\0\0\0\0\x80"), (0, Fault::Truncated { .. })));
    }

    #[test]
    fn the_deepest_nesting_is_no_danger() {
        let mut program = b"N".to_vec();
        program.extend(b"\x85".repeat(1_000_000));
        program.push(b'.');
        let pickle = read(&program).unwrap();
        assert_eq!(pickle.items(pickle.root()).unwrap().len(), 1);
    }

    #[test]
    fn a_list_that_doubles_itself_is_stopped() {
        // [x, x] of [x, x] of ... stays small, since values are shared rather than copied.
        let mut program = b"N".to_vec();
        program.extend(b"2\x86".repeat(100));
        program.push(b'.');
        assert!(read(&program).is_ok());
        // Endless pushing does not.
        assert!(matches!(fault(&b"N".repeat(MOST_VALUES + 1)), (MOST_VALUES, Fault::TooManyValues(_))));
        assert!(matches!(fault(&b"(".repeat(MOST_VALUES + 1)), (_, Fault::TooManyValues(_))));
    }

    #[test]
    fn what_is_remembered_or_mentioned_without_end_is_stopped() {
        let fault = |start: &[u8], again: &[u8]| {
            let program = [start, &again.repeat(5000), b"."].concat();
            assert!(read(&program).is_ok(), "within the limit of every pickle");
            read_within(&program, 1000).unwrap_err().fault
        };
        for (start, again) in
            [(&b"N"[..], &b"\x94"[..]), (b"]", b"2a"), (b"]q\x00", b"(h\x00h\x00e"), (b"}", b"22s"), (b"N", b"2\x850")]
        {
            assert!(matches!(fault(start, again), Fault::TooManyValues(1000)), "{again:?}");
        }
        assert!(read_within(&[&b"("[..], &b"N".repeat(900), b"t."].concat(), 1000).is_ok());
    }

    #[test]
    fn a_dict_that_holds_itself_is_read() {
        let pickle = read(b"\x80\x02}q\x00U\x02meh\x00s.").unwrap();
        assert_eq!(pickle.get(pickle.root(), "me"), Some(pickle.root()));
    }

    #[test]
    fn programs_that_take_what_is_not_there_are_refused() {
        for program in
            [&b"."[..], b"0", b"t", b"u", b"a", b"R", b"b", b"Q", b"q\x00", b"\x87", b"(K\x01\x86", b"K\x01(.", b"(o"]
        {
            assert!(matches!(fault(program).1, Fault::EmptyStack), "{program:?}");
        }
        assert!(matches!(fault(b"h\x07."), (0, Fault::UnknownMemo(7))));
        assert!(matches!(fault(b"K\x01)R."), (3, Fault::Unexpected { .. })));
        assert!(matches!(fault(b"}K\x01(NNu."), (_, Fault::Unexpected { .. })));
        assert!(matches!(fault(b"}(Nu."), (_, Fault::Unexpected { .. })));
        assert!(matches!(fault(b"\x80\x06."), (0, Fault::Protocol(6))));
        assert!(matches!(fault(b"\x07"), (0, Fault::UnknownInstruction(7))));
    }
}
