#!/usr/bin/env bash
# Builds what a machine with a GPU and without Rust needs, into a folder to be carried there:
#
#     benches/gpu/build.sh target/gpu
#
# The folder gets the tests of the kernels, those of whole models, and the programs that run.py measures. They need glibc 2.34
# and an NVIDIA driver.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: build.sh OUT}
mkdir -p "$out/tests"

# The programs of a package, by name, from what cargo says that it has built.
executables() {
    cargo "$@" --message-format=json |
        python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"):
        print(message["target"]["name"], message["executable"])'
}
executables test --release -p deberta-cuda --tests --no-run | while read -r name path; do
    [ "$name" = ptx ] || cp "$path" "$out/tests/cuda-$name" # it is about the sources
done
executables test --release -p deberta-tests --features cuda --no-run \
    --test parity --test gpu --test microsoft --test observe --test traps --test properties |
    while read -r name path; do cp "$path" "$out/tests/models-$name"; done
cargo build --release -p deberta-core --features cuda --example bench
cargo build --release -p deberta-cuda --example gpu_bench
cp "${CARGO_TARGET_DIR:-target}"/release/examples/{bench,gpu_bench} "$out/"
strip "$out"/tests/* "$out/bench" "$out/gpu_bench"
du -sh "$out"
