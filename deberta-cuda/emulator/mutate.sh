#!/bin/bash
# Plants bugs in copies of the kernels and shows that the tests notice each of them on the emulator:
#
#     deberta-cuda/emulator/mutate.sh [FOLDER [TEST...]]     # the tests of all kernels, or of some: ten minutes
#
# A bug is found if a test fails in one of the three orders of threads, or else where every access is watched.
# Exit status 1 where one is not found.
set -euo pipefail

crate=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
tests=("${@:2}")
[ ${#tests[@]} -gt 0 ] || tests=(conformance attention linear rows)
mkdir -p "$work"
survivors=0
declare -A binaries
# The kernels that a test uses.
declare -A kernels=([conformance]=conformance [attention]='attention_.*|explicit' [linear]='linear_.*|rows' [rows]=rows)

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
  [[ " ${tests[*]} " == *" $test "* ]] || return 0
  [ -n "${binaries[$test]:-}" ] || binaries[$test]=$(binary "$test")
  rm -rf "$work/kernels" "$work/emulator"
  cp -r "$crate/kernels" "$crate/emulator" "$work/"
  perl -0pi -e "$substitution" "$work/kernels/$file"
  if cmp -s "$crate/kernels/$file" "$work/kernels/$file"; then
    echo "NOT PLANTED  $file: $what"
    survivors=1
    return
  fi
  # What the test does not use need not be compiled.
  find "$work/kernels" -name '*.cu' | grep -vE "/(${kernels[$test]})\.cu$" | xargs rm -f
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

for test in "${tests[@]}"; do mutant_free "$test"; done
attention() { mutant attention "$@"; }
linear() { mutant linear "$@"; }
rows() { mutant rows "$@"; }
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

attention attention.cuh 'no wait for keys and tables' 's/cp_async_wait<0>\(\);(\s+__syncthreads\(\);  \/\/ keys)/$1/'
attention attention.cuh 'no wait for the queries' 's/cp_async_wait<0>\(\);(\s+__syncthreads\(\);\s+const Fragments)/$1/'
attention attention.cuh 'no barrier before keys are read' 's/__syncthreads\(\);  \/\/ keys/\/\/ keys/'
attention attention.cuh 'no barrier between terms and scores' 's/__syncthreads\(\);  \/\/ the terms are there.*//'
attention attention.cuh 'no barrier before values are read' 's/__syncthreads\(\);  \/\/ the values have arrived//'
attention attention.cuh 'values not waited for' 's/cp_async_wait<1>/cp_async_wait<2>/'
attention attention.cuh 'a row of the tables not loaded' 's/min\(highest, loaded - 1\)/min(highest, loaded - 2)/'
attention attention.cuh 'a ring of too few rows' 's/\(to \+ row\) & \(ring - 1\)/(to + row) & (ring \/ 2 - 1)/'
attention attention.cuh 'near scores that take the next slot' 's/return corner \+ 8 \* \(h - n\) - c; \}/return corner + 8 * (h - n) - c + 1; }/'
attention attention.cuh 'tabled slots of the wrong column' 's/\(int\)at\[corner \+ 8 \* \(h - n\) - c\]/(int)at[corner + 8 * (h - n)]/'
attention attention.cuh 'terms of the wrong keys' 's/return BLOCK - 16 - 16 \* \(n \/ 2\); \}, warp/return BLOCK - 16 - 8 * n; }, warp/'
attention attention.cuh 'far slots taken for near ones' 's/high - low == 2 \* BLOCK - 2/high - low >= BLOCK/'
attention attention.cuh 'position queries multiplied with position keys' 's/P2C_ROW, keys, query_ring/P2C_ROW, keys, key_ring/'
attention attention.cuh 'a key beyond the last' 's/lane\) >= length\)/lane) > length)/'
attention attention.cuh 'a sum that forgets to be rescaled' 's/sum\[h\] \*= keep;//'
attention attention.cuh 'an output that forgets to be rescaled' 's/o\[d\]\[2 \* h \+ 1\] \*= keep;//'
attention attention.cuh 'the last part of a window with holes left out' 's/low <= to; low \+= NEAR/low + NEAR <= to; low += NEAR/'
attention attention.cuh 'a part of a window overwritten while it is read' 's/(both_terms\(queries, low, high, low, high, warp, lane\);\s+)__syncthreads\(\);/$1/'
attention number.cuh 'f32 with the accuracy of tf32' 's/mma_tf32\(d, a_low, b_high\);//'
attention number.cuh 'two registers of weights swapped' 's/a\[r\] = pack_f16\(d\[r >> 1\]\[2 \* \(r & 1\)\]/a[r] = pack_f16(d[r & 1][2 * (r >> 1)]/'
attention number.cuh 'values of two columns swapped' 's/b\[0\]\[1\] = r\[1\]/b[0][1] = r[2]/'
attention explicit.cuh 'a slot of the opposite distance' 's/: i - j;/: j - i;/'
linear linear.cuh 'a piece that is not waited for' 's/cp_async_wait<STAGES - 2>/cp_async_wait<STAGES - 1>/'
linear linear.cuh 'no barrier between pieces' 's/__syncthreads\(\);  \/\/ the piece has arrived.*//'
linear linear.cuh 'results over operands that are still read' 's/__syncthreads\(\);  \/\/ all are done with the operands//'
linear linear.cuh 'results read before they are there' 's/__syncthreads\(\);(\s+finish)/$1/'
linear linear.cuh 'numbers beyond the end of a row' 's/min\(max\(depth - column, 0\), EACH\)/EACH/'
linear linear.cuh 'rows beyond the last' 's/row < valid \? min/row <= valid ? min/'
linear linear.cuh 'the bias of the first block for all' 's/bias\[column0 \+ column \+ e\]/bias[column + e]/'
linear linear.cuh 'a piece that is not shuffled back' 's/place\(warp_row \+ 16 \* i \+ \(lane & 15\), 2 \* k \+ \(lane >> 4\)\)/place(warp_row + 16 * i + (lane & 15), 2 * k + (lane & 1))/'
linear activation.cuh 'another GELU' 's/case GELU: return x \* normal_share\(x\);/case GELU: return x * sigmoid(1.702f * x);/'
linear rows.cuh 'a neighbour of the next sequence' 's/from < last/from <= last/'
linear rows.cuh 'an absent neighbour taken for another' 's/there = positions\[from\] == wanted/there = true/'
rows rows.cuh 'a mean of what fills up rows' 's/if \(column \+ e < columns\) sum/sum/'
rows rows.cuh 'a sum of half a warp' 's/bits = 16; bits; bits >>= 1\) x/bits = 8; bits; bits >>= 1) x/'
rows rows.cuh 'a residual of the wrong row' 's/residual \+= \(u64\)r/residual += (u64)(r ^ 1)/'
rows rows.cuh 'an embedding left out' 's/for \(int i = 1; i < 3; i\+\+\)/for (int i = 1; i < 2; i++)/'
rows rows.cuh 'a length read before it is known' 's/(memory\[warp\] = squares;\s+)__syncthreads\(\);/$1/'

exit $survivors
