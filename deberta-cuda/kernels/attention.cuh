// Disentangled attention, forward. For query i, key j and head size D (equation 4 of the DeBERTa paper):
//
//   s[i][j] = Q_i·K_j + Q_i·PK[slot(i - j)] + K_j·PQ[slot(i - j)]       out_i = sum over j of softmax_j(scale·s[i])·V_j
//
// A block of threads takes BLOCK queries of one head of one sequence and goes through its keys, BLOCK at a time, with a
// running softmax, so that neither scores nor position terms are ever in device memory. The position terms of a tile are
// products with few rows of the tables PK and PQ: slots rise with the distance, so that a tile touches one window of them,
// at most one slot for each of its 2·BLOCK - 1 distances. The next tile's window lies at most BLOCK slots lower. Each table
// is a ring of rows in shared memory; a tile loads what the one before has not.
//
// Each warp multiplies its 16 queries with their part of the window of PK, and 16 of the keys with theirs of PQ. The
// products go to shared memory, from where each score takes the two of its slot. Where every distance of the tile has a slot
// of its own, their places are known when the kernel is compiled; where all have the same slot, as far away, there is one
// product for each query and each key.
//
// Within a sequence whose tokens are not at positions 0, 1, 2, ... (HOLES) a tile may touch any number of slots, and takes
// them a part of the window at a time.
#pragma once
#include "number.cuh"

// What a block of threads works on. Entries are filled up with ones of no queries.
struct Task {
  int start;   // the sequence's first token
  int length;  // and how many it has
  int first;   // the block's first query, counted from `start`
  int unused;
};

template <class T, int HEAD, int BLOCK_>
struct Attention {
  typedef typename T::Stored Stored;
  static const int BLOCK = BLOCK_;          // queries and keys of a tile
  static const int WARPS = BLOCK / 16;      // each with 16 queries
  static const int THREADS = 32 * WARPS;
  static const int RING = 2 * BLOCK;        // rows of the tables in shared memory
  static const int NEAR = BLOCK + 16;       // columns of position terms: slots of 16 rows against the tile
  static const int EACH = 16 / sizeof(Stored);
  static const int ROW = HEAD + EACH;       // a row in shared memory: the rest keeps ldmatrix from bank conflicts
  static const int C2P_ROW = NEAR + 4;      // rows of the position terms, with few bank conflicts where scores take theirs
  static const int P2C_ROW = NEAR + 5;
  static const int STEPS = HEAD / T::STEP;
  static const bool HELD = HEAD * sizeof(Stored) <= 256;  // whether the fragments of 16 rows stay in registers
  static const int COLUMNS = BLOCK / 8;     // accumulators of the scores,
  static const int PARTS = HEAD / 8;        // and of the output

  // Shared memory, in bytes. Queries that are held in registers make room for position terms.
  static const int TILE_BYTES = BLOCK * ROW * sizeof(Stored);
  static const int RING_BYTES = RING * ROW * sizeof(Stored);
  static const int TERM_BYTES = BLOCK * (C2P_ROW + P2C_ROW) * 4;
  static const int WINDOW_BYTES = 2 * RING * 2;
  static const int FIXED_BYTES = 2 * TILE_BYTES + 2 * RING_BYTES + WINDOW_BYTES;
  static const int BYTES = FIXED_BYTES + (!HELD ? TERM_BYTES + TILE_BYTES : TERM_BYTES > TILE_BYTES ? TERM_BYTES : TILE_BYTES);

  // Fragments of 16 rows of a tile.
  struct Fragments {
    u32 held[HELD ? STEPS : 1][4];
    const Stored* rows;

    __device__ __forceinline__ Fragments(const Stored* rows, int lane) : rows(rows) {
      if (HELD) {
#pragma unroll
        for (int k = 0; k < STEPS; k++) load_left<T>(held[k], rows + k * T::STEP, ROW, lane);
      }
    }
    __device__ __forceinline__ void get(u32 (&a)[4], int k, int lane) const {
      if (HELD) {
#pragma unroll
        for (int r = 0; r < 4; r++) a[r] = held[k][r];
      } else {
        load_left<T>(a, rows + k * T::STEP, ROW, lane);
      }
    }
  };

