"""Fine-tunes the pretrained encoder on SST-2 and writes models/sentiment.

    python train_sentiment.py [--epochs 3] [--output DIR]
"""

import argparse
import random
from pathlib import Path

import fast_attention
import torch
from torch import nn
from transformers import DebertaV2ForSequenceClassification

from common import (
    MODELS,
    WORK,
    Average,
    Log,
    Vocabulary,
    architecture,
    batches,
    detokenise,
    load_encoder,
    optimiser,
    pad,
    read_sst2,
    round_to_f16,
    save_model,
    seed_everything,
    set_rate,
)
from everyday import opinions
from scores import sentiment_accuracy

SEED = 20240503
OPINIONS = 5000  # generated sentences per epoch, beside 60,614 treebank phrases
LIMIT = 80


def epoch_rows(rows, vocabulary, rng, args):
    """One epoch: a fresh spelling, segmentation and word dropout of every phrase."""
    out = []
    for text, label in rows + opinions(OPINIONS, rng):
        roll = rng.random()
        if roll < 0.3:
            text = detokenise(text, rng)
        elif roll < 0.4:
            text = detokenise(text)
        ids = vocabulary.ids(text, alpha=0.3 if rng.random() < args.sampling else None, limit=LIMIT)
        if len(ids) > 6:
            ids = [vocabulary.mask if 2 < i and rng.random() < args.drop else i for i in ids]
        out.append((ids, label))
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--dropout", type=float, default=0.15)
    parser.add_argument("--drop", type=float, default=0.08)
    parser.add_argument("--sampling", type=float, default=0.5)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--output", type=Path, default=MODELS / "sentiment")
    args = parser.parse_args()

    seed_everything(SEED)
    log = Log()
    rng = random.Random(SEED)
    vocabulary = Vocabulary(WORK / "spm.model")
    config = architecture(
        vocabulary,
        hidden_dropout_prob=args.dropout,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
    )
    fast_attention.check(config)
    fast_attention.install()
    model = DebertaV2ForSequenceClassification(config)
    load_encoder(model, WORK / "encoder.safetensors")
    train, dev = read_sst2("train"), read_sst2("dev")
    loss_of = nn.CrossEntropyLoss(label_smoothing=args.smoothing)
    optim = optimiser(model, args.rate, 0.05)
    average = Average(model, 0.999)

    step = 0
    for epoch in range(args.epochs):
        model.train()
        rows = epoch_rows(train, vocabulary, rng, args)
        plan = batches([len(ids) for ids, _ in rows], args.tokens, rng)
        total = 0.0
        for number, batch in enumerate(plan):
            ids = pad([rows[i][0] for i in batch])
            labels = torch.tensor([rows[i][1] for i in batch])
            loss = loss_of(model(ids, attention_mask=(ids != 0).long()).logits, labels)
            optim.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            step += 1
            set_rate(optim, args.rate, epoch + (number + 1) / len(plan), args.epochs)
            optim.step()
            average.update(model)
            total += loss.item()
            if step % 200 == 0:
                log(f"step {step} ({number + 1}/{len(plan)}) loss {total / (number + 1):.3f}")
        smooth = DebertaV2ForSequenceClassification(config)
        smooth.load_state_dict(average.state)
        save_model(smooth, vocabulary, args.output)
        log(f"epoch {epoch + 1}: loss {total / len(plan):.3f} dev {sentiment_accuracy(smooth, vocabulary, dev):.4f}")

    model.load_state_dict(average.state)
    round_to_f16(model)
    log(f"test {sentiment_accuracy(model, vocabulary, read_sst2('test')):.4f}")


if __name__ == "__main__":
    main()
