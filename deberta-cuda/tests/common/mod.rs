//! What the tests share.

use deberta_cuda::Gpu;

/// The first GPU, or `None` with a loud word; where `DEBERTA_REQUIRE_CUDA` is set, there must be one.
pub(crate) fn gpu() -> Option<Gpu> {
    match Gpu::new(0) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let required = std::env::var_os("DEBERTA_REQUIRE_CUDA").is_some();
            assert!(!required, "a GPU is required: {error}");
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}
