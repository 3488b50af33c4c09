//! Operations on rows: embeddings, sums with a normalisation, gathers, pooling.

use crate::launch::{Kernel, Pointer, arguments};
use crate::matrix::Vector;
use crate::{CudaError, Dtype, Gpu, Indices, Matrix, Module, activation};
use deberta_kernels::Activation;

/// Rows that a block of threads takes: `ROWS_PER_BLOCK` of `kernels/rows.cuh`.
const ROWS_PER_BLOCK: usize = 4;

/// A layer normalisation `weight·(x - mean)/√(variance + eps) + bias`.
#[derive(Debug)]
pub struct Norm {
    weight: Vector,
    bias: Vector,
    columns: usize,
    eps: f32,
}

impl Norm {
    /// A normalisation of rows of as many numbers as `weight` and `bias` have.
    ///
    /// # Errors
    /// [`CudaError`] where the two differ in length, or memory does not suffice.
    pub fn new(gpu: &Gpu, weight: &[f32], bias: &[f32], eps: f32) -> Result<Self, CudaError> {
        if weight.len() != bias.len() {
            return Err(CudaError::Shape {
                argument: "bias",
                expected: vec![weight.len()],
                found: vec![bias.len()],
            });
        }
        Ok(Self {
            weight: Vector::new(gpu, weight)?,
            bias: Vector::new(gpu, bias)?,
            columns: weight.len(),
            eps,
        })
    }
}

/// The norm's pointers and eps as arguments, after a check of its width.
fn parts(
    norm: Option<&Norm>,
    columns: usize,
) -> Result<(Option<Pointer>, Option<Pointer>, f32), CudaError> {
    let Some(norm) = norm else {
        return Ok((None, None, 0.0));
    };
    if norm.columns != columns {
        return Err(CudaError::Shape {
            argument: "norm",
            expected: vec![columns],
            found: vec![norm.columns],
        });
    }
    Ok((
        Some(norm.weight.pointer()),
        Some(norm.bias.pointer()),
        norm.eps,
    ))
}

/// A kernel that gives each row a warp, with so many numbers of `f32` in shared memory for each.
fn per_row<'a>(name: &'a str, rows: usize, numbers: usize) -> Kernel<'a> {
    Kernel {
        module: Module::Rows,
        name,
        blocks: [rows.div_ceil(ROWS_PER_BLOCK), 1],
        threads: 32 * ROWS_PER_BLOCK,
        shared_bytes: ROWS_PER_BLOCK * numbers.next_multiple_of(8) * size_of::<f32>(),
    }
}

/// One table of embeddings and the row of it that each token takes.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// `[rows, columns]`
    pub table: &'a Matrix,
    /// One index per token, below the number of rows: whoever made them has seen to it.
    pub ids: &'a Indices,
}

