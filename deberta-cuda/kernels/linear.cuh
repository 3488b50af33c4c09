// Matrix products on tensor cores: out = activation(x·Wᵀ + bias), x: [M, K], W: [N, K], both row-major with rows that begin
// at multiples of 16 bytes.
//
// A block of threads computes ROWS x COLUMNS of the output. It goes along k in pieces of 64 bytes, several of which are
// under way while one is multiplied. Every output is one sum over rising k, whatever the size of the block and whatever
// other rows there are: the same numbers for any M.
#pragma once
#include "activation.cuh"
#include "number.cuh"

template <class T, int ROWS_, int COLUMNS_, int WARP_ROWS, int WARP_COLUMNS, int STAGES>
struct Product {
  typedef typename T::Stored Stored;
  static const int ROWS = ROWS_, COLUMNS = COLUMNS_;
  static const int ACROSS = COLUMNS / WARP_COLUMNS;  // warps side by side
  static const int THREADS = 32 * ACROSS * (ROWS / WARP_ROWS);
  static const int EACH = 16 / sizeof(Stored);
  static const int DEPTH = 2 * T::STEP;  // 64 bytes: four pieces of 16
  static const int STAGE = (ROWS + COLUMNS) * DEPTH;
  static const int RESULT_ROW = COLUMNS + 4;  // of f32, for few bank conflicts
  static const int OPERAND_BYTES = STAGES * STAGE * sizeof(Stored), RESULT_BYTES = ROWS * RESULT_ROW * 4;
  static const int BYTES = OPERAND_BYTES > RESULT_BYTES ? OPERAND_BYTES : RESULT_BYTES;
  static const int TALL = WARP_ROWS / 16, WIDE = WARP_COLUMNS / 8;  // accumulators of a warp

  // Where a piece of a row is in a stage: pieces are shuffled so that 8 rows of a column lie in all banks.
  DEVI_MEMBER int place(int row, int piece) { return row * DEPTH + (piece ^ (row >> 1 & 3)) * EACH; }

  DEVI_MEMBER void copy_rows(Stored* stage, const Stored* from, int stride, int rows, int valid, int k, int depth) {
    for (int i = (int)threadIdx.x; i < rows * 4; i += THREADS) {
      const int row = i >> 2, piece = i & 3, column = k + piece * EACH;
      const int count = row < valid ? min(max(depth - column, 0), EACH) : 0;
      const Stored* source = count ? from + (u64)row * (u64)stride + column : from;
      cp_async16(stage + place(row, piece), source, count * (int)sizeof(Stored));
    }
  }

