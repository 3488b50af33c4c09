// A CUDA driver, libcuda.so.1, whose device is the emulator: unmodified programs that use the driver by cudarc run on it.
//
// Everything happens at once, in the call that asks for it. A kernel's misuse is an error of the calls that follow, as on
// a GPU, and the context is of no more use then. What it plays is chosen by environment variables:
//   EMU_DEVICES         how many devices there are: 1 where unset, 0 for a machine without
//   EMU_MEMORY          bytes of each
//   EMU_CAPABILITY      its compute capability: 80 where unset
//   EMU_DRIVER_VERSION  CUDA version of the driver: 12040 where unset; newer PTX is refused
//   EMU_ORDER, EMU_SEED in which order threads run; see fibers.h
//
// Loading a module reads the PTX for the names and parameters of its kernels, which must be those of the C++ that was
// compiled into this library; the C++ is what runs.
#include "memory.h"
#include "registry.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <set>

namespace emu {
std::map<std::string, Kernel>& kernels() {
  static std::map<std::string, Kernel> all;
  return all;
}
void enter_kernel(Kernel kernel) { kernels()[kernel.name] = std::move(kernel); }
const Kernel* find_kernel(const std::string& name) {
  auto found = kernels().find(name);
  return found == kernels().end() ? nullptr : &found->second;
}
}  // namespace emu