  const Stored *query, *key, *value;  // of this head, first token of the sequence
  const Stored *position_key, *position_query;  // of this head; null without the term
  int query_stride, key_stride, table_stride;
  const int* slots;  // by distance, from -reach to reach; farther ones count as these
  int reach;
  const int* positions;  // of the sequence's tokens, or null
  int length, first, size;

  Stored *query_tile, *key_tile, *value_tile, *key_ring, *query_ring;
  float *c2p, *p2c;
  short* window;  // slots of the tile's distances, from the lowest, counted from its slot; two tiles' by turns

  // The window of a tile.
  int lowest, highest;

  DEVI_MEMBER int clamped(int x, int most) { return min(max(x, -most), most); }
  __device__ __forceinline__ int slot(int distance) const { return slots[clamped(distance, reach) + reach]; }
  __device__ __forceinline__ int query_position(int i) const { return positions ? positions[min(first + i, length - 1)] : first + i; }
  __device__ __forceinline__ int key_position(int j) const { return positions ? positions[min(j, length - 1)] : j; }

  __device__ __forceinline__ void place(unsigned char* memory) {
    key_tile = reinterpret_cast<Stored*>(memory);
    value_tile = reinterpret_cast<Stored*>(memory + TILE_BYTES);
    key_ring = reinterpret_cast<Stored*>(memory + 2 * TILE_BYTES);
    query_ring = reinterpret_cast<Stored*>(memory + 2 * TILE_BYTES + RING_BYTES);
    window = reinterpret_cast<short*>(memory + 2 * TILE_BYTES + 2 * RING_BYTES);
    c2p = reinterpret_cast<float*>(memory + FIXED_BYTES);
    p2c = c2p + BLOCK * C2P_ROW;
    query_tile = reinterpret_cast<Stored*>(memory + FIXED_BYTES + (HELD ? 0 : TERM_BYTES));
  }

  // Begins to copy rows of a matrix to rows of shared memory from `to` on, in a ring of `ring` rows. Rows from `valid` on,
  // and columns from `size` on, become zeros.
  __device__ __forceinline__ void copy_rows(Stored* shared, int to, int ring, const Stored* from, int stride, int rows,
                                            int valid) const {
    const int PIECES = HEAD / EACH;
    for (int i = (int)threadIdx.x; i < rows * PIECES; i += THREADS) {
      int row = i / PIECES, column = i % PIECES * EACH;
      Stored* piece = shared + ((to + row) & (ring - 1)) * ROW + column;
      const Stored* source = from + (u64)row * (u64)stride + column;
      int count = row < valid ? min(max(size - column, 0), EACH) : 0;
      if (size % EACH == 0) {
        cp_async16(piece, count ? source : from, count * (int)sizeof(Stored));
      } else {
        for (int e = 0; e < EACH; e++) piece[e] = e < count ? source[e] : T::store(0.0f);
      }
    }
  }
  // The same of the rows `low` to `high` of both tables.
  __device__ __forceinline__ void copy_slots(int low, int high) const {
    int rows = high - low + 1;
    if (position_key)
      copy_rows(key_ring, low, RING, position_key + (u64)low * (u64)table_stride, table_stride, rows, rows);
    if (position_query)
      copy_rows(query_ring, low, RING, position_query + (u64)low * (u64)table_stride, table_stride, rows, rows);
  }

  // d = the warp's queries · keysᵀ.
  __device__ __forceinline__ void content(float (&d)[COLUMNS][4], const Fragments& queries, int lane) const {
#pragma unroll
    for (int n = 0; n < COLUMNS; n += 2) {
      const Stored* rows = key_tile + (8 * n + (lane & 7) + 8 * (lane >> 4)) * ROW + (lane >> 3 & 1) * (T::STEP / 2);
#pragma unroll
      for (int r = 0; r < 4; r++) d[n][r] = d[n + 1][r] = 0.0f;
#pragma unroll
      for (int k = 0; k < STEPS; k++) {
        u32 a[4], b[4];
        queries.get(a, k, lane);
        ldmatrix_x4(b, rows + k * T::STEP);
        const u32 left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
        T::mma(d[n], a, left);
        T::mma(d[n + 1], a, right);
      }
    }
  }

