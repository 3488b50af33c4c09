// Operations on rows, of numbers of every type.
#include "rows.cuh"

ROW_ENTRIES(f32, F32)
ROW_ENTRIES(f16, F16)
ROW_ENTRIES(bf16, BF16)
