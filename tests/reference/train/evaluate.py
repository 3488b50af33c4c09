"""Recomputes what the model cards state, from the shipped files, with the library's own code alone.

    python evaluate.py [--sentiment DIR] [--ner DIR] [--intent DIR] [--summarize DIR] [--only NAME]
"""

import argparse
import random
from collections import Counter
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer, EncoderDecoderModel, pipeline
from transformers.utils import logging

import ner_data
from common import MODELS, Vocabulary, detokenise, intent_names, read_intents, read_sst2, seed_everything
from everyday import CHECKS as OPINIONS
from intent_checks import CHECKS as QUESTIONS
from ner_checks import CHECKS as NAMES
from scores import generated_scores, intent_scores, logits, sentiment_accuracy, wnut_scores
from summarize_data import read_abstracts, source_ids
from summarize_scores import copied, rouge, show as show_rouge, summaries
from wnut import read_wnut


def agreement(folder, texts):
    """How many texts tokenizer.json splits otherwise than spm.model does."""
    tokenizer, vocabulary = AutoTokenizer.from_pretrained(folder), Vocabulary(folder / "spm.model")
    return sum(tokenizer(text)["input_ids"] != vocabulary.ids(text) for text in texts)


def sentiment(folder):
    vocabulary = Vocabulary(folder / "spm.model")
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    test = read_sst2("test")
    rng = random.Random(0)
    print(f"== {folder}: {sum(p.numel() for p in model.parameters()):,} parameters")
    print(f"SST-2 test ({len(test)} sentences): {sentiment_accuracy(model, vocabulary, test):.4f}")
    print(f"the same, detokenised: {sentiment_accuracy(model, vocabulary, [(detokenise(t), y) for t, y in test]):.4f}")
    print(f"the same, detokenised and capitalised: {sentiment_accuracy(model, vocabulary, [(detokenise(t, rng), y) for t, y in test]):.4f}")
    train = {text for text, _ in read_sst2("train")}
    print("test sentences that are training rows:", sum(text in train for text, _ in test))
    long = [t for t in train if len(t.split()) >= 4]
    print("test sentences that contain a training row of four words or more:", sum(any(f" {t} " in f" {text} " for t in long) for text, _ in test))
    print("tokenizer.json and spm.model differ on:", agreement(folder, [t for t, _ in test] + [detokenise(t, rng) for t, _ in test]), "of", 2 * len(test))
    right = 0
    for (text, label), row in zip(OPINIONS, logits(model, [vocabulary.ids(t) for t, _ in OPINIONS])):
        scores = row.softmax(-1)
        right += int(scores.argmax()) == label
        print("  ok " if int(scores.argmax()) == label else "  NO ", f"{scores[1]:.3f} positive: {text}")
    print(f"everyday sentences: {right} of {len(OPINIONS)}")


def show(scores):
    (precision, recall, f1), kinds = scores
    return f"P {precision:.3f} R {recall:.3f} F1 {f1:.3f} | " + " ".join(f"{kind} {value:.3f}" for kind, value in kinds.items())


def ner(folder):
    vocabulary = Vocabulary(folder / "spm.model")
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    print(f"== {folder}: {sum(p.numel() for p in model.parameters()):,} parameters")
    print("held-out generated (2000):", show(generated_scores(model, vocabulary, ner_data.held_out_set())))
    for split in ("dev", "test"):
        print(f"WNUT-17 {split}:", show(wnut_scores(model, vocabulary, read_wnut(split))))
    print("tokenizer.json and spm.model differ on:", agreement(folder, [" ".join(w) for w, _ in read_wnut("test")]), "of", len(read_wnut("test")), "WNUT test sentences")
    for strategy in ("simple", "first"):
        tagger = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy)
        right = 0
        for text, gold in NAMES:
            entities = tagger(text)
            names = {(text[e["start"] : e["end"]].strip(), e["entity_group"]) for e in entities}
            if strategy == "first":
                # The library joins a full stop or comma to the word before it.
                names = {(name.rstrip(".,?!"), kind) for name, kind in names}
            right += names == gold
            if strategy == "simple" or names != gold:
                print("  ok " if names == gold else "  NO ", text, sorted(names))
        print(f"everyday sentences, aggregation {strategy}: {right} of {len(NAMES)}")