namespace {

enum Result : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  INVALID_PTX = 218,
  UNSUPPORTED_PTX_VERSION = 222,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  LAUNCH_FAILED = 719,
  ILLEGAL_ADDRESS = 700,
  NOT_SUPPORTED = 801,
  CAPTURE_UNSUPPORTED = 900,
};
const std::map<int, std::pair<const char*, const char*>> error_names = {
    {SUCCESS, {"CUDA_SUCCESS", "no error"}},
    {INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {NO_DEVICE, {"CUDA_ERROR_NO_DEVICE", "no device is present"}},
    {INVALID_DEVICE, {"CUDA_ERROR_INVALID_DEVICE", "no such device"}},
    {INVALID_IMAGE, {"CUDA_ERROR_INVALID_IMAGE", "not a module"}},
    {INVALID_CONTEXT, {"CUDA_ERROR_INVALID_CONTEXT", "the thread has no current context"}},
    {NO_BINARY_FOR_GPU, {"CUDA_ERROR_NO_BINARY_FOR_GPU", "the PTX is for newer devices"}},
    {INVALID_PTX, {"CUDA_ERROR_INVALID_PTX", "the PTX is not that of the emulated kernels"}},
    {UNSUPPORTED_PTX_VERSION, {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is newer than the driver"}},
    {INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "invalid handle"}},
    {NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {LAUNCH_FAILED, {"CUDA_ERROR_LAUNCH_FAILED", "a kernel misused what it may do"}},
    {ILLEGAL_ADDRESS, {"CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel wrote outside of device memory"}},
    {NOT_SUPPORTED, {"CUDA_ERROR_NOT_SUPPORTED", "not emulated"}},
    {CAPTURE_UNSUPPORTED, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted while a stream is captured"}},
};

constexpr int default_shared_bytes = 48 << 10;
constexpr int most_shared_bytes = 163 << 10;

struct Function {
  const emu::Kernel* kernel;
  int shared_bytes = default_shared_bytes;
};
struct Module {
  std::map<std::string, Function> functions;
};
struct Event {
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
};
using Work = std::function<Result()>;
struct Graph {
  std::vector<Work> work;
};
struct Stream {
  Graph* captured = nullptr;  // where work goes instead of being done
};

std::atomic<int> failure{SUCCESS};  // of a kernel: stays
thread_local void* current_context;
Stream default_stream;
std::mutex pinned_mutex;
std::set<const void*> pinned;

int variable(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atoi(value) : otherwise;
}
int device_count() { return variable("EMU_DEVICES", 1); }
int capability() { return variable("EMU_CAPABILITY", 80); }
int driver_version() { return variable("EMU_DRIVER_VERSION", 12040); }

// The newest PTX of a driver, 10·major + minor: CUDA 11.x knows 7.x, 12.0 to 12.4 know 8.0 to 8.4, 12.5 and 12.6 know
// 8.5, 12.7 knows 8.6, and so on; 13.0 knows 9.0.
int newest_ptx() {
  int major = driver_version() / 1000, minor = driver_version() % 1000 / 10;
  if (major >= 12) return (major - 4) * 10 + (major == 12 && minor > 5 ? minor - 1 : minor);
  return (major - 4) * 10 + minor;
}

Stream& of(void* stream) { return stream ? *static_cast<Stream*>(stream) : default_stream; }

// Does the work, or keeps it where the stream is captured.
Result enqueue(void* stream, Work work) {
  if (failure) return Result(failure.load());
  if (Graph* graph = of(stream).captured) {
    graph->work.push_back(std::move(work));
    return SUCCESS;
  }
  return work();
}
// A call that a captured stream does not permit.
Result now(void* stream) {
  if (failure) return Result(failure.load());
  return of(stream).captured ? CAPTURE_UNSUPPORTED : SUCCESS;
}

Result copy(void* to, const void* from, size_t bytes) {
  if (bytes) std::memmove(to, from, bytes);
  return SUCCESS;
}
bool is_pinned(const void* host) {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  return pinned.count(host) != 0;
}

Result run(const emu::Kernel& kernel, dim3 grid, dim3 size, size_t shared_bytes, void** arguments) {
  bool good = kernel.launch(grid, size, shared_bytes, arguments);
  if (!good) {
    std::fprintf(stderr, "emulator: %s failed\n", kernel.name.c_str());
    failure = LAUNCH_FAILED;
  } else if (const void* memory = emu::broken_fence()) {
    std::fprintf(stderr, "emulator: %s wrote outside of the device memory at %p\n", kernel.name.c_str(), memory);
    failure = ILLEGAL_ADDRESS;
  }
  return SUCCESS;  // like a GPU, which is not done yet
}

// ---- PTX ---------------------------------------------------------------------------------------------------------------

// The number N.M behind a directive, as 10·N + M; -1 where it is missing.
int directive(const std::string& ptx, const char* name) {
  size_t at = ptx.find(name);
  int major = 0, minor = 0;
  if (at == std::string::npos || std::sscanf(ptx.c_str() + at + std::strlen(name), " %d.%d", &major, &minor) != 2) return -1;
  return major * 10 + minor;
}

// The sizes of the parameters that an entry's head declares: `.param .u64 name, .param .f32 name`, perhaps with alignments.
std::vector<size_t> declared_sizes(const std::string& head) {
  std::vector<size_t> sizes;
  for (size_t at = head.find(".param"); at != std::string::npos; at = head.find(".param", at + 1)) {
    size_t type = head.find('.', at + 1);
    while (type != std::string::npos && (head[type + 1] == 'a' || head[type + 1] == 'p')) type = head.find('.', type + 1);
    sizes.push_back(type == std::string::npos ? 0 : size_t(std::atoi(head.c_str() + type + 2)) / 8);
  }
  return sizes;
}

Result read_module(const std::string& ptx, Module& module) {
  int version = directive(ptx, ".version");
  if (version < 0) return INVALID_IMAGE;
  if (version > newest_ptx()) return UNSUPPORTED_PTX_VERSION;
  size_t target = ptx.find(".target sm_");
  if (target == std::string::npos) return INVALID_PTX;
  if (std::atoi(ptx.c_str() + target + 11) > capability()) return NO_BINARY_FOR_GPU;
  const std::string mark = ".visible .entry ";
  for (size_t at = ptx.find(mark); at != std::string::npos; at = ptx.find(mark, at + 1)) {
    size_t name = at + mark.size(), open = ptx.find('(', name), close = ptx.find(')', open);
    if (close == std::string::npos) return INVALID_PTX;
    std::string kernel_name = ptx.substr(name, open - name);
    const emu::Kernel* kernel = emu::find_kernel(kernel_name);
    if (!kernel) {
      std::fprintf(stderr, "emulator: PTX has a kernel %s that the C++ has not\n", kernel_name.c_str());
      return INVALID_PTX;
    }
    if (declared_sizes(ptx.substr(open, close - open)) != kernel->sizes) {
      std::fprintf(stderr, "emulator: %s has other parameters in PTX than in C++\n", kernel_name.c_str());
      return INVALID_PTX;
    }
    module.functions[kernel_name].kernel = kernel;
  }
  return SUCCESS;
}

}  // namespace

// ---- the driver's functions --------------------------------------------------------------------------------------------

#pragma GCC visibility push(default)
extern "C" {
typedef unsigned long long Address;

Result cuInit(unsigned) { return device_count() > 0 ? SUCCESS : NO_DEVICE; }
Result cuDriverGetVersion(int* version) { return *version = driver_version(), SUCCESS; }
Result cuGetErrorName(int code, const char** name) {
  auto found = error_names.find(code);
  return found == error_names.end() ? INVALID_VALUE : (*name = found->second.first, SUCCESS);
}
Result cuGetErrorString(int code, const char** text) {
  auto found = error_names.find(code);
  return found == error_names.end() ? INVALID_VALUE : (*text = found->second.second, SUCCESS);
}

// Devices

Result cuDeviceGetCount(int* count) { return *count = device_count(), SUCCESS; }
Result cuDeviceGet(int* device, int ordinal) {
  if (ordinal < 0 || ordinal >= device_count()) return INVALID_DEVICE;
  return *device = ordinal, SUCCESS;
}
Result cuDeviceGetName(char* name, int length, int) {
  std::snprintf(name, size_t(length), "emulated GPU");
  return SUCCESS;
}
Result cuDeviceGetUuid(void* uuid, int device) {
  std::memset(uuid, device + 1, 16);
  return SUCCESS;
}
Result cuDeviceGetUuid_v2(void* uuid, int device) { return cuDeviceGetUuid(uuid, device); }
Result cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = emu::memory_total(), SUCCESS; }
Result cuDeviceGetAttribute(int* value, int attribute, int) {
  static const std::map<int, int> values = {
      {1, 1024},             // threads of a block
      {2, 1024},             // its width,
      {3, 1024},             // height
      {4, 64},               // and depth
      {5, 2147483647},       // width of a grid,
      {6, 65535},            // height
      {7, 65535},            // and depth
      {8, default_shared_bytes},
      {10, 32},              // lanes of a warp
      {12, 65536},           // registers of a block
      {13, 1000000},         // clock, kHz
      {16, 4},               // multiprocessors
      {36, 1000000},         // memory's clock, kHz
      {37, 1024},            // its bus, bits
      {38, 4 << 20},         // second-level cache, bytes
      {39, 2048},            // threads of a multiprocessor
      {41, 1},               // one address space
      {81, 164 << 10},       // shared memory of a multiprocessor
      {82, 65536},           // its registers
      {97, most_shared_bytes},
      {106, 32},             // blocks of a multiprocessor
      {115, 1},              // memory pools, so that allocation is in the order of a stream
  };
  if (attribute == 75) return *value = capability() / 10, SUCCESS;
  if (attribute == 76) return *value = capability() % 10, SUCCESS;
  auto found = values.find(attribute);
  return *value = found == values.end() ? 0 : found->second, SUCCESS;
}

// Contexts: a device's number, plus one

Result cuDevicePrimaryCtxRetain(void** context, int device) {
  return *context = reinterpret_cast<void*>(uintptr_t(device) + 1), SUCCESS;
}
Result cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
Result cuCtxSetCurrent(void* context) { return current_context = context, SUCCESS; }
Result cuCtxGetCurrent(void** context) { return *context = current_context, SUCCESS; }
Result cuCtxGetDevice(int* device) { return *device = int(reinterpret_cast<uintptr_t>(current_context)) - 1, SUCCESS; }
Result cuCtxSynchronize() { return Result(failure.load()); }
Result cuCtxSetFlags(unsigned) { return SUCCESS; }
Result cuCtxGetStreamPriorityRange(int* least, int* greatest) { return *least = *greatest = 0, SUCCESS; }

// Streams and events

Result cuStreamCreate(void** stream, unsigned) { return *stream = new Stream, SUCCESS; }
Result cuStreamCreateWithPriority(void** stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }
Result cuStreamDestroy_v2(void* stream) { return delete static_cast<Stream*>(stream), SUCCESS; }
Result cuStreamSynchronize(void* stream) { return now(stream); }
Result cuStreamQuery(void* stream) { return now(stream); }
Result cuStreamWaitEvent(void*, void*, unsigned) { return Result(failure.load()); }
Result cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  return enqueue(stream, [=] { return function(data), SUCCESS; });
}
Result cuEventCreate(void** event, unsigned) { return *event = new Event, SUCCESS; }
Result cuEventDestroy_v2(void* event) { return delete static_cast<Event*>(event), SUCCESS; }
Result cuEventRecord(void* event, void* stream) {
  return enqueue(stream, [=] {
    *static_cast<Event*>(event) = {std::chrono::steady_clock::now(), true};
    return SUCCESS;
  });
}
Result cuEventSynchronize(void*) { return Result(failure.load()); }
Result cuEventQuery(void*) { return Result(failure.load()); }
Result cuEventElapsedTime(float* milliseconds, void* from, void* to) {
  auto *begin = static_cast<Event*>(from), *end = static_cast<Event*>(to);
  if (!begin->recorded || !end->recorded) return INVALID_HANDLE;
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return SUCCESS;
}

// Memory

Result cuMemAlloc_v2(Address* address, size_t bytes) {
  if (failure) return Result(failure.load());
  if (bytes == 0) return INVALID_VALUE;
  void* memory = emu::allocate(bytes);
  return *address = Address(memory), memory ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemAllocAsync(Address* address, size_t bytes, void* stream) {
  if (Result refused = now(stream)) return refused;
  return cuMemAlloc_v2(address, bytes);
}
Result cuMemAllocManaged(Address* address, size_t bytes, unsigned) { return cuMemAlloc_v2(address, bytes); }
Result cuMemFree_v2(Address address) {
  if (failure) return Result(failure.load());
  return !address || emu::release(reinterpret_cast<void*>(address)) ? SUCCESS : INVALID_VALUE;
}
Result cuMemFreeAsync(Address address, void* stream) {
  if (Result refused = now(stream)) return refused;
  return cuMemFree_v2(address);
}
Result cuMemGetInfo_v2(size_t* free, size_t* total) {
  return *free = emu::memory_free(), *total = emu::memory_total(), SUCCESS;
}
Result cuMemHostAlloc(void** host, size_t bytes, unsigned) {
  *host = std::malloc(bytes ? bytes : 1);
  if (!*host) return OUT_OF_MEMORY;
  std::lock_guard<std::mutex> lock(pinned_mutex);
  return pinned.insert(*host), SUCCESS;
}
Result cuMemFreeHost(void* host) {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  if (pinned.erase(host) == 0) return INVALID_VALUE;
  return std::free(host), SUCCESS;
}

Result cuMemsetD8Async(Address to, unsigned char value, size_t bytes, void* stream) {
  if (!emu::allocated(reinterpret_cast<void*>(to), bytes)) return INVALID_VALUE;
  return enqueue(stream, [=] { return std::memset(reinterpret_cast<void*>(to), value, bytes), SUCCESS; });
}
Result cuMemsetD8_v2(Address to, unsigned char value, size_t bytes) { return cuMemsetD8Async(to, value, bytes, nullptr); }
Result cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void* stream) {
  if (!current_context) return INVALID_CONTEXT;
  if (!emu::allocated(reinterpret_cast<void*>(to), bytes)) return INVALID_VALUE;
  if (of(stream).captured && !is_pinned(from)) return CAPTURE_UNSUPPORTED;
  return enqueue(stream, [=] { return copy(reinterpret_cast<void*>(to), from, bytes); });
}
Result cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void* stream) {
  if (!current_context) return INVALID_CONTEXT;
  if (!emu::allocated(reinterpret_cast<void*>(from), bytes)) return INVALID_VALUE;
  if (of(stream).captured && !is_pinned(to)) return CAPTURE_UNSUPPORTED;
  return enqueue(stream, [=] { return copy(to, reinterpret_cast<void*>(from), bytes); });
}
Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void* stream) {
  if (!current_context) return INVALID_CONTEXT;
  if (!emu::allocated(reinterpret_cast<void*>(to), bytes) || !emu::allocated(reinterpret_cast<void*>(from), bytes))
    return INVALID_VALUE;
  return enqueue(stream, [=] { return copy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes); });
}
Result cuMemcpyHtoD_v2(Address to, const void* from, size_t bytes) { return cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr); }
Result cuMemcpyDtoH_v2(void* to, Address from, size_t bytes) { return cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr); }
Result cuMemcpyDtoD_v2(Address to, Address from, size_t bytes) { return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr); }

