//! The functions of cuBLASLt that are used, found at run time in whichever release is installed.
//!
//! cudarc looks for the release that it was built for. These functions have been the same from CUDA 11 to 13.

use cudarc::cublaslt::sys;
use libloading::Library as Opened;
use std::ffi::{c_int, c_void};

/// Where releases are looked for, the newest first.
const NAMES: &[&str] = if cfg!(windows) {
    &[
        "cublasLt64_13.dll",
        "cublasLt64_12.dll",
        "cublasLt64_11.dll",
    ]
} else {
    &[
        "libcublasLt.so.13",
        "libcublasLt.so.12",
        "libcublasLt.so.11",
        "libcublasLt.so",
    ]
};

/// What a function of the library says.
pub(super) type Status = sys::cublasStatus_t;

/// Whether a function of the library did what it was asked for.
pub(super) fn checked(status: Status) -> Result<(), Status> {
    match status {
        Status::CUBLAS_STATUS_SUCCESS => Ok(()),
        other => Err(other),
    }
}

macro_rules! functions {
    ($($field:ident = $symbol:literal: ($($argument:ty),*);)*) => {
        /// The library's functions, by their names without `cublasLt`.
        pub(super) struct Library {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> Status,)*
            /// The functions are valid as long as it is open.
            _opened: Opened,
        }

        impl Library {
            /// # Safety
            /// The library is cuBLASLt.
            unsafe fn new(opened: Opened) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the functions have these types in the library's header.
                    $($field: *unsafe { opened.get($symbol) }?,)*
                    _opened: opened,
                })
            }
        }
    };
}

functions! {
    create = "cublasLtCreate": (*mut sys::cublasLtHandle_t);
    destroy = "cublasLtDestroy": (sys::cublasLtHandle_t);
    matmul = "cublasLtMatmul": (
        sys::cublasLtHandle_t, sys::cublasLtMatmulDesc_t, *const c_void,
        *const c_void, sys::cublasLtMatrixLayout_t, *const c_void, sys::cublasLtMatrixLayout_t, *const c_void,
        *const c_void, sys::cublasLtMatrixLayout_t, *mut c_void, sys::cublasLtMatrixLayout_t,
        *const sys::cublasLtMatmulAlgo_t, *mut c_void, usize, sys::cudaStream_t
    );
    algorithms = "cublasLtMatmulAlgoGetHeuristic": (
        sys::cublasLtHandle_t, sys::cublasLtMatmulDesc_t, sys::cublasLtMatrixLayout_t,
        sys::cublasLtMatrixLayout_t, sys::cublasLtMatrixLayout_t, sys::cublasLtMatrixLayout_t,
        sys::cublasLtMatmulPreference_t, c_int, *mut sys::cublasLtMatmulHeuristicResult_t, *mut c_int
    );
    create_description = "cublasLtMatmulDescCreate": (
        *mut sys::cublasLtMatmulDesc_t, sys::cublasComputeType_t, sys::cudaDataType_t
    );
    destroy_description = "cublasLtMatmulDescDestroy": (sys::cublasLtMatmulDesc_t);
    describe = "cublasLtMatmulDescSetAttribute": (
        sys::cublasLtMatmulDesc_t, sys::cublasLtMatmulDescAttributes_t, *const c_void, usize
    );
    create_layout = "cublasLtMatrixLayoutCreate": (
        *mut sys::cublasLtMatrixLayout_t, sys::cudaDataType_t, u64, u64, i64
    );
    destroy_layout = "cublasLtMatrixLayoutDestroy": (sys::cublasLtMatrixLayout_t);
    create_preference = "cublasLtMatmulPreferenceCreate": (*mut sys::cublasLtMatmulPreference_t);
    destroy_preference = "cublasLtMatmulPreferenceDestroy": (sys::cublasLtMatmulPreference_t);
    prefer = "cublasLtMatmulPreferenceSetAttribute": (
        sys::cublasLtMatmulPreference_t, sys::cublasLtMatmulPreferenceAttributes_t, *const c_void, usize
    );
}

impl Library {
    /// The library in a file, or the newest one that the system finds.
    pub(super) fn open(file: Option<&str>) -> Option<Self> {
        let found = match file {
            Some(file) => open(file),
            None => NAMES.iter().copied().find_map(open),
        };
        // SAFETY: it has the name of cuBLASLt, or the user says that it is.
        unsafe { Self::new(found?) }.ok()
    }
}

fn open(name: &str) -> Option<Opened> {
    // SAFETY: what NVIDIA's library does when it is opened has no preconditions.
    unsafe { Opened::new(name) }.ok()
}
