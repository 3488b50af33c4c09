//! Every kernel at the shapes of a base model, ready to run: what is timed, and what is counted.

use crate::numbers;
use deberta_kernels::{
    Activation, Attention, EmbeddingTable, Epilogue, HeadMixing, Isa, LayerNorm, Observation,
    PackedWeights, PositionTables, Precision, RelativePositions, RoundedRows, SlotTable, Storage,
    TokenConv, disentangled_attention, explicit_attention, linear, linear_of_rounded,
    linear_rounded, softmax,
};
use ndarray::{Array2, s};
use std::hint::black_box;

/// How much a case does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work {
    /// Multiplications and additions that cannot be avoided, and the precision whose arithmetic does them.
    Operations(f64, Precision),
    /// Values that are read and written, in bytes.
    Bytes(f64),
}

/// A kernel with operands.
pub struct Case {
    /// What it is, and its shape.
    pub name: String,
    /// What one run does.
    pub work: Work,
    /// Runs it once.
    pub run: Box<dyn FnMut() + Send>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.name, self.work)
    }
}

const WIDTH: usize = 768;
const INNER: usize = 3072;
const TOKENS: usize = 128;
const HEADS: usize = 12;

/// Makes the operands of a case and returns it.
type Make = Box<dyn Fn(Isa) -> Case>;

/// The names of all cases, and how to make each: making one takes longer than naming it.
pub fn cases() -> Vec<(String, Make)> {
    let mut all: Vec<(String, Make)> = Vec::new();
    let mut add = |name: String, make: Box<dyn Fn(Isa, String) -> Case>| {
        let named = name.clone();
        all.push((name, Box::new(move |isa| make(isa, named.clone()))));
    };
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for (tokens, inputs, outputs) in [
            (1, WIDTH, WIDTH),
            (4, WIDTH, WIDTH),
            (16, WIDTH, WIDTH),
            (TOKENS, WIDTH, WIDTH),
            (TOKENS, WIDTH, INNER),
            (TOKENS, INNER, WIDTH),
            (1024, WIDTH, WIDTH),
        ] {
            let name = format!("linear {precision:?} {tokens}x{inputs}x{outputs}");
            let shape = [tokens, inputs, outputs];
            add(
                name,
                Box::new(move |isa, name| product(isa, name, precision, shape, End::Bias)),
            );
        }
        let shape = [TOKENS, WIDTH, INNER];
        add(
            format!("linear, gelu {precision:?} {TOKENS}x{WIDTH}x{INNER}"),
            Box::new(move |isa, name| product(isa, name, precision, shape, End::Gelu)),
        );
        add(
            format!("feed-forward {precision:?} {TOKENS}x{WIDTH}x{INNER}"),
            Box::new(move |isa, name| feed_forward(isa, name, precision)),
        );
        let shape = [TOKENS, INNER, WIDTH];
        add(
            format!("linear, residual, norm {precision:?} {TOKENS}x{INNER}x{WIDTH}"),
            Box::new(move |isa, name| product(isa, name, precision, shape, End::Norm)),
        );
    }
    for length in [16, 128, 512] {
        add(
            format!("attention 1x{length}"),
            Box::new(move |isa, name| attention(isa, name, length, Kind::Streaming)),
        );
    }
    add(
        format!("attention, content alone 1x{TOKENS}"),
        Box::new(|isa, name| attention(isa, name, TOKENS, Kind::Content)),
    );
    add(
        format!("attention, explicit 1x{TOKENS}"),
        Box::new(|isa, name| attention(isa, name, TOKENS, Kind::Explicit)),
    );
    add(
        format!("attention, explicit, mixed heads 1x{TOKENS}"),
        Box::new(|isa, name| attention(isa, name, TOKENS, Kind::Mixed)),
    );
    add(
        format!("convolution of 3 {TOKENS}x{WIDTH}"),
        Box::new(convolution),
    );
    for (name, activation) in [
        ("gelu", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("tanh", Activation::Tanh),
    ] {
        add(
            format!("{name} {TOKENS}x{WIDTH}"),
            Box::new(move |isa, name| elements(name, move |row| activation.apply(isa, row))),
        );
    }
    add(
        format!("softmax {TOKENS}x{WIDTH}"),
        Box::new(|isa, name| elements(name, move |row| softmax(isa, row))),
    );
    add(format!("layer norm {TOKENS}x{WIDTH}"), Box::new(norm));
    for storage in [Storage::F32, Storage::F16, Storage::Bf16] {
        add(
            format!("gather {storage:?} {TOKENS}x{WIDTH}"),
            Box::new(move |_, name| gather(name, storage)),
        );
    }
    all
}

