// Disentangled attention on numbers of bf16, for heads of up to 32, 64 and 128 numbers.
#include "attention.cuh"

ATTENTION_ENTRY(attention_32_bf16, BF16, 32, 64, false)
ATTENTION_ENTRY(attention_64_bf16, BF16, 64, 64, false)
ATTENTION_ENTRY(attention_128_bf16, BF16, 128, 32, false)
ATTENTION_ENTRY(attention_holes_32_bf16, BF16, 32, 64, true)
ATTENTION_ENTRY(attention_holes_64_bf16, BF16, 64, 64, true)
ATTENTION_ENTRY(attention_holes_128_bf16, BF16, 128, 32, true)
