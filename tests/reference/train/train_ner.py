"""Fine-tunes the pretrained encoder as a tagger of persons, organisations and places; writes models/ner.

    python train_ner.py [--epochs 2] [--output DIR] [--start DIR] [--clauses 0.5]
"""

import argparse
import random
from pathlib import Path

import fast_attention
import torch
from torch import nn
from transformers import DebertaV2ForTokenClassification

import ner_data
from common import (
    CLS,
    MODELS,
    SEP,
    WORK,
    Average,
    Log,
    Vocabulary,
    architecture,
    batches,
    load_encoder,
    optimiser,
    pad,
    round_to_f16,
    save_model,
    seed_everything,
    set_rate,
)
from scores import LABELS, encode_spans, generated_scores, wnut_scores
from wnut import read_wnut

LIMIT = 100


def encode(rows, vocabulary, rng, args):
    """Ids and label ids of one epoch, half of the rows in a sampled segmentation."""
    out = []
    for text, spans in rows:
        alpha = 0.3 if rng.random() < args.sampling else None
        ids, labels, _ = encode_spans(vocabulary, text, spans, alpha)
        ids = [vocabulary.mask if rng.random() < args.drop else i for i in ids]
        out.append(([CLS] + ids[:LIMIT] + [SEP], [-100] + labels[:LIMIT] + [-100]))
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--drop", type=float, default=0.04)
    parser.add_argument("--sampling", type=float, default=0.4)
    parser.add_argument("--generated", type=int, default=20000)
    parser.add_argument("--clauses", type=float, default=0.0, help="share of sentences put together by ner_clauses.py")
    parser.add_argument("--start", type=Path, help="folder of an earlier run to go on from")
    parser.add_argument("--seed", type=int, default=20240504)
    parser.add_argument("--output", type=Path, default=MODELS / "ner")
    args = parser.parse_args()

    seed_everything(args.seed)
    log = Log()
    rng = random.Random(args.seed)
    vocabulary = Vocabulary(WORK / "spm.model")
    config = architecture(vocabulary, id2label=dict(enumerate(LABELS)), label2id={l: i for i, l in enumerate(LABELS)})
    fast_attention.check(config)
    fast_attention.install()
    model = DebertaV2ForTokenClassification(config)
    if args.start:
        model = DebertaV2ForTokenClassification.from_pretrained(args.start, dtype=torch.float32)
    else:
        load_encoder(model, WORK / "encoder.safetensors")
    names, pools, wnut = ner_data.Names("train"), ner_data.real_text(), read_wnut("train")
    optim = optimiser(model, args.rate, 0.05)
    average = Average(model, 0.998)
    held_out, dev = ner_data.held_out_set(500, seed=8), read_wnut("dev")

    step = 0
    for epoch in range(args.epochs):
        model.train()
        rows = encode(ner_data.training_epoch(names, pools, wnut, rng, args.generated, clauses=args.clauses), vocabulary, rng, args)
        plan = batches([len(ids) for ids, _ in rows], args.tokens, rng)
        total = 0.0
        for number, batch in enumerate(plan):
            ids = pad([rows[i][0] for i in batch])
            labels = pad([rows[i][1] for i in batch], -100)
            logits = model(ids, attention_mask=(ids != 0).long()).logits
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.02)
            optim.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            step += 1
            set_rate(optim, args.rate, epoch + (number + 1) / len(plan), args.epochs)
            optim.step()
            average.update(model)
            total += loss.item()
            if step % 50 == 0:
                log(f"step {step} ({number + 1}/{len(plan)}) loss {total / (number + 1):.3f}")
        smooth = DebertaV2ForTokenClassification(config)
        smooth.load_state_dict(average.state)
        save_model(smooth, vocabulary, args.output)
        log(
            f"epoch {epoch + 1}: loss {total / len(plan):.3f}",
            f"generated {generated_scores(smooth, vocabulary, held_out)[0][2]:.3f}",
            f"WNUT dev {wnut_scores(smooth, vocabulary, dev)[0][2]:.3f}",
        )

    model.load_state_dict(average.state)
    round_to_f16(model)
    log("generated", generated_scores(model, vocabulary, ner_data.held_out_set()))
    log("WNUT test", wnut_scores(model, vocabulary, read_wnut("test")))


if __name__ == "__main__":
    main()
