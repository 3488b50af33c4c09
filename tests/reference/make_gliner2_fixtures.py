"""Writes tests/fixtures/gliner2: what the package `gliner2` answers, on tiny random models of its span architecture.

    pip install -r requirements-gliner2.txt
    python make_gliner2_fixtures.py            # all of them
    python make_gliner2_fixtures.py NAME...    # these cases alone
"""

import itertools
import json
import logging
import math
import sys
import warnings

import torch
from fixture_files import (
    FIXTURES,
    fresh_folder,
    generator,
    require_pinned_versions,
    write_json,
    write_rows,
    write_tensors,
)
from gliner2_cases import (
    BATCHES,
    CASES,
    DEFAULTS,
    FIRST_KEYS,
    INNER_TEXTS,
    LABELS,
    MULTI_THRESHOLDS,
    OPTION_TEXTS,
    OPTIONS,
    OTHER_LABELS,
    OTHER_TEXTS,
    TASK_BATCH,
    TASK_TEXTS,
    TASKS,
    TEXTS,
)

require_pinned_versions("requirements-gliner2.txt")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from gliner2 import GLiNER2  # noqa: E402  (after the check, so that a wrong version is named first)
from gliner2_models import VOCABULARY, random_model, run, schema_of  # noqa: E402
from tiny_vocabulary import train_vocabulary  # noqa: E402

GLINER2 = FIXTURES / "gliner2"
# Answers are recorded only where logits this much off would not change them.
NUDGE = 1e-4
# Options of a task under which every label is given, with its score.
ALL = {"multi_label": True, "cls_threshold": 0}


def questions():
    """What is asked of one text at a time: (text, labels, options)."""
    asked = [(text, LABELS, DEFAULTS) for text in TEXTS]
    asked += [(text, labels, DEFAULTS) for labels in OTHER_LABELS for text in OTHER_TEXTS]
    return asked + [(text, LABELS, options) for options in OPTIONS for text in OPTION_TEXTS]


def batches():
    """What is asked of several texts at once: (texts, labels of each, batch size)."""
    return [
        (texts, labels if isinstance(labels, list) else [labels] * len(texts), size) for texts, labels, size in BATCHES
    ]


def decoded(model, batch, schemas, logits, counts, schema, options):
    """The entities that the package makes of logits: [(label, start, end)]."""
    _, metadata = model._build_schema_dicts_and_metadata([schema])
    metadata[0]["_overlap_policy"] = options["overlap_policy"]
    found = model._extract_sample(
        None, schemas[0], batch.schema_tokens_list[0], batch.task_types[0], batch.text_tokens[0],
        batch.original_texts[0], batch.original_schemas[0], batch.start_mappings[0], batch.end_mappings[0],
        options["threshold"], metadata[0], True, True, logits[0], counts[0],
    )  # fmt: skip
    groups = found.get("entities") or [{}]
    return [(label, one["start"], one["end"]) for label, group in groups[0].items() for one in group]


def is_steady(model, text, labels, options):
    """Whether logits off by NUDGE leave the entities and their order as they are."""
    if not labels:
        return True
    schema = schema_of(model, labels)
    batch, _, schemas, logits, counts = run(model, text, schema)
    with torch.inference_mode():
        best = model.count_pred(schemas[0][0][0])
    if (best[1:].max() - best[0]).abs() < 20 * NUDGE:
        return False
    if logits[0][0] is None:
        return True
    threshold = math.log(options["threshold"] / (1 - options["threshold"]))
    exact = logits[0][0].clone()
    if ((exact - threshold).abs() < 2 * NUDGE).any():
        return False
    gen = generator("nudge", text, *labels)
    first = decoded(model, batch, schemas, logits, counts, schema, options)
    for _ in range(12):
        nudged = [[exact + NUDGE * torch.randint(-1, 2, exact.shape, generator=gen)]]
        if decoded(model, batch, schemas, nudged, counts, schema, options) != first:
            return False
    return True


def asked_alone():
    """Every question about entities, those of the batches as well, as (text, labels, options)."""
    asked = questions()
    for texts, each, _ in batches():
        asked += [(text, labels, DEFAULTS) for text, labels in zip(texts, each, strict=True)]
    return asked


