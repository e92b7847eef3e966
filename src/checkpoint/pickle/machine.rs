//! The stack machine that a pickle is a program for.

use std::collections::BTreeMap;

use super::bytes::Bytes;
use super::instruction::{self, Constant, Instruction};
use super::name::{self, Name};
use super::value::{Handle, Pickle, Value};
use crate::checkpoint::error::{Fault, quote};

/// Values that one pickle may make. ResNet-152 needs about 20,000, and a state dict with its optimiser thrice that.
const MOST_VALUES: usize = 1 << 21;

/// A fault and the byte of the pickle where its instruction begins.
#[derive(Debug)]
pub(in crate::checkpoint) struct PickleFault {
    /// Counted from the pickle's beginning.
    pub byte: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// Runs the pickle at the position of `bytes`, and leaves the position after it.
///
/// # Errors
/// At the first instruction that cannot be followed, with its place.
pub(in crate::checkpoint) fn load(bytes: &mut Bytes<'_>) -> Result<Pickle, PickleFault> {
    let start = bytes.position();
    let mut machine = Machine::default();
    loop {
        let byte = bytes.position() - start;
        let at = |fault| PickleFault { byte, fault };
        match instruction::next(bytes).map_err(at)? {
            Instruction::Stop => {
                let root = machine.pop().map_err(at)?;
                return Ok(Pickle { heap: machine.heap, root, storages: machine.storages });
            }
            instruction => machine.execute(instruction).map_err(at)?,
        }
    }
}

#[derive(Default)]
struct Machine {
    heap: Vec<Value>,
    stack: Vec<Handle>,
    /// Heights of the stack; no instruction but one that ends a mark reaches below the last.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Handle>,
    storages: Vec<Handle>,
    /// Dict entries that calls have copied: the only work that is not one step an instruction.
    copied: usize,
}

impl Machine {
    fn execute(&mut self, instruction: Instruction<'_>) -> Result<(), Fault> {
        match instruction {
            Instruction::Stop | Instruction::Skip => Ok(()),
            Instruction::Mark => {
                self.marks.push(self.stack.len());
                within_limit(self.marks.len())
            }
            Instruction::Pop => self.pop().map(drop),
            Instruction::PopMark => self.pop_to_mark().map(drop),
            Instruction::Duplicate => self.top().and_then(|top| self.push_handle(top)),
            Instruction::Push(constant) => self.push(match constant {
                Constant::None => Value::None,
                Constant::Bool(value) => Value::Bool(value),
                Constant::Int(value) => Value::Int(value),
                Constant::Float(value) => Value::Float(value),
                Constant::Text(text) => Value::Text(text.to_owned()),
                Constant::Bytes => Value::Setting,
            }),
            Instruction::Tuple => self.pop_to_mark().and_then(|items| self.push(Value::Tuple(items))),
            Instruction::TupleOf(count) => {
                let start = self.stack.len().checked_sub(count).filter(|&start| start >= self.floor());
                let items = self.stack.split_off(start.ok_or(Fault::EmptyStack)?);
                self.push(Value::Tuple(items))
            }
            Instruction::EmptyList => self.push(Value::List(Vec::new())),
            Instruction::List => self.pop_to_mark().and_then(|items| self.push(Value::List(items))),
            Instruction::Append => self.pop().and_then(|item| self.append(&[item])),
            Instruction::Appends => self.pop_to_mark().and_then(|items| self.append(&items)),
            Instruction::EmptyDict => self.push(Value::Dict(Vec::new())),
            Instruction::Dict => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&items)?))
            }
            Instruction::SetItem => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            Instruction::SetItems => self.pop_to_mark().and_then(|items| self.set_items(&items)),
            Instruction::EmptySet => self.push(Value::Setting),
            Instruction::FrozenSet => self.pop_to_mark().and_then(|_| self.push(Value::Setting)),
            Instruction::Global { module, name } => {
                self.global(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))
            }
            Instruction::StackGlobal => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.value(module), self.value(name)) {
                    (Value::Text(module), Value::Text(name)) => self.global(&module.clone(), &name.clone()),
                    (Value::Text(_), other) | (other, _) => Err(other.instead_of("text")),
                }
            }
            Instruction::Reduce | Instruction::NewObject => self.call(),
            Instruction::Build => self.build(),
            Instruction::PersistentId => {
                let id = self.pop()?;
                self.storages.push(id);
                self.push(Value::Storage(id))
            }
            Instruction::Get(number) => {
                let handle = *self.memo.get(&number).ok_or(Fault::UnknownMemo(number))?;
                self.push_handle(handle)
            }
            Instruction::Put(number) => {
                let top = self.top()?;
                self.memo.insert(number, top);
                Ok(())
            }
            Instruction::Memoize => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u32, top);
                Ok(())
            }
        }
    }

    fn value(&self, handle: Handle) -> &Value {
        &self.heap[handle.0 as usize]
    }

    /// The height below which the stack is out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        within_limit(self.heap.len())?;
        let handle = Handle(self.heap.len() as u32);
        self.heap.push(value);
        self.push_handle(handle)
    }

    fn push_handle(&mut self, handle: Handle) -> Result<(), Fault> {
        within_limit(self.stack.len())?;
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
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, items: &[Handle]) -> Result<(), Fault> {
        let list = self.top()?;
        match &mut self.heap[list.0 as usize] {
            Value::List(list) => {
                list.extend_from_slice(items);
                Ok(())
            }
            other => Err(other.instead_of("a list")),
        }
    }

    fn set_items(&mut self, items: &[Handle]) -> Result<(), Fault> {
        let dict = self.top()?;
        match &mut self.heap[dict.0 as usize] {
            Value::Dict(dict) => {
                dict.extend(pairs(items)?);
                Ok(())
            }
            other => Err(other.instead_of("a dict")),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        match name::lookup(module, name) {
            Some(name) => self.push(Value::Name(name)),
            None => Err(Fault::ForbiddenName { name: format!("{}.{}", quote(module), quote(name)) }),
        }
    }

    /// What the call of an allowed name yields; calling anything else is a fault.
    fn call(&mut self) -> Result<(), Fault> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let Value::Name(callee) = *self.value(callee) else {
            return Err(self.value(callee).instead_of("a function or class"));
        };
        let Value::Tuple(items) = self.value(arguments) else {
            return Err(self.value(arguments).instead_of("a tuple"));
        };
        let first = items.first().copied();
        match callee {
            Name::Dict => self.dict(first),
            Name::Counter => match first {
                Some(counts) if matches!(self.value(counts), Value::Dict(_)) => self.push_handle(counts),
                _ => self.push(Value::Dict(Vec::new())),
            },
            Name::Tensor => self.push(Value::Tensor(arguments)),
            Name::Parameter => match first {
                Some(tensor) if matches!(self.value(tensor), Value::Tensor(_)) => self.push_handle(tensor),
                _ => Err(Fault::Unexpected { expected: "a tensor", found: "something else" }),
            },
            Name::Size => first.ok_or(Fault::EmptyStack).and_then(|size| self.push_handle(size)),
            Name::Storage(_) => Err(Fault::Unexpected { expected: "a function", found: "a storage type" }),
            Name::Setting => self.push(Value::Setting),
        }
    }

    /// A dict, from nothing, a factory of defaults, or (as Python 2 writes it) a list of pairs.
    fn dict(&mut self, first: Option<Handle>) -> Result<(), Fault> {
        let mut entries = Vec::new();
        if let Some(Value::List(items)) = first.map(|first| self.value(first)) {
            within_limit(self.copied + items.len())?;
            for &item in items {
                match self.value(item) {
                    Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => entries.push((pair[0], pair[1])),
                    other => return Err(other.instead_of("a pair")),
                }
            }
        }
        self.copied += entries.len();
        self.push(Value::Dict(entries))
    }

    /// Drops an object's state: an ordered dict's `_metadata`, which holds versions and no weights.
    fn build(&mut self) -> Result<(), Fault> {
        self.pop()?;
        let object = self.top()?;
        match self.value(object) {
            Value::Dict(_) | Value::Setting | Value::Tensor(_) => Ok(()),
            other => Err(other.instead_of("an object with state")),
        }
    }
}

