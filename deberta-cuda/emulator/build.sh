#!/bin/bash
# Builds libcuda.so.1, a CUDA driver whose device is the emulator, with every kernel of kernels/*.cu in it:
#
#     deberta-cuda/emulator/build.sh OUT [--sanitize [--undefined] | --accesses]
#     LD_LIBRARY_PATH=OUT cargo test -p deberta-cuda
#
# and OUT/blas/libcublasLt.so.13, what is used of cuBLASLt: LD_LIBRARY_PATH=OUT:OUT/blas.
#
# --sanitize  with the address sanitizer, and with --undefined that for undefined behaviour. Programs that load it need
#             LD_PRELOAD=$(g++ -print-file-name=libasan.so) ASAN_OPTIONS=detect_stack_use_after_return=0:detect_leaks=0
# --accesses  with a watch on every access: races in shared memory, accesses out of bounds, misaligned accesses
#
# Needs g++ alone. OUT keeps what need not be compiled again.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUT [--sanitize [--undefined] | --accesses]}
shift
kernels=$here/../kernels
flags=(-std=c++17 -O2 -march=native -fPIC -fvisibility=hidden -fno-strict-aliasing -Wall -Wextra -Wno-unknown-pragmas -Wno-unused)
kernel_flags=()
link_flags=()
runtime=(fibers memory driver)
while [ $# -gt 0 ]; do
  case $1 in
    --sanitize)
      flags+=(-O1 -fsanitize=address)
      link_flags+=(-fsanitize=address) ;;
    --undefined)
      flags+=(-g -fsanitize=undefined -fno-sanitize-recover=undefined)
      link_flags+=(-fsanitize=undefined) ;;
    --accesses)
      flags+=(-g -DEMU_ACCESSES)
      kernel_flags+=(-fsanitize=thread)
      link_flags+=(-ldl)
      runtime+=(accesses) ;;
    *) echo "build.sh: unknown argument $1" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$out"
out=$(cd "$out" && pwd)

# Objects of other flags or other folders are of no use.
stamp="${flags[*]} ${kernel_flags[*]} $kernels $(g++ --version | head -1)"
if [ "$(cat "$out/flags" 2>/dev/null)" != "$stamp" ]; then
  rm -f "$out"/*.o "$out"/*.cpp
  echo "$stamp" >"$out/flags"
fi

# Whether an object is older than one of what it is made from.
stale() { local object=$1 source; shift; [ -e "$object" ] || return 0; for source; do [ "$source" -nt "$object" ] && return 0; done; return 1; }

objects=()
jobs=()
for part in "${runtime[@]}"; do
  objects+=("$out/$part.o")
  if stale "$out/$part.o" "$here/$part.cpp" "$here"/*.h; then
    g++ "${flags[@]}" -c "$here/$part.cpp" -o "$out/$part.o" &
    jobs+=($!)
  fi
done
for source in "$kernels"/*.cu; do
  name=$(basename "$source" .cu)
  objects+=("$out/kernels_$name.o")
  stale "$out/kernels_$name.o" "$source" "$kernels"/*.h "$kernels"/*.cuh "$here"/*.h "$here/build.sh" || continue
  # The preprocessor leaves EMU_ENTRY and EMU_BOUNDS where a kernel says __global__ and __launch_bounds__, macros expanded.
  entries=$(g++ -std=c++17 -E -P -DEMU_LIST -I"$kernels" -x c++ "$source" | tr '\n' ' ' |
    grep -oE 'EMU_ENTRY +void +EMU_BOUNDS *\(\(?[^()]*\)?\) *[A-Za-z0-9_]+ *\(' |
    sed -E 's/EMU_ENTRY +void +EMU_BOUNDS *\(\(?([^()]*)\)?\) *([A-Za-z0-9_]+) *\(/EMU_ENTER(kernels_'"$name"', \2, (\1))/') ||
    { echo "build.sh: $source has no entry" >&2; exit 1; }
  {
    echo '#include "portable.cuh"'
    echo '#include "registry.h"'
    echo "namespace kernels_$name {"
    echo "#include \"$source\""
    echo "$entries"
    echo "}"
  } >"$out/kernels_$name.cpp"
  g++ "${flags[@]}" "${kernel_flags[@]}" -I"$kernels" -I"$here" -c "$out/kernels_$name.cpp" -o "$out/kernels_$name.o" &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
g++ -shared -Wl,-soname,libcuda.so.1 -Wl,-z,defs "${objects[@]}" "${link_flags[@]}" -o "$out/libcuda.so.1.new"
mv "$out/libcuda.so.1.new" "$out/libcuda.so.1"
# What stands in for cuBLASLt is in a folder of its own, so that programs run with it and without.
mkdir -p "$out/blas"
if stale "$out/blas/libcublasLt.so.13" "$here/blas.cpp"; then
  g++ "${flags[@]}" -fvisibility=default -shared "$here/blas.cpp" "$out/libcuda.so.1" "${link_flags[@]}" -o "$out/blas/libcublasLt.so.13"
fi