def is_rich(case, model):
    """Whether entities of several widths and labels come out, and the options make a difference."""
    labels, widths, answers, none = set(), set(), [], 0
    for text in OPTION_TEXTS:
        schema = schema_of(model, LABELS)
        batch, _, schemas, logits, counts = run(model, text, schema)
        found = decoded(model, batch, schemas, logits, counts, schema, DEFAULTS)
        none += counts[0][0] == 0
        labels |= {label for label, _, _ in found}
        widths |= {end - start for _, start, end in found}
        answers.append([decoded(model, batch, schemas, logits, counts, schema, options) for options in OPTIONS[1:]])
    if case.none_found:
        return 0 < none < len(OPTION_TEXTS) and labels
    if case.name == "narrow":
        return len(labels) > 1 and len(widths) > 2
    pairs = [(i, j) for i in range(5) for j in range(i)]
    return len(labels) > 1 and len(widths) > 2 and all(any(one[i] != one[j] for one in answers) for i, j in pairs)


def number(value):
    """An f32 to seven digits."""
    return float(f"{value:.7g}")


def entities(found):
    """The package's entities as one list, label by label, with short scores."""
    groups = found.get("entities") or {}
    return [
        {"label": label, **{key: one[key] for key in ("start", "end", "text")}, "score": number(one["confidence"])}
        for label, group in groups.items()
        for one in group
    ]


def told(labels):
    """Labels and their descriptions as they are written down."""
    return {"labels": list(labels), "descriptions": {name: text for name, text in labels.items() if text is not None}}


def extract(model, text, labels, options):
    """The package's entities of one text."""
    schema = schema_of(model, labels)
    return entities(model.extract(text, schema, include_confidence=True, include_spans=True, **options))


def texts_of(model):
    """One row per question about entities."""
    return [
        {"text": text, **told(labels), **options, "entities": extract(model, text, labels, options)}
        for text, labels, options in questions()
    ]


def close(alone, together, what):
    """Stops where an answer hangs on the batch."""
    assert len(alone) == len(together), what
    for one, other in zip(alone, together, strict=True):
        assert abs(one["score"] - other["score"]) < NUDGE / 4, what
        assert {**one, "score": 0} == {**other, "score": 0}, what


def batches_of(case, model):
    """One row per batch; the answers are those of each text alone, which the script checks."""
    rows = []
    for texts, each, size in batches():
        schemas = [schema_of(model, labels) for labels in each]
        found = model.batch_extract(texts, schemas, size, include_confidence=True, include_spans=True)
        found = [entities(one) for one in found]
        for text, labels, together in zip(texts, each, found, strict=True):
            close(extract(model, text, labels, DEFAULTS), together, f"{case.name}: {text}")
        rows.append({"texts": texts, "labels": [told(labels) for labels in each], "batch_size": size, **DEFAULTS,
                     "entities": found})  # fmt: skip
    return rows


def classify(model, texts, task, labels, **options):
    """The package's classes of texts: for each a list of labels and scores."""
    given = {"labels": list(labels), **options}
    descriptions = told(labels)["descriptions"]
    if descriptions:
        given["label_descriptions"] = descriptions
    found = model.batch_classify_text(texts, {task: given}, include_confidence=True)
    found = [one[task] if isinstance(one[task], list) else [one[task]] for one in found]
    return [[{"label": one["label"], "score": number(one["confidence"])} for one in row] for row in found]


def classes_of(case, model):
    """One row per question about classes, or None where an answer would hang on a rounding."""
    rows = []
    for task, labels in TASKS:
        for text in TASK_TEXTS:
            row = {"text": text, "task": task, **told(labels), "answers": []}
            for name, activation in (("single", "softmax"), ("multi", "sigmoid")):
                scores = classify(model, [text], task, labels, **ALL, class_act=activation)[0]
                row[name] = [one["score"] for one in scores]
            ranked = sorted(row["multi"])
            if any(b - a < 2 * NUDGE for a, b in itertools.pairwise(ranked)):
                return None
            if any(abs(score - threshold) < 2 * NUDGE for score in ranked for threshold in MULTI_THRESHOLDS):
                return None
            row["answers"].append({"multi_label": False, "found": classify(model, [text], task, labels)[0]})
            for threshold in MULTI_THRESHOLDS:
                found = classify(model, [text], task, labels, multi_label=True, cls_threshold=threshold)[0]
                row["answers"].append({"multi_label": True, "threshold": threshold, "found": found})
            rows.append(row)
        for one, other in zip(
            classify(model, TASK_BATCH, task, labels, **ALL),
            [classify(model, [text], task, labels, **ALL)[0] for text in TASK_BATCH],
            strict=True,
        ):
            close(other, one, f"{case.name}: {task}")
    return rows


