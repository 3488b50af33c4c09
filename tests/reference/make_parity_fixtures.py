"""Writes tests/fixtures/models: tiny random models and what `transformers` computes with them.

Run `python make_parity_fixtures.py`; README.md describes the files. The same versions on the same
machine write the same bytes.
"""

import json
import sys

import torch
from fixture_files import FIXTURES, fresh_folder, generator, require_pinned_versions, write_json, write_rows, write_tensors
from parity_cases import V3, cases

require_pinned_versions()

from transformers import (  # noqa: E402  (after the check, so that a wrong version is named first)
    DebertaV2Config,
    DebertaV2ForQuestionAnswering,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    DebertaV2Model,
)
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()

MODELS = FIXTURES / "models"
HEADS = {
    "base": DebertaV2Model,
    "sequence": DebertaV2ForSequenceClassification,
    "token": DebertaV2ForTokenClassification,
    "question": DebertaV2ForQuestionAnswering,
}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
LEAST_MARGIN = 1e-3  # between the best two logits, so that an arg-max never hangs on rounding


def random_weights(model, gen):
    """Weights that make attention far from uniform, so that a mistake shows."""
    weights = {}
    for name, tensor in sorted(model.state_dict().items()):
        noise = torch.randn(tensor.shape, generator=gen)
        if "LayerNorm" in name and name.endswith("weight"):
            weights[name] = 1 + 0.1 * noise
        elif name.endswith("bias"):
            weights[name] = 0.2 * noise
        elif "embeddings" in name:
            weights[name] = noise
        else:
            weights[name] = noise * 1.4 / tensor[0].numel() ** 0.5
    return weights


def mask_row(spec, length):
    """The attention mask of one row."""
    mask = torch.zeros(length, dtype=torch.int64)
    kind = spec[0]
    if kind == "right":
        mask[: spec[1]] = 1
    elif kind == "left":
        mask[length - spec[1] :] = 1
    elif kind == "holes":
        mask[: spec[1]] = 1
        mask[list(spec[2])] = 0
    return mask