  // Products of 16 rows with the slots `low` to `high` of a table: `to[row][slot - low]`.
  __device__ __forceinline__ void terms(float* to, int stride, const Fragments& rows, const Stored* ring, int low,
                                        int high, int lane) const {
    const int g = lane >> 2, t = lane & 3;
    for (int base = low; base <= high; base += 16) {
      int of_lane = min(base + (lane & 7) + 8 * (lane >> 4), high);
      const Stored* at = ring + (of_lane & (RING - 1)) * ROW + (lane >> 3 & 1) * (T::STEP / 2);
      float d[2][4] = {};
#pragma unroll
      for (int k = 0; k < STEPS; k++) {
        u32 a[4], b[4];
        rows.get(a, k, lane);
        ldmatrix_x4(b, at + k * T::STEP);
        const u32 left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
        T::mma(d[0], a, left);
        T::mma(d[1], a, right);
      }
      float* corner = to + g * stride + (base - low) + 2 * t;
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int r = 0; r < 4; r++) corner[8 * (r >> 1) * stride + 8 * n + (r & 1)] = d[n][r];
    }
  }
  // Both terms of the warp's queries and of its keys, for slots from those given on.
  __device__ __forceinline__ void both_terms(const Fragments& queries, int query_low, int query_high, int key_low,
                                             int key_high, int warp, int lane) const {
    if (position_key) terms(c2p + 16 * warp * C2P_ROW, C2P_ROW, queries, key_ring, query_low, query_high, lane);
    if (position_query) {
      const Fragments keys(key_tile + 16 * warp * ROW, lane);
      terms(p2c + 16 * warp * P2C_ROW, P2C_ROW, keys, query_ring, key_low, key_high, lane);
    }
  }

  // What the scores of a lane are called: of accumulator n, register r, the row within the warp, the column in the tile.
  DEVI_MEMBER int row_of(int r, int lane) { return (lane >> 2) + 8 * (r >> 1); }
  DEVI_MEMBER int column_of(int n, int r, int lane) { return 8 * n + 2 * (lane & 3) + (r & 1); }

  // Adds to scores their position terms. `place(h, n, c)` is the distance's place in the window: of row g + 8·h, column
  // 8·n + 2t + c; `key_low(n)` is where the terms of the keys of accumulator n begin in the window, `low` those of the queries.
  template <class Place, class Low>
  __device__ __forceinline__ void gather(float (&s)[COLUMNS][4], int low, Place place, Low key_low, int warp, int lane) const {
    const int g = lane >> 2, t = lane & 3;
    const float* of_query = c2p + (16 * warp + g) * C2P_ROW - low;
    const float* of_key = p2c + 2 * t * P2C_ROW;
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
#pragma unroll
      for (int r = 0; r < 4; r++) {
        const int h = r >> 1, c = r & 1, at = place(h, n, c);
        if (position_key) s[n][r] += of_query[8 * h * C2P_ROW + at];
        if (position_query) s[n][r] += of_key[(8 * n + c) * P2C_ROW + at - key_low(n)];
      }
    }
  }

  // The tile that begins at key `j0`, with positions 0, 1, 2, ...: the window, and, for `copy`, its rows that the window
  // above `loaded` has not.
  __device__ __forceinline__ void next_window(int j0, int turn, int loaded) {
    int least = first - j0 - (BLOCK - 1);
    lowest = slot(least);
    highest = slot(least + 2 * BLOCK - 2);
    for (int d = (int)threadIdx.x; d < 2 * BLOCK - 1; d += THREADS) window[turn * RING + d] = (short)(slot(least + d) - lowest);
    int high = min(highest, loaded - 1);
    if (lowest <= high) copy_slots(lowest, high);
  }

  // Terms and scores of a tile without holes.
  __device__ __forceinline__ void terms_of_window(const Fragments& queries, int turn, int warp, int lane) const {
    const short* at = window + turn * RING;
    const int of_queries = 16 * warp, of_keys = BLOCK - 16 - 16 * warp, wide = BLOCK + 14;
    both_terms(queries, lowest + at[of_queries], lowest + at[of_queries + wide], lowest + at[of_keys],
               lowest + at[of_keys + wide], warp, lane);
  }
  __device__ __forceinline__ void gather_window(float (&s)[COLUMNS][4], int turn, int low, int high, int warp, int lane) const {
    const int g = lane >> 2, t = lane & 3;
    // Distances count from the tile's lowest, that of row 0 and the last column.
    const int corner = 16 * warp + g - 2 * t + BLOCK - 1;
    if (high - low == 2 * BLOCK - 2) {
      gather(s, 16 * warp, [=](int h, int n, int c) { return corner + 8 * (h - n) - c; },
             [](int n) { return BLOCK - 16 - 16 * (n / 2); }, warp, lane);
    } else if (high == low) {
      gather(s, 0, [](int, int, int) { return 0; }, [](int) { return 0; }, warp, lane);
    } else {
      const short* at = window + turn * RING;
      gather(s, at[16 * warp], [=](int h, int n, int c) { return (int)at[corner + 8 * (h - n) - c]; },
             [=](int n) { return (int)at[BLOCK - 16 - 16 * (n / 2)]; }, warp, lane);
    }
  }

  // Terms and scores of a tile with holes, which may touch any slots: NEAR of them at a time.
  __device__ __forceinline__ void with_holes(float (&s)[COLUMNS][4], const Fragments& queries, int j0, int warp,
                                             int lane) {
    const int from = slot(query_position(0) - key_position(j0 + BLOCK - 1));
    const int to = slot(query_position(BLOCK - 1) - key_position(j0));
    for (int low = from; low <= to; low += NEAR) {
      const int high = min(low + NEAR - 1, to);
      copy_slots(low, high);
      cp_async_commit();
      cp_async_wait<0>();
      __syncthreads();
      both_terms(queries, low, high, low, high, warp, lane);
      __syncthreads();
#pragma unroll
      for (int n = 0; n < COLUMNS; n++) {
#pragma unroll
        for (int r = 0; r < 4; r++) {
          const int row = 16 * warp + row_of(r, lane), column = column_of(n, r, lane);
          const int at = slot(query_position(row) - key_position(j0 + column)) - low;
          if (at < 0 || at > high - low) continue;
          if (position_key) s[n][r] += c2p[row * C2P_ROW + at];
          if (position_query) s[n][r] += p2c[column * P2C_ROW + at];
        }
      }
    }
  }

  template <bool HOLES>
  __device__ __forceinline__ void run(Stored* out, int out_stride, float scale) {
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    const bool relative = position_key || position_query;
    copy_rows(query_tile, 0, RING, query + (u64)first * (u64)query_stride, query_stride, BLOCK, length - first);
    copy_rows(key_tile, 0, RING, key, key_stride, BLOCK, length);
    lowest = highest = 0;
    if (relative && !HOLES) next_window(0, 0, 1 << 30);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    const Fragments queries(query_tile + 16 * warp * ROW, lane);

    float o[PARTS][4] = {};
    float most[2] = {-__uint_as_float(0x7f800000u), -__uint_as_float(0x7f800000u)}, sum[2] = {0.0f, 0.0f};
    int turn = 0;
    for (int j0 = 0; j0 < length; j0 += BLOCK, turn ^= 1) {
      cp_async_wait<0>();
      __syncthreads();  // keys and tables have arrived, and all are done with the values before (or with the queries)
      copy_rows(value_tile, 0, RING, value + (u64)j0 * (u64)key_stride, key_stride, BLOCK, length - j0);
      cp_async_commit();
      if (relative && !HOLES) terms_of_window(queries, turn, warp, lane);
      float s[COLUMNS][4];
      content(s, queries, lane);
      if (relative && HOLES) with_holes(s, queries, j0, warp, lane);
      __syncthreads();  // the terms are there, and all are done with keys and tables
      const int low = lowest, high = highest;
      if (j0 + BLOCK < length) {
        const int next = j0 + BLOCK;
        copy_rows(key_tile, 0, RING, key + (u64)next * (u64)key_stride, key_stride, BLOCK, length - next);
        if (relative && !HOLES) next_window(next, turn ^ 1, low);
      }
      cp_async_commit();
      if (relative && !HOLES) gather_window(s, turn, low, high, warp, lane);

      // The running softmax. Every tile has a key, so that each row has a largest score.
      if (j0 + BLOCK > length) {
#pragma unroll
        for (int n = 0; n < COLUMNS; n++)
#pragma unroll
          for (int r = 0; r < 4; r++)
            if (j0 + column_of(n, r, lane) >= length) s[n][r] = -__uint_as_float(0x7f800000u);
      }
#pragma unroll
      for (int h = 0; h < 2; h++) {
        float now = most[h];
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) now = fmaxf(now, fmaxf(s[n][2 * h], s[n][2 * h + 1]));
        now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 1));
        now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 2));
        const float keep = ex2((most[h] - now) * scale), shift = now * scale;
        most[h] = now;
        sum[h] *= keep;