  DEVI_MEMBER void run(Stored* memory, const Stored* x, int x_stride, const Stored* weight, int weight_stride,
                       const float* bias, int kind, Stored* out, int out_stride, int m, int n, int depth) {
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
    const int row0 = (int)blockIdx.x * ROWS, column0 = (int)blockIdx.y * COLUMNS;
    const int warp_row = warp / ACROSS * WARP_ROWS, warp_column = warp % ACROSS * WARP_COLUMNS;
    x += (u64)row0 * (u64)x_stride;
    weight += (u64)column0 * (u64)weight_stride;
    const int pieces = (depth + DEPTH - 1) / DEPTH;

    auto fetch = [&](int piece) {
      Stored* stage = memory + piece % STAGES * STAGE;
      if (piece < pieces) {
        copy_rows(stage, x, x_stride, ROWS, m - row0, piece * DEPTH, depth);
        copy_rows(stage + ROWS * DEPTH, weight, weight_stride, COLUMNS, n - column0, piece * DEPTH, depth);
      }
      cp_async_commit();
    };
#pragma unroll
    for (int piece = 0; piece < STAGES - 1; piece++) fetch(piece);

    float d[TALL][WIDE][4] = {};
    for (int piece = 0; piece < pieces; piece++) {
      cp_async_wait<STAGES - 2>();
      __syncthreads();  // the piece has arrived, and all are done with the one whose place is filled next
      fetch(piece + STAGES - 1);
      const Stored* left = memory + piece % STAGES * STAGE;
      const Stored* right = left + ROWS * DEPTH;
#pragma unroll
      for (int k = 0; k < 2; k++) {
        u32 a[TALL][4];
#pragma unroll
        for (int i = 0; i < TALL; i++)
          ldmatrix_x4(a[i], left + place(warp_row + 16 * i + (lane & 15), 2 * k + (lane >> 4)));
#pragma unroll
        for (int j = 0; j < WIDE; j += 2) {
          u32 b[4];
          ldmatrix_x4(b, right + place(warp_column + 8 * j + (lane & 7) + 8 * (lane >> 4), 2 * k + (lane >> 3 & 1)));
          const u32 first[2] = {b[0], b[1]}, second[2] = {b[2], b[3]};
#pragma unroll
          for (int i = 0; i < TALL; i++) {
            T::mma(d[i][j], a[i], first);
            T::mma(d[i][j + 1], a[i], second);
          }
        }
      }
    }

    // Through shared memory to the output, 16 bytes at a time.
    __syncthreads();  // all are done with the operands
    float* result = reinterpret_cast<float*>(memory);
#pragma unroll
    for (int i = 0; i < TALL; i++)
#pragma unroll
      for (int j = 0; j < WIDE; j++)
#pragma unroll
        for (int h = 0; h < 2; h++)
          *reinterpret_cast<float2*>(result + (warp_row + 16 * i + g + 8 * h) * RESULT_ROW + warp_column + 8 * j + 2 * t) =
              make_float2(d[i][j][2 * h], d[i][j][2 * h + 1]);
    __syncthreads();
    finish(result, bias, kind, out, out_stride, m - row0, n - column0, row0, column0);
  }

  DEVI_MEMBER void finish(float* result, const float* bias, int kind, Stored* out, int out_stride, int rows, int columns,
                          int row0, int column0) {
    // Each thread goes through its own pieces alone.
    const bool whole = out_stride % EACH == 0 && (u64)out % 16 == 0;
    for (int i = (int)threadIdx.x; i < ROWS * (COLUMNS / EACH); i += THREADS) {
      const int row = i / (COLUMNS / EACH), column = i % (COLUMNS / EACH) * EACH;
      if (row >= rows || column >= columns) continue;
      float* x = result + row * RESULT_ROW + column;
      const int count = min(columns - column, EACH);
      if (bias)
        for (int e = 0; e < count; e++) x[e] += bias[column0 + column + e];
      if (kind == GELU) {
#pragma unroll
        for (int e = 0; e < EACH; e++) x[e] = activate(GELU, x[e]);
      } else if (kind != IDENTITY) {
#pragma unroll 1
        for (int e = 0; e < EACH; e++) x[e] = activate(kind, x[e]);
      }
      Stored* to = out + (u64)(row0 + row) * (u64)out_stride + column0 + column;
      if (whole && count == EACH) {
        store_vector<T>(to, x);
      } else {
        for (int e = 0; e < count; e++) to[e] = T::store(x[e]);
      }
    }
  }
};

// Blocks for many rows, for few, and for a handful.
template <class T>
struct Products {
  typedef Product<T, 128, 128, 64, 32, 4> Large;
  typedef Product<T, 64, 64, 32, 32, 5> Medium;
  typedef Product<T, 32, 32, 16, 16, 6> Small;
};

#define LINEAR_ENTRY(name, T, SIZE)                                                                                          \
  extern "C" __global__ void __launch_bounds__(Products<T>::SIZE::THREADS)                                                   \
  name(const T::Stored* __restrict__ x, int x_stride, const T::Stored* __restrict__ weight, int weight_stride,               \
       const float* __restrict__ bias, int activation, T::Stored* __restrict__ out, int out_stride, int rows, int columns,   \
       int depth) {                                                                                                          \
    DYN_SMEM(T::Stored, memory);                                                                                             \
    Products<T>::SIZE::run(memory, x, x_stride, weight, weight_stride, bias, activation, out, out_stride, rows, columns,     \
                           depth);                                                                                           \
  }
