// One small kernel for each wrapper of portable.cuh. tests/conformance.rs compares what they give with plain arithmetic,
// and so shows that the GPU and the emulator agree with portable.cuh's words and with each other. Run it first on a new GPU.
#include "portable.cuh"

DEVI int flat_thread() { return (int)(blockIdx.x * blockDim.x + threadIdx.x); }

extern "C" __global__ void __launch_bounds__(128) convert_bf16(const float* __restrict__ x, u16* __restrict__ bits,
                                                               float* __restrict__ back, int n) {
  int i = flat_thread();
  if (i >= n) return;
  bits[i] = f2bf(x[i]);
  back[i] = bf2f(bits[i]);
}

extern "C" __global__ void __launch_bounds__(128) convert_f16(const float* __restrict__ x, u16* __restrict__ bits,
                                                              float* __restrict__ back, int n) {
  int i = flat_thread();
  if (i >= n) return;
  bits[i] = f2h(x[i]);
  back[i] = h2f(bits[i]);
}

extern "C" __global__ void __launch_bounds__(128) pack_pairs(const float2* __restrict__ x, u32* __restrict__ bf16,
                                                             u32* __restrict__ f16, int n) {
  int i = flat_thread();
  if (i >= n) return;
  float2 pair = x[i];
  bf16[i] = pack_bf16(pair.x, pair.y);
  f16[i] = pack_f16(pair.x, pair.y);
}

// y: ex2, expf, erff, tanhf, rsqrtf, one after the other.
extern "C" __global__ void __launch_bounds__(128) functions(const float* __restrict__ x, float* __restrict__ y, int n) {
  int i = flat_thread();
  if (i >= n) return;
  y[i] = ex2(x[i]);
  y[n + i] = expf(x[i]);
  y[2 * n + i] = erff(x[i]);
  y[3 * n + i] = tanhf(x[i]);
  y[4 * n + i] = rsqrtf(x[i]);
}

// One warp. y: one row of 32 per shuffle or vote.
extern "C" __global__ void __launch_bounds__(32) shuffles(const int* __restrict__ x, int* __restrict__ y) {
  const u32 all = 0xffffffffu;
  int lane = (int)threadIdx.x, value = x[lane];
  y[lane] = __shfl_sync(all, value, (7 * lane + 3) & 31);
  y[32 + lane] = __shfl_sync(all, value, 5, 8);
  y[64 + lane] = __shfl_xor_sync(all, value, 16);
  y[96 + lane] = __shfl_xor_sync(all, value, 3);
  y[128 + lane] = __shfl_down_sync(all, value, 5);
  y[160 + lane] = __shfl_down_sync(all, value, 3, 8);
  y[192 + lane] = __shfl_up_sync(all, value, 5);
  y[224 + lane] = __shfl_up_sync(all, value, 3, 8);
  y[256 + lane] = (int)__ballot_sync(all, value & 1);
  y[288 + lane] = __any_sync(all, value == x[9]) != 0;
  y[320 + lane] = __all_sync(all, value == x[9]) != 0;
  y[352 + lane] = __shfl_xor_sync(all, value, 8, 8);
}

// One warp: d[16][8] += a[16][16] · b[16][8], row-major, fragments as portable.cuh says.
template <bool bf16>
DEVI void multiply(const u16* __restrict__ a, const u16* __restrict__ b, float* __restrict__ d) {
  const int lane = (int)threadIdx.x, g = lane >> 2, t = lane & 3;
  u32 fa[4], fb[2];
  float fd[4];
#pragma unroll
  for (int r = 0; r < 4; r++) {
    const u16* pair = a + (g + 8 * (r & 1)) * 16 + 2 * t + 8 * (r >> 1);
    fa[r] = (u32)pair[0] | (u32)pair[1] << 16;
    fd[r] = d[(g + 8 * (r >> 1)) * 8 + 2 * t + (r & 1)];
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
    int k = 2 * t + 8 * r;
    fb[r] = (u32)b[k * 8 + g] | (u32)b[(k + 1) * 8 + g] << 16;
  }
  if (bf16) mma_bf16(fd, fa, fb);
  else mma_f16(fd, fa, fb);
#pragma unroll
  for (int r = 0; r < 4; r++) d[(g + 8 * (r >> 1)) * 8 + 2 * t + (r & 1)] = fd[r];
}
extern "C" __global__ void __launch_bounds__(32) multiply_bf16(const u16* __restrict__ a, const u16* __restrict__ b,
                                                               float* __restrict__ d) {
  multiply<true>(a, b, d);
}
extern "C" __global__ void __launch_bounds__(32) multiply_f16(const u16* __restrict__ a, const u16* __restrict__ b,
                                                              float* __restrict__ d) {
  multiply<false>(a, b, d);
}

