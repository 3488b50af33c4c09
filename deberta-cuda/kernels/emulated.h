// The language of portable.cuh for g++: what a kernel can say, with the meaning that the CUDA guide and the PTX manual
// give it, on the fibers of ../emulator. Each operation that has preconditions checks them.
//
// Not modelled: how tensor cores round sums (here: f32, one product after the other), the last bits of ex2 and of the
// mathematical functions, time.
#pragma once
#include "../emulator/fibers.h"

#include <float.h>
#include <math.h>

typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;

// ---- words -------------------------------------------------------------------------------------------------------------

#if defined(EMU_LIST) /* build.sh preprocesses a kernel to list its entries */
#define __global__ EMU_ENTRY
#define __launch_bounds__(...) EMU_BOUNDS(__VA_ARGS__)
#else
#define __global__
#define __launch_bounds__(...)
#endif
#define LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads)
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __align__(n) alignas(n)
#define __constant__ static const
#define __shared__ static_assert(false, "shared memory is declared by DYN_SMEM, which the emulator can watch");
#define DEVI static inline
#define DEVI_MEMBER static inline
#define DYN_SMEM(T, name) T* name = reinterpret_cast<T*>(emu::block->shared)

#define threadIdx (emu::fiber->index)
#define blockIdx (emu::block->index)
#define blockDim (emu::block->size)
#define gridDim (emu::block->grid)
static const int warpSize = 32;

// Where a wrapper is called, for messages: the last parameter of each.
#define EMU_SITE emu::Site site = {__builtin_FILE(), __builtin_LINE()}

// ---- vectors: aligned to their size, as on a GPU -----------------------------------------------------------------------

struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { u32 x, y; };
struct alignas(16) uint4 { u32 x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(u32 x, u32 y) { return {x, y}; }
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// ---- arithmetic --------------------------------------------------------------------------------------------------------

inline float __uint_as_float(u32 bits) { float x; memcpy(&x, &bits, 4); return x; }
inline u32 __float_as_uint(float x) { u32 bits; memcpy(&bits, &x, 4); return bits; }
inline float __int_as_float(int bits) { return __uint_as_float((u32)bits); }
inline int __float_as_int(float x) { return (int)__float_as_uint(x); }
inline int __popc(u32 x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((u32)x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline u32 min(u32 a, u32 b) { return a < b ? a : b; }
inline u32 max(u32 a, u32 b) { return a > b ? a : b; }
inline u64 min(u64 a, u64 b) { return a < b ? a : b; }
inline u64 max(u64 a, u64 b) { return a > b ? a : b; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
template <class T>
inline T __ldg(const T* p) { return *p; }

// Results below the least normal number are 0 (.ftz), and so are such arguments.
inline float ex2(float x) {
  float y = exp2f(x);
  return y < FLT_MIN ? 0.0f : y;
}

inline float bf2f(u16 bits) { return __uint_as_float((u32)bits << 16); }
inline u16 f2bf(float x) {
  u32 bits = __float_as_uint(x);
  if (x != x) return 0x7fff;
  // To nearest: add a half of the last place, less one where the last place is even. A carry into the exponent is right.
  return u16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline u32 pack_bf16(float low, float high) { return (u32)f2bf(low) | (u32)f2bf(high) << 16; }

inline float h2f(u16 bits) {
  u32 sign = (u32)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return __uint_as_float(fraction ? 0x7fffffff : sign | 0x7f800000);
  if (exponent == 0) {  // zero or subnormal: fraction · 2^-24, which f32 holds exactly
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}
inline u16 f2h(float x) {
  u32 bits = __float_as_uint(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (x != x) return 0x7fff;
  if (magnitude >= 0x47800000) return u16(sign | 0x7c00);  // from 2^16 on: infinity
  if (magnitude < 0x38800000) {
    // Below 2^-14: a multiple of 2^-24. Added to 2^-1, whose last place is 2^-24, f32 rounds to just these multiples.
    float rounded = __uint_as_float(magnitude) + 0.5f;
    return u16(sign | (__float_as_uint(rounded) - 0x3f000000));
  }
  // The exponent's bias goes from 127 to 15, and 13 bits of the fraction are rounded away; a carry may give infinity.
  u32 rounded = magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1);
  return u16(sign | rounded >> 13);
}
inline u32 pack_f16(float low, float high) { return (u32)f2h(low) | (u32)f2h(high) << 16; }

// ---- threads that wait for each other ----------------------------------------------------------------------------------

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __syncthreads(EMU_SITE) { emu::barrier(site); }
inline void __syncwarp(u32 mask = ~0u, EMU_SITE) {
  emu::collective(emu::Operation::syncwarp, mask, nullptr, 0, nullptr, site);
}

namespace emu {
template <class T>
T shuffle(u32 mask, T value, u32 from, Site site) {
  Slot* slots = collective(Operation::shuffle, mask, &value, sizeof value, nullptr, site);
  if (!(mask >> from & 1)) fail("a shuffle reads a lane that its mask does not name", site);
  return slots[from].as<T>();
}
// The first lane of the lanes that shuffle among themselves, and one past their last.
inline u32 first_lane(int width) { return fiber->lane & ~(u32)(width - 1); }
inline u32 last_lane(int width) { return first_lane(width) + (u32)width - 1; }
}  // namespace emu

template <class T>
inline T __shfl_sync(u32 mask, T value, int from, int width = 32, EMU_SITE) {
  return emu::shuffle(mask, value, emu::first_lane(width) | ((u32)from & (u32)(width - 1)), site);
}
template <class T>
inline T __shfl_xor_sync(u32 mask, T value, int bits, int width = 32, EMU_SITE) {
  u32 from = emu::fiber->lane ^ (u32)bits;
  return emu::shuffle(mask, value, from > emu::last_lane(width) ? emu::fiber->lane : from, site);
}
template <class T>
inline T __shfl_down_sync(u32 mask, T value, u32 by, int width = 32, EMU_SITE) {
  u32 from = emu::fiber->lane + by;
  return emu::shuffle(mask, value, from > emu::last_lane(width) ? emu::fiber->lane : from, site);
}
template <class T>
inline T __shfl_up_sync(u32 mask, T value, u32 by, int width = 32, EMU_SITE) {
  u32 lane = emu::fiber->lane;
  return emu::shuffle(mask, value, lane < emu::first_lane(width) + by ? lane : lane - by, site);
}
inline u32 __ballot_sync(u32 mask, int vote, EMU_SITE) {
  u32 mine = vote != 0;
  auto count = [](emu::Slot* slots, u32 mask) {
    u32 votes = 0;
    for (int lane = 0; lane < 32; lane++)
      if (mask >> lane & 1) votes |= slots[lane].as<u32>() << lane;
    for (int lane = 0; lane < 32; lane++)
      if (mask >> lane & 1) slots[lane].as<u32>() = votes;
  };
  return emu::collective(emu::Operation::vote, mask, &mine, sizeof mine, count, site)[emu::fiber->lane].as<u32>();
}
inline int __any_sync(u32 mask, int vote, EMU_SITE) { return __ballot_sync(mask, vote, site) != 0; }
inline int __all_sync(u32 mask, int vote, EMU_SITE) { return __ballot_sync(mask, vote, site) == mask; }

// Fibers of a launch are not interrupted, but other launches may run at the same time.
namespace emu {
template <class T, class F>
__attribute__((no_sanitize_thread)) T exchange(T* address, F next) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are of 32 and 64 bits");
  T before, after;
  __atomic_load(address, &before, __ATOMIC_RELAXED);
  do after = next(before);
  while (!__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return before;
}
}  // namespace emu
template <class T>
inline T atomicAdd(T* address, T value) {
  return emu::exchange(address, [=](T before) { return before + value; });
}
template <class T>
inline T atomicMax(T* address, T value) {
  return emu::exchange(address, [=](T before) { return before < value ? value : before; });
}

// ---- tensor cores: fragments as portable.cuh describes them ------------------------------------------------------------

namespace emu {
struct Fragments {
  u32 a[4], b[2];
  float d[4];
};
template <float (*widen)(u16)>
void multiply(Slot* slots, u32) {
  float a[16][16], b[8][16];  // b by columns
  for (int lane = 0; lane < 32; lane++) {
    const Fragments& of = slots[lane].as<Fragments>();
    int g = lane >> 2, t = lane & 3;
    for (int h = 0; h < 2; h++) {
      for (int r = 0; r < 4; r++) a[g + 8 * (r & 1)][2 * t + h + 8 * (r >> 1)] = widen(u16(of.a[r] >> 16 * h));
      for (int r = 0; r < 2; r++) b[g][2 * t + h + 8 * r] = widen(u16(of.b[r] >> 16 * h));
    }
  }
  for (int lane = 0; lane < 32; lane++) {
    Fragments& of = slots[lane].as<Fragments>();
    int g = lane >> 2, t = lane & 3;
    for (int r = 0; r < 4; r++) {
      float sum = 0.0f;
      for (int k = 0; k < 16; k++) sum += a[g + 8 * (r >> 1)][k] * b[2 * t + (r & 1)][k];
      of.d[r] += sum;
    }
  }
}
template <float (*widen)(u16)>
void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], Site site) {
  Fragments mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {d[0], d[1], d[2], d[3]}};
  Slot* slots = collective(Operation::mma, ~0u, &mine, sizeof mine, multiply<widen>, site);
  const Fragments& done = slots[fiber->lane].as<Fragments>();
  for (int r = 0; r < 4; r++) d[r] = done.d[r];
}
}  // namespace emu

inline void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], EMU_SITE) { emu::mma<bf2f>(d, a, b, site); }
inline void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], EMU_SITE) { emu::mma<h2f>(d, a, b, site); }

