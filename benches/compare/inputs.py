"""The token ids that every system reads.

A safetensors file per shape, with `input_ids` and `attention_mask` [B, L] in i64.
"""

import numpy as np
from safetensors.numpy import save_file

# Ids of ordinary pieces: above the special ones, below the rows that no piece uses.
FIRST_ID, END_ID = 5, 128_000
SHORTEST = 8


def write(case):
    """Writes the case's input unless it is there."""
    if case.input.exists():
        return
    rng = np.random.default_rng([case.batch, case.length, case.ragged])
    ids = rng.integers(FIRST_ID, END_ID, (case.batch, case.length), dtype=np.int64)
    mask = np.ones_like(ids)
    if case.ragged:
        lengths = rng.integers(min(SHORTEST, case.length), case.length + 1, case.batch)
        mask[np.arange(case.length) >= lengths[:, None]] = 0
        ids *= mask
    case.input.parent.mkdir(parents=True, exist_ok=True)
    # Under its own name only when complete: a run may be cut short.
    partial = case.input.with_suffix(".partial")
    save_file({"input_ids": ids, "attention_mask": mask}, partial)
    partial.rename(case.input)
