"""The zero-shot cases of the task fixtures."""

import torch
from fixture_files import write_rows
from task_models import NUDGE, is_spread, labels, save, tiny_model
from task_texts import LABELS, SHORT, TEMPLATES, TWICE
from transformers import DebertaForSequenceClassification, DebertaV2ForSequenceClassification, pipeline

V2_CLASS = DebertaV2ForSequenceClassification
# Class, changes of the config, and the tokenizer's model_max_length where it has one.
CASES = {
    "zero_shot_entailment_first": (V2_CLASS, labels(["entailment", "neutral", "contradiction"]), None),
    "zero_shot_entailment_last": (V2_CLASS, {**labels(["contradiction", "neutral", "entailment"]),
                                             "type_vocab_size": 2}, None),
    "zero_shot_two_labels": (V2_CLASS, labels(["ENTAILMENT", "NOT_ENTAILMENT"]), None),
    "zero_shot_unnamed": (V2_CLASS, {"num_labels": 3}, None),
    "zero_shot_truncated": (V2_CLASS, labels(["entailment", "neutral", "contradiction"]), 24),
    "zero_shot_v1": (DebertaForSequenceClassification, labels(["entailment", "neutral", "contradiction"]), None),
}  # fmt: skip


def pairs_of(classifier, text, names, template):
    """The ids and the logits of each pair of the text with a label, as the pipeline itself makes them."""
    ids, logits = [], []
    for given in classifier.preprocess(text, candidate_labels=names, hypothesis_template=template):
        ids.append(given["input_ids"][0].tolist())
        with torch.no_grad():
            logits.append(classifier._forward(given)["logits"][0].tolist())
    return ids, logits


def entailment_and_contradiction(classifier, logits):
    """The two logits that the pipeline compares, label by label."""
    entailment = classifier.entailment_id
    contradiction = -1 if entailment == 0 else 0
    return [row[entailment] for row in logits], [row[contradiction] for row in logits]


def is_steady(classifier, logits):
    """Whether logits off by NUDGE leave the order of the labels as it is, with many labels and with one."""
    yes, no = entailment_and_contradiction(classifier, logits)
    return is_spread(yes, 2 * NUDGE) and is_spread([a - b for a, b in zip(yes, no, strict=True)], 4 * NUDGE)


def answer(classifier, text, names, template, several):
    """The pipeline's answer, less the text."""
    changes = {} if template == TEMPLATES[0] else {"hypothesis_template": template}
    found = classifier(text, candidate_labels=names, multi_label=several, **changes)
    return {"labels": found["labels"], "scores": found["scores"]}


def rows_of(classifier):
    """One entry for each text, list of labels and template, or nothing when one of them is too close to call."""
    rows = []
    for text in (text for text in SHORT if text):  # the pipeline refuses an empty text
        for names in LABELS:
            for template in TEMPLATES if text in TWICE else TEMPLATES[:1]:
                ids, logits = pairs_of(classifier, text, names, template)
                if not is_steady(classifier, logits):
                    return None
                rows.append({"text": text, "labels": names, "template": template, "ids": ids, "logits": logits})
    for row in rows:
        for key, several in (("single", False), ("multi", True)):
            row[key] = answer(classifier, row["text"], row["labels"], row["template"], several)
    check_batches(classifier, rows)
    return rows


def check_batches(classifier, rows):
    """A list of texts must be answered as they are one by one."""
    for row in (row for row in rows if row["text"] == SHORT[0] and row["template"] == TEMPLATES[0]):
        same = [r for r in rows if r["labels"] == row["labels"] and r["template"] == row["template"]]
        found = classifier([r["text"] for r in same], candidate_labels=row["labels"], batch_size=4)
        for one, r in zip(found, same, strict=True):
            assert one["labels"] == r["single"]["labels"], r
            assert max(abs(a - b) for a, b in zip(one["scores"], r["single"]["scores"], strict=True)) < 1e-6, r


def write_case(name, folder, tokenizer):
    """The folder of one case; returns what to say of it."""
    model_class, changes, longest = CASES[name]
    if longest is not None:
        tokenizer.model_max_length = longest
    for attempt in range(200):
        model = tiny_model(model_class, changes, len(tokenizer), name, attempt)
        classifier = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
        rows = rows_of(classifier)
        if rows is not None:
            break
    else:
        raise SystemExit(f"{name}: no attempt gives steady answers")
    save(folder, model, tokenizer)
    write_rows(folder / "expected.json", {"texts": rows})
    orders = {tuple(row["labels"].index(label) for label in row["multi"]["labels"]) for row in rows}
    return f"{len(rows)} rows, attempt {attempt}, {len(orders)} orders"
