// Fibers, their scheduler, and what threads of a block do together. See fibers.h.
#include "fibers.h"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emu {

thread_local Fiber* fiber;
thread_local Block* block;

namespace {

constexpr size_t stack_bytes = 256 << 10;
constexpr unsigned most_threads = 1024;
// Bytes behind shared memory that must stay as they are.
constexpr size_t fence_bytes = 256;
constexpr unsigned char fence = 0xa5;

const char* name(Operation operation) {
  switch (operation) {
    case Operation::none: return "nothing";
    case Operation::shuffle: return "a shuffle";
    case Operation::syncwarp: return "__syncwarp";
    case Operation::vote: return "a vote";
    case Operation::mma: return "mma";
    case Operation::ldmatrix: return "ldmatrix";
    case Operation::ldmatrix_trans: return "ldmatrix.trans";
  }
  return "?";
}

// ---- switching ---------------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
// Saves the registers that a call preserves, and the stack, in *from; goes on where `to` was saved.
extern "C" void emu_switch(void** from, void* to);
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
.type emu_switch, @function
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emu_switch, .-emu_switch
)");
void switch_to(void** from, void* to) { emu_switch(from, to); }
void* prepare(char* stack, unsigned, void (*entry)()) {
  void** top = reinterpret_cast<void**>(stack + stack_bytes) - 2;  // aligned as a call leaves it
  *top = reinterpret_cast<void*>(entry);
  for (int saved = 0; saved < 6; saved++) *--top = nullptr;
  return top;
}
#else
// The same by the C library, whose switch also makes two system calls.
thread_local ucontext_t contexts[most_threads + 1];
void switch_to(void** from, void* to) {
  if (!*from) *from = &contexts[most_threads];
  swapcontext(static_cast<ucontext_t*>(*from), static_cast<ucontext_t*>(to));
}
void* prepare(char* stack, unsigned thread, void (*entry)()) {
  ucontext_t* context = &contexts[thread];
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = stack_bytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return context;
}
#endif

void yield() { switch_to(&fiber->context, block->scheduler); }

