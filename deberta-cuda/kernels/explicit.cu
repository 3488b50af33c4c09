// Attention with every score in memory, on numbers of every type.
#include "explicit.cuh"

EXPLICIT_ENTRIES(f32, F32)
EXPLICIT_ENTRIES(f16, F16)
EXPLICIT_ENTRIES(bf16, BF16)

// out[g][i] = sum over h of matrix[g][h]·x[h][i], of `count` numbers per head: y counts g.
EXPLICIT_ENTRY mix_heads(const float* __restrict__ matrix, int stride, const float* __restrict__ x, float* __restrict__ out,
                         int heads, int count) {
  const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), g = (int)blockIdx.y;
  if (i >= count) return;
  float sum = 0.0f;
  for (int h = 0; h < heads; h++) sum = fmaf(matrix[g * stride + h], x[(u64)h * (u64)count + i], sum);
  out[(u64)g * (u64)count + i] = sum;
}

// The softmax of each of `rows` rows of `length` numbers, where they are. A warp takes a row.
EXPLICIT_ENTRY softmax_rows(float* __restrict__ x, int rows, int length) {
  const int row = (int)(blockIdx.x * 4 + (threadIdx.x >> 5)), lane = (int)threadIdx.x & 31;
  if (row >= rows) return;
  x += (u64)row * (u64)length;
  float most = -__uint_as_float(0x7f800000u), sum = 0.0f;
  for (int j = lane; j < length; j += 32) most = fmaxf(most, x[j]);
#pragma unroll
  for (int bits = 16; bits; bits >>= 1) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, bits));
  for (int j = lane; j < length; j += 32) {
    x[j] = expf(x[j] - most);
    sum += x[j];
  }
#pragma unroll
  for (int bits = 16; bits; bits >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, bits);
  for (int j = lane; j < length; j += 32) x[j] /= sum;
}