#pragma unroll
        for (int d = 0; d < PARTS; d++) {
          o[d][2 * h] *= keep;
          o[d][2 * h + 1] *= keep;
        }
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
#pragma unroll
          for (int c = 0; c < 2; c++) {
            s[n][2 * h + c] = ex2(fmaf(s[n][2 * h + c], scale, -shift));
            sum[h] += s[n][2 * h + c];
          }
        }
      }

      cp_async_wait<1>();
      __syncthreads();  // the values have arrived
#pragma unroll
      for (int k = 0; k < BLOCK / T::STEP; k++) {
        u32 weights[4];
        T::left(weights, s + k * (T::STEP / 8));
#pragma unroll
        for (int d = 0; d < PARTS; d += 2) {
          u32 b[2][2];
          T::right(b, value_tile + k * T::STEP * ROW + 8 * d, ROW, lane);
          T::mma(o[d], weights, b[0]);
          T::mma(o[d + 1], weights, b[1]);
        }
      }
    }

#pragma unroll
    for (int h = 0; h < 2; h++) {
      sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], 1);
      sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], 2);
      const float share = 1.0f / sum[h];
      const int row = first + 16 * warp + row_of(2 * h, lane);
      if (row >= length) continue;
      Stored* to = out + (u64)row * (u64)out_stride;
