//! cuBLASLt, where it can be loaded: NVIDIA's matrix products for large matrices of 16 bits.
//!
//! It is not needed: `kernels/linear.cuh` computes everything. Its sums are grouped as it sees fit, so that a row may differ
//! in the last bits with the number of rows.

use crate::launch::Pointer;
use crate::linear::Operands;
use crate::memory::Memory;
use crate::{CudaError, Dtype, Gpu};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

/// What algorithms may use: what NVIDIA recommends for its newest devices.
pub(crate) const WORKSPACE_BYTES: usize = 32 << 20;

/// Rows from which on a product goes to the library. With fewer, reading the weights is what takes the time.
pub(crate) const LEAST_ROWS: usize = 128;

/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;

/// The library, and the algorithms that it has chosen.
pub(crate) struct Blas {
    handle: sys::cublasLtHandle_t,
    /// `None` where it has none.
    algorithms: Mutex<HashMap<Product, Option<sys::cublasLtMatmulAlgo_t>>>,
}

// SAFETY: the library documents its handle as usable from any thread.
unsafe impl Send for Blas {}
// SAFETY: as above.
unsafe impl Sync for Blas {}

/// All by which an algorithm is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Product {
    dtype: Dtype,
    shape: [usize; 3],
    strides: [usize; 3],
    biased: bool,
}

impl Blas {
    /// The library, if it is there and `DEBERTA_CUBLASLT` is not `off`.
    pub(crate) fn load() -> Option<Self> {
        if std::env::var("DEBERTA_CUBLASLT").is_ok_and(|value| value == "off") {
            return None;
        }
        // SAFETY: it only tries to open the library; cudarc panics on first use where that fails, so this comes first.
        if !unsafe { sys::is_culib_present() } {
            return None;
        }
        let handle = result::create_handle().ok()?;
        Some(Self {
            handle,
            algorithms: Mutex::default(),
        })
    }

    /// Enqueues a product, `bias` being in the type of the matrices. False where the library has no algorithm for it.
    ///
    /// # Safety
    /// As for [`Operands::multiply`]; `bias` is to as many numbers as the output has columns.
    pub(crate) unsafe fn multiply(
        &self,
        gpu: &Gpu,
        dtype: Dtype,
        operands: &Operands,
        bias: Option<Pointer>,
        workspace: &Memory,
    ) -> Result<bool, CudaError> {
        let failed = |error: CublasError| CudaError::Driver {
            doing: "multiplying with cuBLASLt".to_owned(),
            name: format!("{:?}", error.0),
        };
        gpu.bind()?;
        let product = Product {
            dtype,
            shape: operands.shape,
            strides: [operands.x.1, operands.weight.1, operands.out.1],
            biased: bias.is_some(),
        };
        let call = Call::new(product, bias).map_err(failed)?;
        let Some(algorithm) = self.algorithm(product, &call).map_err(failed)? else {
            return Ok(false);
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        let scalar = |value: &f32| std::ptr::from_ref(value).cast::<c_void>();
        let device = |pointer: Pointer| pointer.0 as *mut c_void;
        // SAFETY: the layouts are those of the operands, for whose memory the caller vouches; the workspace is used on
        // this stream alone.
        let multiplied = unsafe {
            result::matmul(
                self.handle,
                call.description,
                scalar(&one),
                scalar(&zero),
                device(operands.weight.0),
                call.layouts[0],
                device(operands.x.0),
                call.layouts[1],
                device(operands.out.0),
                call.layouts[2],
                device(operands.out.0),
                call.layouts[2],
                &algorithm,
                device(workspace.pointer()),
                WORKSPACE_BYTES,
                gpu.stream().cu_stream().cast(),
            )
        };
        multiplied.map_err(failed)?;
        Ok(true)
    }

    fn algorithm(
        &self,
        product: Product,
        call: &Call,
    ) -> Result<Option<sys::cublasLtMatmulAlgo_t>, CublasError> {
        let chosen = || {
            self.algorithms
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(&known) = chosen().get(&product) {
            return Ok(known);
        }
        let preference = result::create_matmul_pref()?;
        let bytes = WORKSPACE_BYTES as u64;
        let [weight, x, out] = call.layouts;
        // SAFETY: the preference lives until it is destroyed here, and the attribute is a number of 64 bits.
        let found = unsafe {
            let set = result::set_matmul_pref_attribute(
                preference,
                sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                std::ptr::from_ref(&bytes).cast(),
                size_of_val(&bytes),
            );
            let found = set.and_then(|()| {
                let description = call.description;
                result::get_matmul_algo_heuristic(
                    self.handle,
                    description,
                    weight,
                    x,
                    out,
                    out,
                    preference,
                )
            });
            result::destroy_matmul_pref(preference)?;
            found
        };
        let algorithm = match found {
            Ok(found) => Some(found.algo),
            Err(CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED)) => None,
            Err(error) => return Err(error),
        };
        chosen().insert(product, algorithm);
        Ok(algorithm)
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle. That it cannot be given back is no one's concern.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// The descriptions of a product.
///
/// The library takes matrices column by column. Read so, `x`, the weights and the output are their transposes, and
/// `outᵀ = W·xᵀ`, with the weights transposed once more.
struct Call {
    description: sys::cublasLtMatmulDesc_t,
    /// Of the weights, `x` and the output.
    layouts: [sys::cublasLtMatrixLayout_t; 3],
}

impl Call {
    fn new(product: Product, bias: Option<Pointer>) -> Result<Self, CublasError> {
        let [rows, columns, depth] = product.shape.map(|n| n as u64);
        let [x, weight, out] = product.strides.map(|n| n as i64);
        let number = match product.dtype {
            Dtype::F32 => sys::cudaDataType::CUDA_R_32F,
            Dtype::F16 => sys::cudaDataType::CUDA_R_16F,
            Dtype::Bf16 => sys::cudaDataType::CUDA_R_16BF,
        };
        let description = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType::CUDA_R_32F,
        )?;
        let mut call = Self {
            description,
            layouts: [std::ptr::null_mut(); 3],
        };
        let shapes = [
            (depth, columns, weight),
            (depth, rows, x),
            (columns, rows, out),
        ];
        for (layout, (rows, columns, stride)) in call.layouts.iter_mut().zip(shapes) {
            *layout = result::create_matrix_layout(number, rows, columns, stride)?;
        }
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        call.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        if let Some(Pointer(address)) = bias {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            call.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            call.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &address)?;
        }
        Ok(call)
    }

    fn set<T>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: &T,
    ) -> Result<(), CublasError> {
        // SAFETY: the description lives as long as the call; the library copies the value, of the attribute's type.
        unsafe {
            result::set_matmul_desc_attribute(
                self.description,
                attribute,
                std::ptr::from_ref(value).cast(),
                size_of::<T>(),
            )
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        for layout in self.layouts.into_iter().filter(|layout| !layout.is_null()) {
            // SAFETY: the layout was made by this call and is used by nothing else.
            let _ = unsafe { result::destroy_matrix_layout(layout) };
        }
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matmul_desc(self.description) };
    }
}
