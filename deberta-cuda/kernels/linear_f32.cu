// Products of matrices of f32.
#include "linear.cuh"

LINEAR_ENTRY(linear_large_f32, F32, Large)
LINEAR_ENTRY(linear_medium_f32, F32, Medium)
LINEAR_ENTRY(linear_small_f32, F32, Small)