// Stacks of this thread's fibers: reserved once, touched as far as they are used.
char* stacks() {
  struct Stacks {
    char* memory = static_cast<char*>(mmap(nullptr, stack_bytes * most_threads, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ~Stacks() { munmap(memory, stack_bytes * most_threads); }
  };
  static thread_local Stacks all;
  if (all.memory == MAP_FAILED) {
    std::fprintf(stderr, "emulator: no memory for stacks\n");
    std::abort();
  }
  return all.memory;
}

void report(const char* what, Site site) {
  std::fprintf(stderr, "emulator: %s\n  at %s:%d, block (%u, %u, %u)", what, site.file, site.line, block->index.x,
               block->index.y, block->index.z);
  if (fiber) std::fprintf(stderr, ", thread (%u, %u, %u)", fiber->index.x, fiber->index.y, fiber->index.z);
  std::fprintf(stderr, "\n  %u of %u live threads at __syncthreads\n", block->waiting, block->live);
  for (size_t w = 0; w < block->warps.size(); w++) {
    Warp& warp = block->warps[w];
    if (warp.arrived)
      std::fprintf(stderr, "  warp %zu: lanes %08x of %08x wait in %s at %s:%d\n", w, warp.arrived, warp.mask,
                   name(warp.operation), warp.site.file, warp.site.line);
  }
  block->failed = true;
}

// ---- a thread's life ---------------------------------------------------------------------------------------------------

void open_barrier() {
  block->waiting = 0;
  block->barriers++;
  for (Warp& warp : block->warps) warp.ready = warp.alive;
}

void live() {
  block->run(block->argument);
  Warp& warp = block->warps[fiber->warp];
  uint32_t me = 1u << fiber->lane;
  if (warp.arrived && (warp.mask & me)) fail("a lane exits for which its warp waits", warp.site);
  warp.alive &= ~me;
  warp.ready &= ~me;
  block->live--;
  if (block->live && block->waiting == block->live) open_barrier();
  yield();
  std::abort();  // an exited fiber is not switched to
}

// A linear congruential sequence: the same in every run.
struct Sequence {
  uint32_t state;
  uint32_t below(uint32_t n) {
    state = state * 1664525u + 1013904223u;
    return uint32_t((uint64_t(state) * n) >> 32);
  }
};

enum class Order { ascending, descending, random };

// Runs the threads of the current block to their end, or to its failure.
void run_block(Order order, Sequence& sequence) {
  const unsigned warps = unsigned(block->warps.size());
  while (block->live && !block->failed) {
    bool any = false;
    for (unsigned k = 0; k < warps && !block->failed; k++) {
      unsigned w = order == Order::ascending ? k : order == Order::descending ? warps - 1 - k : sequence.below(warps);
      Warp& warp = block->warps[w];
      // In random order warps also overtake each other in the middle.
      for (unsigned steps = order == Order::random ? 1 + sequence.below(64) : ~0u; warp.ready && steps; steps--) {
        int lane = order == Order::ascending ? __builtin_ctz(warp.ready) : 31 - __builtin_clz(warp.ready);
        if (order == Order::random) {
          uint32_t from = warp.ready & (~0u << sequence.below(32));
          lane = __builtin_ctz(from ? from : warp.ready);
        }
        any = true;
        fiber = &block->fibers[w * 32 + unsigned(lane)];
        switch_to(&block->scheduler, fiber->context);
        if (block->failed) return;
      }
    }
    if (order == Order::random)
      for (Warp& warp : block->warps) any |= warp.ready != 0;
    if (!any && block->live) {
      Site site = block->barrier;
      for (Warp& warp : block->warps)
        if (warp.arrived) site = warp.site;
      fiber = nullptr;
      report("threads wait for others that never come", site);
    }
  }
}

Order chosen_order() {
  const char* order = std::getenv("EMU_ORDER");
  return order && *order == '1' ? Order::descending : order && *order == '2' ? Order::random : Order::ascending;
}

}  // namespace

// ---- what kernels call -------------------------------------------------------------------------------------------------

void fail(const char* what, Site site) {
  report(what, site);
  yield();
  std::abort();  // a fiber of a failed block is not switched to
}

Slot* collective(Operation operation, uint32_t mask, const void* brought, size_t bytes, Finish finish, Site site) {
  Warp& warp = block->warps[fiber->warp];
  const uint32_t me = 1u << fiber->lane;
  Slot* slots = warp.slots[warp.generation % 2];
  if (!(mask & me)) fail("a lane calls an operation whose mask does not name it", site);
  if (mask & ~warp.alive) fail("an operation names a lane that has exited or never was", site);
  if (warp.arrived == 0) {
    warp.operation = operation;
    warp.mask = mask;
    warp.site = site;
  } else if (warp.operation != operation || warp.mask != mask || warp.site.line != site.line ||
             std::strcmp(warp.site.file, site.file) != 0) {
    fail("lanes of a warp are in different operations", site);
  }
  if (bytes) std::memcpy(slots[fiber->lane].bytes, brought, bytes);
  warp.arrived |= me;
  if (warp.arrived == mask) {
    if (finish) finish(slots, mask);
    warp.generation++;
    warp.arrived = 0;
    warp.ready |= mask;
    if (operation == Operation::syncwarp && mask == warp.alive) warp.syncs++;
  } else {
    warp.ready &= ~me;
    yield();
  }
  return slots;
}

void barrier(Site site) {
  if (block->waiting == 0) block->barrier = site;
  else if (block->barrier.line != site.line || std::strcmp(block->barrier.file, site.file) != 0)
    fail("threads of a block wait at different barriers", site);
  Warp& warp = block->warps[fiber->warp];
  if (warp.arrived && (warp.mask >> fiber->lane & 1))
    fail("a lane waits at a barrier while its warp waits in an operation", site);
  block->waiting++;
  if (block->waiting == block->live) {
    open_barrier();
  } else {
    warp.ready &= ~(1u << fiber->lane);
    yield();
  }
}

bool run_grid(dim3 grid, dim3 size, size_t shared_bytes, void (*run)(void*), void* argument) {
  const unsigned threads = size.x * size.y * size.z;
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  if (threads == 0 || threads > most_threads || blocks == 0) {
    std::fprintf(stderr, "emulator: no grid has %llu blocks of %u threads\n", (unsigned long long)blocks, threads);
    return false;
  }
  const Order order = chosen_order();
  const char* seed = std::getenv("EMU_SEED");
  Sequence sequence{seed ? uint32_t(std::strtoul(seed, nullptr, 10)) : 1u};

  // The end of shared memory is the end of the allocation's used part, so that a sanitizer sees what goes beyond it.
  std::unique_ptr<unsigned char, decltype(&std::free)> memory(nullptr, &std::free);
  void* allocated = nullptr;
  if (posix_memalign(&allocated, 128, shared_bytes + fence_bytes) != 0) return false;
  memory.reset(static_cast<unsigned char*>(allocated));

  Block current;
  current.size = size;
  current.grid = grid;
  current.shared = memory.get();
  current.shared_bytes = shared_bytes;
  current.fibers.resize(threads);
  current.warps.resize((threads + 31) / 32);
  current.run = run;
  current.argument = argument;
  char* stack = stacks();
  block = &current;
  for (uint64_t k = 0; k < blocks && !current.failed; k++) {
    // A stride that shares no divisor with the number of blocks visits each once.
    uint64_t b = order == Order::ascending ? k : order == Order::descending ? blocks - 1 - k : k * 2654435761u % blocks;
    if (order == Order::random && blocks % 2654435761u == 0) b = k;
    current.index = dim3(unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y));
    current.live = threads;
    current.waiting = current.barriers = 0;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack, stack_bytes * threads);  // frames of exited fibers never returned
    __asan_unpoison_memory_region(current.shared, shared_bytes + fence_bytes);
#endif
    std::memset(current.shared, 0xff, shared_bytes);  // NaN as f32, f16 and bf16
    std::memset(current.shared + shared_bytes, fence, fence_bytes);
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(current.shared + shared_bytes, fence_bytes);
#endif
    for (Warp& warp : current.warps) {
      warp.alive = warp.ready = warp.arrived = 0;
      warp.generation = warp.syncs = 0;
    }
    for (unsigned t = 0; t < threads; t++) {
      Fiber& each = current.fibers[t];
      each.index = dim3(t % size.x, t / size.x % size.y, t / size.x / size.y);
      each.thread = t;
      each.warp = t / 32;
      each.lane = t % 32;
      each.open.clear();
      each.groups.clear();
      each.context = prepare(stack + stack_bytes * t, t, live);
      current.warps[t / 32].alive |= 1u << t % 32;
    }
    for (Warp& warp : current.warps) warp.ready = warp.alive;
    begin_accesses();
    run_block(order, sequence);
    fiber = nullptr;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(current.shared + shared_bytes, fence_bytes);
#endif
    for (size_t i = 0; i < fence_bytes && !current.failed; i++)
      if (current.shared[shared_bytes + i] != fence) report("a thread wrote beyond the end of shared memory", {"?", 0});
  }
  block = nullptr;
  return !current.failed;
}

}  // namespace emu