// Modules and kernels

Result cuModuleLoadData(void** module, const void* image) {
  if (failure) return Result(failure.load());
  auto loaded = std::make_unique<Module>();
  Result result = read_module(static_cast<const char*>(image), *loaded);
  return *module = result ? nullptr : loaded.release(), result;
}
Result cuModuleUnload(void* module) { return delete static_cast<Module*>(module), SUCCESS; }
Result cuModuleGetFunction(void** function, void* module, const char* name) {
  auto& functions = static_cast<Module*>(module)->functions;
  auto found = functions.find(name);
  return found == functions.end() ? NOT_FOUND : (*function = &found->second, SUCCESS);
}
Result cuFuncSetAttribute(void* function, int attribute, int value) {
  if (attribute == 8) {  // the most dynamic shared memory
    if (value < 0 || value > most_shared_bytes) return INVALID_VALUE;
    static_cast<Function*>(function)->shared_bytes = value;
  }
  return SUCCESS;
}
Result cuFuncGetAttribute(int* value, int attribute, void* function) {
  const auto& of = *static_cast<Function*>(function);
  *value = attribute == 0 ? int(of.kernel->most_threads) : attribute == 8 ? of.shared_bytes : 0;
  return SUCCESS;
}
Result cuFuncSetCacheConfig(void*, int) { return SUCCESS; }
Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void*, int size, size_t shared_bytes) {
  int by_threads = 2048 / (size > 0 ? size : 1), by_memory = int((size_t(164) << 10) / (shared_bytes + 1024));
  return *blocks = by_threads < by_memory ? by_threads : by_memory, SUCCESS;
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void* f, int size, size_t shared_bytes, unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, size, shared_bytes);
}

