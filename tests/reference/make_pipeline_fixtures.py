"""Writes tests/fixtures/pipelines: what `transformers`' pipelines answer, on tiny random models and on the shipped ones.

    python make_pipeline_fixtures.py            # everything; shipped models that do not exist are left out
    python make_pipeline_fixtures.py NAME...    # these cases alone
    python make_pipeline_fixtures.py shipped    # only shipped_*.json, after the shipped models changed
"""

import json
import sys
import warnings

import torch
from fixture_files import (
    FIXTURES,
    fresh_folder,
    generator,
    random_weights,
    require_pinned_versions,
    write_json,
    write_rows,
)
from parity_case import V1, V3
from pipeline_texts import INTENTS, NAMES, PAIRS, SENTIMENT, SMALL, corpus

require_pinned_versions()

from tiny_vocabulary import build_tokenizer, train_vocabulary  # noqa: E402
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers  # noqa: E402
from transformers import (  # noqa: E402  (after the check, so that a wrong version is named first)
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DebertaConfig,
    DebertaForSequenceClassification,
    DebertaForTokenClassification,
    DebertaTokenizer,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    pipeline,
)
from transformers.pipelines.token_classification import AggregationStrategy  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()
warnings.filterwarnings("ignore", message="Tokenizer does not support real words")

PIPELINES = FIXTURES / "pipelines"
SHIPPED = FIXTURES.parent.parent / "models"
STRATEGIES = ("none", "simple", "first", "average", "max")
FUNCTIONS = ("softmax", "sigmoid", "none")
# Answers are recorded only where logits this much off would not change a label, a span or an order.
NUDGE = 1e-4


def labels(names):
    """id2label and label2id."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def prefixed(prefixes, kinds):
    """Tags such as B-PER, after O."""
    return ["O", *(f"{p}-{kind}" for kind in kinds for p in prefixes)]


CASES = {
    "text_softmax": ("text", {**labels(["negative", "neutral", "positive"]), "type_vocab_size": 2}),
    "text_two_default_labels": ("text", {"num_labels": 2}),
    "text_multi_label": ("text", {**labels(["joy", "anger", "fear", "hope"]),
                                  "problem_type": "multi_label_classification"}),
    "text_one_label": ("text", labels(["toxic"])),
    "text_regression": ("text", {**labels(["similarity"]), "problem_type": "regression"}),
    "text_single_label": ("text", {**labels(["entailment", "neutral", "contradiction"]),
                                   "problem_type": "single_label_classification"}),
    "token_bio": ("token", labels(prefixed("BI", ["PER", "ORG", "LOC", "WORK-ART"]))),
    "token_bioes": ("token", labels(prefixed("BIES", ["PER", "LOC"]))),
    "token_plain": ("token", labels(["PER", "LOC", "O", "DATE"])),
    # DeBERTa v1, with a byte-level vocabulary.
    "text_v1": ("text", labels(["negative", "neutral", "positive"])),
    "text_v1_multi_label": ("text", {**labels(["joy", "anger", "fear", "hope"]), "type_vocab_size": 2,
                                     "problem_type": "multi_label_classification"}),
    "token_v1_bio": ("token", labels(prefixed("BI", ["PER", "ORG", "LOC"]))),
}  # fmt: skip
# What a v1 case has of its tokenizer: the files on the hub, or a tokenizer.json of this version or of version 4.
V1_VOCABULARIES = {"text_v1": "version 5", "text_v1_multi_label": "version 4", "token_v1_bio": "hub"}
# The mask takes the space before it, as in version 4; this version leaves that to the caller.
V1_MASK = AddedToken("[MASK]", lstrip=True, special=True)


def train_byte_level():
    """vocab.json and merges.txt of the corpus, as text, numbered as DeBERTa v1's: [MASK] is last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=600, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *sorted(model["vocab"], key=model["vocab"].get), "[MASK]"]
    merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
    ids = {token: number for number, token in enumerate(tokens)}
    return json.dumps(ids, ensure_ascii=False) + "\n", "#version: 0.2\n" + merges


def write_byte_level(folder, vocabulary):
    """The two files, and the settings beside them on the hub."""
    (folder / "vocab.json").write_text(vocabulary[0], encoding="utf-8")
    (folder / "merges.txt").write_text(vocabulary[1], encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "vocab_type": "gpt2"})


def version_4(tokenizer):
    """The tokenizer with one [SEP] between two texts, the second of its own type; this version puts two there."""
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", tokenizer.cls_token_id), ("[SEP]", tokenizer.sep_token_id)],
    )  # fmt: skip
    return tokenizer


def build_byte_level(kind, vocabulary):
    """The tokenizer class of transformers on that vocabulary."""
    merges = [tuple(line.split(" ")) for line in vocabulary[1].splitlines()[1:]]
    if kind == "version 5":
        return DebertaTokenizer(vocab=json.loads(vocabulary[0]), merges=merges)
    return version_4(DebertaTokenizer(vocab=json.loads(vocabulary[0]), merges=merges, mask_token=V1_MASK))


