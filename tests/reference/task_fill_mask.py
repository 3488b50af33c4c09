"""The fill-mask cases of the task fixtures."""

import torch
from fixture_files import write_rows
from task_models import NUDGE, is_spread, save, tiny_model
from task_texts import MASKED, TARGETED, TARGETS
from transformers import DebertaForMaskedLM, DebertaV2ForMaskedLM, pipeline

CASES = {
    "fill_mask_legacy": (DebertaV2ForMaskedLM, {"legacy": True}),
    "fill_mask_microsoft": (DebertaV2ForMaskedLM, {"legacy": False}),
    "fill_mask_v1": (DebertaForMaskedLM, {"legacy": True}),
}
TOP = (5, 10)


def mask_logits(filler, text):
    """The ids of a text, and the logits of each of its masks."""
    given = filler.preprocess(text)
    with torch.no_grad():
        logits = filler.model(**given).logits[0]
    ids = given["input_ids"][0]
    return ids.tolist(), logits[ids == filler.tokenizer.mask_token_id].tolist()


def resolve(filler, target):
    """Which token the pipeline takes for a target, and whether that is the target itself."""
    in_vocabulary = target in filler.tokenizer.get_vocab()
    token = int(filler.get_target_ids(target)[0])
    return {"target": target, "in_vocabulary": in_vocabulary, "token": token,
            "piece": filler.tokenizer.convert_ids_to_tokens(token)}  # fmt: skip


def answers(filler, text, **options):
    """The pipeline's answer as one list for each mask, though it has none around the answer of an only mask."""
    found = filler(text, **options)
    return [found] if isinstance(found[0], dict) else found


def is_steady(filler, logits):
    """Whether logits off by NUDGE leave the best tokens, and the order of the targets, as they are."""
    wanted = [{resolve(filler, target)["token"] for target in targets} for targets in TARGETS]
    best = all(is_spread(sorted(row)[-max(TOP) - 1 :], 2 * NUDGE) for row in logits)
    return best and all(is_spread([row[i] for i in ids], 2 * NUDGE) for row in logits for ids in wanted)


def rows_of(filler):
    """One entry for each text, and one for each text and list of targets; nothing when one is too close to call."""
    rows, targeted = [], []
    for text in MASKED:
        ids, logits = mask_logits(filler, text)
        if not is_steady(filler, logits):
            return None, None
        found = {f"top_{k}": answers(filler, text, top_k=k) for k in TOP}
        assert found["top_5"] == answers(filler, text)
        rows.append({"text": text, "ids": ids, "answers": found})
        for targets in TARGETS if text in TARGETED else []:
            targeted.append({"text": text, "targets": targets, "resolved": [resolve(filler, t) for t in targets],
                             "answers": {"top_5": answers(filler, text, targets=targets),
                                         "top_2": answers(filler, text, targets=targets, top_k=2)}})  # fmt: skip
    return rows, targeted


def write_case(name, folder, tokenizer):
    """The folder of one case; returns what to say of it."""
    model_class, changes = CASES[name]
    for attempt in range(200):
        model = tiny_model(model_class, changes, len(tokenizer), name, attempt)
        filler = pipeline("fill-mask", model=model, tokenizer=tokenizer)
        rows, targeted = rows_of(filler)
        if rows is not None:
            break
    else:
        raise SystemExit(f"{name}: no attempt gives steady answers")
    save(folder, model, tokenizer)
    write_rows(folder / "expected.json", {"texts": rows, "targets": targeted})
    best = {mask[0]["token"] for row in rows for mask in row["answers"]["top_5"]}
    return f"{len(rows)} texts, {len(targeted)} with targets, attempt {attempt}, {len(best)} best tokens"
