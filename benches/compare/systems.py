"""The systems that are compared, and the command that runs each of them."""

import os
import sys
from dataclasses import dataclass

from places import HERE, OURS, PEERS_RS

PRECISIONS = ["f32", "bf16", "int8"]


@dataclass(frozen=True)
class System:
    """A system in one precision."""

    name: str
    precision: str
    # What runs it: our examples, the program in peers-rs, or worker.py in a Python of its own.
    kind: str
    # The model's file, in the model's folder.
    file: str = "traced.onnx"
    # What is measured of it.
    parts: tuple[str, ...] = ("speed", "cold", "errors")


SYSTEMS = [
    System("ours", "f32", "ours", "model.safetensors"),
    System("onnxruntime", "f32", "python"),
    System("onnxruntime-graph", "f32", "python", "exported.onnx"),
    System("openvino", "f32", "python"),
    System("openvino-fixed", "f32", "python"),
    System("rten", "f32", "rust"),
    System("torch", "f32", "python", "model.safetensors"),
    System("candle", "f32", "rust", "model.safetensors"),
    System("ours", "bf16", "ours", "model.safetensors"),
    System("openvino", "bf16", "python"),
    System("openvino-fixed", "bf16", "python"),
    System("torch", "bf16", "python", "model.safetensors"),
    System("torch-autocast", "bf16", "python", "model.safetensors"),
    System("ours", "int8", "ours", "model.safetensors"),
    # Rounded beforehand: it loads sooner, and computes what the line above does.
    System("ours-converted", "int8", "ours", "int8/model.safetensors", ("cold",)),
    System("onnxruntime", "int8", "python", "traced.int8.onnx"),
    System("onnxruntime-graph", "int8", "python", "exported.int8.onnx"),
    System("openvino", "int8", "python", "traced.int8.onnx"),
    System("openvino-weights8", "int8", "python", "weights8.xml"),
    System("openvino-static8", "int8", "python", "static8.xml"),
    System("rten", "int8", "rust", "traced.int8.onnx"),
]


def choose(precisions, names):
    """The systems of these precisions, all of them or those named, in the table's order."""
    known = {system.name for system in SYSTEMS}
    for name in names or []:
        if name not in known:
            raise ValueError(f"expected systems among {', '.join(sorted(known))}, found {name!r}")
    return [s for s in SYSTEMS if s.precision in precisions and (not names or s.name in names)]


def missing(system, case):
    """What is not there of the files that it needs, if anything."""
    needed = [case.folder / system.file]
    if system.kind != "python":
        needed.append(OURS / "bench" if system.kind == "ours" else PEERS_RS)
    return next((path for path in needed if not path.exists()), None)


def environment(threads):
    """Every library's own way to be told the number of threads."""
    count = str(threads)
    pools = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "RTEN_NUM_THREADS"]
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    return os.environ | dict.fromkeys(pools, count) | quiet


def _peer(system, case, threads):
    program = [sys.executable, HERE / "worker.py"] if system.kind == "python" else [PEERS_RS]
    file = case.folder / system.file
    return [*program, system.name, system.precision, file, case.input, threads]


def _ours(program, system, case, threads):
    folder = (case.folder / system.file).parent
    return [OURS / program, "--model", folder, "--precision", system.precision, "--threads", threads]


def timing(system, case, threads, budget):
    """Prints one JSON line with `median_ms`, `min_ms` and `runs`."""
    if system.kind != "ours":
        return [*_peer(system, case, threads), "time", budget]
    ragged = ["--ragged"] if case.ragged else []
    return [*_ours("bench", system, case, threads), "--shapes", case.shape, "--budget", budget, *ragged]


def first_output(system, case, threads):
    """Prints `first` and a number as soon as there is one, and ends."""
    if system.kind != "ours":
        return [*_peer(system, case, threads), "once"]
    return [*_ours("bench", system, case, threads), "--shapes", case.shape, "--once"]


def outputs(system, case, threads, path):
    """Writes `last_hidden_state` to a safetensors file."""
    if system.kind != "ours":
        return [*_peer(system, case, threads), "write", path]
    files = ["--input", case.input, "--output", path, "--head", "base"]
    return [*_ours("forward", system, case, threads), *files]