Result cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned x, unsigned y, unsigned z,
                      unsigned shared_bytes, void* stream, void** arguments, void** extra) {
  const auto& of = *static_cast<Function*>(function);
  const emu::Kernel& kernel = *of.kernel;
  const dim3 grid(grid_x, grid_y, grid_z), size(x, y, z);
  const uint64_t threads = uint64_t(x) * y * z;
  if (!grid_x || !grid_y || !grid_z || grid_x > 2147483647u || grid_y > 65535 || grid_z > 65535 || threads == 0 ||
      z > 64 || threads > kernel.most_threads || shared_bytes > unsigned(of.shared_bytes) || extra)
    return INVALID_VALUE;
  // A captured launch takes its arguments now.
  std::vector<std::vector<unsigned char>> values;
  for (size_t i = 0; i < kernel.sizes.size(); i++) {
    auto* bytes = static_cast<unsigned char*>(arguments[i]);
    values.emplace_back(bytes, bytes + kernel.sizes[i]);
  }
  return enqueue(stream, [=, &kernel]() mutable {
    std::vector<void*> pointers;
    for (auto& value : values) pointers.push_back(value.data());
    return run(kernel, grid, size, shared_bytes, pointers.data());
  });
}

// Graphs: work kept for later

Result cuStreamBeginCapture_v2(void* stream, int) {
  if (!stream || of(stream).captured) return CAPTURE_UNSUPPORTED;
  return of(stream).captured = new Graph, SUCCESS;
}
Result cuStreamEndCapture(void* stream, void** graph) {
  if (!of(stream).captured) return INVALID_VALUE;
  *graph = of(stream).captured;
  return of(stream).captured = nullptr, SUCCESS;
}
Result cuStreamIsCapturing(void* stream, int* status) { return *status = of(stream).captured != nullptr, SUCCESS; }
Result cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  return *executable = new Graph(*static_cast<Graph*>(graph)), SUCCESS;
}
Result cuGraphUpload(void*, void*) { return SUCCESS; }
Result cuGraphLaunch(void* executable, void* stream) {
  if (!current_context) return INVALID_CONTEXT;
  for (const Work& work : static_cast<Graph*>(executable)->work)
    if (Result failed = enqueue(stream, work)) return failed;
  return Result(failure.load());
}
Result cuGraphDestroy(void* graph) { return delete static_cast<Graph*>(graph), SUCCESS; }
Result cuGraphExecDestroy(void* executable) { return delete static_cast<Graph*>(executable), SUCCESS; }

