"""Writes tests/fixtures/gliner: what the package `gliner` answers, on tiny random models of its span architecture.

    pip install -r requirements-gliner.txt
    python make_gliner_fixtures.py            # all of them
    python make_gliner_fixtures.py NAME...    # these cases alone

Not the packages of requirements.txt: `gliner` asks for an older `transformers`.
"""

import contextlib
import json
import math
import sys
import warnings

import torch
from fixture_files import FIXTURES, fresh_folder, generator, require_pinned_versions, write_json, write_rows
from gliner_cases import (
    BATCHES,
    CASES,
    DEFAULTS,
    FIRST_KEYS,
    INNER_LABELS,
    INNER_TEXTS,
    OPTION_TEXTS,
    OPTIONS,
    OTHER_KEYS,
    OTHER_LABELS,
    OTHER_TEXTS,
    TEXTS,
)
from parity_case import V3

require_pinned_versions("requirements-gliner.txt")
warnings.filterwarnings("ignore")

from gliner import GLiNER  # noqa: E402  (after the check, so that a wrong version is named first)
from gliner.config import UniEncoderSpanConfig  # noqa: E402
from gliner.model import UniEncoderSpanGLiNER  # noqa: E402
from tiny_vocabulary import build_tokenizer, train_vocabulary  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()

GLINER = FIXTURES / "gliner"
# Answers are recorded only where logits this much off would not change an entity.
NUDGE = 1e-4
# The logits' mean and standard deviation over spans: some entities, and scores from 0 to 1.
MEAN, SPREAD = -3.0, 3.0
VOCABULARY = 400
# Rows of the published encoder's table: more than its tokenizer has tokens.
ENCODER_ROWS = 420
TOKENS = ["[FLERT]", "<<ENT>>", "<<SEP>>"]
LAST_SPAN_LAYER = "span_rep_layer.span_rep_layer.out_project.3"
POSITION_IDS = "token_rep_layer.bert_layer.model.embeddings.position_ids"


def new_model(case, pieces):
    """The package's model with a tokenizer that has the added tokens."""
    tokenizer = build_tokenizer(pieces)
    known = {}
    if case.tokens == "plain":
        tokenizer.add_tokens(TOKENS)
        known = {"class_token_index": len(tokenizer) - 2, "vocab_size": len(tokenizer)}
    encoder = {**V3, "model_type": "deberta-v2", "vocab_size": len(tokenizer), "hidden_size": 16,
               "num_attention_heads": 2, "intermediate_size": 24, "pad_token_id": 0, **case.encoder}  # fmt: skip
    given = {"hidden_size": 16, "max_width": 6, "encoder_config": encoder, **known, **case.config}
    config = UniEncoderSpanConfig(**given)
    if case.most_tokens:
        tokenizer.model_max_length = case.most_tokens
    model = UniEncoderSpanGLiNER(config, tokenizer=tokenizer)
    UniEncoderSpanGLiNER._resize_token_embeddings(model, config, tokenizer)
    model.model.token_rep_layer.bert_layer.model.config._attn_implementation = "eager"
    return model.eval()


def random_weights(model, gen):
    """Weights at which attention and gates are far from uniform."""
    weights = {}
    for key, tensor in sorted(model.state_dict().items()):
        noise = torch.randn(tensor.shape, generator=gen)
        if "LayerNorm" in key and key.endswith("weight"):
            weights[key] = 1 + 0.1 * noise
        elif "bias" in key.rsplit(".", 1)[-1]:
            weights[key] = 0.2 * noise
        elif "embeddings" in key:
            weights[key] = noise
        else:
            weights[key] = noise * 1.6 / tensor[0].numel() ** 0.5
    return weights


def run(model, text, labels, **options):
    """The prepared input of one text, and the package's output for it."""
    prepared = model.prepare_batch([text], list(labels))
    batch = model.collate_batch(prepared["input_x"], prepared["entity_types"], label_names=prepared["label_names"])
    return prepared, batch, model.run_batch(batch, **options)


def valid(batch, values):
    """Of [1, n, K, ...], the rows of spans that end within the text."""
    words, width = values.shape[1:3]
    mask = batch["span_mask"].reshape(1, words, width)
    return values[mask]


