// Products of matrices of f16.
#include "linear.cuh"

LINEAR_ENTRY(linear_large_f16, F16, Large)
LINEAR_ENTRY(linear_medium_f16, F16, Medium)
LINEAR_ENTRY(linear_small_f16, F16, Small)
