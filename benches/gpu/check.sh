#!/usr/bin/env bash
# Runs on a machine with a GPU what build.sh has built: first that every wrapper does what the emulator said, then the kernels,
# then whole models against the references, then the kernels once more under compute-sanitizer where that is installed.
#
#     benches/gpu/check.sh target/gpu [LOG]
#
# From the root of the repository, whose fixtures it reads. Exit status 1 where something fails; everything is run anyway.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(cd "${1:?usage: check.sh FOLDER [LOG]}" && pwd)
log=${2:-$folder/check.log}
export DEBERTA_ROOT=$root DEBERTA_REQUIRE_CUDA=1 DEBERTA_DEVICE=cuda
failed=0

check() {
    local name=$1 start=$SECONDS
    shift
    if "$@" >>"$log" 2>&1; then
        echo "ok      $name ($((SECONDS - start)) s)"
    else
        echo "FAILED  $name ($((SECONDS - start)) s): see $log"
        failed=1
    fi
}

: >"$log"
nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader
for name in cuda-conformance cuda-gpu cuda-rows cuda-attention \
    models-gpu models-parity models-microsoft models-observe models-traps models-properties; do
    check "$name" "$folder/tests/$name"
done
check "cuda-linear" env DEBERTA_CUBLASLT=off "$folder/tests/cuda-linear"
# cuBLASLt sums as it likes: the bits of a row then depend on how many there are.
check "cuda-linear with cuBLASLt" "$folder/tests/cuda-linear" --skip a_row_is_the_same
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        for name in cuda-conformance cuda-rows cuda-linear cuda-attention; do
            check "$name under $tool" env DEBERTA_CUBLASLT=off compute-sanitizer --tool "$tool" --error-exitcode 1 \
                "$folder/tests/$name" --test-threads 1
        done
    done
else
    echo "SKIPPED compute-sanitizer: not installed"
fi
exit $failed
