//! Linear layers: products on tensor cores.

use crate::activation;
use crate::launch::{Kernel, Pointer, arguments};
use crate::matrix::Vector;
use crate::{CudaError, Dtype, Gpu, Matrix, Module, Norm, blas, rows};
use deberta_kernels::Activation;
use ndarray::ArrayView2;

/// The weights `W: [N, K]` of a linear layer, and its bias `[N]`.
#[derive(Debug)]
pub struct Linear {
    weight: Matrix,
    bias: Option<Vector>,
    /// The bias in the type of the weights, for cuBLASLt.
    narrow: Option<Matrix>,
}

/// The size of the blocks that compute a product: `kernels/linear.cuh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    name: &'static str,
    rows: usize,
    columns: usize,
    threads: usize,
    stages: usize,
}

const LARGE: Tile = Tile {
    name: "large",
    rows: 128,
    columns: 128,
    threads: 256,
    stages: 4,
};
const MEDIUM: Tile = Tile {
    name: "medium",
    rows: 64,
    columns: 64,
    threads: 128,
    stages: 5,
};
const SMALL: Tile = Tile {
    name: "small",
    rows: 32,
    columns: 32,
    threads: 128,
    stages: 6,
};

impl Tile {
    /// Large blocks use what they read more often, small ones are enough to keep all multiprocessors busy.
    fn choose(gpu: &Gpu, rows: usize, columns: usize) -> Self {
        let busy = |tile: &Self| tile.blocks(rows, columns) >= gpu.multiprocessors();
        let sizes = [LARGE, MEDIUM];
        sizes.into_iter().find(busy).unwrap_or(SMALL)
    }

    fn blocks(self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    fn shared_bytes(self) -> usize {
        let operands = self.stages * (self.rows + self.columns) * 64;
        operands.max(self.rows * (self.columns + 4) * 4)
    }
}

impl Linear {
    /// A layer with these weights and, perhaps, a bias.
    ///
    /// # Errors
    /// [`CudaError`] where memory does not suffice, or the bias has not one number per row of the weights.
    pub fn new(gpu: &Gpu, weight: Matrix, bias: Option<&[f32]>) -> Result<Self, CudaError> {
        if let Some(bias) = bias.filter(|bias| bias.len() != weight.rows()) {
            return Err(CudaError::Shape {
                argument: "bias",
                expected: vec![weight.rows()],
                found: vec![bias.len()],
            });
        }
        let narrow = |bias: &[f32]| {
            let row = ArrayView2::from_shape((1, bias.len()), bias);
            row.ok()
                .map(|row| Matrix::from_f32(gpu, row, weight.dtype()))
        };
        let wanted = weight.dtype() != Dtype::F32 && gpu.blas()?.is_some();
        Ok(Self {
            narrow: bias.filter(|_| wanted).and_then(narrow).transpose()?,
            bias: bias.map(|bias| Vector::new(gpu, bias)).transpose()?,
            weight,
        })
    }

    /// How many numbers a row of its output has.
    pub fn outputs(&self) -> usize {
        self.weight.rows()
    }

    /// How its weights are stored.
    pub fn dtype(&self) -> Dtype {
        self.weight.dtype()
    }

    /// `activation(x·Wᵀ + b)`: `[M, K] -> [M, N]`.
    ///
    /// A row of the result is the same whatever other rows there are, but where cuBLASLt is used: for products of many
    /// rows of 16 bits, if it can be loaded and `DEBERTA_CUBLASLT` is not `off`.
    ///
    /// # Errors
    /// [`CudaError::Shape`] or [`CudaError::Argument`] where `x` has other columns than the weights or another type, or
    /// [`CudaError`] where memory does not suffice.
    pub fn apply(
        &self,
        gpu: &Gpu,
        x: &Matrix,
        activation: Activation,
    ) -> Result<Matrix, CudaError> {
        let plain = activation == Activation::Identity;
        let narrow = self.narrow.as_ref().map(Matrix::pointer);
        if let Some(product) = self.large_product(gpu, x, narrow.filter(|_| plain))? {
            return match plain {
                true => Ok(product),
                false => rows::activate(gpu, product, self.bias.as_ref(), activation),
            };
        }
        let out = Matrix::new(gpu, x.rows(), self.outputs(), x.dtype())?;
        // SAFETY: the matrices have these shapes, which were checked against each other.
        unsafe {
            self.operands(x, &out)
                .multiply(gpu, x.dtype(), activation)?
        };
        Ok(out)
    }

