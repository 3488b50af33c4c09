"""Writes tests/fixtures/models: tiny random models and what `transformers` computes with them.

Run `python make_parity_fixtures.py`; README.md describes the files. The same versions on the same
machine write the same bytes.
"""

import json
import sys

import torch
from fixture_files import FIXTURES, fresh_folder, generator, require_pinned_versions, write_json, write_rows, write_tensors
from observe_reference import ReplacedTokenDetection, enhanced_decoder, in_own_type, observe, pool
from observe_reference import zero_masked as zero_masked_inside
from parity_case import BASES
from parity_cases import cases

require_pinned_versions()

import transformers  # noqa: E402  (after the check, so that a wrong version is named first)
from transformers.activations import ACT2FN  # noqa: E402
from transformers.models.deberta.modeling_deberta import DebertaLayerNorm  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()

MODELS = FIXTURES / "models"
FAMILIES = {"v1": "Deberta", "v2": "DebertaV2"}
HEADS = {
    "base": "Model",
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "question": "ForQuestionAnswering",
    "choice": "ForMultipleChoice",
    "masked": "ForMaskedLM",
}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
LEAST_MARGIN = 1e-3  # between the best two logits, so that an arg-max never hangs on rounding


def reference_class(case, what=None):
    """The class of `transformers` for the case's family: of its head, or `what`."""
    return getattr(transformers, FAMILIES[case.family] + (what or HEADS[case.head]))


def reference_model(case, config):
    """The reference with fresh weights."""
    if case.head == "replaced":
        return ReplacedTokenDetection(reference_class(case, "Model")(config), ACT2FN[config.hidden_act]).eval()
    return reference_class(case)(config).eval()


def tied_names(model):
    """Tensors that are others under a second name: {second name: first name}."""
    state = model.state_dict(keep_vars=True)
    pairs = getattr(model, "_tied_weights_keys", None) or {}
    return {name: source for name, source in pairs.items() if state[name] is state[source]}


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
    for name, source in tied_names(model).items():
        weights[name] = weights[source]
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
    if case.head == "choice":
        inputs = {name: value.reshape(-1, case.choices, length) for name, value in inputs.items()}
    return inputs


def position_rows(case, config):
    """The absolute positions that only Microsoft's decoder reads; transformers has no place for them."""
    noise = torch.randn(config.max_position_embeddings, config.hidden_size, generator=generator("positions", case.name))
    return noise.to(DTYPES[case.dtype])


def run(case, model, inputs):
    """The model's outputs by the names of expected.safetensors."""
    if case.enhanced:
        table = position_rows(case, model.config).to(model.dtype)
        return enhanced_decoder(model, table, inputs)
    with torch.no_grad():
        if case.head == "replaced":
            return model(**inputs)
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
    config = reference_class(case, "Config")(**{**BASES[case.family], **case.config})
    config._attn_implementation = "eager"
    if case.extra_vocab_rows:
        config.vocab_size += case.extra_vocab_rows
    for attempt in range(20):
        gen = generator("parity", case.seed or case.name, attempt)
        model = reference_model(case, config)
        stored = {k: v.to(DTYPES[case.dtype]) for k, v in random_weights(model, gen).items()}
        model.load_state_dict({k: v.float() for k, v in stored.items()})
        inputs = random_input(case, config.vocab_size, gen)
        single = outputs(case, model, inputs)
        if margin(case, single, flat_mask(inputs)) >= LEAST_MARGIN:
            break
    else:
        sys.exit(f"{case.name}: no attempt keeps the arg-max clear")
    double = in_double(case, model, inputs)
    if any(not torch.isfinite(v).all() for v in single.values()):
        sys.exit(f"{case.name}: the reference gives values that are not finite")
    for name in [] if case.tied_stored else tied_names(model):
        del stored[name]
    return config, stored, inputs, single, double


def outputs(case, model, inputs):
    """Everything that is recorded of a case."""
    found = run(case, model, inputs)
    if case.observed:
        found |= observe(model, inputs)
    if case.pooled:
        found |= pool(found["last_hidden_state"], inputs["attention_mask"])
    return found


