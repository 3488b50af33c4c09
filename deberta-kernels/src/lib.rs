//! deberta-kernels
