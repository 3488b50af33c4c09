// Products of matrices of bf16.
#include "linear.cuh"

LINEAR_ENTRY(linear_large_bf16, BF16, Large)
LINEAR_ENTRY(linear_medium_bf16, BF16, Medium)
LINEAR_ENTRY(linear_small_bf16, BF16, Small)