// What a program may ask for and does not get

#define NOT_EMULATED(name) \
  Result name() { return NOT_SUPPORTED; }
NOT_EMULATED(cuCtxCreate_v3)
NOT_EMULATED(cuCtxCreate_v4)
NOT_EMULATED(cuCtxDestroy_v2)
NOT_EMULATED(cuCtxGetCacheConfig)
NOT_EMULATED(cuCtxGetLimit)
NOT_EMULATED(cuCtxSetCacheConfig)
NOT_EMULATED(cuCtxSetLimit)
NOT_EMULATED(cuDestroyExternalMemory)
NOT_EMULATED(cuDeviceGetDefaultMemPool)
NOT_EMULATED(cuDeviceGetMemPool)
NOT_EMULATED(cuDeviceSetMemPool)
NOT_EMULATED(cuExternalMemoryGetMappedBuffer)
NOT_EMULATED(cuImportExternalMemory)
NOT_EMULATED(cuLaunchCooperativeKernel)
NOT_EMULATED(cuLaunchKernelEx)
NOT_EMULATED(cuMemAdvise_v2)
NOT_EMULATED(cuMemAllocFromPoolAsync)
NOT_EMULATED(cuMemPoolCreate)
NOT_EMULATED(cuMemPoolDestroy)
NOT_EMULATED(cuMemPoolGetAttribute)
NOT_EMULATED(cuMemPoolSetAttribute)
NOT_EMULATED(cuMemPoolTrimTo)
NOT_EMULATED(cuMemPrefetchAsync_v2)
NOT_EMULATED(cuMemcpyPeerAsync)
NOT_EMULATED(cuModuleGetGlobal_v2)
NOT_EMULATED(cuModuleLoad)
NOT_EMULATED(cuOccupancyAvailableDynamicSMemPerBlock)
NOT_EMULATED(cuOccupancyMaxActiveClusters)
NOT_EMULATED(cuOccupancyMaxPotentialBlockSize)
NOT_EMULATED(cuOccupancyMaxPotentialBlockSizeWithFlags)
NOT_EMULATED(cuOccupancyMaxPotentialClusterSize)
NOT_EMULATED(cuProfilerStart)
NOT_EMULATED(cuProfilerStop)
NOT_EMULATED(cuStreamAttachMemAsync)
}
#pragma GCC visibility pop