def intent(folder):
    vocabulary = Vocabulary(folder / "spm.model")
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    names = intent_names()
    assert [model.config.id2label[i] for i in range(len(names))] == names
    test = [(text, names.index(name)) for text, name in read_intents("test")]
    print(f"== {folder}: {sum(p.numel() for p in model.parameters()):,} parameters")
    for note, rows in (("", test), (" in lower case without the last mark", [(t.lower().rstrip(".?!"), y) for t, y in test])):
        accuracy, among, f1 = intent_scores(model, vocabulary, rows)
        print(f"banking77 test{note} ({len(rows)} questions): accuracy {accuracy:.4f}, among the first three {among:.4f}, macro F1 {f1:.4f}")
    train = {" ".join(text.lower().split()) for text, _ in read_intents("train")}
    print("test questions that are training rows, but for case:", sum(text.lower() in train for text, _ in test))
    print("tokenizer.json and spm.model differ on:", agreement(folder, [t for t, _ in test]), "of", len(test))
    found = logits(model, [vocabulary.ids(t) for t, _ in test])
    scores = torch.stack(found).softmax(-1)
    best = scores.max(-1)
    gold = torch.tensor([y for _, y in test])
    right = best.indices == gold
    for floor in (0.3, 0.5, 0.7):
        sure = best.values >= floor
        print(f"  best score at least {floor}: {sure.float().mean():.3f} of the questions, {right[sure].float().mean():.3f} of them right")
    weak = sorted((right[gold == k].float().mean().item(), name) for k, name in enumerate(names))
    print("  least recall:", ", ".join(f"{name} {value:.2f}" for value, name in weak[:6]))
    pairs = Counter((names[g], names[b]) for g, b in zip(gold.tolist(), best.indices.tolist()) if g != b)
    print("  most often mixed up:", ", ".join(f"{g} for {b} {n}" for (g, b), n in pairs.most_common(6)))
    hits = 0
    for (text, name), row in zip(QUESTIONS, logits(model, [vocabulary.ids(t) for t, _ in QUESTIONS])):
        value, label = row.softmax(-1).max(-1)
        hits += names[label] == name
        print("  --- " if name is None else "  ok  " if names[label] == name else "  NO  ", f"{value:.3f} {names[label]}: {text}")
    print(f"everyday questions: {hits} of {sum(name is not None for _, name in QUESTIONS)}")


def first_with_we(sentences):
    """What the model could have learnt with one word: abstracts say with it what is new."""
    return next((s for s in sentences if "we" in s.lower().split()), sentences[0])


def summarize(folder):
    vocabulary = Vocabulary(folder / "spm.model")
    model = EncoderDecoderModel.from_pretrained(folder, dtype=torch.float32)
    test = read_abstracts("test")
    print(f"== {folder}: {sum(p.numel() for p in model.parameters()):,} parameters")
    found = summaries(model, vocabulary, test)
    print(f"SciTLDR test ({len(test)} abstracts): {show_rouge(rouge(found, test))}")
    print("the first sentence:", show_rouge(rouge([s[0] for s, _, _ in test], test)))
    print("the first sentence with the word we:", show_rouge(rouge([first_with_we(s) for s, _, _ in test], test)))
    print("the best sentence:", show_rouge(rouge([best_sentence(a) for a in test], test)))
    print(f"summaries that are a sentence of their text, whole and exact: {copied(found, test):.3f}")
    whole = [" ".join(sentences) for sentences, _, _ in test]
    print("abstracts that are longer than what the model reads:", sum(vocabulary.ids(t) != source_ids(vocabulary, t) for t in whole))
    train = {" ".join(sentences) for sentences, _, _ in read_abstracts("train")}
    print("test abstracts that are training abstracts:", sum(t in train for t in whole))
    print("tokenizer.json and spm.model differ on:", agreement(folder, whole), "of", len(test))
    for (sentences, references, _), summary in list(zip(test, found))[:8]:
        print(f"  {summary}\n    for: {references[0]}")


def best_sentence(abstract):
    """By ROUGE-1 with the summaries: what no choice of one sentence can beat."""
    return max(abstract[0], key=lambda s: rouge([s], [abstract])[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sentiment", type=Path, default=MODELS / "sentiment")
    parser.add_argument("--ner", type=Path, default=MODELS / "ner")
    parser.add_argument("--intent", type=Path, default=MODELS / "intent")
    parser.add_argument("--summarize", type=Path, default=MODELS / "summarize")
    parser.add_argument("--only", choices=("sentiment", "ner", "intent", "summarize"))
    args = parser.parse_args()
    seed_everything(0)
    logging.set_verbosity_error()
    for name, report in (("sentiment", sentiment), ("ner", ner), ("intent", intent), ("summarize", summarize)):
        if args.only in (None, name):
            report(getattr(args, name))


if __name__ == "__main__":
    main()
