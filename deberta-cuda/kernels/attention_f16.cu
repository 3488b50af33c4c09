// Disentangled attention on numbers of f16, for heads of up to 32, 64 and 128 numbers.
#include "attention.cuh"

ATTENTION_ENTRY(attention_32_f16, F16, 32, 64, false)
ATTENTION_ENTRY(attention_64_f16, F16, 64, 64, false)
ATTENTION_ENTRY(attention_128_f16, F16, 128, 32, false)
ATTENTION_ENTRY(attention_holes_32_f16, F16, 32, 64, true)
ATTENTION_ENTRY(attention_holes_64_f16, F16, 64, 64, true)
ATTENTION_ENTRY(attention_holes_128_f16, F16, 128, 32, true)