def calibrate(model, weights, labels):
    """Sets the last layer of the spans so that logits have the wanted mean and spread."""
    with torch.no_grad():
        spans, prompts = [], []
        for text in OPTION_TEXTS:
            _, batch, output = run(model, text, labels, return_vectors=True)
            spans.append(valid(batch, output.span_embeddings))
            prompts.append(output.prompts_embedding[0])
        bias = weights[f"{LAST_SPAN_LAYER}.bias"]
        spans, prompts = torch.cat(spans) - bias, torch.cat(prompts)
        centre = spans.mean(0)
        scale = SPREAD / ((spans - centre) @ prompts.T).std()
        weights[f"{LAST_SPAN_LAYER}.weight"] *= scale
        # The driver for matrices of less than full rank, as two labels have fewer vectors than there are dimensions.
        shift = torch.linalg.lstsq(prompts, torch.full((len(prompts), 1), MEAN), driver="gelsd").solution[:, 0]
        weights[f"{LAST_SPAN_LAYER}.bias"] = shift - scale * centre
    model.model.load_state_dict(weights)


def random_model(case, pieces, attempt):
    """A tiny model whose scores are spread over 0 to 1."""
    model = new_model(case, pieces)
    weights = random_weights(model.model, generator("gliner", case.name, attempt))
    model.model.load_state_dict(weights)
    calibrate(model, weights, case.labels)
    return model


def questions(case):
    """What is asked of one text at a time: (text, labels, options)."""
    asked = [(text, case.labels, DEFAULTS) for text in TEXTS]
    asked += [(text, labels, DEFAULTS) for labels in OTHER_LABELS for text in OTHER_TEXTS]
    return asked + [(text, case.labels, options) for options in OPTIONS for text in OPTION_TEXTS]


def batches(case):
    """What is asked of several texts at once: (texts, labels, batch size)."""
    if case.padding_matters:
        return []
    return [(texts, list(case.labels) if labels is None else labels, size) for texts, labels, size in BATCHES]


def asked_alone(case):
    """Every question, those of the batches as well, as (text, labels, options)."""
    asked = questions(case)
    for texts, labels, _ in batches(case):
        each = labels if isinstance(labels[0], list) else [labels] * len(texts)
        asked += [(text, wanted, DEFAULTS) for text, wanted in zip(texts, each, strict=True)]
    return asked


def shape(spans):
    """Decoded spans without their scores."""
    return [(span.start, span.end, span.entity_type) for span in spans]


def is_steady(model, text, labels, options):
    """Whether logits off by NUDGE leave the entities and their order as they are."""
    if not text.strip():
        return True
    _, batch, output = run(model, text, labels)
    threshold = math.log(options["threshold"] / (1 - options["threshold"]))
    if ((valid(batch, output.logits) - threshold).abs() < 2 * NUDGE).any():
        return False
    gen, exact = generator("nudge", text, *labels), output.logits
    first = shape(model.decode_batch(output, batch, **options)[0])
    for _ in range(12):
        output.logits = exact + NUDGE * torch.randint(-1, 2, exact.shape, generator=gen)
        if shape(model.decode_batch(output, batch, **options)[0]) != first:
            return False
    return True


def is_rich(case, model):
    """Whether entities of several widths and labels come out, and the options make a difference."""
    labels, widths, answers = set(), set(), []
    for text in OPTION_TEXTS:
        _, batch, output = run(model, text, case.labels)
        found = shape(model.decode_batch(output, batch, **DEFAULTS)[0])
        if not 2 <= len(found) <= 2 + len(batch["tokens"][0]) // 2:
            return False
        labels |= {label for _, _, label in found}
        widths |= {end - start for start, end, _ in found}
        answers.append([shape(model.decode_batch(output, batch, **options)[0]) for options in OPTIONS[2:]])
    several = min(len(case.labels), 2)
    differ = case.config.get("max_width") == 1 or all(
        any(one[i] != one[j] for one in answers) for i, j in ((0, 1), (0, 2), (1, 2))
    )
    return len(labels) >= several and len(widths) >= min(case.config.get("max_width", 3), 3) and differ


def number(value):
    """An f32 to seven digits."""
    return float(f"{value:.7g}")


def entities(found):
    """The package's entities with short scores."""
    return [{**entity, "score": number(entity["score"])} for entity in found]


def texts_of(case, model):
    """One row per question."""
    rows = []
    for text, labels, options in questions(case):
        found = model.predict_entities(text, list(labels), **options)
        rows.append({"text": text, "labels": list(labels), **options, "entities": entities(found)})
    return rows


def batches_of(case, model):
    """One row per batch; the answers are those of each text alone, which the script checks."""
    rows = []
    for texts, labels, size in batches(case):
        found = model.inference(texts, labels, batch_size=size)
        each = labels if isinstance(labels[0], list) else [labels] * len(texts)
        for text, wanted, together in zip(texts, each, found, strict=True):
            alone = model.predict_entities(text, wanted)
            assert len(alone) == len(together), f"{case.name}: {text}"
            for one, other in zip(alone, together, strict=True):
                assert abs(one["score"] - other["score"]) < NUDGE / 4, f"{case.name}: {text}"
                assert {**one, "score": 0} == {**other, "score": 0}, f"{case.name}: {text}"
        rows.append({"texts": texts, "labels": labels, "batch_size": size, **DEFAULTS,
                     "entities": [entities(one) for one in found]})  # fmt: skip
    return rows


