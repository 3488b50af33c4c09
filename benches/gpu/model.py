"""A checkpoint with DeBERTa-v3's shapes and random weights, and what it gives for a few ids.

    python model.py FOLDER base|tiny

Does nothing where the folder is complete.
"""

import json
import sys
from pathlib import Path

import torch
from cases import BUCKETS, MAX_POSITIONS, SIZES
from safetensors.torch import load_file, save_file
from transformers import DebertaV2Config, DebertaV2Model

CHECKED_SHAPE = (2, 40)
CHECK = "check.safetensors"
# Ids below it stand for paddings and the like.
FIRST_ID = 5


def architecture(size):
    """What the published DeBERTa-v3 models share, in one size."""
    return {
        "vocab_size": size.vocabulary,
        "hidden_size": size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": size.intermediate,
        "max_position_embeddings": MAX_POSITIONS,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "relative_attention": True,
        "max_relative_positions": -1,
        "position_buckets": BUCKETS,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    }


def random_model(size):
    """Weights large enough that attention is uneven and positions matter, so that errors show."""
    generator = torch.Generator().manual_seed(20240601)
    model = DebertaV2Model(DebertaV2Config(**architecture(size))).eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            drawn = torch.randn(weights.shape, generator=generator)
            if "rel_embeddings" in name:
                weights.copy_(0.5 * drawn)
            elif name.endswith("LayerNorm.weight"):
                weights.copy_(1 + 0.1 * drawn)
            elif name.endswith("bias") or "word_embeddings" in name:
                weights.copy_(0.02 * drawn)
            else:
                weights.copy_(0.05 * drawn)
    return model


def random_ids(shape, size):
    """[B, L], the same ones at every call."""
    generator = torch.Generator().manual_seed(20240603)
    return torch.randint(FIRST_ID, size.vocabulary, shape, generator=generator)


def load(folder, dtype, device):
    model = DebertaV2Model.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return model.to(device).eval()


def check(folder):
    """Ids [B, L] and the last hidden states [B, L, N] that they give in f32 on a processor."""
    found = load_file(Path(folder) / CHECK)
    return found["ids"], found["hidden"]


def make(folder, size):
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CHECK).exists():
        return
    model = random_model(size)
    model.save_pretrained(folder)
    # Published configurations have every field; the library leaves out what equals its own defaults.
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | architecture(size), indent=2) + "\n")
    ids = random_ids(CHECKED_SHAPE, size)
    with torch.inference_mode():
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    # Last, and by its final name at once: it says that all is there.
    save_file({"ids": ids, "hidden": hidden.contiguous()}, folder / f"partial.{CHECK}")
    (folder / f"partial.{CHECK}").rename(folder / CHECK)


if __name__ == "__main__":
    make(Path(sys.argv[1]), SIZES[sys.argv[2]])
