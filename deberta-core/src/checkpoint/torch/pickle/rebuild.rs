//! What calls and persistent ids mean: storages, and tensors as views into them.

use super::globals::{Global, Rebuild};
use super::machine::Machine;
use super::value::{Storage, Value};
use crate::checkpoint::dtype::Dtype;
use crate::checkpoint::tensor::View;
use crate::checkpoint::torch::Refusal;

/// More dimensions than any weight has.
const MAX_DIMENSIONS: usize = 16;

/// The result of calling `function`, which is not called.
pub(super) fn reduce<'a>(
    machine: &mut Machine<'a>,
    mut function: Value<'a>,
    mut arguments: Value<'a>,
) -> Result<Value<'a>, Refusal> {
    // `_rebuild_from_type_v2(function, class, arguments, state)` is that call and attributes. One level: a
    // function that is this one again is refused below.
    if let (Value::Global(Global::FromType), Value::Tuple(index)) = (function, arguments)
        && let &[
            inner,
            Value::Global(Global::TensorClass),
            inner_arguments,
            _,
        ] = machine.heap.sequence(index)
    {
        (function, arguments) = (inner, inner_arguments);
    }
    let Value::Tuple(index) = arguments else {
        let found = machine.heap.describe(arguments);
        return Err(machine.refuse("a call with a tuple of arguments (REDUCE)", found));
    };
    match function {
        Value::Global(Global::OrderedDict) => ordered_dict(machine, index),
        Value::Global(Global::Rebuild(kind)) => tensor(machine, kind, index),
        Value::Global(Global::Parameter) => match machine.heap.sequence(index) {
            [tensor @ Value::Tensor(_), ..] => Ok(*tensor),
            _ => Err(machine.refuse("a tensor as the first argument of a parameter", "none")),
        },
        other => {
            let found = machine.heap.describe(other);
            Err(machine.refuse("a call of a function that tensors need (REDUCE)", found))
        }
    }
}

/// `OrderedDict()` or, from Python 2, `OrderedDict([[key, value], ...])`.
fn ordered_dict<'a>(machine: &mut Machine<'a>, arguments: usize) -> Result<Value<'a>, Refusal> {
    let pairs = match *machine.heap.sequence(arguments) {
        [] => Vec::new(),
        [Value::List(list)] => {
            let items = machine.heap.sequence(list).len();
            // A list may be given to many: each copy counts before it is made.
            machine.spend(0, items)?;
            let pair = |value: &Value<'a>| match value {
                Value::Tuple(i) | Value::List(i) => match machine.heap.sequence(*i) {
                    &[key, value] => Some((key, value)),
                    _ => None,
                },
                _ => None,
            };
            let pairs: Option<Vec<_>> = machine.heap.sequence(list).iter().map(pair).collect();
            pairs.ok_or_else(|| machine.refuse("pairs for OrderedDict", "something else"))?
        }
        _ => return Err(machine.refuse("OrderedDict of nothing or of pairs", "another call")),
    };
    machine.dict(pairs)
}

fn tensor<'a>(
    machine: &mut Machine<'a>,
    kind: Rebuild,
    arguments: usize,
) -> Result<Value<'a>, Refusal> {
    let &[
        Value::Storage(storage),
        Value::Int(offset),
        Value::Tuple(shape),
        Value::Tuple(strides),
        ref rest @ ..,
    ] = machine.heap.sequence(arguments)
    else {
        return Err(machine.refuse(
            "storage, offset, shape and strides of a tensor",
            "other arguments",
        ));
    };
    let untyped = match rest {
        &[_, _, Value::Global(Global::Dtype(dtype)), ..] => Some(dtype),
        _ => None,
    };
    let Some(referred) = machine.heap.storages.get(storage) else {
        return Err(machine.refuse("a storage that was loaded", "another"));
    };
    let dtype = match (kind, untyped) {
        (Rebuild::Typed, _) => referred.dtype,
        (Rebuild::Untyped, Some(dtype)) => dtype,
        (Rebuild::Untyped, None) => {
            return Err(machine.refuse("the element type of a tensor", "none"));
        }
    };
    let size = referred.part.1;
    let view = View {
        dtype,
        offset: natural(machine, Value::Int(offset), "an offset")?,
        shape: naturals(machine, shape, "a shape")?,
        strides: naturals(machine, strides, "strides")?,
    };
    view.span(size)
        .map_err(|found| machine.refuse("a tensor inside its storage", found))?;
    machine.spend(1, 0)?;
    machine.heap.tensors.push((storage, view));
    Ok(Value::Tensor(machine.heap.tensors.len() - 1))
}

/// The storage that a persistent id means: `("storage", class, key, device, elements[, view])`, where a view
/// is `None` or `(key, offset, elements)`.
pub(super) fn storage<'a>(machine: &mut Machine<'a>, id: Value<'a>) -> Result<Value<'a>, Refusal> {
    let items = match id {
        Value::Tuple(index) => machine.heap.sequence(index),
        _ => &[],
    };
    let (dtype, key, elements, view) = match *items {
        [
            Value::Text("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Text(key),
            _,
            elements,
        ] => (dtype, key, elements, Value::None),
        [
            Value::Text("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Text(key),
            _,
            elements,
            view,
        ] => (dtype, key, elements, view),
        [first, ..] => {
            let found = machine.heap.describe(first);
            return Err(machine.refuse("the persistent id of a storage", format!("one of {found}")));
        }
        [] => {
            let found = machine.heap.describe(id);
            return Err(machine.refuse("the persistent id of a storage", found));
        }
    };
    let size = bytes(machine, dtype, elements)?;
    let part = match view {
        Value::None => (0, size),
        Value::Tuple(index) => match *machine.heap.sequence(index) {
            [_, offset, elements] => (
                bytes(machine, dtype, offset)?,
                bytes(machine, dtype, elements)?,
            ),
            _ => return Err(machine.refuse("a view of a storage", "a tuple of another length")),
        },
        other => {
            let found = machine.heap.describe(other);
            return Err(machine.refuse("a view of a storage", found));
        }
    };
    if part.0.checked_add(part.1).is_none_or(|end| end > size) {
        let found = format!("{} bytes from byte {} of {size}", part.1, part.0);
        return Err(machine.refuse("a view inside its storage", found));
    }
    machine.spend(1, 0)?;
    machine.heap.storages.push(Storage {
        key,
        dtype,
        size,
        part,
        position: machine.position(),
    });
    Ok(Value::Storage(machine.heap.storages.len() - 1))
}

/// The bytes of a number of elements.
fn bytes<'a>(machine: &Machine<'a>, dtype: Dtype, count: Value<'a>) -> Result<usize, Refusal> {
    let elements = natural(machine, count, "a number of elements")?;
    dtype
        .bytes(elements)
        .ok_or_else(|| machine.refuse("a storage of addressable size", elements.to_string()))
}

fn naturals(machine: &Machine<'_>, tuple: usize, what: &str) -> Result<Vec<usize>, Refusal> {
    let values = machine.heap.sequence(tuple);
    if values.len() > MAX_DIMENSIONS {
        let expected = format!("{what} of at most {MAX_DIMENSIONS} dimensions");
        return Err(machine.refuse(expected, values.len().to_string()));
    }
    values.iter().map(|&v| natural(machine, v, what)).collect()
}

/// A number that is not negative.
fn natural<'a>(machine: &Machine<'a>, value: Value<'a>, what: &str) -> Result<usize, Refusal> {
    let number = match value {
        Value::Int(n) => usize::try_from(n).ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        let found = machine.heap.describe(value);
        machine.refuse(format!("{what} of numbers that are not negative"), found)
    })
}
