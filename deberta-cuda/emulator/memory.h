// Device memory: host memory between two fences that nobody may touch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emu {

struct Span {
  uintptr_t begin, end;    // what was asked for
  uintptr_t first, last;   // with the fences
};

// Filled with NaN. Null where the device has not so much (EMU_MEMORY bytes, 8 GiB where unset).
void* allocate(size_t bytes);
// False where nothing was allocated there.
bool release(void* memory);
// Whether all of these bytes are in one allocation.
bool allocated(const void* memory, size_t bytes);
// An allocation whose fence has been written; null where all are whole.
const void* broken_fence();
// All allocations, in order of address.
std::vector<Span> spans();

size_t memory_total();
size_t memory_free();

}  // namespace emu
