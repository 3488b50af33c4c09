"""How near a whole forward pass comes to the rate of other libraries' products alone, both in turn.

    python products.py [--rounds 3] [--threads 2] [--precision f32,int8]

Products have the shapes of a base layer with 128 and 1024 tokens, weights packed beforehand where the library can.
"""

import argparse
import re
import subprocess
import time
from statistics import median

import torch
from places import OURS, WORK

SHAPES = [(128, 768, 768), (128, 768, 3072), (128, 3072, 768), (1024, 768, 3072)]
SECONDS = 1.0


def product(precision, m, k, n):
    """A call that multiplies [m, k] by [k, n]."""
    if precision == "int8":
        x = torch.randint(-99, 99, (m, k), dtype=torch.int8)
        w = torch.randint(-99, 99, (n, k), dtype=torch.int8).t()
        return lambda: torch._int_mm(x, w)
    dtype = torch.float32 if precision == "f32" else torch.bfloat16
    x = torch.randn(m, k).to(dtype)
    w = torch.ops.mkldnn._reorder_linear_weight(torch.randn(n, k).to(dtype), m)
    return lambda: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")


def rate(run, operations):
    """Operations per second in 10^9, by the median time."""
    run(), run()
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < SECONDS:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return operations / median(times) / 1e9


def forward(precision, threads):
    """The rate of a forward pass of 8x128, all its time counted."""
    model = ["--model", WORK / "models" / "base", "--precision", precision, "--threads", str(threads)]
    command = [OURS / "bench", *model, "--shapes", "8x128", "--budget", "4", "--profile"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    row = re.search(r"^\| all +\|.*$", output, re.MULTILINE)
    return float(row[0].split("|")[4])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="f32,int8")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for precision in arguments.precision.split(","):
        products, forwards = [], []
        with torch.inference_mode():
            for _ in range(arguments.rounds):
                products += [rate(product(precision, m, k, n), 2 * m * k * n) for m, k, n in SHAPES]
                forwards.append(forward(precision, arguments.threads))
        ratio = median(forwards) / median(products)
        print(f"{precision}: products {median(products):.0f} ({min(products):.0f} to {max(products):.0f}) Gop/s,", end=" ")
        print(f"forward {median(forwards):.0f} ({min(forwards):.0f} to {max(forwards):.0f}), {100 * ratio:.0f} %")


if __name__ == "__main__":
    main()