// One warp: d[16][8] += a[16][8] · b[8][8] in tf32.
extern "C" __global__ void __launch_bounds__(32) multiply_tf32(const u32* __restrict__ a, const u32* __restrict__ b,
                                                               float* __restrict__ d) {
  const int lane = (int)threadIdx.x, g = lane >> 2, t = lane & 3;
  u32 fa[4], fb[2];
  float fd[4];
#pragma unroll
  for (int r = 0; r < 4; r++) {
    fa[r] = a[(g + 8 * (r & 1)) * 8 + t + 4 * (r >> 1)];
    fd[r] = d[(g + 8 * (r >> 1)) * 8 + 2 * t + (r & 1)];
  }
#pragma unroll
  for (int r = 0; r < 2; r++) fb[r] = b[(t + 4 * r) * 8 + g];
  mma_tf32(fd, fa, fb);
#pragma unroll
  for (int r = 0; r < 4; r++) d[(g + 8 * (r >> 1)) * 8 + 2 * t + (r & 1)] = fd[r];
}

// One warp: four 8x8 matrices, [32][8], each row at a place of its own in shared memory (row 5·l mod 32, 24 apart).
extern "C" __global__ void __launch_bounds__(32) load_matrices(const u16* __restrict__ x, u32* __restrict__ plain,
                                                               u32* __restrict__ transposed) {
  DYN_SMEM(u16, rows);
  int lane = (int)threadIdx.x, place = 5 * lane % 32 * 24;
  for (int c = 0; c < 8; c++) rows[place + c] = x[lane * 8 + c];
  __syncwarp();
  u32 r[4];
  ldmatrix_x4(r, rows + place);
  for (int i = 0; i < 4; i++) plain[lane * 4 + i] = r[i];
  ldmatrix_x4_trans(r, rows + place);
  for (int i = 0; i < 4; i++) transposed[lane * 4 + i] = r[i];
}

// One block of 128: a pipeline of two buffers. y[stage][i] is x[stage][127 - i], with zeros from byte `valid` of x on.
extern "C" __global__ void __launch_bounds__(128) copy_pipeline(const uint4* __restrict__ x, uint4* __restrict__ y, int stages,
                                                                int valid) {
  DYN_SMEM(uint4, buffers);
  int i = (int)threadIdx.x;
  cp_async16(buffers + i, x + i, min(max(valid - 16 * i, 0), 16));
  cp_async_commit();
  for (int stage = 0; stage < stages; stage++) {
    int next = stage + 1;
    if (next < stages) {
      int from = next * 128 + i;
      cp_async16(buffers + (next & 1) * 128 + i, x + from, min(max(valid - 16 * from, 0), 16));
    }
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    y[stage * 128 + i] = buffers[(stage & 1) * 128 + 127 - i];
    __syncthreads();
  }
}

// Blocks of 256 with `words` words of shared memory: each word written by one thread and read by another, in two rounds,
// the sums added to one total by atomicAdd.
extern "C" __global__ void __launch_bounds__(256) share(u32* __restrict__ total, int* __restrict__ most, int words) {
  DYN_SMEM(u32, memory);
  u32 sum = 0;
  for (int round = 0; round < 2; round++) {
    for (int i = (int)threadIdx.x; i < words; i += 256) memory[i] = (u32)(i * 3 + round + (int)blockIdx.x);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < words; i += 256) sum += memory[words - 1 - i];
    __syncthreads();
  }
  atomicAdd(total, sum);
  atomicMax(most, flat_thread());
}

// Vectors keep the order of their parts in memory.
extern "C" __global__ void __launch_bounds__(32) vectors(const float4* __restrict__ x, const uint2* __restrict__ z,
                                                         float4* __restrict__ y) {
  int i = (int)threadIdx.x;
  float4 v = x[i];
  uint2 w = z[i];
  y[i] = make_float4(v.w, v.x + (float)w.x, fmaf(v.y, 2.0f, (float)w.y), fmaxf(v.z, __uint_as_float(w.x)));
}
