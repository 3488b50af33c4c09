// What deberta-cuda uses of cuBLASLt, libcublasLt.so.13, on the emulated device: plain loops. It refuses what it does not know,
// so that a wrong description of a product does not pass.
#include <cstdint>
#include <cstring>
#include <functional>

extern "C" int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data);

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_16F = 2, R_16BF = 14 };
constexpr int COMPUTE_32F = 68, EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4;

struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t stride;
};
struct Description {
  int compute, scale, transpose[2] = {0, 0}, epilogue = EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};

float load(const void* from, int type, size_t index) {
  if (type == R_16F) return static_cast<const _Float16*>(from)[index];
  uint32_t bits = uint32_t(static_cast<const uint16_t*>(from)[index]) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
void store(void* to, int type, size_t index, float x) {
  if (type == R_16F) {
    static_cast<_Float16*>(to)[index] = _Float16(x);
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  static_cast<uint16_t*>(to)[index] = uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace

extern "C" {

int cublasLtCreate(void** handle) { return *handle = new int(0), SUCCESS; }
int cublasLtDestroy(void* handle) { return delete static_cast<int*>(handle), SUCCESS; }
size_t cublasLtGetVersion() { return 130000; }

int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  if ((type != R_16F && type != R_16BF) || stride < int64_t(rows)) return INVALID_VALUE;
  return *layout = new Layout{type, rows, columns, stride}, SUCCESS;
}
int cublasLtMatrixLayoutDestroy(Layout* layout) { return delete layout, SUCCESS; }

int cublasLtMatmulDescCreate(Description** description, int compute, int scale) {
  if (compute != COMPUTE_32F || scale != R_32F) return INVALID_VALUE;
  return *description = new Description{compute, scale}, SUCCESS;
}
int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const void* value, size_t bytes) {
  switch (attribute) {
    case 3: case 4:  // TRANSA, TRANSB
      if (bytes != 4) return INVALID_VALUE;
      return std::memcpy(&description->transpose[attribute - 3], value, 4), SUCCESS;
    case 7:  // EPILOGUE
      if (bytes != 4) return INVALID_VALUE;
      return std::memcpy(&description->epilogue, value, 4), SUCCESS;
    case 8:  // BIAS_POINTER
      if (bytes != 8) return INVALID_VALUE;
      return std::memcpy(&description->bias, value, 8), SUCCESS;
  }
  return NOT_SUPPORTED;
}
int cublasLtMatmulDescDestroy(Description* description) { return delete description, SUCCESS; }

int cublasLtMatmulPreferenceCreate(void** preference) { return *preference = new int(0), SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(void*, int attribute, const void*, size_t bytes) {
  return attribute == 1 && bytes == 8 ? SUCCESS : INVALID_VALUE;
}
int cublasLtMatmulPreferenceDestroy(void* preference) { return delete static_cast<int*>(preference), SUCCESS; }

struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
int cublasLtMatmulAlgoGetHeuristic(void*, Description*, Layout* a, Layout*, Layout*, Layout*, void*, int wanted,
                                   Heuristic* found, int* count) {
  // As if there were nothing for a depth of 32, so that falling back is tried too.
  *count = wanted > 0 && a->rows != 32;
  if (*count) *found = {{42}, 0, SUCCESS, 1.0f, {}};
  return *count ? SUCCESS : NOT_SUPPORTED;
}

int cublasLtMatmul(void*, Description* description, const float* alpha, const void* a, Layout* of_a, const void* b,
                   Layout* of_b, const float* beta, const void*, Layout*, void* d, Layout* of_d, const uint64_t* algorithm,
                   void*, size_t, void* stream) {
  const Layout la = *of_a, lb = *of_b, ld = *of_d;
  const Description call = *description;
  const uint64_t depth = call.transpose[0] ? la.rows : la.columns;
  if (*alpha != 1.0f || *beta != 0.0f || algorithm[0] != 42 || la.type != ld.type || lb.type != ld.type ||
      (call.transpose[0] ? la.columns : la.rows) != ld.rows || (call.transpose[1] ? lb.rows : lb.columns) != ld.columns ||
      (call.transpose[1] ? lb.columns : lb.rows) != depth ||
      (call.epilogue == EPILOGUE_BIAS) != (call.bias != nullptr))
    return INVALID_VALUE;
  // Graphs replay it: never freed.
  auto* work = new std::function<void()>([=] {
    for (uint64_t j = 0; j < ld.columns; j++) {
      for (uint64_t i = 0; i < ld.rows; i++) {
        float sum = 0.0f;
        for (uint64_t k = 0; k < depth; k++)
          sum += load(a, la.type, call.transpose[0] ? k + i * la.stride : i + k * la.stride) *
                 load(b, lb.type, call.transpose[1] ? j + k * lb.stride : k + j * lb.stride);
        store(d, ld.type, i + j * ld.stride, sum + (call.bias ? load(call.bias, ld.type, i) : 0.0f));
      }
    }
  });
  return cuLaunchHostFunc(stream, [](void* data) { (*static_cast<std::function<void()>*>(data))(); }, work) ? 14 : SUCCESS;
}
}