/// A fault when there is no room for one more.
const fn within_limit(count: usize) -> Result<(), Fault> {
    if count < MOST_VALUES { Ok(()) } else { Err(Fault::TooManyValues(MOST_VALUES)) }
}

fn pairs(items: &[Handle]) -> Result<Vec<(Handle, Handle)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    } else {
        Err(Fault::Unexpected { expected: "a value for each key", found: "a key alone" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(program: &[u8]) -> (usize, Fault) {
        let PickleFault { byte, fault } = load(&mut Bytes::new(program)).unwrap_err();
        (byte, fault)
    }

    #[test]
    fn items_reach_a_dict_that_was_remembered_before_it_was_filled() {
        // {'a': d, 'b': d} where d = {}, remembered empty and filled later with 1 -> 2.
        let program = b"\x80\x02}(X\x01\0\0\0a}q\x01X\x01\0\0\0bh\x01uh\x01K\x01K\x02s0.";
        let pickle = load(&mut Bytes::new(program)).unwrap();
        let Value::Dict(entries) = pickle.value(pickle.root()) else { panic!("a dict") };
        assert_eq!(entries[0].1, entries[1].1);
        let Value::Dict(inner) = pickle.value(entries[0].1) else { panic!("a dict") };
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
        ] {
            let pickle = load(&mut Bytes::new(program)).unwrap();
            assert_eq!(pickle.value(pickle.root()), &Value::Int(number));
        }
        assert!(matches!(fault(b"\x8a\x11aaaaaaaaaaaaaaaaa."), (0, Fault::LongInteger(17))));
    }

    #[test]
    fn a_name_that_a_state_dict_does_not_need_is_refused_by_name_and_place() {
        for program in [&b"\x80\x02cposix\nsystem\n."[..], b"K\x01U\x05posixU\x06system\x93."] {
            let (byte, fault) = fault(program);
            assert!(byte >= 2, "{byte}");
            assert!(matches!(&fault, Fault::ForbiddenName { name } if name == "posix.system"), "{fault}");
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
        let pickle = load(&mut Bytes::new(&program)).unwrap();
        assert_eq!(pickle.items(pickle.root()).unwrap().len(), 1);
    }

    #[test]
    fn a_list_that_doubles_itself_is_stopped() {
        // [x, x] of [x, x] of ... stays small, since values are shared rather than copied.
        let mut program = b"N".to_vec();
        program.extend(b"2\x86".repeat(100));
        program.push(b'.');
        assert!(load(&mut Bytes::new(&program)).is_ok());
        // Endless pushing does not.
        assert!(matches!(fault(&b"N".repeat(MOST_VALUES + 1)), (MOST_VALUES, Fault::TooManyValues(_))));
        assert!(matches!(fault(&b"(".repeat(MOST_VALUES + 1)), (_, Fault::TooManyValues(_))));
        // Nor does a dict that is copied from one list again and again.
        let mut program = b"ccollections\nOrderedDict\nq\x00](".to_vec();
        program.extend(b"NN\x86".repeat(10_000));
        program.extend(b"e\x85q\x01");
        program.extend(b"h\x00h\x01R0".repeat(1_000));
        assert!(matches!(fault(&program).1, Fault::TooManyValues(_)));
    }

    #[test]
    fn programs_that_take_what_is_not_there_are_refused() {
        for program in
            [&b"."[..], b"0", b"t", b"u", b"a", b"R", b"b", b"Q", b"q\x00", b"\x87", b"(K\x01\x86", b"K\x01(."]
        {
            assert!(matches!(fault(program).1, Fault::EmptyStack), "{program:?}");
        }
        assert!(matches!(fault(b"h\x07."), (0, Fault::UnknownMemo(7))));
        assert!(matches!(fault(b"K\x01)R."), (3, Fault::Unexpected { .. })));
        assert!(matches!(fault(b"}K\x01(NNu."), (_, Fault::Unexpected { .. })));
        assert!(matches!(fault(b"}(Nu."), (_, Fault::Unexpected { .. })));
        assert!(matches!(fault(b"\x80\x00."), (0, Fault::Protocol(0))));
        assert!(matches!(fault(b"i"), (0, Fault::UnknownInstruction(b'i'))));
    }
}
