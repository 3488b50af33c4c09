"""Writes the questions of tests/fixtures/tasks: what the question-answering pipeline of transformers 4 answers on tiny
random models. Version 5 has no such pipeline: this script wants the packages of requirements-questions.txt.

    python make_question_fixtures.py            # everything
    python make_question_fixtures.py NAME...    # these cases alone
"""

import itertools
import sys
import warnings

import torch
from fixture_files import FIXTURES, fresh_folder, generator, require_pinned_versions, write_rows

require_pinned_versions("requirements-questions.txt")

from task_models import NUDGE, TASKS, save, tiny_model, write_cases  # noqa: E402  (after the check)
from task_texts import LONG, QUESTIONS, VERY_LONG  # noqa: E402
from transformers import (  # noqa: E402
    DebertaForQuestionAnswering,
    DebertaTokenizerFast,
    DebertaV2ForQuestionAnswering,
    DebertaV2TokenizerFast,
    pipeline,
)
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
warnings.filterwarnings("ignore")

# Class, changes of the config, and the pipeline case whose vocabulary it has.
CASES = {
    "question": (DebertaV2ForQuestionAnswering, {}, "text_softmax"),
    "question_types": (DebertaV2ForQuestionAnswering, {"type_vocab_size": 2}, "text_softmax"),
    "question_v1": (DebertaForQuestionAnswering, {}, "text_v1_multi_label"),
}  # fmt: skip
WINDOWS = ({"max_seq_len": 64, "doc_stride": 16}, {"max_seq_len": 64, "doc_stride": 32})
DEFAULT_WINDOW = {"max_seq_len": 384, "doc_stride": 128}
ANSWERS = [dict(zip(("top_k", "handle_impossible_answer", "max_answer_len", "align_to_words"), values, strict=True))
           for values in itertools.product((1, 3, 5), (False, True), (5, 15), (True, False))]  # fmt: skip
# How much more of one answer's score than of another's 1e-4 of every logit can make.
SHARE = 4.1 * NUDGE


def plain(found):
    """The answers as a list, less those without probability: numpy's sort has them in any order."""
    found = found if isinstance(found, list) else [found]
    return [{**answer, "score": float(answer["score"])} for answer in found if answer["score"] > 0]


def outputs_of(reader, question, context, window):
    """The model's outputs for each window of the context."""
    example = reader.create_sample(question, context)
    with torch.no_grad():
        return [reader._forward(given) for given in reader.preprocess(example, **window)]


def nudged(outputs, gen):
    """The outputs with every logit off by NUDGE or not."""
    return [{**out, **{key: out[key] + NUDGE * torch.randint(-1, 2, out[key].shape, generator=gen)
                       for key in ("start", "end")}} for out in outputs]  # fmt: skip


def sharp_cut(out, options):
    """Whether the last candidate that the pipeline takes from a window is well above the first that it leaves."""
    count = options["top_k"] * 2 + 10 if options["align_to_words"] else options["top_k"]
    barred = torch.as_tensor(out["p_mask"]).bool()
    start, end = (out[key].masked_fill(barred, -10000.0).softmax(-1)[0] for key in ("start", "end"))
    start[0] = end[0] = 0
    scores = torch.outer(start, end).triu().tril(options["max_answer_len"] - 1).flatten()
    best = scores.topk(count + 1).values[-2:]
    return bool(best[1] == 0 or best[0] - best[1] > SHARE * best[0])


def is_steady(reader, outputs, options, found):
    """Whether logits off by NUDGE leave every answer, its span and its place as they are, and the scores nearly."""
    if not all(sharp_cut(out, options) for out in outputs):
        return False
    scores = [answer["score"] for answer in found]
    if any(a - b <= 2 * SHARE * a for a, b in itertools.pairwise(scores)):
        return False
    gen = generator("nudge", *[answer["answer"] for answer in found])
    for _ in range(4):
        other = plain(reader.postprocess(nudged(outputs, gen), **options))
        if [{**a, "score": 0} for a in other] != [{**a, "score": 0} for a in found]:
            return False
        if any(abs(a["score"] - b["score"]) > SHARE * b["score"] for a, b in zip(other, found, strict=True)):
            return False
    return True


def runs_of(reader, question, context, window):
    """The windows, and the answers under every choice of the other options; how many were too close to call."""
    outputs = outputs_of(reader, question, context, window)
    runs, close = [], 0
    for options in ANSWERS:
        found = plain(reader.postprocess(outputs, **options))
        if is_steady(reader, outputs, options, found):
            runs.append({**window, **options, "answers": found})
        else:
            close += 1
    assert found == plain(reader(question=question, context=context, **window, **options)), question
    given = {"ids": [out["input_ids"][0].tolist() for out in outputs],
             "type_ids": [out["token_type_ids"][0].tolist() for out in outputs]}  # fmt: skip
    return {**window, **given}, runs, close


def context_tokens(tokenizer, context):
    """The context alone, without special tokens: ids, offsets in characters, and each token's word."""
    out = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    return {"ids": out["input_ids"], "offsets": out["offset_mapping"], "words": out.word_ids()}


def rows_of(reader):
    """One entry for each question; how many runs were left out; and how many there are."""
    rows, close, kept = [], 0, 0
    for question, context in [*QUESTIONS, VERY_LONG]:
        windows = [DEFAULT_WINDOW, *(WINDOWS if (question, context) in LONG else ())]
        found = [runs_of(reader, question, context, window) for window in windows]
        runs = [run for _, of_window, _ in found for run in of_window]
        tokens = context_tokens(reader.tokenizer, context)
        windows = [given for given, _, _ in found]
        rows.append(
            {"question": question, "context": context, "context_tokens": tokens, "windows": windows, "runs": runs}
        )
        close += sum(count for _, _, count in found)
        kept += len(runs)
    return rows, close, kept


def check_defaults(reader, row):
    """What is not said must be as the options that are recorded."""
    usual = {
        **DEFAULT_WINDOW,
        "top_k": 1,
        "handle_impossible_answer": False,
        "max_answer_len": 15,
        "align_to_words": True,
    }
    for run in row["runs"]:
        if usual.items() <= run.items():
            found = plain(reader(question=row["question"], context=row["context"]))
            assert found == run["answers"], row["question"]


def write_case(name):
    """One folder with a model, its tokenizer and expected.json."""
    model_class, changes, vocabulary = CASES[name]
    tokenizer_class = DebertaTokenizerFast if "_v1" in name else DebertaV2TokenizerFast
    tokenizer = tokenizer_class(tokenizer_file=str(FIXTURES / "pipelines" / vocabulary / "tokenizer.json"))
    model = tiny_model(model_class, changes, len(tokenizer), name)
    with torch.no_grad():
        model.qa_outputs.weight *= 3  # some spans likely, as in a model that has learnt
    reader = pipeline("question-answering", model=model, tokenizer=tokenizer, device="cpu")
    rows, close, kept = rows_of(reader)
    for row in rows:
        check_defaults(reader, row)
    folder = fresh_folder(TASKS / name)
    save(folder, model, tokenizer)
    write_rows(folder / "expected.json", {"texts": rows})
    print(f"{name}: {len(rows)} questions, {kept} runs; left out as too close to call: {close}", flush=True)


def main():
    """All of them, or those that the arguments say."""
    wanted = sys.argv[1:] or [*CASES]
    if not set(wanted) <= set(CASES):
        sys.exit(__doc__)
    TASKS.mkdir(parents=True, exist_ok=True)
    for name in CASES:
        if name in wanted:
            write_case(name)
    write_cases([{"name": name, "task": "question"} for name in CASES])


if __name__ == "__main__":
    main()
