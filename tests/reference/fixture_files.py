"""What the fixture scripts share: pinned versions, folders, seeded random numbers, files written the same way each time."""

import importlib.metadata
import json
import shutil
import sys
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file

REFERENCE = Path(__file__).resolve().parent
FIXTURES = REFERENCE.parent / "fixtures"


def require_pinned_versions(requirements="requirements.txt"):
    """Stops unless every package is installed in the version that the file of requirements names."""
    wrong = []
    for line in (REFERENCE / requirements).read_text().splitlines():
        name, wanted = line.strip().split("==")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "nothing"
        if found.split("+")[0] != wanted:
            wrong.append(f"{name}: wanted {wanted}, found {found}")
    if wrong:
        sys.exit(f"wrong package versions (pip install -r {requirements}):\n  " + "\n  ".join(wrong))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def generator(*parts):
    """A random generator seeded by text, so that a new case does not change the others."""
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, parts)).encode()))


def random_weights(model, gen):
    """Weights under which answers differ from text to text."""
    weights = {}
    for key, tensor in sorted(model.state_dict().items()):
        noise = torch.randn(tensor.shape, generator=gen)
        if "LayerNorm" in key and key.endswith("weight"):
            weights[key] = 1 + 0.1 * noise
        elif key.endswith("bias"):
            weights[key] = 0.2 * noise
        elif "embeddings" in key:
            weights[key] = noise
        else:
            weights[key] = noise * 1.2 / tensor[0].numel() ** 0.5
    return weights


def fresh_folder(path):
    """An empty folder at `path`."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def write_json(path, value):
    """Readable JSON."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_rows(path, lists):
    """JSON of an object of lists, one line for each list entry: short, and readable in a diff."""
    parts = []
    for key, rows in lists.items():
        lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
        parts.append(f"{json.dumps(key)}: [\n{lines}\n]")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def write_tensors(path, tensors):
    """A safetensors file; each tensor is copied, as files refuse tensors that share memory."""
    save_file({name: t.detach().contiguous().clone() for name, t in tensors.items()}, path, metadata={"format": "pt"})
