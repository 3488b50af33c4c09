// Operations on rows: tables to rows, sums with a normalisation, activations, gathers, and what a convolution multiplies.
//
// A warp takes a row. Rows begin at multiples of 16 bytes and may be read up to the next; vectors of biases and norms are
// f32 and filled up with zeros to a multiple of 8.
#pragma once
#include "activation.cuh"
#include "number.cuh"

const int ROWS_PER_BLOCK = 4;

template <class T>
struct Rows {
  typedef typename T::Stored Stored;
  static const int EACH = Vector<T>::COUNT;

  DEVI_MEMBER int row() { return (int)(blockIdx.x * ROWS_PER_BLOCK + (threadIdx.x >> 5)); }
  DEVI_MEMBER float sum_of_warp(float x) {
#pragma unroll
    for (int bits = 16; bits; bits >>= 1) x += __shfl_xor_sync(0xffffffffu, x, bits);
    return x;
  }

  // to = weight·(x - mean)/sqrt(variance + eps) + bias, or x itself without a weight. `part(column)` gives 16 bytes of x;
  // `memory` keeps them between the passes, each lane its own.
  template <class Part>
  DEVI_MEMBER void normalize(Stored* to, float* memory, int columns, const float* weight, const float* bias, float eps,
                             Part part) {
    const int lane = (int)threadIdx.x & 31, padded = (columns + 7) / 8 * 8;
    float* x = memory + (int)(threadIdx.x >> 5) * padded;
    float sum = 0.0f;
    for (int column = lane * EACH; column < columns; column += 32 * EACH) {
      const Vector<T> values = part(column);
#pragma unroll
      for (int e = 0; e < EACH; e++) {
        x[column + e] = values.at[e];
        if (column + e < columns) sum += values.at[e];
      }
    }
    float mean = 0.0f, factor = 1.0f;
    if (weight) {
      mean = sum_of_warp(sum) / (float)columns;
      float squares = 0.0f;
      for (int column = lane * EACH; column < columns; column += 32 * EACH) {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
          const float distance = x[column + e] - mean;
          if (column + e < columns) squares = fmaf(distance, distance, squares);
        }
      }
      factor = 1.0f / sqrtf(sum_of_warp(squares) / (float)columns + eps);
    }
    for (int column = lane * EACH; column < columns; column += 32 * EACH) {
#pragma unroll
      for (int e = 0; e < EACH; e += 2) {
        float y = x[column + e], z = x[column + e + 1];
        if (weight) {
          y = fmaf((y - mean) * factor, weight[column + e], bias[column + e]);
          z = fmaf((z - mean) * factor, weight[column + e + 1], bias[column + e + 1]);
        }
        T::store_pair(to + column + e, y, z);
      }
    }
  }

  // The sum of a row from each of up to three tables, normalised.
  DEVI_MEMBER void embed(float* memory, const Stored* const (&tables)[3], const int* const (&ids)[3], int stride,
                         const float* weight, const float* bias, float eps, Stored* out, int out_stride, int rows, int columns) {
    const int r = row();
    if (r >= rows) return;
    const Stored* of_table[3];
#pragma unroll
    for (int i = 0; i < 3; i++) of_table[i] = tables[i] ? tables[i] + (u64)(u32)ids[i][r] * (u64)stride : nullptr;
    normalize(out + (u64)r * (u64)out_stride, memory, columns, weight, bias, eps, [&](int column) {
      Vector<T> sum = load_vector<T>(of_table[0] + column);
#pragma unroll
      for (int i = 1; i < 3; i++) {
        if (!of_table[i]) continue;
        const Vector<T> next = load_vector<T>(of_table[i] + column);
#pragma unroll
        for (int e = 0; e < EACH; e++) sum.at[e] += next.at[e];
      }
      return sum;
    });
  }

  // x + added + residual, normalised.
  DEVI_MEMBER void join(float* memory, const Stored* x, int x_stride, const float* added, const Stored* residual,
                        int residual_stride, const float* weight, const float* bias, float eps, Stored* out, int out_stride,
                        int rows, int columns) {
    const int r = row();
    if (r >= rows) return;
    x += (u64)r * (u64)x_stride;
    if (residual) residual += (u64)r * (u64)residual_stride;
    normalize(out + (u64)r * (u64)out_stride, memory, columns, weight, bias, eps, [&](int column) {
      Vector<T> sum = load_vector<T>(x + column);
      if (added) {
#pragma unroll
        for (int e = 0; e < EACH; e++) sum.at[e] += added[column + e];
      }
      if (residual) {
        const Vector<T> other = load_vector<T>(residual + column);
#pragma unroll
        for (int e = 0; e < EACH; e++) sum.at[e] += other.at[e];
      }
      return sum;
    });
  }

  // x = activation(x + bias), in place.
  DEVI_MEMBER void activate_rows(Stored* x, int stride, const float* bias, int kind, int rows, int columns) {
    const int r = row();
    if (r >= rows) return;
    x += (u64)r * (u64)stride;
    for (int column = ((int)threadIdx.x & 31) * EACH; column < columns; column += 32 * EACH) {
      if (kind == GELU) {
        Vector<T> values = load_vector<T>(x + column);
#pragma unroll
        for (int e = 0; e < EACH; e++) values.at[e] = activate(GELU, values.at[e] + (bias ? bias[column + e] : 0.0f));
        store_vector<T>(x + column, values.at);
      } else {
#pragma unroll 1
        for (int e = column; e < min(column + EACH, columns); e++)
          x[e] = T::store(activate(kind, T::load(x[e]) + (bias ? bias[e] : 0.0f)));
      }
    }
  }

  // Some rows of x.
  DEVI_MEMBER void gather(const Stored* x, int stride, const int* from, Stored* out, int out_stride, int rows, int columns) {
    const int r = row();
    if (r >= rows) return;
    const Stored* source = x + (u64)(u32)from[r] * (u64)stride;
    Stored* to = out + (u64)r * (u64)out_stride;
    for (int column = ((int)threadIdx.x & 31) * EACH; column < columns; column += 32 * EACH)
      *reinterpret_cast<uint4*>(to + column) = *reinterpret_cast<const uint4*>(source + column);
  }

  // For a convolution over tokens: to row r the rows of its neighbours, `kernel` of them, those in `begin[r]..end[r]`. Row r
  // of `out` is [group][neighbour][channel of the group], groups beginning `group_stride` apart. Where tokens have positions,
  // a neighbour is who has the position, and may be absent. Absent ones are zeros.
  DEVI_MEMBER void unfold(const Stored* x, int stride, const int* begin, const int* end, const int* positions, Stored* out,
                          int out_stride, int group_stride, int rows, int channels, int groups, int kernel) {
    const int r = row();
    if (r >= rows) return;
    const int per_group = channels / groups, first = begin[r], last = end[r];
    Stored* to = out + (u64)r * (u64)out_stride;
    for (int k = 0; k < kernel; k++) {
      const int shift = k - (kernel - 1) / 2;
      int from = r + shift;
      bool there = from >= first && from < last;
      if (positions) {
        // Positions rise, so that who is `shift` away in positions is at most as far in tokens.
        const int wanted = positions[r] + shift, step = shift < 0 ? -1 : 1;
        from = r;
        while (from + step >= first && from + step < last && (positions[from] - wanted) * step < 0) from += step;
        there = positions[from] == wanted;
      }
      const Stored* source = x + (u64)(u32)(there ? from : r) * (u64)stride;
      for (int c = (int)threadIdx.x & 31; c < channels; c += 32) {
        const int group = c / per_group;
        to[group * group_stride + k * per_group + c % per_group] = there ? source[c] : T::store(0.0f);
      }
    }
  }

  // One vector per sequence from the rows bounds[s] to bounds[s + 1]: the first (kind 0), their mean (1) or their largest
  // numbers (2); of length one if `unit`. One block per sequence; an
  // empty one gives nothing.
  DEVI_MEMBER void pool(float* memory, const Stored* x, int stride, const int* bounds, int kind, int unit, float* out,
                        int out_stride, int columns) {
    const int first = bounds[blockIdx.x], last = bounds[blockIdx.x + 1];
    if (first >= last) return;
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    float* to = out + (u64)blockIdx.x * (u64)out_stride;
    float squares = 0.0f;
    for (int column = (int)threadIdx.x; column < columns; column += 32 * ROWS_PER_BLOCK) {
      float value = T::load(x[(u64)(u32)first * (u64)stride + column]), rest = 0.0f;
      for (int r = first + 1; r < last && kind; r++) {
        const float next = T::load(x[(u64)(u32)r * (u64)stride + column]);
        if (kind == 1) {
          // With what rounding takes from the sum (Kahan), so that long sequences lose nothing.
          const float with_rest = next - rest, sum = value + with_rest;
          rest = (sum - value) - with_rest;
          value = sum;
        } else {
          value = fmaxf(value, next);
        }
      }
      if (kind == 1) value /= (float)(last - first);
      to[column] = value;
      squares = fmaf(value, value, squares);
    }
    if (!unit) return;
    squares = sum_of_warp(squares);
    if (lane == 0) memory[warp] = squares;
    __syncthreads();
    float total = 0.0f;
    for (int w = 0; w < ROWS_PER_BLOCK; w++) total += memory[w];
    const float length = fmaxf(sqrtf(total), 1e-12f);
    for (int column = (int)threadIdx.x; column < columns; column += 32 * ROWS_PER_BLOCK) to[column] /= length;
  }
};

