//! Runs rten or candle on a model and an input, as `worker.py` does the Python systems:
//!
//! ```text
//! peers SYSTEM PRECISION FILE INPUT THREADS time SECONDS | once | write FILE
//! ```
//!
//! The number of threads is set by `RTEN_NUM_THREADS` and `RAYON_NUM_THREADS`, which the caller gives.

mod candle;
mod rten;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use safetensors::{SafeTensors, tensor};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Token ids and mask, `[batch, length]`.
struct Input {
    ids: Vec<i64>,
    mask: Vec<i64>,
    batch: usize,
    length: usize,
}

impl Input {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let file = SafeTensors::deserialize(&bytes)?;
        let ids = file.tensor("input_ids")?;
        let &[batch, length] = ids.shape() else {
            return Err(format!("input_ids: expected [B, L], found {:?}", ids.shape()).into());
        };
        Ok(Self {
            ids: integers(&ids)?,
            mask: integers(&file.tensor("attention_mask")?)?,
            batch,
            length,
        })
    }
}

fn integers(view: &tensor::TensorView<'_>) -> Result<Vec<i64>> {
    if view.dtype() != Dtype::I64 {
        return Err(format!("expected I64, found {:?}", view.dtype()).into());
    }
    let (numbers, _) = view.data().as_chunks();
    Ok(numbers
        .iter()
        .map(|&bytes| i64::from_le_bytes(bytes))
        .collect())
}

/// A last hidden state, `[batch, length, hidden]`.
struct Output {
    values: Vec<f32>,
    shape: [usize; 3],
}

/// A loaded model with its input.
trait System {
    /// One forward pass, whose result may stay where it is.
    fn run(&self) -> Result<()>;
    /// One forward pass with its result.
    fn output(&self) -> Result<Output>;
}

/// As in `worker.py`.
const WARM_UP_RUNS: usize = 2;
const FEWEST_RUNS: usize = 3;

fn time(system: &dyn System, budget: Duration) -> Result<()> {
    for _ in 0..WARM_UP_RUNS {
        system.run()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < FEWEST_RUNS || start.elapsed() < budget {
        let begin = Instant::now();
        system.run()?;
        times.push(1e3 * begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let line = serde_json::json!({
        "median_ms": times[times.len() / 2],
        "min_ms": times[0],
        "runs": times.len(),
    });
    println!("{line}");
    Ok(())
}

fn write(output: &Output, path: &str) -> Result<()> {
    let bytes: Vec<u8> = output
        .values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::F32, output.shape.to_vec(), &bytes)?;
    serialize_to_file([("last_hidden_state", view)], None, Path::new(path))?;
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [system, _precision, file, input, _threads, mode @ ..] = arguments.as_slice() else {
        return Err("expected SYSTEM PRECISION FILE INPUT THREADS and time, once or write".into());
    };
    let input = Input::read(Path::new(input))?;
    let system: Box<dyn System> = match *system {
        "rten" => Box::new(rten::Loaded::new(Path::new(file), &input)?),
        "candle" => Box::new(candle::Loaded::new(Path::new(file), &input)?),
        other => return Err(format!("expected rten or candle, found {other}").into()),
    };
    match *mode {
        ["time", seconds] => time(
            system.as_ref(),
            Duration::try_from_secs_f64(seconds.parse()?)?,
        ),
        ["once"] => {
            println!("first {:?}", system.output()?.values.first());
            Ok(())
        }
        ["write", path] => write(&system.output()?, path),
        _ => Err(format!("expected time SECONDS, once or write FILE, found {mode:?}").into()),
    }
}