fn matrix(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), {
        let mut numbers = numbers(rows * columns).into_iter();
        move |_| numbers.next().unwrap_or(0.0)
    })
}

/// What follows a product.
#[derive(Clone, Copy)]
enum End {
    Bias,
    Gelu,
    Norm,
}

fn product(isa: Isa, name: String, precision: Precision, shape: [usize; 3], end: End) -> Case {
    let [tokens, inputs, outputs] = shape;
    let w = numbers(inputs * outputs);
    let weights = PackedWeights::with_precision(isa, precision, &w, outputs, inputs)
        .expect("as many weights as the shape says");
    let (x, residual, bias) = (
        matrix(tokens, inputs),
        matrix(tokens, outputs),
        numbers(outputs),
    );
    let norm = LayerNorm::new(numbers(outputs), numbers(outputs), 1e-7).expect("two of a length");
    let mut out = Array2::zeros((tokens, outputs));
    Case {
        name,
        work: Work::Operations((2 * tokens * inputs * outputs) as f64, precision),
        run: Box::new(move || {
            let epilogue = Epilogue::default().bias(&bias);
            let epilogue = match end {
                End::Bias => epilogue,
                End::Gelu => epilogue.activation(Activation::Gelu),
                End::Norm => epilogue.residual(residual.view()).norm(&norm),
            };
            linear(x.view(), &weights, &epilogue, black_box(out.view_mut())).expect("shapes fit");
        }),
    }
}

/// Both products of a feed-forward network, whose inner rows stay in rounded form.
fn feed_forward(isa: Isa, name: String, precision: Precision) -> Case {
    let w = numbers(WIDTH * INNER);
    let pack = |outputs, inputs| {
        PackedWeights::with_precision(isa, precision, &w, outputs, inputs)
            .expect("as many weights as the shape says")
    };
    let (up, down) = (pack(INNER, WIDTH), pack(WIDTH, INNER));
    let (x, biases) = (matrix(TOKENS, WIDTH), [numbers(INNER), numbers(WIDTH)]);
    let norm = LayerNorm::new(numbers(WIDTH), numbers(WIDTH), 1e-7).expect("two of a length");
    let (mut rows, mut out) = (RoundedRows::new(), Array2::zeros((TOKENS, WIDTH)));
    Case {
        name,
        work: Work::Operations((2 * 2 * TOKENS * WIDTH * INNER) as f64, precision),
        run: Box::new(move || {
            let end = Epilogue::default()
                .bias(&biases[0])
                .activation(Activation::Gelu);
            linear_rounded(x.view(), &up, &end, &down, &mut rows).expect("shapes fit");
            let end = Epilogue::default()
                .bias(&biases[1])
                .residual(x.view())
                .norm(&norm);
            let out = black_box(out.view_mut());
            linear_of_rounded(&rows, &down, &end, out).expect("shapes fit");
        }),
    }
}

/// Which attention.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Streaming,
    Content,
    Explicit,
    Mixed,
}

