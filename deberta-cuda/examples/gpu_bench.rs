//! Times the operations on a GPU by the device's own clock, and prints one JSON line per row.
//!
//! ```text
//! cargo run --release -p deberta-cuda --example gpu_bench -- --shapes 1x128,8x512 --dtype f16
//! ```
//!
//! For every shape, batch x length: attention alone, the linear layers of a base model, and a whole base encoder with
//! random weights, replayed from a graph.

use clap::Parser;
use deberta_cuda::{
    Attention, Columns, Contents, CudaError, Dtype, Gpu, Indices, Linear, Lookup, Matrix, Norm,
    PositionTables, Sequences, Shape, Slots, embed, queries_per_task,
};
use deberta_kernels::{Activation, RelativePositions};
use serde_json::{Value, json};
use std::error::Error;
use std::time::{Duration, Instant};

/// Times operations on the first GPU.
#[derive(Parser)]
struct Arguments {
    /// Shapes, batch x length, separated by commas
    #[arg(long, default_value = "1x128,8x512", value_delimiter = ',', value_parser = shape)]
    shapes: Vec<(usize, usize)>,
    /// f32, f16 or bf16
    #[arg(long, default_value = "f16", value_parser = dtype)]
    dtype: Dtype,
    /// Heads
    #[arg(long, default_value_t = 12)]
    heads: usize,
    /// Numbers of a head
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Buckets of distances
    #[arg(long, default_value_t = 256)]
    buckets: usize,
    /// The distance from which on all are the same
    #[arg(long, default_value_t = 512)]
    max_positions: usize,
    /// Layers of the encoder; 0 leaves it out
    #[arg(long, default_value_t = 12)]
    layers: usize,
    /// Seconds per row
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
}

fn shape(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('x');
    let parsed =
        parts.and_then(|(batch, length)| Some((batch.parse().ok()?, length.parse().ok()?)));
    parsed.ok_or_else(|| format!("expected BATCHxLENGTH, found {text:?}"))
}

fn dtype(text: &str) -> Result<Dtype, String> {
    let named = |dtype: &Dtype| dtype.to_string() == text;
    let found = Dtype::ALL.into_iter().find(named);
    found.ok_or_else(|| format!("expected f32, f16 or bf16, found {text:?}"))
}

/// Numbers that look random, of about this size.
struct Random(u64);

impl Random {
    fn vector(&mut self, len: usize, size: f32) -> Vec<f32> {
        let mut number = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 32) as f32 / (1u64 << 31) as f32 - 1.0) * size
        };
        (0..len).map(|_| number()).collect()
    }

    fn matrix(
        &mut self,
        gpu: &Gpu,
        shape: [usize; 2],
        size: f32,
        dtype: Dtype,
    ) -> Result<Matrix, CudaError> {
        Matrix::from_rows(gpu, shape, dtype, |_, to| {
            to.copy_from_slice(&self.vector(to.len(), size));
            Ok(())
        })
    }

    fn linear(
        &mut self,
        gpu: &Gpu,
        outputs: usize,
        inputs: usize,
        dtype: Dtype,
    ) -> Result<Linear, CudaError> {
        let size = 1.7 / (inputs as f32).sqrt();
        let weight = self.matrix(gpu, [outputs, inputs], size, dtype)?;
        Linear::new(gpu, weight, Some(&self.vector(outputs, 0.1)))
    }

    fn norm(&mut self, gpu: &Gpu, width: usize) -> Result<Norm, CudaError> {
        Norm::new(gpu, &vec![1.0; width], &self.vector(width, 0.1), 1e-7)
    }
}

/// A layer of an encoder.
struct Layer {
    content: Linear,
    tables: PositionTables,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    output_norm: Norm,
}

/// What all rows of a run share.
struct Bench {
    gpu: Gpu,
    arguments: Arguments,
    slots: Slots,
    relative: RelativePositions,
}

impl Bench {
    fn width(&self) -> usize {
        self.arguments.heads * self.arguments.size
    }

    /// Times an operation over and over, each time from a graph, and prints the row.
    fn row(
        &self,
        mut row: Value,
        operations: f64,
        run: impl Fn() -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let (graph, ()) = self.gpu.record(run)?;
        let budget = Duration::from_secs_f64(self.arguments.seconds.max(0.0));
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.len() < 5 || start.elapsed() < budget {
            let (milliseconds, ()) = self.gpu.timed(|| graph.launch())?;
            times.push(f64::from(milliseconds) * 1e3);
        }
        // The first ones warm up.
        let mut times = times.split_off(2);
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let more = json!({
            "system": "ours",
            "dtype": self.arguments.dtype.to_string(),
            "device": self.gpu.name(),
            "median_us": median,
            "min_us": times[0],
            "runs": times.len(),
            "tflops": operations / median / 1e6,
        });
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        println!("{row}");
        Ok(())
    }

    fn sequences(&self, batch: usize, length: usize) -> Result<Sequences, CudaError> {
        let queries = queries_per_task(self.arguments.dtype, self.arguments.size);
        let shape = Shape::exact(batch * length, batch, false);
        let mut sequences = Sequences::new(&self.gpu, shape, queries)?;
        let bounds: Vec<usize> = (0..=batch).map(|i| i * length).collect();
        let ids: Vec<u32> = (0..batch * length).map(|i| i as u32 * 7 % 1000).collect();
        let contents = Contents {
            ids: &ids,
            type_ids: &ids,
            bounds: &bounds,
            positions: None,
        };
        sequences.write(&self.gpu, contents)?;
        Ok(sequences)
    }