#pragma unroll
      for (int d = 0; d < PARTS; d++) {
        const int column = column_of(d, 0, lane);
        const float x = o[d][2 * h] * share, y = o[d][2 * h + 1] * share;
        if (size % 2 == 0) {
          if (column < size) T::store_pair(to + column, x, y);
        } else {
          if (column < size) to[column] = T::store(x);
          if (column + 1 < size) to[column + 1] = T::store(y);
        }
      }
    }
  }
};

// One block of threads: its task, and its head.
template <class T, int HEAD, int BLOCK, bool HOLES>
DEVI void attend(unsigned char* memory, const typename T::Stored* query, int query_stride, const typename T::Stored* key,
                 const typename T::Stored* value, int key_stride, const typename T::Stored* position_key,
                 const typename T::Stored* position_query, int table_stride, const int* slots, int reach,
                 const int* positions, const int4* tasks, typename T::Stored* out, int out_stride, int size, float scale) {
  const int4 task = tasks[blockIdx.x];
  const int start = task.x, length = task.y, first = task.z;
  if (first >= length) return;
  const int column = (int)blockIdx.y * size;
  Attention<T, HEAD, BLOCK> tile;
  tile.query = query + (u64)start * (u64)query_stride + column;
  tile.key = key + (u64)start * (u64)key_stride + column;
  tile.value = value + (u64)start * (u64)key_stride + column;
  tile.position_key = position_key ? position_key + column : nullptr;
  tile.position_query = position_query ? position_query + column : nullptr;
  tile.query_stride = query_stride;
  tile.key_stride = key_stride;
  tile.table_stride = table_stride;
  tile.slots = slots;
  tile.reach = reach;
  tile.positions = HOLES && positions ? positions + start : nullptr;
  tile.length = length;
  tile.first = first;
  tile.size = size;
  tile.place(memory);
  tile.template run<HOLES>(out + (u64)start * (u64)out_stride + column, out_stride, scale);
}

#define ATTENTION_ENTRY(name, T, HEAD, BLOCK, HOLES)                                                                        \
  extern "C" __global__ void LAUNCH_BOUNDS((Attention<T, HEAD, BLOCK>::THREADS), 2)                                        \
  name(const T::Stored* __restrict__ query, int query_stride, const T::Stored* __restrict__ key,                            \
       const T::Stored* __restrict__ value, int key_stride, const T::Stored* __restrict__ position_key,                     \
       const T::Stored* __restrict__ position_query, int table_stride, const int* __restrict__ slots, int reach,            \
       const int* __restrict__ positions, const int4* __restrict__ tasks, T::Stored* __restrict__ out, int out_stride,      \
       int size, float scale) {                                                                                             \
    DYN_SMEM(unsigned char, memory);                                                                                        \
    attend<T, HEAD, BLOCK, HOLES>(memory, query, query_stride, key, value, key_stride, position_key, position_query,        \
                                  table_stride, slots, reach, positions, tasks, out, out_stride, size, scale);              \
  }