def save_byte_level(kind, folder, tokenizer, vocabulary, texts):
    """The tokenizer's files. The files on the hub must load to the same."""
    if kind != "hub":
        tokenizer.save_pretrained(folder)
        return
    write_byte_level(folder, vocabulary)
    loaded = version_4(DebertaTokenizer.from_pretrained(folder, mask_token=V1_MASK))
    for given in texts:
        assert loaded(*given)["input_ids"] == tokenizer(*given)["input_ids"], f"{folder}: {given}"


def model_class(kind, is_first):
    """The class of transformers for a task, of DeBERTa v1 or of v2 and v3."""
    if kind == "token":
        return DebertaForTokenClassification if is_first else DebertaV2ForTokenClassification
    return DebertaForSequenceClassification if is_first else DebertaV2ForSequenceClassification


def random_model(kind, changes, vocab, attempt, name):
    """A tiny model whose tags come in runs, so that there is something to aggregate."""
    is_first = name in V1_VOCABULARIES
    base, config_class = (V1, DebertaConfig) if is_first else (V3, DebertaV2Config)
    config = config_class(**{**base, "vocab_size": vocab, "hidden_size": 16, "num_attention_heads": 2,
                             "intermediate_size": 24, "pad_token_id": 0, **changes})  # fmt: skip
    config._attn_implementation = "eager"
    model = model_class(kind, is_first)(config).eval()
    weights = random_weights(model, generator("pipeline", name, attempt))
    if kind == "token":
        inside = [not config.id2label[i].startswith(("B-", "E-", "S-")) for i in range(config.num_labels)]
        weights["classifier.bias"] += torch.tensor(inside) * 0.8
    model.load_state_dict(weights)
    return model


def encoded(kind, tokenizer, *texts):
    """What the tokenizer gives: the place to look first when an answer differs."""
    out = tokenizer(*texts, return_offsets_mapping=True)
    fields = {"ids": out["input_ids"]}
    if kind == "token":
        fields["tokens"] = tokenizer.convert_ids_to_tokens(out["input_ids"])
        fields["offsets"] = out["offset_mapping"]
    elif "token_type_ids" in out:
        fields["type_ids"] = out["token_type_ids"]
    return fields


def plain_numbers(value):
    """numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {k: plain_numbers(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_numbers(v) for v in value]
    return value.item() if hasattr(value, "item") else value


def trimmed(text, start, end):
    """The span without the white space around it; an empty one lies at its end."""
    inner = text[start:end]
    left = len(inner) - len(inner.lstrip())
    right = len(inner) - len(inner.rstrip())
    return [start + left, end - right] if left < len(inner) else [end, end]


def tag_tokens(model, tokenizer, text):
    """The answers of every strategy, each entity with its span less the white space."""
    tagger = pipeline("token-classification", model=model, tokenizer=tokenizer)
    answers = {}
    for strategy in STRATEGIES:
        found = plain_numbers(tagger(text, aggregation_strategy=strategy))
        for entity in found:
            entity["trimmed"] = trimmed(text, entity["start"], entity["end"])
        answers[strategy] = found
    return answers


def classify(model, tokenizer, text, pair):
    """The answer by default, every score by default, and every score by each function."""
    classifier = pipeline("text-classification", model=model, tokenizer=tokenizer)
    given = {"text": text} if pair is None else {"text": text, "text_pair": pair}
    best = classifier(given)
    answers = {"best": best[0] if isinstance(best, list) else best, "all": classifier(given, top_k=None),
               "top_2": classifier(given, top_k=2)}  # fmt: skip
    for function in FUNCTIONS:
        answers[function] = classifier(given, top_k=None, function_to_apply=function)
    return plain_numbers(answers)


def shape(entities):
    """Entities without their scores: labels, words and spans."""
    return [{k: v for k, v in entity.items() if k != "score"} for entity in entities]


def steady_tags(model, tokenizer, text):
    """Whether logits off by NUDGE leave every strategy's labels and spans as they are."""
    tagger = pipeline("token-classification", model=model, tokenizer=tokenizer)
    with torch.no_grad():
        outputs = [tagger._forward(chunk) for chunk in tagger.preprocess(text, is_split_into_words=False)]
    gen = generator("nudge", text)
    exact = [out["logits"] for out in outputs]
    for strategy in STRATEGIES:
        name = AggregationStrategy[strategy.upper()]
        for out, logits in zip(outputs, exact, strict=True):
            out["logits"] = logits
        first = shape(tagger.postprocess(outputs, aggregation_strategy=name))
        for _ in range(6):
            for out, logits in zip(outputs, exact, strict=True):
                out["logits"] = logits + NUDGE * torch.randint(-1, 2, logits.shape, generator=gen)
            if shape(tagger.postprocess(outputs, aggregation_strategy=name)) != first:
                return False
    return True


