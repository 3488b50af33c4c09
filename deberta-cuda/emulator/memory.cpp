#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emu {
namespace {

constexpr size_t fence_bytes = 1024;  // a multiple of 256, to which allocations are aligned
constexpr unsigned char fence = 0xa5;

struct Allocations {
  std::mutex mutex;
  std::map<uintptr_t, size_t> sizes;  // by address
  size_t used = 0;
};
Allocations& all() {
  static Allocations allocations;
  return allocations;
}
size_t round_up(size_t bytes) { return (bytes + 255) & ~size_t(255); }
unsigned char* fences(uintptr_t memory) { return reinterpret_cast<unsigned char*>(memory) - fence_bytes; }

}  // namespace

size_t memory_total() {
  const char* limit = std::getenv("EMU_MEMORY");
  return limit ? std::strtoull(limit, nullptr, 10) : size_t(8) << 30;
}
size_t memory_free() {
  std::lock_guard<std::mutex> lock(all().mutex);
  size_t total = memory_total();
  return total > all().used ? total - all().used : 0;
}

void* allocate(size_t bytes) {
  size_t total = memory_total();
  std::lock_guard<std::mutex> lock(all().mutex);
  if (all().used > total || bytes > total - all().used) return nullptr;
  size_t length = fence_bytes + round_up(bytes) + fence_bytes;
  auto* raw = static_cast<unsigned char*>(std::aligned_alloc(256, length));
  if (!raw) return nullptr;
  unsigned char* memory = raw + fence_bytes;
  std::memset(raw, fence, length);
  std::memset(memory, 0xff, bytes);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(raw, length);
  __asan_unpoison_memory_region(memory, bytes);
#endif
  all().sizes[reinterpret_cast<uintptr_t>(memory)] = bytes;
  all().used += bytes;
  return memory;
}

bool release(void* memory) {
  std::lock_guard<std::mutex> lock(all().mutex);
  auto found = all().sizes.find(reinterpret_cast<uintptr_t>(memory));
  if (found == all().sizes.end()) return false;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fences(found->first), 2 * fence_bytes + round_up(found->second));
#endif
  std::free(fences(found->first));
  all().used -= found->second;
  all().sizes.erase(found);
  return true;
}

bool allocated(const void* memory, size_t bytes) {
  std::lock_guard<std::mutex> lock(all().mutex);
  auto address = reinterpret_cast<uintptr_t>(memory);
  auto next = all().sizes.upper_bound(address);
  if (next == all().sizes.begin()) return false;
  auto [begin, size] = *std::prev(next);
  return address - begin <= size && bytes <= size - (address - begin);
}

const void* broken_fence() {
#if !defined(__SANITIZE_ADDRESS__) /* which sees the access itself, and would see these */
  std::lock_guard<std::mutex> lock(all().mutex);
  for (auto [begin, size] : all().sizes) {
    const unsigned char* before = fences(begin);
    const unsigned char* behind = reinterpret_cast<unsigned char*>(begin) + size;
    const size_t behind_bytes = fence_bytes + round_up(size) - size;
    for (size_t i = 0; i < fence_bytes; i++)
      if (before[i] != fence) return reinterpret_cast<void*>(begin);
    for (size_t i = 0; i < behind_bytes; i++)
      if (behind[i] != fence) return reinterpret_cast<void*>(begin);
  }
#endif
  return nullptr;
}

std::vector<Span> spans() {
  std::lock_guard<std::mutex> lock(all().mutex);
  std::vector<Span> result;
  for (auto [begin, size] : all().sizes)
    result.push_back({begin, begin + size, begin - fence_bytes, begin + round_up(size) + fence_bytes});
  return result;
}

}  // namespace emu
