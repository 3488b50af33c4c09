//! The stack machine: one instruction after the other, none of them recursive.

use std::collections::HashMap;

use super::globals::Global;
use super::opcodes as op;
use super::rebuild;
use super::value::{Heap, Value};
use crate::checkpoint::torch::Refusal;
use crate::checkpoint::torch::bytes::Reader;

/// Bounds on what a pickle may build, far above those of any model: the largest of this family has a
/// thousand tensors of six objects each. Together they bound the memory at a few hundred megabytes, and every
/// entry costs at least a byte of the file.
const MAX_STACK: usize = 1 << 20;
const MAX_MEMO: usize = 1 << 20;
const MAX_MARKS: usize = 1 << 10;
const MAX_OBJECTS: usize = 1 << 18;
const MAX_ITEMS: usize = 1 << 22;
/// The versions of the format that `torch.save` can be told to write.
const PROTOCOLS: std::ops::RangeInclusive<u8> = 2..=5;

/// What a pickle made.
#[derive(Debug)]
pub(in super::super) struct Pickle<'a> {
    pub(in super::super) heap: Heap<'a>,
    pub(in super::super) root: Value<'a>,
    /// The position after the pickle.
    pub(in super::super) end: usize,
}

/// Reads the pickle that begins at `start`.
pub(in super::super) fn load(bytes: &[u8], start: usize) -> Result<Pickle<'_>, Refusal> {
    let mut machine = Machine {
        reader: Reader::new(bytes, start),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        heap: Heap::default(),
        objects: 0,
        items: 0,
        position: start,
    };
    machine.protocol()?;
    loop {
        machine.position = machine.reader.position();
        match machine.reader.u8()? {
            op::STOP => break,
            code => machine.step(code)?,
        }
    }
    let root = machine.pop()?;
    if !machine.stack.is_empty() || !machine.marks.is_empty() {
        return Err(machine.refuse("one value at the end", "more"));
    }
    Ok(Pickle {
        heap: machine.heap,
        root,
        end: machine.reader.position(),
    })
}

pub(super) struct Machine<'a> {
    reader: Reader<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack: what is above the last one is the list under construction.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    pub(super) heap: Heap<'a>,
    objects: usize,
    items: usize,
    /// Where the present instruction is.
    position: usize,
}

impl<'a> Machine<'a> {
    fn protocol(&mut self) -> Result<(), Refusal> {
        match (self.reader.u8()?, self.reader.u8()?) {
            (op::PROTO, version) if PROTOCOLS.contains(&version) => Ok(()),
            (op::PROTO, version) => {
                Err(self.refuse("a pickle of protocol 2 to 5", format!("protocol {version}")))
            }
            (first, second) => Err(self.refuse(
                "a pickle of protocol 2 to 5",
                format!("bytes {first:#04x} {second:#04x}"),
            )),
        }
    }

