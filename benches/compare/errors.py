"""How far a system's last hidden state is from the reference library's in f64."""

import numpy as np
from safetensors.numpy import load_file, save_file

from measure import Failed
from places import WORK


def reference(case):
    """`transformers` in f64 throughout, computed once per case and model."""
    path = WORK / "reference" / f"{case.model}-{case.shape}.safetensors"
    model = case.folder / "model.safetensors"
    if not path.exists() or path.stat().st_mtime < model.stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"last_hidden_state": _compute(case)}, path)
    return load_file(path)["last_hidden_state"]


def _compute(case):
    import torch
    from transformers import DebertaV2Model
    from transformers.models.deberta_v2 import modeling_deberta_v2 as library

    inputs = {name: torch.from_numpy(array) for name, array in load_file(case.input).items()}
    model = DebertaV2Model.from_pretrained(case.folder, dtype=torch.float64, attn_implementation="eager").eval()
    # The library computes this one constant in f32 whatever the model's type.
    in_f32 = library.scaled_size_sqrt
    library.scaled_size_sqrt = lambda query, factor: torch.tensor(query.size(-1) * factor, dtype=torch.float64).sqrt()
    try:
        with torch.inference_mode():
            output = model(**inputs).last_hidden_state
    finally:
        library.scaled_size_sqrt = in_f32
    if output.dtype != torch.float64:
        raise TypeError(f"expected a reference in f64, found {output.dtype}")
    return output.numpy()


def compare(path, expected):
    """Mean and largest absolute difference of a file's `last_hidden_state`."""
    found = load_file(path)["last_hidden_state"]
    if found.shape != expected.shape:
        raise Failed(f"expected shape {expected.shape}, found {found.shape}")
    difference = np.abs(found - expected)
    return {"mean_error": float(f"{difference.mean():.4g}"), "max_error": float(f"{difference.max():.4g}")}
