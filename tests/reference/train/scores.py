"""Accuracy of the sentiment and the intent model, and entity-level F1 of the tagger."""

import random

import torch

from common import CLS, SEP, batches, pad

LABELS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]


@torch.no_grad()
def logits(model, rows):
    """Logits of each row of ids, in order; without padding's influence on the numbers beyond rounding."""
    model.eval()
    out = [None] * len(rows)
    for batch in batches([len(r) for r in rows], 4096, random.Random(0)):
        ids = pad([rows[i] for i in batch])
        result = model(ids, attention_mask=(ids != 0).long()).logits
        for k, i in enumerate(batch):
            out[i] = result[k] if result.dim() == 2 else result[k, : len(rows[i])]
    return out


def sentiment_accuracy(model, vocabulary, rows):
    found = logits(model, [vocabulary.ids(text) for text, _ in rows])
    return sum(int(l.argmax()) == label for l, (_, label) in zip(found, rows)) / len(rows)


def intent_scores(model, vocabulary, rows):
    """Accuracy, how often the right label is among the best three, and F1 averaged over the labels of `rows`."""
    found = torch.stack(logits(model, [vocabulary.ids(text) for text, _ in rows]))
    gold = torch.tensor([label for _, label in rows])
    best = found.argmax(-1)
    f1 = []
    for label in gold.unique():
        hit = ((best == label) & (gold == label)).sum()
        f1.append((2 * hit / ((best == label).sum() + (gold == label).sum())).item())
    among = (found.topk(3).indices == gold[:, None]).any(-1)
    return (best == gold).float().mean().item(), among.float().mean().item(), sum(f1) / len(f1)


def entities(tags):
    """`{(kind, first word, last word)}` of BIO tags; an I- that continues nothing starts an entity."""
    found, start, kind = set(), None, None
    for i, tag in enumerate(list(tags) + ["O"]):
        prefix, _, name = tag.partition("-")
        if start is not None and (prefix != "I" or name != kind):
            found.add((kind, start, i - 1))
            start = None
        if prefix != "O" and start is None:
            start, kind = i, name
    return found


def entity_scores(gold, predicted):
    """Exact-match precision, recall, F1 (micro) and F1 by kind, of lists of BIO tag lists."""
    counts = {}
    for g, p in zip(gold, predicted):
        g, p = entities(g), entities(p)
        for kind in {e[0] for e in g | p}:
            row = counts.setdefault(kind, [0, 0, 0])
            mine, theirs = {e for e in g if e[0] == kind}, {e for e in p if e[0] == kind}
            row[0] += len(mine & theirs)
            row[1] += len(mine)
            row[2] += len(theirs)

    def f1(hit, gold, found):
        precision, recall = hit / max(found, 1), hit / max(gold, 1)
        return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)

    total = [sum(row[k] for row in counts.values()) for k in range(3)]
    return f1(*total), {kind: f1(*row)[2] for kind, row in sorted(counts.items())}


def encode_spans(vocabulary, text, spans, alpha=None):
    """Piece ids without specials, their label ids and their character spans.

    B- stands on the first piece of an entity alone, I- on every other piece, also inside its first
    word. A span's leading space is trimmed; the bytes of a character outside the vocabulary count as
    lying where it begins.
    """
    options = {} if alpha is None else {"enable_sampling": True, "alpha": alpha, "nbest_size": -1}
    ids, labels, offsets = [], [], []
    opened = set()
    pieces = vocabulary.processor.encode(text, return_type="offset_mapping", **options)
    for piece, (begin, end) in zip(pieces["ids"], pieces["offsets"]):
        while begin < end and text[begin].isspace():
            begin += 1
        label = 0
        for number, (first, last, kind) in enumerate(spans):
            if first <= begin < last:
                label = LABELS.index(("I-" if number in opened else "B-") + kind)
                opened.add(number)
        ids.append(piece)
        labels.append(label)
        offsets.append((begin, end))
    return ids, labels, offsets


def predicted_labels(model, vocabulary, texts):
    """`[(tags, offsets)]` of each text's pieces."""
    encoded = [encode_spans(vocabulary, text, []) for text in texts]
    found = logits(model, [[CLS] + ids + [SEP] for ids, _, _ in encoded])
    return [([LABELS[i] for i in f.argmax(-1)[1:-1].tolist()], offsets) for f, (_, _, offsets) in zip(found, encoded)]


def generated_scores(model, vocabulary, rows):
    """Scores by piece: an entity counts where kind, first and last piece are right."""
    gold = [[LABELS[i] for i in encode_spans(vocabulary, text, spans)[1]] for text, spans in rows]
    found = [tags for tags, _ in predicted_labels(model, vocabulary, [text for text, _ in rows])]
    return entity_scores(gold, found)


def wnut_scores(model, vocabulary, sentences):
    """Scores by word, as the data set is scored: a word takes the label of its first piece."""
    found = []
    for (words, _), (tags, offsets) in zip(sentences, predicted_labels(model, vocabulary, [" ".join(w) for w, _ in sentences])):
        at = {begin: tag for tag, (begin, _) in reversed(list(zip(tags, offsets)))}
        row, position = [], 0
        for word in words:
            row.append(at.get(position, "O"))
            position += len(word) + 1
        found.append(row)
    return entity_scores([tags for _, tags in sentences], found)