    /// Follows one instruction.
    fn step(&mut self, code: u8) -> Result<(), Refusal> {
        match code {
            op::FRAME => self.reader.skip(8),
            op::NONE => self.push(Value::None),
            op::NEWTRUE | op::NEWFALSE => self.push(Value::Bool(code == op::NEWTRUE)),
            op::BININT | op::BININT1 | op::BININT2 | op::LONG1 | op::LONG4 => self.integer(code),
            op::BINFLOAT => {
                self.reader.skip(8)?;
                self.push(Value::Float)
            }
            op::BINUNICODE | op::SHORT_BINUNICODE | op::BINUNICODE8 => {
                let length = self.length(code)?;
                let text = self.reader.text(length)?;
                self.push(Value::Text(text))
            }
            op::BINSTRING | op::SHORT_BINSTRING => {
                // Text of Python 2, or bytes: it did not tell.
                let length = self.length(code)?;
                let bytes = self.reader.take(length)?;
                self.push(std::str::from_utf8(bytes).map_or(Value::Bytes, Value::Text))
            }
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => {
                let length = self.length(code)?;
                self.reader.skip(length)?;
                self.push(Value::Bytes)
            }
            op::MARK => {
                if self.marks.len() == MAX_MARKS {
                    return Err(self.refuse(format!("at most {MAX_MARKS} open lists"), "more"));
                }
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => self.pop().map(|_| ()),
            op::POP_MARK => self.pop_mark().map(|_| ()),
            op::DUP => {
                let top = self.top()?;
                self.push(top)
            }
            op::BINGET => {
                let key = u32::from(self.reader.u8()?);
                self.get(key)
            }
            op::LONG_BINGET => {
                let key = self.reader.u32()?;
                self.get(key)
            }
            op::BINPUT => {
                let key = u32::from(self.reader.u8()?);
                self.put(key)
            }
            op::LONG_BINPUT => {
                let key = self.reader.u32()?;
                self.put(key)
            }
            // Cannot wrap: the memo is bounded.
            op::MEMOIZE => self.put(self.memo.len() as u32),
            op::GLOBAL => {
                let (module, name) = (self.reader.line()?, self.reader.line()?);
                self.global(module, name)
            }
            op::STACK_GLOBAL => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(module, name),
                (name, module) => {
                    let found = [module, name].map(|v| self.heap.describe(v)).join(" and ");
                    Err(self.refuse("two texts that name a global", found))
                }
            },
            op::REDUCE => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = rebuild::reduce(self, function, arguments)?;
                self.push(made)
            }
            op::NEWOBJ => match (self.pop()?, self.pop()?) {
                (arguments @ Value::Tuple(_), class @ Value::Global(Global::OrderedDict)) => {
                    let made = rebuild::reduce(self, class, arguments)?;
                    self.push(made)
                }
                (_, class) => {
                    let found = self.heap.describe(class);
                    Err(self.refuse("an object of a class that tensors need (NEWOBJ)", found))
                }
            },
            op::BUILD => {
                // The attributes of a dictionary, such as `_metadata` of `state_dict()`: not needed.
                self.pop()?;
                match self.top()? {
                    Value::Dict(_) => Ok(()),
                    other => {
                        let found = self.heap.describe(other);
                        Err(self.refuse("a dictionary to set attributes of (BUILD)", found))
                    }
                }
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = rebuild::storage(self, id)?;
                self.push(storage)
            }
            _ => self.container(code),
        }
    }

    /// Follows an instruction that makes or fills a tuple, list, set or dictionary.
    fn container(&mut self, code: u8) -> Result<(), Refusal> {
        match code {
            op::EMPTY_TUPLE => self.tuple(Vec::new()),
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                let mut items = Vec::new();
                for _ in op::TUPLE1..=code {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.tuple(items)
            }
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.tuple(items)
            }
            op::EMPTY_LIST | op::EMPTY_SET => self.list(Vec::new()),
            op::LIST | op::FROZENSET => {
                let items = self.pop_mark()?;
                self.list(items)
            }
            op::EMPTY_DICT => self.dict(Vec::new()).and_then(|dict| self.push(dict)),
            op::DICT => {
                let items = self.pop_mark()?;
                let items = self.pairs(&items)?;
                let dict = self.dict(items)?;
                self.push(dict)
            }
            op::APPEND => {
                let item = self.pop()?;
                self.extend(vec![item])
            }
            op::APPENDS | op::ADDITEMS => {
                let items = self.pop_mark()?;
                self.extend(items)
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.update(vec![(key, value)])
            }
            op::SETITEMS => {
                let items = self.pop_mark()?;
                let items = self.pairs(&items)?;
                self.update(items)
            }
            other => Err(self.refuse(
                "an instruction that tensors need",
                format!("{other:#04x} ({})", op::refused(other)),
            )),
        }
    }

    fn integer(&mut self, code: u8) -> Result<(), Refusal> {
        let value = match code {
            op::BININT => Value::Int(i64::from(self.reader.u32()? as i32)),
            op::BININT1 => Value::Int(i64::from(self.reader.u8()?)),
            op::BININT2 => Value::Int(i64::from(self.reader.u16()?)),
            _ => {
                let length = self.length(code)?;
                let bytes = self.reader.take(length)?;
                match bytes.last() {
                    None => Value::Int(0),
                    Some(_) if bytes.len() > 8 => Value::Long(bytes),
                    Some(last) => {
                        // Two's complement, of as many bytes as it takes.
                        let mut wide = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
                        wide[..bytes.len()].copy_from_slice(bytes);
                        Value::Int(i64::from_le_bytes(wide))
                    }
                }
            }
        };
        self.push(value)
    }

    /// Reads the length that precedes text, bytes or a long number.
    fn length(&mut self, code: u8) -> Result<usize, Refusal> {
        let length = match code {
            op::LONG1 | op::SHORT_BINSTRING | op::SHORT_BINUNICODE | op::SHORT_BINBYTES => {
                u64::from(self.reader.u8()?)
            }
            op::BINUNICODE8 | op::BINBYTES8 | op::BYTEARRAY8 => self.reader.u64()?,
            _ => u64::from(self.reader.u32()?),
        };
        usize::try_from(length).map_err(|_| self.refuse("a length in memory", length.to_string()))
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Refusal> {
        match Global::find(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(self.refuse(
                "only names that tensors need",
                format!("{:?}, which is not executed", format!("{module}.{name}")),
            )),
        }
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), Refusal> {
        if self.stack.len() == MAX_STACK {
            return Err(self.refuse(format!("at most {MAX_STACK} values on the stack"), "more"));
        }
        self.stack.push(value);
        Ok(())
    }

    /// The last value, which must be above the last mark.
    fn top(&self) -> Result<Value<'a>, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&value) if self.stack.len() > floor => Ok(value),
            _ => Err(self.refuse("a value on the stack", "none")),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, Refusal> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, Refusal> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(self.refuse("a mark on the stack", "none")),
        }
    }

    fn get(&mut self, key: u32) -> Result<(), Refusal> {
        match self.memo.get(&key) {
            Some(&value) => self.push(value),
            None => Err(self.refuse("a memo that was set", key.to_string())),
        }
    }

    fn put(&mut self, key: u32) -> Result<(), Refusal> {
        let value = self.top()?;
        if self.memo.len() == MAX_MEMO && !self.memo.contains_key(&key) {
            return Err(self.refuse(format!("at most {MAX_MEMO} memos"), "more"));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    /// Counts objects and their entries before they are made.
    pub(super) fn spend(&mut self, objects: usize, items: usize) -> Result<(), Refusal> {
        self.objects = self.objects.saturating_add(objects);
        self.items = self.items.saturating_add(items);
        if self.objects > MAX_OBJECTS || self.items > MAX_ITEMS {
            let expected = format!("at most {MAX_OBJECTS} objects of {MAX_ITEMS} entries in all");
            return Err(self.refuse(expected, "more"));
        }
        Ok(())
    }

    fn sequence(&mut self, items: Vec<Value<'a>>) -> Result<usize, Refusal> {
        self.spend(1, items.len())?;
        self.heap.sequences.push(items);
        Ok(self.heap.sequences.len() - 1)
    }

    fn tuple(&mut self, items: Vec<Value<'a>>) -> Result<(), Refusal> {
        let index = self.sequence(items)?;
        self.push(Value::Tuple(index))
    }

    fn list(&mut self, items: Vec<Value<'a>>) -> Result<(), Refusal> {
        let index = self.sequence(items)?;
        self.push(Value::List(index))
    }

    pub(super) fn dict(
        &mut self,
        items: Vec<(Value<'a>, Value<'a>)>,
    ) -> Result<Value<'a>, Refusal> {
        self.spend(1, items.len())?;
        self.heap.dicts.push(items);
        Ok(Value::Dict(self.heap.dicts.len() - 1))
    }

    fn pairs(&self, items: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, Refusal> {
        let (pairs, rest) = items.as_chunks();
        if !rest.is_empty() {
            return Err(self.refuse("keys with values", "a key without one"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn extend(&mut self, items: Vec<Value<'a>>) -> Result<(), Refusal> {
        self.spend(0, items.len())?;
        let top = self.top()?;
        if let Value::List(index) = top
            && let Some(list) = self.heap.sequences.get_mut(index)
        {
            list.extend(items);
            return Ok(());
        }
        Err(self.refuse("a list to extend", self.heap.describe(top)))
    }

    fn update(&mut self, items: Vec<(Value<'a>, Value<'a>)>) -> Result<(), Refusal> {
        self.spend(0, items.len())?;
        let top = self.top()?;
        if let Value::Dict(index) = top
            && let Some(dict) = self.heap.dicts.get_mut(index)
        {
            dict.extend(items);
            return Ok(());
        }
        Err(self.refuse("a dictionary to fill", self.heap.describe(top)))
    }

    /// An error at the present instruction.
    pub(super) fn refuse(&self, expected: impl Into<String>, found: impl Into<String>) -> Refusal {
        Refusal::new(self.position, expected, found)
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }
}