fn attention(isa: Isa, name: String, length: usize, kind: Kind) -> Case {
    let size = WIDTH / HEADS;
    let fused = matrix(length, 3 * WIDTH);
    let relative = RelativePositions::new(Some(256), 512).expect("the published buckets");
    let table = matrix(2 * relative.span(), WIDTH);
    let tables = PositionTables::new(isa, Some(table.view()), Some(table.view()), HEADS)
        .expect("a table of this width");
    let slots = SlotTable::new(relative, length);
    let mixing = HeadMixing::new(matrix(HEADS, HEADS), matrix(HEADS, HEADS)).expect("two squares");
    // Each score and each weighted value takes a product of the head's size, and each position term one per query (or
    // key) and slot that it meets.
    let last = length as i64 - 1;
    let met: usize = (0..=last)
        .map(|i| slots.slot(i) - slots.slot(i - last) + 1)
        .sum();
    let terms = if kind == Kind::Content { 0 } else { 2 * met };
    let mixed = if kind == Kind::Mixed {
        2 * 2 * HEADS * HEADS * length * length
    } else {
        0
    };
    let operations = HEADS * (2 * length * length + terms) * 2 * size + mixed;
    let mut out = Array2::zeros((length, WIDTH));
    Case {
        name,
        work: Work::Operations(operations as f64, Precision::F32),
        run: Box::new(move || {
            let attention = Attention {
                query: fused.slice(s![.., ..WIDTH]),
                key: fused.slice(s![.., WIDTH..2 * WIDTH]),
                value: fused.slice(s![.., 2 * WIDTH..]),
                heads: HEADS,
                scale: 0.07,
                precision: Precision::F32,
                bounds: &[0, length],
                positions: None,
                relative: (kind != Kind::Content).then_some((&tables, &slots)),
            };
            let out = black_box(out.view_mut());
            if matches!(kind, Kind::Explicit | Kind::Mixed) {
                let (mixing, show) = (
                    (kind == Kind::Mixed).then_some(&mixing),
                    Observation::default(),
                );
                explicit_attention(isa, &attention, mixing, show, out).expect("shapes fit");
            } else {
                disentangled_attention(isa, &attention, out).expect("shapes fit");
            }
        }),
    }
}

fn convolution(isa: Isa, name: String) -> Case {
    const KERNEL: usize = 3;
    let weights = numbers(WIDTH * WIDTH * KERNEL);
    let conv = TokenConv::new(isa, &weights, numbers(WIDTH), KERNEL, 1).expect("an odd kernel");
    let x = matrix(TOKENS, WIDTH);
    let mut out = Array2::zeros((TOKENS, WIDTH));
    let operations = (2 * TOKENS * WIDTH * WIDTH * KERNEL) as f64;
    Case {
        name,
        work: Work::Operations(operations, Precision::F32),
        run: Box::new(move || {
            let out = black_box(out.view_mut());
            conv.forward(x.view(), &[0, TOKENS], None, Activation::Tanh, out)
                .expect("shapes fit");
        }),
    }
}

/// What one pass over the values of a batch reads and writes.
fn traffic() -> Work {
    Work::Bytes((2 * TOKENS * WIDTH * size_of::<f32>()) as f64)
}

/// A function of rows, in place of copies of its inputs: of its own results it would sooner or later reach a fixed point.
fn elements(name: String, f: impl Fn(&mut [f32]) + Send + 'static) -> Case {
    let inputs = matrix(TOKENS, WIDTH);
    let mut row = vec![0.0; WIDTH];
    Case {
        name,
        work: traffic(),
        run: Box::new(move || {
            for input in inputs.outer_iter() {
                // A row of 3 KB is copied in a small part of the time that any function takes.
                row.iter_mut().zip(input).for_each(|(to, &from)| *to = from);
                f(black_box(&mut row));
            }
        }),
    }
}

fn norm(isa: Isa, name: String) -> Case {
    let norm = LayerNorm::new(numbers(WIDTH), numbers(WIDTH), 1e-7).expect("two of a length");
    let mut x = matrix(TOKENS, WIDTH);
    Case {
        name,
        work: traffic(),
        run: Box::new(move || norm.apply(isa, black_box(x.view_mut())).expect("rows fit")),
    }
}

fn gather(name: String, storage: Storage) -> Case {
    const ROWS: usize = 4000;
    // Small finite numbers in any storage.
    let bytes: Vec<u8> = (0..ROWS * WIDTH * storage.size())
        .map(|i| (i % 61) as u8)
        .collect();
    let ids: Vec<u32> = (0..TOKENS as u32).map(|t| t * 997 % ROWS as u32).collect();
    let mut out = Array2::zeros((TOKENS, WIDTH));
    let per_value = storage.size() + size_of::<f32>();
    Case {
        name,
        work: Work::Bytes((TOKENS * WIDTH * per_value) as f64),
        run: Box::new(move || {
            let table = EmbeddingTable::new(&bytes, storage, ROWS, WIDTH).expect("a whole table");
            table
                .gather(&ids, false, black_box(out.view_mut()))
                .expect("ids within the table");
        }),
    }
}
