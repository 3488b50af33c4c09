// Operations on rows, of numbers of every type.
#include "rows.cuh"

ROW_ENTRIES(f32, F32)
ROW_ENTRIES(f16, F16)
ROW_ENTRIES(bf16, BF16)

CAST_ENTRY(cast_f16_to_f32, F16, F32)
CAST_ENTRY(cast_bf16_to_f32, BF16, F32)
CAST_ENTRY(cast_f32_to_f16, F32, F16)
CAST_ENTRY(cast_f32_to_bf16, F32, BF16)
