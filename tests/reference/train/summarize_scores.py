"""What a summarisation model writes, and its ROUGE."""

import torch
from rouge_score import rouge_scorer

from common import pad
from summarize_data import source_ids

KINDS = ("rouge1", "rouge2", "rougeL")


def rouge(summaries, abstracts):
    """Mean ROUGE-1, -2 and -L F (stemmed). Of several reference summaries the one counts that has the most ROUGE-1."""
    scorer = rouge_scorer.RougeScorer(KINDS, use_stemmer=True)
    totals = [0.0] * len(KINDS)
    for summary, (_, references, _) in zip(summaries, abstracts, strict=True):
        best = max((scorer.score(reference, summary) for reference in references), key=lambda s: s["rouge1"].fmeasure)
        for k, kind in enumerate(KINDS):
            totals[k] += best[kind].fmeasure
    return [total / len(abstracts) for total in totals]


def show(scores):
    return " ".join(f"{name} {100 * score:.2f}" for name, score in zip(("R1", "R2", "RL"), scores))


@torch.no_grad()
def summaries(model, vocabulary, abstracts, rows=32, **options):
    """What the model writes for each abstract, of which it reads the beginning that it has room for."""
    model.eval()
    sources = [source_ids(vocabulary, " ".join(sentences)) for sentences, _, _ in abstracts]
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    out = [None] * len(sources)
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        ids = pad([sources[i] for i in batch])
        written = model.generate(ids, attention_mask=(ids != 0).long(), **options).tolist()
        for i, tokens in zip(batch, written):
            out[i] = vocabulary.processor.decode([t for t in tokens if 3 < t < vocabulary.mask])
    return out


def copied(found, abstracts):
    """How many summaries are a sentence of their text, character by character."""
    return sum(summary in {" ".join(s.split()) for s in sentences} for summary, (sentences, _, _) in zip(found, abstracts)) / len(found)