// Of f32, as tf32 is read: without its lowest 13 bits.
namespace emu {
inline float tf32(u32 bits) { return __uint_as_float(bits & ~0x1fffu); }
inline void multiply_tf32(Slot* slots, u32) {
  float a[16][8], b[8][8];  // b by columns
  for (int lane = 0; lane < 32; lane++) {
    const Fragments& of = slots[lane].as<Fragments>();
    int g = lane >> 2, t = lane & 3;
    for (int r = 0; r < 4; r++) a[g + 8 * (r & 1)][t + 4 * (r >> 1)] = tf32(of.a[r]);
    for (int r = 0; r < 2; r++) b[g][t + 4 * r] = tf32(of.b[r]);
  }
  for (int lane = 0; lane < 32; lane++) {
    Fragments& of = slots[lane].as<Fragments>();
    int g = lane >> 2, t = lane & 3;
    for (int r = 0; r < 4; r++) {
      float sum = 0.0f;
      for (int k = 0; k < 8; k++) sum += a[g + 8 * (r >> 1)][k] * b[2 * t + (r & 1)][k];
      of.d[r] += sum;
    }
  }
}
}  // namespace emu
inline void mma_tf32(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], EMU_SITE) {
  emu::Fragments mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {d[0], d[1], d[2], d[3]}};
  emu::Slot* slots = emu::collective(emu::Operation::mma, ~0u, &mine, sizeof mine, emu::multiply_tf32, site);
  const emu::Fragments& done = slots[emu::fiber->lane].as<emu::Fragments>();
  for (int r = 0; r < 4; r++) d[r] = done.d[r];
}

namespace emu {
inline void must_be_shared(const void* address, Site site) {
  size_t offset = (size_t)(static_cast<const unsigned char*>(address) - block->shared);
  if (!block->shared || offset + 16 > block->shared_bytes || offset + 16 < 16)
    fail("16 bytes that are not all in the block's shared memory", site);
}
template <bool transposed>
void load_matrices(u32 (&r)[4], const void* shared, Site site) {
  if ((uintptr_t)shared % 16) fail("ldmatrix: address not aligned to 16 bytes", site);
  must_be_shared(shared, site);
  accessed(shared, 16, false, site);
  auto load = [](Slot* slots, u32) {
    const u16* row[32];
    for (int lane = 0; lane < 32; lane++) row[lane] = slots[lane].as<const u16*>();
    for (int lane = 0; lane < 32; lane++) {
      int g = lane >> 2, t = lane & 3;
      for (int i = 0; i < 4; i++) {
        const u16* const* matrix = row + 8 * i;
        u16 low = transposed ? matrix[2 * t][g] : matrix[g][2 * t];
        u16 high = transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
        slots[lane].as<u32[4]>()[i] = (u32)low | (u32)high << 16;
      }
    }
  };
  Operation operation = transposed ? Operation::ldmatrix_trans : Operation::ldmatrix;
  Slot* slots = collective(operation, ~0u, &shared, sizeof shared, load, site);
  memcpy(r, slots[fiber->lane].bytes, 16);
}
}  // namespace emu

inline void ldmatrix_x4(u32 (&r)[4], const void* shared, EMU_SITE) { emu::load_matrices<false>(r, shared, site); }
inline void ldmatrix_x4_trans(u32 (&r)[4], const void* shared, EMU_SITE) { emu::load_matrices<true>(r, shared, site); }

// ---- asynchronous copies: done as late as they may be, when they are waited for ----------------------------------------

inline void cp_async16(void* shared, const void* global, int bytes, EMU_SITE) {
  if ((uintptr_t)shared % 16) emu::fail("cp.async: shared address not aligned to 16 bytes", site);
  if ((uintptr_t)global % 16) emu::fail("cp.async: global address not aligned to 16 bytes", site);
  if (bytes < 0 || bytes > 16) emu::fail("cp.async: not 0 to 16 bytes", site);
  emu::must_be_shared(shared, site);
  emu::accessed(shared, 16, true, site);
  if (bytes) emu::accessed(global, (size_t)bytes, false, site);
  memset(shared, 0xff, 16);  // whoever still reads what was there gets NaN
  emu::fiber->open.push_back({shared, global, (unsigned)bytes});
}
inline void cp_async_commit() {
  emu::fiber->groups.push_back(std::move(emu::fiber->open));
  emu::fiber->open.clear();
}
template <int N>
inline void cp_async_wait(EMU_SITE) {
  auto& groups = emu::fiber->groups;
  while (groups.size() > (size_t)N) {
    for (const emu::Copy& copy : groups.front()) {
      emu::accessed(copy.shared, 16, true, site);
      memset(copy.shared, 0, 16);
      memcpy(copy.shared, copy.global, copy.bytes);
    }
    groups.erase(groups.begin());
  }
}
