// The kernels that the emulated driver knows. build.sh writes one file per kernels/*.cu that enters its kernels here.
#pragma once
#include "fibers.h"

#include <string>

namespace emu {

struct Kernel {
  std::string name;
  unsigned most_threads;      // of a block: __launch_bounds__
  std::vector<size_t> sizes;  // of the parameters, in bytes
  bool (*launch)(dim3 grid, dim3 size, size_t shared_bytes, void** arguments);
};

// By name; null where there is none.
const Kernel* find_kernel(const std::string& name);
void enter_kernel(Kernel kernel);

template <class... A>
std::vector<size_t> parameter_sizes(void (*)(A...)) {
  return {sizeof(A)...};
}

}  // namespace emu

#define EMU_ENTER(space, kernel, bounds)                                                                      \
  static const bool entered_##kernel = (emu::enter_kernel({#kernel, bounds, emu::parameter_sizes(space::kernel), \
      [](dim3 grid, dim3 size, size_t shared_bytes, void** arguments) {                                       \
        return emu::launch_packed(space::kernel, grid, size, shared_bytes, arguments);                        \
      }}), true);