def inner_of(case, model):
    """Words and ids, and logits of a few texts: the place to look first when an answer differs."""
    rows = []
    # All cases have the same tokenizer, so that the first one's words and ids are those of all.
    asked = [(text, LABELS) for text in (TEXTS if case is CASES[0] else INNER_TEXTS)]
    for text, labels in asked + [(OTHER_TEXTS[0], labels) for labels in OTHER_LABELS if labels]:
        batch, _, _, logits, counts = run(model, text, schema_of(model, labels))
        words = [list(span) for span in zip(batch.start_mappings[0], batch.end_mappings[0], strict=True)]
        row = {"text": text, **told(labels), "words": words, "input_ids": batch.input_ids[0].tolist(),
               "count": counts[0][0]}  # fmt: skip
        if text in INNER_TEXTS and logits[0][0] is not None:
            values = logits[0][0][0]
            values = torch.where(values.isinf(), 0.0, values)
            row |= {"shape": list(values.shape), "logits": [number(x) for x in values.flatten().tolist()]}
        rows.append(row)
    return rows


def save(case, model):
    """Writes the folder, and returns the model that the package loads from it, which must give the same bits."""
    folder = fresh_folder(GLINER2 / case.name)
    model.save_pretrained(folder)
    if case.half or case.torch_file:
        (folder / "model.safetensors").unlink()
        weights = {key: tensor.half() if case.half else tensor for key, tensor in model.state_dict().items()}
        if case.torch_file:
            torch.save(weights, folder / "pytorch_model.bin")
        else:
            write_tensors(folder / "model.safetensors", weights)
    if case.published:
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, {key: config[key] for key in FIRST_KEYS} | {"max_width": config["span_head"]["max_width"]})
    for path in folder.rglob("*.*"):
        path.chmod(0o644)
    loaded = GLiNER2.from_pretrained(str(folder)).eval()
    for text in INNER_TEXTS:
        ours, theirs = (run(one, text, schema_of(one, LABELS))[3][0][0] for one in (model, loaded))
        assert (ours is None and theirs is None) or ours.equal(theirs), f"{case.name}: another model was loaded"
    return folder, loaded


def write_case(case, pieces):
    """One folder with a model, its tokenizer and expected.json."""
    for attempt in range(400):
        model = random_model(case, pieces, attempt)
        if not is_rich(case, model) or not all(is_steady(model, *asked) for asked in asked_alone()):
            continue
        classes = classes_of(case, model)
        if classes is not None:
            break
    else:
        sys.exit(f"{case.name}: no attempt gives steady answers")
    folder, model = save(case, model)
    rows = texts_of(model)
    expected = {"texts": rows, "batches": batches_of(case, model)}
    expected |= {"classes": classes_of(case, model), "inner": inner_of(case, model)}
    write_rows(folder / "expected.json", expected)
    count = sum(len(row["entities"]) for row in rows)
    print(f"{case.name}: {len(rows)} texts, {count} entities, attempt {attempt}", flush=True)


def main():
    """All of them, or those that the arguments say."""
    GLINER2.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or [case.name for case in CASES]
    if not set(wanted) <= {case.name for case in CASES}:
        sys.exit(__doc__)
    pieces = train_vocabulary(VOCABULARY)
    for case in CASES:
        if case.name in wanted:
            write_case(case, pieces)
    write_rows(GLINER2 / "cases.json", {"cases": [{"name": case.name, "covers": case.covers} for case in CASES]})
    size = sum(f.stat().st_size for f in GLINER2.rglob("*") if f.is_file())
    print(f"{GLINER2} holds {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
