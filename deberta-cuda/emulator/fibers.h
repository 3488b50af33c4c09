// CUDA threads as fibers: one block at a time on the thread that launches it, each CUDA thread on a stack of its own,
// switched only where threads of a block wait for each other.
//
// What threads do together is policed here. Misuse that a GPU would answer with wrong numbers or a hang ends the launch
// with a message that names the source line:
//   * lanes of a warp that meet in different operations, or that an operation names but that have exited;
//   * threads of a block that wait at different barriers, or for threads that will never come;
//   * shared memory written beyond its end (it is also filled with NaN before each block).
// What no message can catch shows as wrong numbers under one of three orders of threads and blocks: EMU_ORDER=0 takes the
// lowest thread that can run, 1 the highest, 2 a pseudo-random one (another sequence for each EMU_SEED).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emu {

// Where a kernel calls an operation.
struct Site {
  const char* file;
  int line;
};

// An asynchronous copy of 16 bytes that has begun.
struct Copy {
  void* shared;
  const void* global;
  unsigned bytes;  // the rest is zeros
};

// What lanes of a warp do together.
enum class Operation { none, shuffle, syncwarp, vote, mma, ldmatrix, ldmatrix_trans };

struct Fiber {
  dim3 index;                             // threadIdx
  unsigned thread = 0, warp = 0, lane = 0;
  std::vector<Copy> open;                 // copies since the last commit
  std::vector<std::vector<Copy>> groups;  // committed, oldest first
  void* context = nullptr;                // where it goes on
};

// What a lane brings to an operation and takes from it.
struct alignas(16) Slot {
  unsigned char bytes[64];
  template <class T>
  T& as() {
    static_assert(sizeof(T) <= sizeof(bytes), "a slot has 64 bytes");
    return *reinterpret_cast<T*>(bytes);
  }
};

struct Warp {
  uint32_t alive = 0;    // lanes that have not exited
  uint32_t ready = 0;    // lanes that can run
  uint32_t arrived = 0;  // lanes that wait in `operation`
  uint32_t mask = 0;     // lanes that it waits for
  Operation operation = Operation::none;
  Site site{};
  unsigned generation = 0;
  unsigned syncs = 0;  // __syncwarp of all lanes so far
  Slot slots[2][32];   // of the operation under way and of the one before, whose results may not have been taken yet
};

struct Block {
  dim3 index, size, grid;  // blockIdx, blockDim, gridDim
  unsigned char* shared = nullptr;
  size_t shared_bytes = 0;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  unsigned live = 0, waiting = 0;  // threads that have not exited; of these at the barrier
  unsigned barriers = 0;           // passed so far
  Site barrier{};
  bool failed = false;
  void* scheduler = nullptr;
  void (*run)(void*) = nullptr;
  void* argument = nullptr;
};

extern thread_local Fiber* fiber;
extern thread_local Block* block;

// Ends the launch: says what is wrong and where, and does not return.
[[noreturn]] void fail(const char* what, Site site);

// Waits for the lanes in `mask`. `finish`, run once when the last has come, turns what they brought into what they take.
// Returns the slots of all lanes; they are valid until this lane's next operation but one.
using Finish = void (*)(Slot* slots, uint32_t mask);
Slot* collective(Operation operation, uint32_t mask, const void* brought, size_t bytes, Finish finish, Site site);

// Waits for all threads of the block.
void barrier(Site site);

// Runs `run(argument)` as every thread of a grid. False where it failed; the message has been printed.
bool run_grid(dim3 grid, dim3 size, size_t shared_bytes, void (*run)(void*), void* argument);

// A kernel and pointers to each of its arguments, as cuLaunchKernel takes them.
template <class... A>
struct Call {
  void (*kernel)(A...);
  void** arguments;

  static void run(void* call) { static_cast<Call*>(call)->unpack(std::index_sequence_for<A...>{}); }
  template <size_t... I>
  void unpack(std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
  }
};
template <class... A>
bool launch_packed(void (*kernel)(A...), dim3 grid, dim3 size, size_t shared_bytes, void** arguments) {
  Call<A...> call{kernel, arguments};
  return run_grid(grid, size, shared_bytes, Call<A...>::run, &call);
}
// The same with the arguments themselves, for C++ programs.
template <class... A, class... B>
bool launch(void (*kernel)(A...), dim3 grid, dim3 size, size_t shared_bytes, B... arguments) {
  auto pack = [&](A... converted) {
    void* pointers[] = {const_cast<void*>(static_cast<const void*>(&converted))...};
    return launch_packed(kernel, grid, size, shared_bytes, pointers);
  };
  return pack(arguments...);
}

// Memory accesses, seen only where kernels are compiled for it (accesses.cpp); elsewhere these do nothing.
#if defined(EMU_ACCESSES)
void accessed(const void* address, size_t bytes, bool write, Site site);
// A block begins: nothing of its shared memory has been written.
void begin_accesses();
#else
inline void accessed(const void*, size_t, bool, Site) {}
inline void begin_accesses() {}
#endif

}  // namespace emu
