"""The tiny models and tokenizers of the task fixtures, for either version of transformers."""

import json

from fixture_files import FIXTURES, generator, random_weights, write_rows
from parity_case import V1, V3

TASKS = FIXTURES / "tasks"
# Answers are recorded only where logits this much off would not change a label, a token, a span or an order.
NUDGE = 1e-4


def labels(names):
    """id2label and label2id."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def tiny_model(model_class, changes, vocab, *seed):
    """A random model of two layers; the class says whether it is DeBERTa v1 or v3."""
    base = V3 if model_class.config_class.model_type == "deberta-v2" else V1
    config = model_class.config_class(**{**base, "vocab_size": vocab, "hidden_size": 16, "num_attention_heads": 2,
                                         "intermediate_size": 24, "pad_token_id": 0, **changes})  # fmt: skip
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    model.load_state_dict(random_weights(model, generator("task", *seed)))
    return model


def is_spread(values, gap):
    """Whether no two values of a list are as near as `gap`."""
    ordered = sorted(values)
    return all(b - a > gap for a, b in zip(ordered, ordered[1:], strict=False))


def save(folder, model, tokenizer):
    """The model and its tokenizer as save_pretrained writes them, without the truncation of the last call."""
    tokenizer._tokenizer.no_truncation()
    tokenizer._tokenizer.no_padding()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def write_cases(rows):
    """cases.json with these cases; those of other tasks that it already has stay, and tasks stay in order."""
    path = TASKS / "cases.json"
    found = json.loads(path.read_text())["cases"] if path.exists() else []
    tasks = {row["task"] for row in rows}
    kept = [row for row in found if row["task"] not in tasks] + rows
    write_rows(path, {"cases": sorted(kept, key=lambda row: row["task"])})