def in_double(case, model, inputs):
    """The same in f64 throughout."""
    original, DebertaLayerNorm.forward = DebertaLayerNorm.forward, in_own_type
    found = outputs(case, model.double(), inputs)
    DebertaLayerNorm.forward = original
    model.float()
    return found


def flat_mask(inputs):
    """The attention mask as [sequences, L]: the choices of multiple choice are sequences."""
    return inputs["attention_mask"].flatten(0, -2)


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
    if case.enhanced:
        rows = position_rows(case, reference_class(case, "Config")(**{**BASES[case.family], **case.config}))
        renamed["deberta.embeddings.position_embeddings.weight"] = rows
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
    saved_by = {"replaced": "ReplacedTokenDetectionModel"}.get(case.head)
    if case.enhanced:
        saved_by = "MaskedLanguageModel"
    config.architectures = [saved_by or reference_class(case).__name__]
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
    model = reference_class(case).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for name, value in outputs(case, model, inputs).items():
        if not torch.equal(value, single[name]):
            gap = float((value - single[name]).abs().max())
            sys.exit(f"{case.name}: {name} differs by {gap} when transformers loads the written folder")


def inside(name):
    """Whether an output is one of those in observed.safetensors."""
    return "." in name


def gap_name(name):
    """The entry of tolerance.json that an output's rounding counts in."""
    if name == "last_hidden_state" or name.startswith(("hidden_states", "pooled")):
        return "hidden_gap"
    return {"attentions": "attention_gap", "scores": "scores_gap"}.get(name.split(".")[0], "logits_gap")


def compared(name, value, mask):
    """An output with zeros on masked tokens."""
    if name.startswith("pooled"):
        return value
    return zero_masked_inside(name, value, mask) if inside(name) else zero_masked(name, value, mask)


def write_case(case):
    """One folder; returns its entry in cases.json."""
    folder = fresh_folder(MODELS / case.name)
    config, stored, inputs, single, double = build(case)
    mask = flat_mask(inputs)
    write_config(case, config, folder)
    write_weights(case, folder, stored_names(case, stored))
    if case.reloads:
        check_reload(case, folder, inputs, single)
    write_tensors(folder / "input.safetensors", inputs)
    expected = {name: compared(name, value, mask) for name, value in single.items()}
    write_tensors(folder / "expected.safetensors", {n: v for n, v in expected.items() if not inside(n)})
    if any(map(inside, expected)):
        write_tensors(folder / "observed.safetensors", {n: v for n, v in expected.items() if inside(n)})
    gaps = {}
    for name, value in expected.items():
        gap = float((value.double() - compared(name, double[name], mask)).abs().max())
        gaps[gap_name(name)] = max(gaps.get(gap_name(name), 0.0), gap)
    clear = margin(case, single, mask)
    if clear != float("inf"):
        gaps["argmax_margin"] = clear
    write_json(folder / "tolerance.json", gaps)
    print(f"{case.name:32} " + " ".join(f"{k}={v:.1e}" for k, v in gaps.items()), flush=True)
    return entry(case, [name for name in single if not inside(name)])


def entry(case, written):
    """A case's line in cases.json."""
    line = {"name": case.name, "covers": case.covers, "head": case.head, "outputs": written}
    return line | {key: True for key in ("observed", "pooled") if getattr(case, key)}


def main():
    """All cases, or those named on the command line beside the ones that are there."""
    wanted, known = set(sys.argv[1:]), {}
    if wanted:
        known = {line["name"]: line for line in json.loads((MODELS / "cases.json").read_text())["cases"]}
    else:
        fresh_folder(MODELS)
    if wanted == {"missing"}:
        wanted = {case.name for case in cases() if case.name not in known}
    for case in cases():
        if not wanted or case.name in wanted:
            known[case.name] = write_case(case)
    write_rows(MODELS / "cases.json", {"cases": [known[case.name] for case in cases() if case.name in known]})
    size = sum(f.stat().st_size for f in MODELS.rglob("*") if f.is_file())
    print(f"{len(known)} cases; {MODELS} holds {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