def random_input(case, vocab, gen):
    """Ids with [CLS] and [SEP] around each row, [PAD] on masked positions, and token types in two runs."""
    length = max((spec[1] for spec in case.rows if len(spec) > 1))
    mask = torch.stack([mask_row(spec, length) for spec in case.rows])
    ids = torch.randint(4, vocab, mask.shape, generator=gen)
    if case.extra_vocab_rows:
        ids[0, 1] = vocab - 1
    for row, kept in zip(ids, mask):
        real = kept.nonzero().flatten()
        if len(real):
            row[real[-1]] = 2
            row[real[0]] = 1
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    if case.types:
        real = mask.cumsum(1)
        inputs["token_type_ids"] = (real > real[:, -1:] // 2).long() * mask
    return inputs


def run(model, inputs):
    """The model's outputs by the names of expected.safetensors."""
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    named = {"last_hidden_state": out.hidden_states[-1]}
    for name in ("logits", "start_logits", "end_logits"):
        if name in out:
            named[name] = out[name]
    return named


def real_part(name, value, mask):
    """The rows of an output that real tokens own."""
    per_token = value.shape[:2] == mask.shape and (name != "logits" or value.dim() == 3)
    return value[mask.bool()] if per_token else value


def zero_masked(name, value, mask):
    """The output with zeros on masked tokens, whose values mean nothing."""
    per_token = value.shape[:2] == mask.shape and (name != "logits" or value.dim() == 3)
    if not per_token:
        return value
    return value * mask.reshape(mask.shape + (1,) * (value.dim() - 2))


def margin(case, outputs, mask):
    """The least distance between the best and second best logit of an arg-max; infinite without any."""
    if case.head == "question":
        hidden = ~mask.bool()
        rows = [outputs[k].masked_fill(hidden, -1e9) for k in ("start_logits", "end_logits")]
        logits = torch.cat(rows)
    elif "logits" in outputs:
        logits = real_part("logits", outputs["logits"], mask)
    else:
        return float("inf")
    if logits.shape[-1] < 2:
        return float("inf")
    best = logits.topk(2, dim=-1).values
    return float((best[..., 0] - best[..., 1]).min())


def build(case):
    """The reference model on its stored weights, its inputs, and outputs in f32 and f64."""
    config = DebertaV2Config(**{**V3, **case.config})
    config._attn_implementation = "eager"
    if case.extra_vocab_rows:
        config.vocab_size += case.extra_vocab_rows
    for attempt in range(20):
        gen = generator("parity", case.name, attempt)
        model = HEADS[case.head](config).eval()
        stored = {k: v.to(DTYPES[case.dtype]) for k, v in random_weights(model, gen).items()}
        model.load_state_dict({k: v.float() for k, v in stored.items()})
        inputs = random_input(case, config.vocab_size, gen)
        single = run(model, inputs)
        if margin(case, single, inputs["attention_mask"]) >= LEAST_MARGIN:
            break
    else:
        sys.exit(f"{case.name}: no attempt keeps the arg-max clear")
    double = run(model.double(), inputs)
    model.float()
    if any(not torch.isfinite(v).all() for v in single.values()):
        sys.exit(f"{case.name}: the reference gives values that are not finite")
    return config, model, stored, inputs, single, double


def stored_names(case, stored):
    """The tensors by the names that the file uses."""
    renamed = {}
    for name, tensor in stored.items():
        if case.prefix is not None:
            if name.startswith("deberta."):
                name = case.prefix + name.removeprefix("deberta.")
            elif case.head == "base":
                name = case.prefix + name
        if case.gamma_beta and "LayerNorm" in name:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[name] = tensor
    if case.extras:
        gen = generator("extras", case.name)
        hidden = next(t for n, t in stored.items() if n.endswith("word_embeddings.weight")).shape[1]
        vocab = next(t for n, t in stored.items() if n.endswith("word_embeddings.weight")).shape[0]
        renamed["embeddings.position_ids"] = torch.arange(64).reshape(1, 64)
        renamed["embeddings.position_embeddings.weight"] = torch.randn(64, hidden, generator=gen)
        for name, shape in {
            "mask_predictions.dense.weight": (hidden, hidden),
            "mask_predictions.dense.bias": (hidden,),
            "mask_predictions.LayerNorm.weight": (hidden,),
            "mask_predictions.LayerNorm.bias": (hidden,),
            "mask_predictions.classifier.weight": (1, hidden),
            "mask_predictions.classifier.bias": (1,),
            "lm_predictions.lm_head.dense.weight": (hidden, hidden),
            "lm_predictions.lm_head.dense.bias": (hidden,),
            "lm_predictions.lm_head.LayerNorm.weight": (hidden,),
            "lm_predictions.lm_head.LayerNorm.bias": (hidden,),
            "lm_predictions.lm_head.bias": (vocab,),
        }.items():
            renamed[name] = torch.randn(shape, generator=gen)
    return renamed


def write_weights(case, folder, tensors):
    """One file, or shards of whole tensors in turn with the index that names them."""
    if case.shards == 1:
        write_tensors(folder / "model.safetensors", tensors)
        return
    files = [f"model-{i + 1:05}-of-{case.shards:05}.safetensors" for i in range(case.shards)]
    places = {name: files[i % case.shards] for i, name in enumerate(sorted(tensors))}
    for file in files:
        write_tensors(folder / file, {n: t for n, t in tensors.items() if places[n] == file})
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_config(case, config, folder):
    """The config as save_pretrained writes it, then the case's own changes."""
    config.architectures = [HEADS[case.head].__name__]
    config.dtype = DTYPES[case.dtype]
    config.save_pretrained(folder)
    path = folder / "config.json"
    written = json.loads(path.read_text())
    if case.extra_vocab_rows:
        written["vocab_size"] -= case.extra_vocab_rows
    for key, value in (case.config_json or {}).items():
        if value is None:
            written.pop(key, None)
        else:
            written[key] = value
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")


def check_reload(case, folder, inputs, single):
    """transformers, given the written folder, computes the very same numbers."""
    model = HEADS[case.head].from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for name, value in run(model, inputs).items():
        if not torch.equal(value, single[name]):
            gap = float((value - single[name]).abs().max())
            sys.exit(f"{case.name}: {name} differs by {gap} when transformers loads the written folder")


def write_case(case):
    """One folder; returns its entry in cases.json."""
    folder = fresh_folder(MODELS / case.name)
    config, _, stored, inputs, single, double = build(case)
    mask = inputs["attention_mask"]
    write_config(case, config, folder)
    write_weights(case, folder, stored_names(case, stored))
    if case.reloads:
        check_reload(case, folder, inputs, single)
    write_tensors(folder / "input.safetensors", inputs)
    write_tensors(folder / "expected.safetensors", {n: zero_masked(n, v, mask) for n, v in single.items()})
    gaps = {}
    for name, value in single.items():
        gap = (real_part(name, value.double(), mask) - real_part(name, double[name], mask)).abs().max()
        key = "hidden_gap" if name == "last_hidden_state" else "logits_gap"
        gaps[key] = max(gaps.get(key, 0.0), float(gap))
    clear = margin(case, single, mask)
    if clear != float("inf"):
        gaps["argmax_margin"] = clear
    write_json(folder / "tolerance.json", gaps)
    print(f"{case.name:32} " + " ".join(f"{k}={v:.1e}" for k, v in gaps.items()), flush=True)
    return {"name": case.name, "covers": case.covers, "head": case.head, "outputs": list(single)}


def runs_of(values):
    """Run-length encoding: [value, count] pairs."""
    runs = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    return runs


SLOT_TABLES = [
    (256, 512, 1), (256, 512, 2), (256, 512, 129), (256, 512, 1200), (160, 4096, 5000), (512, 4096, 5000),
    (1000, 1500, 2000), (1024, 4096, 5000), (32, 128, 700), (16, 64, 200), (7, 20, 60), (18, 65, 200),
    (20, 641, 900), (32, 1025, 1300), (48, 744, 1000), (50, 962, 1200), (128, 300, 700), (2, 4, 20),
    (-1, 64, 200), (0, 12, 40),
]  # fmt: skip


def write_slots():
    """The reference's slot of every distance, which c2p and p2c share."""
    tables = []
    for buckets, max_position, length in SLOT_TABLES:
        delta = torch.arange(-(length - 1), length)
        span = buckets if buckets > 0 else max_position
        bucket = make_log_bucket_position(delta, buckets, max_position).long() if buckets > 0 else delta
        slots = torch.clamp(bucket + span, 0, 2 * span - 1)
        opposite = make_log_bucket_position(-delta, buckets, max_position).long() if buckets > 0 else -delta
        assert torch.equal(slots, torch.clamp(-opposite + span, 0, 2 * span - 1)), "c2p and p2c differ"
        tables.append({"buckets": buckets, "max_position": max_position, "length": length,
                       "slots": runs_of(slots.tolist())})  # fmt: skip
    write_rows(MODELS / "slots.json", {"tables": tables})


def main():
    """All cases, or those named on the command line (cases.json then stays as it is)."""
    wanted = set(sys.argv[1:])
    if not wanted:
        fresh_folder(MODELS)
    entries = [write_case(case) for case in cases() if not wanted or case.name in wanted]
    if not wanted:
        write_rows(MODELS / "cases.json", {"cases": entries})
        write_slots()
    size = sum(f.stat().st_size for f in MODELS.rglob("*") if f.is_file())
    print(f"{len(entries)} cases written; {MODELS} holds {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