// The same numbers stored otherwise.
template <class From, class To>
DEVI void cast(const typename From::Stored* x, int stride, typename To::Stored* out, int out_stride, int rows, int columns) {
  const int r = Rows<From>::row();
  if (r >= rows) return;
  for (int column = (int)threadIdx.x & 31; column < columns; column += 32)
    out[(u64)r * (u64)out_stride + column] = To::store(From::load(x[(u64)r * (u64)stride + column]));
}

#define ROW_ENTRY extern "C" __global__ void LAUNCH_BOUNDS(32 * ROWS_PER_BLOCK, 8)
#define CAST_ENTRY(name, From, To)                                                                                          \
  ROW_ENTRY name(const From::Stored* __restrict__ x, int stride, To::Stored* __restrict__ out, int out_stride, int rows,    \
                 int columns) {                                                                                             \
    cast<From, To>(x, stride, out, out_stride, rows, columns);                                                              \
  }
#define ROW_ENTRIES(suffix, T)                                                                                              \
  ROW_ENTRY embed_##suffix(const T::Stored* __restrict__ words, const int* __restrict__ ids,                                \
                           const T::Stored* __restrict__ positions, const int* __restrict__ places,                         \
                           const T::Stored* __restrict__ types, const int* __restrict__ type_ids, int stride,               \
                           const float* __restrict__ weight, const float* __restrict__ bias, float eps,                     \
                           T::Stored* __restrict__ out, int out_stride, int rows, int columns) {                            \
    DYN_SMEM(float, memory);                                                                                                \
    Rows<T>::embed(memory, {words, positions, types}, {ids, places, type_ids}, stride, weight, bias, eps, out, out_stride,  \
                   rows, columns);                                                                                          \
  }                                                                                                                         \
  ROW_ENTRY join_##suffix(const T::Stored* x, int x_stride, const float* __restrict__ added,                                \
                          const T::Stored* residual, int residual_stride, const float* __restrict__ weight,                 \
                          const float* __restrict__ bias, float eps, T::Stored* out, int out_stride, int rows,              \
                          int columns) {                                                                                    \
    DYN_SMEM(float, memory);                                                                                                \
    Rows<T>::join(memory, x, x_stride, added, residual, residual_stride, weight, bias, eps, out, out_stride, rows, columns);\
  }                                                                                                                         \
  ROW_ENTRY activate_##suffix(T::Stored* x, int stride, const float* __restrict__ bias, int activation, int rows,           \
                              int columns) {                                                                                \
    Rows<T>::activate_rows(x, stride, bias, activation, rows, columns);                                                     \
  }                                                                                                                         \
  ROW_ENTRY gather_##suffix(const T::Stored* __restrict__ x, int stride, const int* __restrict__ from,                      \
                            T::Stored* __restrict__ out, int out_stride, int rows, int columns) {                           \
    Rows<T>::gather(x, stride, from, out, out_stride, rows, columns);                                                       \
  }                                                                                                                         \
  ROW_ENTRY unfold_##suffix(const T::Stored* __restrict__ x, int stride, const int* __restrict__ begin,                     \
                            const int* __restrict__ end, const int* __restrict__ positions, T::Stored* __restrict__ out,    \
                            int out_stride, int group_stride, int rows, int channels, int groups, int kernel) {             \
    Rows<T>::unfold(x, stride, begin, end, positions, out, out_stride, group_stride, rows, channels, groups, kernel);       \
  }                                                                                                                         \
  ROW_ENTRY pool_##suffix(const T::Stored* __restrict__ x, int stride, const int* __restrict__ bounds, int kind, int unit,  \
                          float* __restrict__ out, int out_stride, int columns) {                                           \
    DYN_SMEM(float, memory);                                                                                                \
    Rows<T>::pool(memory, x, stride, bounds, kind, unit, out, out_stride, columns);                                         \
  }