    fn tables(&self, random: &mut Random) -> Result<PositionTables, CudaError> {
        let shape = [2 * self.relative.span(), self.width()];
        let mut table = || {
            random
                .matrix(&self.gpu, shape, 1.0, self.arguments.dtype)
                .map(Some)
        };
        Ok(PositionTables {
            keys: table()?,
            queries: table()?,
        })
    }

    fn attention<'a>(&'a self, content: &'a Matrix, tables: &'a PositionTables) -> Attention<'a> {
        let width = self.width();
        let columns = |part| Columns {
            matrix: content,
            first: part * width,
        };
        Attention {
            query: columns(0),
            key: columns(1),
            value: columns(2),
            width,
            heads: self.arguments.heads,
            scale: 1.0 / ((3 * self.arguments.size) as f32).sqrt(),
            relative: Some((tables, &self.slots)),
        }
    }

    fn shape(&self, batch: usize, length: usize) -> Result<(), CudaError> {
        let (gpu, dtype, width) = (&self.gpu, self.arguments.dtype, self.width());
        let rows = batch * length;
        let mut random = Random(88172645463325252);
        let sequences = self.sequences(batch, length)?;

        let content = random.matrix(gpu, [rows, 3 * width], 1.0, dtype)?;
        let tables = self.tables(&mut random)?;
        let attention = self.attention(&content, &tables);
        let row = json!({
            "what": "attention", "batch": batch, "seq": length,
            "heads": self.arguments.heads, "size": self.arguments.size,
        });
        // What the contents' products take; the position terms come on top.
        let operations = 4.0 * (batch * length * length) as f64 * width as f64;
        self.row(row, operations, || {
            attention.apply(gpu, &sequences).map(drop)
        })?;

        for (outputs, inputs, activation) in [
            (3 * width, width, Activation::Identity),
            (width, width, Activation::Identity),
            (4 * width, width, Activation::Gelu),
            (width, 4 * width, Activation::Identity),
        ] {
            let linear = random.linear(gpu, outputs, inputs, dtype)?;
            let x = random.matrix(gpu, [rows, inputs], 1.0, dtype)?;
            let row = json!({
                "what": "linear", "batch": batch, "seq": length,
                "rows": rows, "outputs": outputs, "inputs": inputs,
            });
            let operations = 2.0 * (rows * outputs) as f64 * inputs as f64;
            self.row(row, operations, || {
                linear.apply(gpu, &x, activation).map(drop)
            })?;
        }
        if self.arguments.layers > 0 {
            self.encoder(batch, length, &sequences, &mut random)?;
        }
        Ok(())
    }

    fn encoder(
        &self,
        batch: usize,
        length: usize,
        sequences: &Sequences,
        random: &mut Random,
    ) -> Result<(), CudaError> {
        let (gpu, dtype, width) = (&self.gpu, self.arguments.dtype, self.width());
        let words = random.matrix(gpu, [1000, width], 1.0, dtype)?;
        let norm = random.norm(gpu, width)?;
        let layers: Vec<Layer> = (0..self.arguments.layers)
            .map(|_| {
                Ok(Layer {
                    content: random.linear(gpu, 3 * width, width, dtype)?,
                    tables: self.tables(random)?,
                    output: random.linear(gpu, width, width, dtype)?,
                    attention_norm: random.norm(gpu, width)?,
                    up: random.linear(gpu, 4 * width, width, dtype)?,
                    down: random.linear(gpu, width, 4 * width, dtype)?,
                    output_norm: random.norm(gpu, width)?,
                })
            })
            .collect::<Result<_, CudaError>>()?;
        let ids: Indices = sequences.ids();
        let pass = || {
            let words = Lookup {
                table: &words,
                ids: &ids,
            };
            let mut hidden = embed(gpu, &[words], Some(&norm))?;
            for layer in &layers {
                let content = layer.content.apply(gpu, &hidden, Activation::Identity)?;
                let context = self
                    .attention(&content, &layer.tables)
                    .apply(gpu, sequences)?;
                let (output, norm) = (&layer.output, &layer.attention_norm);
                let attended = output.apply_and_join(gpu, &context, &hidden, norm)?;
                let up = layer.up.apply(gpu, &attended, Activation::Gelu)?;
                let (down, norm) = (&layer.down, &layer.output_norm);
                hidden = down.apply_and_join(gpu, &up, &attended, norm)?;
            }
            Ok(())
        };
        let row = json!({
            "what": "encoder", "batch": batch, "seq": length, "layers": layers.len(), "width": width,
        });
        let linear = 24.0 * (width * width) as f64;
        let attention = 4.0 * (length * width) as f64;
        let operations = (batch * length * layers.len()) as f64 * (linear + attention);
        self.row(row, operations, pass)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let gpu = Gpu::new(0)?;
    let relative = RelativePositions::new(Some(arguments.buckets), arguments.max_positions)?;
    let bench = Bench {
        slots: Slots::new(&gpu, relative)?,
        gpu,
        relative,
        arguments,
    };
    for &(batch, length) in &bench.arguments.shapes {
        bench.shape(batch, length)?;
    }
    Ok(())
}
