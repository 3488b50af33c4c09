#!/bin/bash
# Plants bugs in copies of the kernels and shows that the tests notice each of them on the emulator:
#
#     deberta-cuda/emulator/mutate.sh [FOLDER]
#
# A bug is found if a test fails in one of the three orders of threads, or else where every access is watched.
# Exit status 1 where one is not found.
set -euo pipefail

crate=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
survivors=0
declare -A binaries

# The test's binary, built once. It embeds the PTX, which the bugs leave alone.
binary() {
  cargo test --quiet --manifest-path "$crate/Cargo.toml" --test "$1" --no-run --message-format=json |
    grep -oE '"executable":"[^"]+"' | tail -1 | cut -d'"' -f4
}

# Whether a test fails on the kernels in $work.
noticed() {
  local test=$1 order=$2
  ! LD_LIBRARY_PATH=$work/library EMU_ORDER=$order DEBERTA_REQUIRE_CUDA=1 timeout 300 "${binaries[$test]}" >"$work/log" 2>&1
}

# mutant TEST FILE WHAT PERL: plants a bug by a Perl substitution over the whole file.
mutant() {
  local test=$1 file=$2 what=$3 substitution=$4 found=
  [ -n "${binaries[$test]:-}" ] || binaries[$test]=$(binary "$test")
  rm -rf "$work/kernels" "$work/emulator"
  cp -r "$crate/kernels" "$crate/emulator" "$work/"
  perl -0pi -e "$substitution" "$work/kernels/$file"
  if cmp -s "$crate/kernels/$file" "$work/kernels/$file"; then
    echo "NOT PLANTED  $file: $what"
    survivors=1
    return
  fi
  find "$work/kernels" -name '*.cu' ! -name "$test.cu" -delete # what the test does not use need not be compiled
  for build in plain accesses; do
    "$work/emulator/build.sh" "$work/library" $([ $build = plain ] || echo --accesses) >"$work/log" 2>&1 ||
      { cat "$work/log"; exit 1; }
    for order in 0 1 2; do
      [ $build = plain ] || [ $order = 0 ] || continue
      if noticed "$test" $order; then
        found="$build, order $order: $(grep -aE '^emulator:|panicked' "$work/log" | head -1 | cut -c1-90)"
        break 2
      fi
    done
  done
  if [ -n "$found" ]; then
    echo "found        $file: $what ($found)"
  else
    echo "NOT FOUND    $file: $what"
    survivors=1
  fi
}

# The tests themselves pass.
mutant_free() {
  local test=$1
  binaries[$test]=$(binary "$test")
  "$crate/emulator/build.sh" "$work/library" >/dev/null
  for order in 0 1 2; do
    noticed "$test" $order && { cat "$work/log"; echo "$test fails without any bug"; exit 1; }
  done
  return 0
}

mutant_free conformance
conformance() { mutant conformance "$@"; }

conformance conformance.cu 'no wait for an asynchronous copy' 's/cp_async_wait<1>\(\);//'
conformance conformance.cu 'a wait that leaves one group too many' 's/cp_async_wait<1>/cp_async_wait<2>/'
conformance conformance.cu 'no barrier between a copy and its readers' 's/cp_async_wait<1>\(\);\s+__syncthreads\(\);/cp_async_wait<1>();/'
conformance conformance.cu 'no barrier between readers and the next copy' 's/(127 - i\];)\s+__syncthreads\(\);/$1/'
conformance conformance.cu 'no barrier after writing shared memory' 's/(\+ round \+ \(int\)blockIdx.x\);)\s+__syncthreads\(\);/$1/'
conformance conformance.cu 'no barrier before writing shared memory again' 's/(words - 1 - i\];)\s+__syncthreads\(\);/$1/'
conformance conformance.cu 'a barrier that some threads skip' 's/(127 - i\];)\s+__syncthreads\(\);/$1 if (i < 96) __syncthreads();/'
conformance conformance.cu 'a write beyond shared memory' 's/i < words; i \+= 256\) memory/i <= words; i += 256) memory/'
conformance conformance.cu 'a write beyond an array' 's/if \(i >= n\) return;\s+bits\[i\] = f2bf/if (i > n) return; bits[i] = f2bf/'
conformance conformance.cu 'no __syncwarp between writers and ldmatrix' 's/__syncwarp\(\);//'
conformance conformance.cu 'rows that ldmatrix cannot read' 's/% 32 \* 24/% 32 * 20/'
conformance conformance.cu 'a plain load for a transposed one' 's/ldmatrix_x4_trans\(r/ldmatrix_x4(r/'
conformance conformance.cu 'two registers of a fragment swapped' 's/\(g \+ 8 \* \(r & 1\)\) \* 16 \+ 2 \* t \+ 8 \* \(r >> 1\)/(g + 8 * (r >> 1)) * 16 + 2 * t + 8 * (r & 1)/'
conformance conformance.cu 'two numbers of a register swapped' 's/\(u32\)b\[k \* 8 \+ g\] \| \(u32\)b\[\(k \+ 1\) \* 8 \+ g\]/(u32)b[(k + 1) * 8 + g] | (u32)b[k * 8 + g]/'
conformance conformance.cu 'f16 multiplied as bf16' 's/else mma_f16/else mma_bf16/'
conformance conformance.cu 'a shuffle that half of a warp skips' 's/y\[64 \+ lane\] =/if (lane & 16) y[64 + lane] =/'
conformance conformance.cu 'a shuffle of too few lanes' 's/value, 3, 8\);(\s+y\[192)/value, 3);$1/'
conformance emulated.h 'bf16 that is cut off, not rounded' 's/\(bits \+ 0x7fff \+ \(bits >> 16 & 1\)\) >> 16/bits >> 16/'
conformance emulated.h 'f16 that rounds ties up' 's/0xfff \+ \(magnitude >> 13 & 1\)/0x1000/'

exit $survivors
