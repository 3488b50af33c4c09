// Attention with every score of some queries in memory, for heads that mix and for those who want to see. Plain loops: one
// thread per score, one warp per row of scores, one thread per number of the output.
#pragma once
#include "number.cuh"

// Where positions come from, and slots.
struct Places {
  const int* slots;
  int reach;
  const int* positions;  // of the sequence, or null

  __device__ __forceinline__ int slot(int i, int j) const {
    const int distance = positions ? positions[i] - positions[j] : i - j;
    return slots[min(max(distance, -reach), reach) + reach];
  }
};

// scores[head][i][j] of `queries` queries from `first` on, `length` keys: the terms whose operands are there, scaled.
template <class T>
DEVI void explicit_scores(const typename T::Stored* query, int query_stride, const typename T::Stored* key, int key_stride,
                          const typename T::Stored* position_key, const typename T::Stored* position_query, int table_stride,
                          Places places, int content, int first, int queries, int length, int size, float scale,
                          float* scores) {
  const int index = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (index / length >= queries) return;
  const int i = first + index / length, j = index % length, head = (int)blockIdx.y;
  const typename T::Stored* q = query + (u64)i * (u64)query_stride + head * size;
  const typename T::Stored* k = key + (u64)j * (u64)key_stride + head * size;
  const int slot = position_key || position_query ? places.slot(i, j) : 0;
  const typename T::Stored* pk = position_key ? position_key + (u64)slot * (u64)table_stride + head * size : nullptr;
  const typename T::Stored* pq = position_query ? position_query + (u64)slot * (u64)table_stride + head * size : nullptr;
  float sum = 0.0f;
  for (int d = 0; d < size; d++) {
    const float x = T::load(q[d]), y = T::load(k[d]);
    if (content) sum = fmaf(x, y, sum);
    if (pk) sum = fmaf(x, T::load(pk[d]), sum);
    if (pq) sum = fmaf(y, T::load(pq[d]), sum);
  }
  scores[(u64)head * (u64)(queries * length) + index] = sum * scale;
}

// out[i][head·size + d] = sum over j of weights[head][i][j]·value[j][head·size + d].
template <class T>
DEVI void explicit_context(const float* weights, const typename T::Stored* value, int value_stride, int queries, int length,
                           int size, int heads, typename T::Stored* out, int out_stride) {
  const int column = (int)(blockIdx.x * blockDim.x + threadIdx.x), i = (int)blockIdx.y;
  if (column >= heads * size) return;
  const float* w = weights + ((u64)(column / size) * (u64)queries + i) * (u64)length;
  float sum = 0.0f;
  for (int j = 0; j < length; j++) sum = fmaf(w[j], T::load(value[(u64)j * (u64)value_stride + column]), sum);
  out[(u64)i * (u64)out_stride + column] = T::store(sum);
}

#define EXPLICIT_ENTRY extern "C" __global__ void __launch_bounds__(128)
#define EXPLICIT_ENTRIES(suffix, T)                                                                                          \
  EXPLICIT_ENTRY explicit_scores_##suffix(                                                                                   \
      const T::Stored* __restrict__ query, int query_stride, const T::Stored* __restrict__ key, int key_stride,              \
      const T::Stored* __restrict__ position_key, const T::Stored* __restrict__ position_query, int table_stride,            \
      const int* __restrict__ slots, int reach, const int* __restrict__ positions, int content, int first, int queries,      \
      int length, int size, float scale, float* __restrict__ scores) {                                                       \
    explicit_scores<T>(query, query_stride, key, key_stride, position_key, position_query, table_stride,                     \
                       {slots, reach, positions}, content, first, queries, length, size, scale, scores);                     \
  }                                                                                                                          \
  EXPLICIT_ENTRY explicit_context_##suffix(const float* __restrict__ weights, const T::Stored* __restrict__ value,           \
                                           int value_stride, int queries, int length, int size, int heads,                   \
                                           T::Stored* __restrict__ out, int out_stride) {                                    \
    explicit_context<T>(weights, value, value_stride, queries, length, size, heads, out, out_stride);                        \
  }
