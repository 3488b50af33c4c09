//! cuBLASLt, where it can be loaded: NVIDIA's matrix products for large matrices of 16 bits.
//!
//! It is not needed: `kernels/linear.cuh` computes everything. Its sums are grouped as it sees fit, so that a row may differ
//! in the last bits with the number of rows.

mod library;

use crate::launch::Pointer;
use crate::linear::Operands;
use crate::memory::Memory;
use crate::{CudaError, Dtype, Gpu};
use cudarc::cublaslt::sys;
use library::{Library, Status, checked};
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
    library: Library,
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
    /// The library, if it is there. `DEBERTA_CUBLASLT` is `off` or the file to load.
    pub(crate) fn load() -> Option<Self> {
        let wish = std::env::var("DEBERTA_CUBLASLT").ok();
        if wish.as_deref() == Some("off") {
            return None;
        }
        let library = Library::open(wish.as_deref())?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the handle is a local variable, which the call fills.
        checked(unsafe { (library.create)(&mut handle) }).ok()?;
        Some(Self {
            library,
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
        let failed = |status: Status| CudaError::Driver {
            doing: "multiplying with cuBLASLt".to_owned(),
            name: format!("{status:?}"),
        };
        gpu.bind()?;
        let product = Product {
            dtype,
            shape: operands.shape,
            strides: [operands.x.1, operands.weight.1, operands.out.1],
            biased: bias.is_some(),
        };
        let call = Call::new(&self.library, product, bias).map_err(failed)?;
        let Some(algorithm) = self.algorithm(product, &call).map_err(failed)? else {
            return Ok(false);
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        let scalar = |value: &f32| std::ptr::from_ref(value).cast::<c_void>();
        let device = |pointer: Pointer| pointer.0 as *mut c_void;
        // SAFETY: the layouts are those of the operands, for whose memory the caller vouches; the workspace is used on
        // this stream alone.
        let multiplied = unsafe {
            (self.library.matmul)(
                self.handle,
                call.description,
                scalar(&one),
                device(operands.weight.0),
                call.layouts[0],
                device(operands.x.0),
                call.layouts[1],
                scalar(&zero),
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
        checked(multiplied).map_err(failed)?;
        Ok(true)
    }

    fn algorithm(
        &self,
        product: Product,
        call: &Call<'_>,
    ) -> Result<Option<sys::cublasLtMatmulAlgo_t>, Status> {
        let chosen = || {
            self.algorithms
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(&known) = chosen().get(&product) {
            return Ok(known);
        }
        let algorithm = match self.best(call) {
            Ok(found) => found,
            Err(Status::CUBLAS_STATUS_NOT_SUPPORTED) => None,
            Err(error) => return Err(error),
        };
        chosen().insert(product, algorithm);
        Ok(algorithm)
    }

    /// What the library thinks is the fastest for a product.
    fn best(&self, call: &Call<'_>) -> Result<Option<sys::cublasLtMatmulAlgo_t>, Status> {
        use sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let library = &self.library;
        let mut preference = std::ptr::null_mut();
        // SAFETY: the preference is a local variable, which the call fills.
        checked(unsafe { (library.create_preference)(&mut preference) })?;
        let bytes = WORKSPACE_BYTES as u64;
        let [weight, x, out] = call.layouts;
        let mut found = std::mem::MaybeUninit::zeroed();
        let mut count = 0;
        // SAFETY: the preference lives until it is destroyed here, the attribute is a number of 64 bits, and there is
        // room for the one result that is asked for.
        let asked = unsafe {
            let set = checked((library.prefer)(
                preference,
                CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                std::ptr::from_ref(&bytes).cast(),
                size_of_val(&bytes),
            ));
            let asked = set.and_then(|()| {
                checked((library.algorithms)(
                    self.handle,
                    call.description,
                    weight,
                    x,
                    out,
                    out,
                    preference,
                    1,
                    found.as_mut_ptr(),
                    &mut count,
                ))
            });
            checked((library.destroy_preference)(preference))?;
            asked
        };
        asked?;
        // SAFETY: a result is plain numbers, for which zeros are values too.
        let found: sys::cublasLtMatmulHeuristicResult_t = unsafe { found.assume_init() };
        Ok((count > 0).then_some(found.algo))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle. That it cannot be given back is no one's concern.
        let _ = unsafe { (self.library.destroy)(self.handle) };
    }
}

/// The descriptions of a product.
///
/// The library takes matrices column by column. Read so, `x`, the weights and the output are their transposes, and
/// `outᵀ = W·xᵀ`, with the weights transposed once more.
struct Call<'a> {
    library: &'a Library,
    description: sys::cublasLtMatmulDesc_t,
    /// Of the weights, `x` and the output.
    layouts: [sys::cublasLtMatrixLayout_t; 3],
}

impl<'a> Call<'a> {
    fn new(library: &'a Library, product: Product, bias: Option<Pointer>) -> Result<Self, Status> {
        let [rows, columns, depth] = product.shape.map(|n| n as u64);
        let [x, weight, out] = product.strides.map(|n| n as i64);
        let number = match product.dtype {
            Dtype::F32 => sys::cudaDataType::CUDA_R_32F,
            Dtype::F16 => sys::cudaDataType::CUDA_R_16F,
            Dtype::Bf16 => sys::cudaDataType::CUDA_R_16BF,
        };
        let mut description = std::ptr::null_mut();
        // SAFETY: the description is a local variable, which the call fills.
        checked(unsafe {
            (library.create_description)(
                &mut description,
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cudaDataType::CUDA_R_32F,
            )
        })?;
        let mut call = Self {
            library,
            description,
            layouts: [std::ptr::null_mut(); 3],
        };
        let shapes = [
            (depth, columns, weight),
            (depth, rows, x),
            (columns, rows, out),
        ];
        for (layout, (rows, columns, stride)) in call.layouts.iter_mut().zip(shapes) {
            // SAFETY: the layout is the call's own, which the library fills.
            checked(unsafe { (library.create_layout)(layout, number, rows, columns, stride) })?;
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
    ) -> Result<(), Status> {
        // SAFETY: the description lives as long as the call; the library copies the value, of the attribute's type.
        checked(unsafe {
            (self.library.describe)(
                self.description,
                attribute,
                std::ptr::from_ref(value).cast(),
                size_of::<T>(),
            )
        })
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        for layout in self.layouts.into_iter().filter(|layout| !layout.is_null()) {
            // SAFETY: the layout was made by this call and is used by nothing else.
            let _ = unsafe { (self.library.destroy_layout)(layout) };
        }
        // SAFETY: as above.
        let _ = unsafe { (self.library.destroy_description)(self.description) };
    }
}