/// The sum of one row from each of one to three tables, normalised if there is a norm: `[T, columns]`.
///
/// # Errors
/// [`CudaError`] where shapes or types differ, or memory does not suffice.
pub fn embed(gpu: &Gpu, lookups: &[Lookup<'_>], norm: Option<&Norm>) -> Result<Matrix, CudaError> {
    let [first, others @ ..] = lookups else {
        return Err(tables(0));
    };
    if others.len() > 2 {
        return Err(tables(lookups.len()));
    }
    let (rows, columns, dtype) = (first.ids.len(), first.table.columns(), first.table.dtype());
    for Lookup { table, ids } in others {
        table.check("table", table.rows(), columns, dtype)?;
        ids.check("ids", rows)?;
    }
    let out = Matrix::new(gpu, rows, columns, dtype)?;
    let (weight, bias, eps) = parts(norm, columns)?;
    let table = |i: usize| lookups.get(i).map(|lookup| lookup.table.pointer());
    let ids = |i: usize| lookups.get(i).map(|lookup| lookup.ids.pointer());
    let name = format!("embed_{dtype}");
    // SAFETY: these are the kernel's parameters; the tables have the same stride, indices are of rows that are there.
    unsafe {
        per_row(&name, rows, columns).enqueue(
            gpu,
            arguments![
                table(0),
                ids(0),
                table(1),
                ids(1),
                table(2),
                ids(2),
                first.table.stride(),
                weight,
                bias,
                eps,
                out.pointer(),
                out.stride(),
                rows,
                columns,
            ],
        )?;
    }
    Ok(out)
}

fn tables(found: usize) -> CudaError {
    CudaError::Argument {
        argument: "lookups",
        expected: "one to three tables".to_owned(),
        found: found.to_string(),
    }
}

/// `norm(x + residual)`, both optional, where `x` was.
///
/// # Errors
/// [`CudaError`] where shapes or types differ.
pub fn join(
    gpu: &Gpu,
    x: Matrix,
    residual: Option<&Matrix>,
    norm: Option<&Norm>,
) -> Result<Matrix, CudaError> {
    join_biased(gpu, x, None, residual, norm)
}

/// The same with a bias, of as many numbers as `x` has columns, added to `x`.
pub(crate) fn join_biased(
    gpu: &Gpu,
    x: Matrix,
    bias: Option<&Vector>,
    residual: Option<&Matrix>,
    norm: Option<&Norm>,
) -> Result<Matrix, CudaError> {
    let (rows, columns, dtype) = (x.rows(), x.columns(), x.dtype());
    if let Some(residual) = residual {
        residual.check("residual", rows, columns, dtype)?;
    }
    let added = bias.map(Vector::pointer);
    let (weight, bias, eps) = parts(norm, columns)?;
    let name = format!("join_{dtype}");
    // SAFETY: these are the kernel's parameters, and the matrices have one shape. A warp has read its row before it
    // writes it.
    unsafe {
        per_row(&name, rows, columns).enqueue(
            gpu,
            arguments![
                x.pointer(),
                x.stride(),
                added,
                residual.map(Matrix::pointer),
                residual.map_or(0, Matrix::stride),
                weight,
                bias,
                eps,
                x.pointer(),
                x.stride(),
                rows,
                columns,
            ],
        )?;
    }
    Ok(x)
}

/// `activation(x + bias)` where `x` was; the bias has as many numbers as `x` has columns.
pub(crate) fn activate(
    gpu: &Gpu,
    x: Matrix,
    bias: Option<&Vector>,
    activation: Activation,
) -> Result<Matrix, CudaError> {
    let (rows, columns) = (x.rows(), x.columns());
    let name = format!("activate_{}", x.dtype());
    let number = activation::number(activation)?;
    // SAFETY: these are the kernel's parameters, and each number is read and written by one thread.
    unsafe {
        per_row(&name, rows, 0).enqueue(
            gpu,
            arguments![
                x.pointer(),
                x.stride(),
                bias.map(Vector::pointer),
                number,
                rows,
                columns
            ],
        )?;
    }
    Ok(x)
}

/// Some rows of a matrix. Whoever made the indices has seen to it that they are of rows that are there.
///
/// # Errors
/// [`CudaError`] where memory does not suffice.
pub fn gather(gpu: &Gpu, x: &Matrix, rows: &Indices) -> Result<Matrix, CudaError> {
    let out = Matrix::new(gpu, rows.len(), x.columns(), x.dtype())?;
    let name = format!("gather_{}", x.dtype());
    // SAFETY: these are the kernel's parameters; both matrices have the same columns.
    unsafe {
        per_row(&name, rows.len(), 0).enqueue(
            gpu,
            arguments![
                x.pointer(),
                x.stride(),
                rows.pointer(),
                out.pointer(),
                out.stride(),
                rows.len(),
                x.columns(),
            ],
        )?;
    }
    Ok(out)
}

/// The same numbers stored otherwise: to `f32`, which is exact, or from it, which rounds.
///
/// # Errors
/// [`CudaError`] where memory does not suffice, or both types have 16 bits.
pub fn cast(gpu: &Gpu, x: &Matrix, dtype: Dtype) -> Result<Matrix, CudaError> {
    let (rows, columns) = (x.rows(), x.columns());
    let out = Matrix::new(gpu, rows, columns, dtype)?;
    let name = format!("cast_{}_to_{dtype}", x.dtype());
    // SAFETY: these are the kernel's parameters; both matrices have this shape.
    unsafe {
        per_row(&name, rows, 0).enqueue(
            gpu,
            arguments![
                x.pointer(),
                x.stride(),
                out.pointer(),
                out.stride(),
                rows,
                columns
            ],
        )?;
    }
    Ok(out)
}

/// How the rows of a sequence become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// The first.
    First,
    /// Their mean.
    Mean,
    /// The largest number of each column.
    Max,
}

/// One row per sequence, in `f32`: `[B, columns]`, of Euclidean length one if `unit`. No sequence is empty.
///
/// # Errors
/// [`CudaError`] where memory does not suffice.
pub fn pool(
    gpu: &Gpu,
    x: &Matrix,
    bounds: &Indices,
    pool: Pool,
    unit: bool,
) -> Result<Matrix, CudaError> {
    let sequences = bounds.len().saturating_sub(1);
    let out = Matrix::new(gpu, sequences, x.columns(), Dtype::F32)?;
    let kind = match pool {
        Pool::First => 0usize,
        Pool::Mean => 1,
        Pool::Max => 2,
    };
    let kernel = Kernel {
        module: Module::Rows,
        name: &format!("pool_{}", x.dtype()),
        blocks: [sequences, 1],
        threads: 32 * ROWS_PER_BLOCK,
        shared_bytes: ROWS_PER_BLOCK * size_of::<f32>(),
    };
    // SAFETY: these are the kernel's parameters; bounds are of rows that are there.
    unsafe {
        kernel.enqueue(
            gpu,
            arguments![
                x.pointer(),
                x.stride(),
                bounds.pointer(),
                kind,
                usize::from(unit),
                out.pointer(),
                out.stride(),
                x.columns(),
            ],
        )?;
    }
    Ok(out)
}
