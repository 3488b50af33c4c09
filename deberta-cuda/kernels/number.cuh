// How kernels store numbers, and how tensor cores multiply them. Everything is computed in f32 whatever is stored.
//
// F32, F16 and BF16 have the same members, so that a kernel is written once as a template over them. Operands of products
// are measured in steps of 32 bytes along k: 8 numbers of f32, 16 of the others. In these units a fragment is the same for
// all: ldmatrix_x4 loads the 16 rows of `a` for a step, or the 8 columns of `b` for two steps (or 16 for one).
#pragma once
#include "portable.cuh"

// x = high + low, both numbers that tf32 holds, but for less than 2^-22 of x.
DEVI void split_tf32(u32 x, u32& high, u32& low) {
  high = (x + 0x1000u) & ~0x1fffu;
  low = __float_as_uint(__uint_as_float(x) - __uint_as_float(high));
}

struct F32 {
  typedef float Stored;
  static const int STEP = 8;  // numbers of a step along k

  DEVI_MEMBER float load(float x) { return x; }
  DEVI_MEMBER float store(float x) { return x; }
  DEVI_MEMBER u32 pack(float x, float) { return __float_as_uint(x); }

  // d += a · b. Three products of tf32 have the accuracy of one of f32: what is left out is below 2^-21 of each product.
  DEVI_MEMBER void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    u32 a_high[4], a_low[4], b_high[2], b_low[2];
#pragma unroll
    for (int r = 0; r < 4; r++) split_tf32(a[r], a_high[r], a_low[r]);
#pragma unroll
    for (int r = 0; r < 2; r++) split_tf32(b[r], b_high[r], b_low[r]);
    mma_tf32(d, a_low, b_high);
    mma_tf32(d, a_high, b_low);
    mma_tf32(d, a_high, b_high);
  }

  // Results of products as the left operand of the next: a step of columns from d of 8 columns each. The order of columns
  // within the step is that of `right`.
  DEVI_MEMBER void left(u32 (&a)[4], const float (*d)[4]) {
    a[0] = __float_as_uint(d[0][0]);
    a[1] = __float_as_uint(d[0][2]);
    a[2] = __float_as_uint(d[0][1]);
    a[3] = __float_as_uint(d[0][3]);
  }
  // The right operand whose rows lie in shared memory, k along them: a step of rows, and 16 columns (two of b).
  DEVI_MEMBER void right(u32 (&b)[2][2], const float* rows, int stride, int lane) {
    const float* at = rows + 2 * (lane & 3) * stride + (lane >> 2);
#pragma unroll
    for (int n = 0; n < 2; n++) {
      b[n][0] = __float_as_uint(at[8 * n]);
      b[n][1] = __float_as_uint(at[8 * n + stride]);
    }
  }

  // Two neighbours in memory.
  DEVI_MEMBER void store_pair(float* to, float x, float y) { *reinterpret_cast<float2*>(to) = make_float2(x, y); }
};

// What numbers of 16 bits have in common.
struct Half {
  typedef u16 Stored;
  static const int STEP = 16;

  DEVI_MEMBER void right(u32 (&b)[2][2], const u16* rows, int stride, int lane) {
    u32 r[4];
    ldmatrix_x4_trans(r, rows + (lane & 15) * stride + 8 * (lane >> 4));
    b[0][0] = r[0];
    b[0][1] = r[1];
    b[1][0] = r[2];
    b[1][1] = r[3];
  }
};

struct F16 : Half {
  DEVI_MEMBER float load(u16 x) { return h2f(x); }
  DEVI_MEMBER u16 store(float x) { return f2h(x); }
  DEVI_MEMBER u32 pack(float x, float y) { return pack_f16(x, y); }
  DEVI_MEMBER void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_f16(d, a, b); }
  DEVI_MEMBER void left(u32 (&a)[4], const float (*d)[4]) {
#pragma unroll
    for (int r = 0; r < 4; r++) a[r] = pack_f16(d[r >> 1][2 * (r & 1)], d[r >> 1][2 * (r & 1) + 1]);
  }
  DEVI_MEMBER void store_pair(u16* to, float x, float y) { *reinterpret_cast<u32*>(to) = pack_f16(x, y); }
};

struct BF16 : Half {
  DEVI_MEMBER float load(u16 x) { return bf2f(x); }
  DEVI_MEMBER u16 store(float x) { return f2bf(x); }
  DEVI_MEMBER u32 pack(float x, float y) { return pack_bf16(x, y); }
  DEVI_MEMBER void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_bf16(d, a, b); }
  DEVI_MEMBER void left(u32 (&a)[4], const float (*d)[4]) {
#pragma unroll
    for (int r = 0; r < 4; r++) a[r] = pack_bf16(d[r >> 1][2 * (r & 1)], d[r >> 1][2 * (r & 1) + 1]);
  }
  DEVI_MEMBER void store_pair(u16* to, float x, float y) { *reinterpret_cast<u32*>(to) = pack_bf16(x, y); }
};

// Loads fragments of 16 rows and one step, `rows` being the first number of the first row: the operand a of an mma.
template <class T>
DEVI void load_left(u32 (&a)[4], const typename T::Stored* rows, int stride, int lane) {
  ldmatrix_x4(a, rows + (lane & 15) * stride + (lane >> 4) * (T::STEP / 2));
}

// 16 bytes of numbers.
template <class T>
struct Vector {
  static const int COUNT = 16 / (int)sizeof(typename T::Stored);
  float at[COUNT];
};
template <class T>
DEVI Vector<T> load_vector(const typename T::Stored* from) {
  Vector<T> vector;
  uint4 bits = *reinterpret_cast<const uint4*>(from);
  const u32 words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < Vector<T>::COUNT; i++) {
    if (sizeof(typename T::Stored) == 4) vector.at[i] = __uint_as_float(words[i & 3]);
    else vector.at[i] = T::load((typename T::Stored)(words[i >> 1 & 3] >> 16 * (i & 1)));
  }
  return vector;
}
template <class T>
DEVI void store_vector(typename T::Stored* to, const float* from) {
  u32 words[4];
#pragma unroll
  for (int i = 0; i < 4; i++)
    words[i] = sizeof(typename T::Stored) == 4 ? __float_as_uint(from[i]) : T::pack(from[2 * i & 7], from[(2 * i + 1) & 7]);
  *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}