    /// `norm(x·Wᵀ + b + residual)`: `[M, K] -> [M, N]`.
    ///
    /// # Errors
    /// As [`Linear::apply`], or where the residual or the norm have other shapes.
    pub fn apply_and_join(
        &self,
        gpu: &Gpu,
        x: &Matrix,
        residual: &Matrix,
        norm: &Norm,
    ) -> Result<Matrix, CudaError> {
        match self.large_product(gpu, x, None)? {
            Some(product) => {
                rows::join_biased(gpu, product, self.bias.as_ref(), Some(residual), Some(norm))
            }
            None => {
                let product = self.apply(gpu, x, Activation::Identity)?;
                rows::join(gpu, product, Some(residual), Some(norm))
            }
        }
    }

    /// `x·Wᵀ`, and the bias if given, by cuBLASLt where that is there and the product has many rows.
    fn large_product(
        &self,
        gpu: &Gpu,
        x: &Matrix,
        bias: Option<Pointer>,
    ) -> Result<Option<Matrix>, CudaError> {
        let dtype = self.weight.dtype();
        x.check("x", x.rows(), self.weight.columns(), dtype)?;
        if dtype == Dtype::F32 || x.rows() < blas::LEAST_ROWS {
            return Ok(None);
        }
        let Some((library, workspace)) = gpu.blas()? else {
            return Ok(None);
        };
        let out = Matrix::new(gpu, x.rows(), self.outputs(), dtype)?;
        let operands = self.operands(x, &out);
        // SAFETY: the matrices have these shapes, which were checked against each other.
        let done = unsafe { library.multiply(gpu, dtype, &operands, bias, workspace)? };
        Ok(done.then_some(out))
    }

    fn operands(&self, x: &Matrix, out: &Matrix) -> Operands {
        Operands {
            x: (x.pointer(), x.stride()),
            weight: (self.weight.pointer(), self.weight.stride()),
            bias: self.bias.as_ref().map(Vector::pointer),
            out: (out.pointer(), out.stride()),
            shape: [x.rows(), self.outputs(), x.columns()],
        }
    }
}

/// A product of parts of matrices: pointers with strides.
pub(crate) struct Operands {
    pub(crate) x: (Pointer, usize),
    pub(crate) weight: (Pointer, usize),
    pub(crate) bias: Option<Pointer>,
    pub(crate) out: (Pointer, usize),
    /// Rows and columns of the output, and the columns of both operands.
    pub(crate) shape: [usize; 3],
}

impl Operands {
    /// Enqueues the product.
    ///
    /// # Safety
    /// `x` is to M rows of K numbers of the type, `weight` to N rows of K, both of whose rows begin at multiples of 16
    /// bytes; `bias` to N numbers of `f32`; `out` to M rows of N numbers which nothing else uses.
    pub(crate) unsafe fn multiply(
        self,
        gpu: &Gpu,
        dtype: Dtype,
        activation: Activation,
    ) -> Result<(), CudaError> {
        let [rows, columns, depth] = self.shape;
        let tile = Tile::choose(gpu, rows, columns);
        let kernel = Kernel {
            module: Module::Linear(dtype),
            name: &format!("linear_{}_{dtype}", tile.name),
            blocks: [rows.div_ceil(tile.rows), columns.div_ceil(tile.columns)],
            threads: tile.threads,
            shared_bytes: tile.shared_bytes(),
        };
        let arguments = arguments![
            self.x.0,
            self.x.1,
            self.weight.0,
            self.weight.1,
            self.bias,
            activation::number(activation)?,
            self.out.0,
            self.out.1,
            rows,
            columns,
            depth,
        ];
        // SAFETY: these are the parameters of the kernel, which touches what the caller vouches for.
        unsafe { kernel.enqueue(gpu, arguments) }
    }
}