def inner_of(case, model):
    """Words, input and logits of a few texts: the place to look first when an answer differs."""
    rows = []
    for text, labels in [(text, case.labels) for text in INNER_TEXTS] + [(OTHER_TEXTS[0], i) for i in INNER_LABELS]:
        prepared, batch, output = run(model, text, labels)
        words = len(batch["tokens"][0])
        logits = output.logits * batch["span_mask"].reshape(1, words, -1, 1)
        spans = zip(prepared["start_token_map"][0], prepared["end_token_map"][0], strict=True)
        rows.append({
            "text": text, "labels": list(labels), "classes": prepared["label_names"],
            "words": [list(span) for span in spans][:words],
            "input_ids": batch["input_ids"][0].tolist(), "words_mask": batch["words_mask"][0].tolist(),
            "shape": list(logits.shape[1:]), "logits": [number(x) for x in logits.flatten().tolist()],
        })  # fmt: skip
    return rows


def as_published(folder, config, tokenizer):
    """Writes what the first versions wrote, and returns its config: the model named there has the encoder's files."""
    encoder = folder / "encoder"
    encoder.mkdir()
    tokenizer.save_pretrained(encoder)
    write_json(encoder / "config.json", config["encoder_config"] | {"vocab_size": ENCODER_ROWS})
    for path in folder.glob("tokenizer*"):
        path.unlink()
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    positions = torch.arange(config["encoder_config"]["max_position_embeddings"])[None]
    torch.save({POSITION_IDS: positions, **weights}, folder / "pytorch_model.bin")
    return {"model_name": "encoder", **{key: config[key] for key in FIRST_KEYS}, **OTHER_KEYS}


def rewrite(case, folder, pieces):
    """Makes the written folder what the case says beyond what the package writes today."""
    path = folder / "gliner_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if case.published:
        config = as_published(folder, config, build_tokenizer(pieces))
    elif case.tokens == "absent":
        build_tokenizer(pieces).save_pretrained(folder)
        config |= {"class_token_index": -1, "vocab_size": -1}
        config["encoder_config"]["vocab_size"] -= len(TOKENS)
    write_json(path, config)


def save(case, model, pieces):
    """Writes the folder, and returns the model that the package loads from it, which must give the same bits."""
    folder = fresh_folder(GLINER / case.name)
    model.save_pretrained(folder, safe_serialization=not case.torch_file)
    rewrite(case, folder, pieces)
    for path in folder.rglob("*.*"):
        path.chmod(0o644)
    with contextlib.chdir(folder):  # where a relative `model_name` is looked for
        loaded = GLiNER.from_pretrained(str(folder))
    loaded.model.token_rep_layer.bert_layer.model.config._attn_implementation = "eager"
    for text in INNER_TEXTS:
        (_, _, ours), (_, _, theirs) = run(model, text, case.labels), run(loaded, text, case.labels)
        assert ours.logits.equal(theirs.logits), f"{case.name}: another model was loaded"
    return folder, loaded


def write_case(case, pieces):
    """One folder with a model, its tokenizer and expected.json."""
    for attempt in range(400):
        model = random_model(case, pieces, attempt)
        if is_rich(case, model) and all(is_steady(model, *asked) for asked in asked_alone(case)):
            break
    else:
        sys.exit(f"{case.name}: no attempt gives steady answers")
    folder, model = save(case, model, pieces)
    rows = texts_of(case, model)
    write_rows(folder / "expected.json",
               {"texts": rows, "batches": batches_of(case, model), "inner": inner_of(case, model)})  # fmt: skip
    count = sum(len(row["entities"]) for row in rows)
    print(f"{case.name}: {len(rows)} texts, {count} entities, attempt {attempt}", flush=True)


def main():
    """All of them, or those that the arguments say."""
    GLINER.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or [case.name for case in CASES]
    if not set(wanted) <= {case.name for case in CASES}:
        sys.exit(__doc__)
    pieces = train_vocabulary(VOCABULARY)
    for case in CASES:
        if case.name in wanted:
            write_case(case, pieces)
    write_rows(GLINER / "cases.json", {"cases": [{"name": case.name, "covers": case.covers} for case in CASES]})
    size = sum(f.stat().st_size for f in GLINER.rglob("*") if f.is_file())
    print(f"{GLINER} holds {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