def steady_classes(model, tokenizer, text, pair):
    """Whether logits off by NUDGE leave the order of the labels as it is."""
    given = tokenizer(text, pair, return_tensors="pt")
    with torch.no_grad():
        logits = model(**given).logits[0].sort().values
    return bool((logits[1:] - logits[:-1] > 2 * NUDGE).all())


def answers_of(kind, model, tokenizer, texts):
    """One entry per text."""
    rows = []
    for text, pair in texts:
        answer = tag_tokens(model, tokenizer, text) if kind == "token" else classify(model, tokenizer, text, pair)
        given = (text,) if pair is None else (text, pair)
        rows.append({"text": text, "pair": pair, **encoded(kind, tokenizer, *given), "answers": answer})
    return rows


def is_steady(kind, model, tokenizer, text, pair):
    """Whether an answer is far enough from every tie to hold a reimplementation to it."""
    if kind == "token":
        return steady_tags(model, tokenizer, text)
    return steady_classes(model, tokenizer, text, pair)


def mixed_tags(model, tokenizer):
    """Whether the tags vary and come in runs, so that the aggregation has something to do."""
    given = tokenizer(SMALL[-1], return_tensors="pt")
    with torch.no_grad():
        tags = model(**given).logits[0].argmax(-1).tolist()
    runs = sum(a == b for a, b in zip(tags, tags[1:], strict=False))
    outside = model.config.label2id["O"]
    enough = min(len(model.config.id2label), 5)
    return len(set(tags)) >= enough and len(tags) // 5 <= runs <= len(tags) // 2 and outside in tags


def entities_of_several_tokens(rows):
    """How much the aggregation has to do."""
    count = 0
    for row in rows:
        for entity in row["answers"]["simple"]:
            inside = [s for s, e in row["offsets"] if entity["start"] <= s < e <= entity["end"]]
            count += len(inside) > 1
    return count


def write_case(name, pieces, byte_level):
    """One folder with a model, its tokenizer and expected.json; the vocabularies are those of both kinds."""
    kind, changes = CASES[name]
    is_first = name in V1_VOCABULARIES
    tokenizer = build_byte_level(V1_VOCABULARIES[name], byte_level) if is_first else build_tokenizer(pieces)
    texts = [(text, None) for text in SMALL] + (PAIRS if kind == "text" else [])
    for attempt in range(200):
        model = random_model(kind, changes, len(tokenizer), attempt, name)
        if kind == "token" and not mixed_tags(model, tokenizer):
            continue
        if all(is_steady(kind, model, tokenizer, *text) for text in texts):
            break
    else:
        sys.exit(f"{name}: no attempt gives steady answers")
    rows = answers_of(kind, model, tokenizer, texts)
    folder = fresh_folder(PIPELINES / name)
    model.save_pretrained(folder)
    if is_first:
        save_byte_level(V1_VOCABULARIES[name], folder, tokenizer, byte_level, texts)
    else:
        tokenizer.save_pretrained(folder)
        (folder / "spm.model").write_bytes(pieces)
    (folder / "model.safetensors").chmod(0o644)
    write_rows(folder / "expected.json", {"texts": rows})
    note = f", {entities_of_several_tokens(rows)} entities of several tokens" if kind == "token" else ""
    print(f"{name}: {len(rows)} texts, attempt {attempt}{note}", flush=True)


def write_shipped(name, kind, texts):
    """The answers of a shipped model, its weights widened to f32."""
    folder = SHIPPED / name
    if not (folder / "config.json").exists():
        print(f"{folder} does not exist: shipped_{name}.json is left as it is")
        return
    auto = AutoModelForTokenClassification if kind == "token" else AutoModelForSequenceClassification
    model = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    kept = [text for text in texts if is_steady(kind, model, tokenizer, text, None)]
    rows = answers_of(kind, model, tokenizer, [(text, None) for text in kept])
    write_rows(PIPELINES / f"shipped_{name}.json", {"texts": rows})
    close = [text for text in texts if text not in kept]
    print(f"shipped_{name}: {len(rows)} texts; left out as too close to call: {close}", flush=True)


def main():
    """All of them, or those that the arguments say."""
    PIPELINES.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or [*CASES, "shipped"]
    if not set(wanted) <= {*CASES, "shipped"}:
        sys.exit(__doc__)
    if wanted != ["shipped"]:
        pieces, byte_level = train_vocabulary(), train_byte_level()
        for name in CASES:
            if name in wanted:
                write_case(name, pieces, byte_level)
        write_rows(PIPELINES / "cases.json", {"cases": [{"name": n, "task": CASES[n][0]} for n in CASES]})
    if "shipped" in wanted:
        write_shipped("sentiment", "text", SENTIMENT)
        write_shipped("ner", "token", NAMES)
        write_shipped("intent", "text", INTENTS)
    size = sum(f.stat().st_size for f in PIPELINES.rglob("*") if f.is_file())
    print(f"{PIPELINES} holds {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
