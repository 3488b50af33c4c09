// The one header that a kernel includes. It gives kernels one small language with two meanings:
//
//   on a GPU   (NVRTC or nvcc, which define __CUDACC__): thin wrappers of PTX instructions, no CUDA header needed;
//   on the CPU (g++): emulated.h, where each CUDA thread is a fiber and every wrapper checks how it is used.
//
// tests/conformance.rs checks that both give the same numbers for every wrapper below.
//
// Rules for kernels: shared memory is the dynamic kind only (DYN_SMEM, one per kernel), parameters are pointers, int,
// unsigned, float and u64, and an entry is `extern "C" __global__ void __launch_bounds__(N) name(...)`, or with LAUNCH_BOUNDS.
#pragma once
#if defined(__CUDACC__)

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// A function of the device, private to its file.
#define DEVI static __device__ __forceinline__
// The same in a class, without an object.
#define DEVI_MEMBER static __device__ __forceinline__

// Of an entry: threads of a block, and how many blocks should fit into the registers of a multiprocessor.
#define LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)

// Declares `name`, the block's dynamic shared memory, as a pointer to T. Its size is an argument of the launch.
#define DYN_SMEM(T, name)                                          \
  extern __shared__ __align__(128) unsigned char shared_memory_[]; \
  T* name = reinterpret_cast<T*>(shared_memory_)

// ---- numbers of 16 bits: all conversions round to nearest, ties to even; NaN becomes 0x7fff ----------------------------

DEVI u16 f2bf(float x) {
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
DEVI float bf2f(u16 bits) { return __uint_as_float((u32)bits << 16); }
// Two bf16 in a register, `low` in the low half.
DEVI u32 pack_bf16(float low, float high) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
DEVI u16 f2h(float x) {
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
DEVI float h2f(u16 bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}
// Two f16 in a register, `low` in the low half.
DEVI u32 pack_f16(float low, float high) {
  u32 pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// 2^x within 2 units in the last place. Results below the least normal number are 0.
DEVI float ex2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- tensor cores ------------------------------------------------------------------------------------------------------

// d[16][8] += a[16][16] · b[16][8] over a warp. With g = lane >> 2 and t = lane & 3 a lane holds
//   a: register r, half h  ->  row g + 8·(r & 1), column 2t + h + 8·(r >> 1)
//   b: register r, half h  ->  row 2t + h + 8·r,  column g
//   d: register r          ->  row g + 8·(r >> 1), column 2t + (r & 1)
DEVI void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVI void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same product of f32 that are read as tf32, 8 deep: d[16][8] += a[16][8] · b[8][8]. Of each operand the lowest 13 bits
// do not count. A lane holds
//   a: register r  ->  row g + 8·(r & 1), column t + 4·(r >> 1)
//   b: register r  ->  row t + 4·r,  column g
DEVI void mma_tf32(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// An address in shared memory as PTX wants it.
DEVI u32 shared_address(const void* shared) { return (u32)__cvta_generic_to_shared(shared); }

// Loads four 8x8 matrices of 16-bit numbers. Lane l gives the address of row l & 7 of matrix l >> 3, aligned to 16 bytes,
// and gets of matrix i its row g, columns 2t and 2t + 1, in r[i].
DEVI void ldmatrix_x4(u32 (&r)[4], const void* shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared))
               : "memory");
}
// The same of the transposed matrices: of matrix i its rows 2t and 2t + 1, column g.
DEVI void ldmatrix_x4_trans(u32 (&r)[4], const void* shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared))
               : "memory");
}

// ---- asynchronous copies -----------------------------------------------------------------------------------------------

// Begins to fill 16 bytes of shared memory: the first `bytes` (0 to 16) from `global`, the others with zeros. Both addresses
// are aligned to 16 bytes; `global` is not read beyond `bytes`. Nothing may be read there before its group has been waited
// for (and, by other threads, a barrier).
DEVI void cp_async16(void* shared, const void* global, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
               : "memory");
}
// Ends a group: this thread's copies since the last group.
DEVI void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most the N youngest groups of this thread are still under way.
template <int N>
DEVI void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#else
#include "emulated.h"
#endif
