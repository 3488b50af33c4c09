// Disentangled attention on numbers of f32, for heads of up to 32, 64 and 128 numbers.
#include "attention.cuh"

ATTENTION_ENTRY(attention_32_f32, F32, 32, 32, false)
ATTENTION_ENTRY(attention_64_f32, F32, 64, 32, false)
ATTENTION_ENTRY(attention_128_f32, F32, 128, 16, false)
ATTENTION_ENTRY(attention_holes_32_f32, F32, 32, 32, true)
ATTENTION_ENTRY(attention_holes_64_f32, F32, 64, 32, true)
ATTENTION_ENTRY(attention_holes_128_f32, F32, 128, 16, true)
