// Watches every read and write of a kernel. build.sh --accesses compiles kernels with -fsanitize=thread, which makes the
// compiler call a function before each access; those functions are here, not in the sanitizer's library.
//
// Found in the one run that is made, whatever numbers come out of it:
//   * races in shared memory: two threads of a block touch a byte, one of them writes, and no barrier is between (or, within
//     a warp, no __syncwarp: shuffles and tensor-core operations order no memory);
//   * reads and writes just outside of device memory or of shared memory;
//   * addresses not aligned to the size of what they access.
#include "fibers.h"
#include "memory.h"

#include <algorithm>
#include <cstdio>
#include <dlfcn.h>

namespace emu {
namespace {

// Whoever touched a byte last. Threads are numbered from 1; 0 is nobody and `several` stands for more than one.
constexpr unsigned several = ~0u;
struct Toucher {
  unsigned thread = 0, warp = 0;
  unsigned barriers = 0, syncs = 0;  // that had been passed then

  // Whether the current thread can know that this is over.
  bool over() const {
    if (thread == 0 || thread == fiber->thread + 1 || barriers < block->barriers) return true;
    return warp == fiber->warp + 1 && syncs < block->warps[fiber->warp].syncs;
  }
};
Toucher current() {
  return {fiber->thread + 1, fiber->warp + 1, block->barriers, block->warps[fiber->warp].syncs};
}
struct Byte {
  Toucher writer, reader;
};

thread_local std::vector<Byte> shared;
thread_local std::vector<Span> device;

// The code that makes the access under way.
thread_local const void* code;

// Ends the launch. An access without a site is named by its code, whose line `addr2line -e libcuda.so.1` knows.
[[noreturn]] void refuse(const char* what, Site site) {
  if (site.file) fail(what, site);
  static thread_local char text[64];
  Dl_info library{};
  size_t base = dladdr(code, &library) ? reinterpret_cast<size_t>(library.dli_fbase) : 0;
  std::snprintf(text, sizeof text, "code address 0x%zx", reinterpret_cast<size_t>(code) - base - 1);
  fail(what, {text, 0});
}

void access_shared(size_t offset, size_t bytes, bool write, Site site) {
  for (size_t i = offset; i < offset + bytes; i++) {
    Byte& byte = shared[i];
    if (!byte.writer.over())
      refuse(write ? "race: two threads write a byte of shared memory" : "race: a thread reads what another writes", site);
    if (write) {
      if (!byte.reader.over()) refuse("race: a thread writes what another reads", site);
      byte.writer = current();
    } else {
      Toucher now = current();
      if (byte.reader.barriers == now.barriers && byte.reader.thread != 0) {
        if (byte.reader.thread != now.thread) now.thread = several;
        if (byte.reader.warp != now.warp) now.warp = several;
      }
      byte.reader = now;
    }
  }
}

void check(const void* address, size_t bytes, bool write, Site site) {
  auto begin = reinterpret_cast<uintptr_t>(address);
  auto base = reinterpret_cast<uintptr_t>(block->shared);
  if (begin - base < block->shared_bytes + 128) {
    if (begin - base + bytes > block->shared_bytes) refuse("an access beyond the end of shared memory", site);
    access_shared(begin - base, bytes, write, site);
    return;
  }
  auto next = std::upper_bound(device.begin(), device.end(), begin, [](uintptr_t a, const Span& s) { return a < s.first; });
  if (next == device.begin()) return;
  const Span& span = *std::prev(next);
  if (begin >= span.last) return;  // not device memory: the thread's own, or a constant
  if (begin < span.begin || begin + bytes > span.end) refuse("an access outside of device memory", site);
}

// An access that the compiler announces. What it merged itself need not be aligned.
void announced(const void* address, size_t bytes, bool write, bool aligned, const void* from) {
  if (!fiber || !block || block->failed) return;
  code = from;
  if (aligned && reinterpret_cast<uintptr_t>(address) % bytes != 0)
    refuse("an address not aligned to the size of its access", {nullptr, 0});
  check(address, bytes, write, {nullptr, 0});
}

}  // namespace

void accessed(const void* address, size_t bytes, bool write, Site site) {
  if (!block->failed) check(address, bytes, write, site);
}
void begin_accesses() {
  shared.assign(block->shared_bytes, Byte{});
  device = spans();
}

}  // namespace emu

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define ACCESS(name, bytes, write)                                                    \
  void __tsan_##name(void* address) {                                                 \
    emu::announced(address, bytes, write, true, __builtin_return_address(0));         \
  }                                                                                   \
  void __tsan_unaligned_##name(void* address) {                                       \
    emu::announced(address, bytes, write, false, __builtin_return_address(0));        \
  }
ACCESS(read1, 1, false)
ACCESS(read2, 2, false)
ACCESS(read4, 4, false)
ACCESS(read8, 8, false)
ACCESS(read16, 16, false)
ACCESS(write1, 1, true)
ACCESS(write2, 2, true)
ACCESS(write4, 4, true)
ACCESS(write8, 8, true)
ACCESS(write16, 16, true)
void __tsan_read_range(void* address, size_t bytes) {
  emu::announced(address, bytes, false, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, size_t bytes) {
  emu::announced(address, bytes, true, false, __builtin_return_address(0));
}
}
