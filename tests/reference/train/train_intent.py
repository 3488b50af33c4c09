"""Fine-tunes the encoder of a shipped model on banking77 and writes models/intent.

    python train_intent.py [--epochs 21] [--output DIR] [--validation 0.1]
"""

import argparse
import random
from pathlib import Path

import fast_attention
import torch
from torch import nn
from transformers import AutoModel, DebertaV2ForSequenceClassification

from common import (
    MODELS,
    Average,
    Log,
    Vocabulary,
    architecture,
    batches,
    intent_names,
    optimiser,
    pad,
    read_intents,
    round_to_f16,
    save_model,
    seed_everything,
)
from scores import intent_scores

SEED = 20240506
LIMIT = 80


def epoch_rows(rows, vocabulary, rng, args):
    """One epoch: some questions in lower case or without the last mark, some segmentations sampled, some pieces masked."""
    out = []
    for text, label in rows:
        if rng.random() < 0.15:
            text = text.lower()
        if rng.random() < 0.15:
            text = text.rstrip(".?!") or text
        ids = vocabulary.other_ids(text, rng, LIMIT) if rng.random() < args.sampling else vocabulary.ids(text, limit=LIMIT)
        ids = [vocabulary.mask if 0 < i < len(ids) - 1 and rng.random() < args.drop else piece for i, piece in enumerate(ids)]
        out.append((ids, label))
    return out


def rate_at(epoch, args):
    """Of the peak, `epoch` counting parts: a line up, level, then a line down to nothing."""
    return min(1.0, epoch / args.warmup, (args.epochs - epoch) / args.decay)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--start", type=Path, default=MODELS / "ner", help="shipped model whose encoder to start from")
    parser.add_argument("--epochs", type=int, default=21)
    parser.add_argument("--decay", type=int, default=4, help="the last epochs, in which the rate falls")
    parser.add_argument("--warmup", type=float, default=0.5, help="the epochs in which the rate rises")
    parser.add_argument("--rate", type=float, default=7e-4)
    parser.add_argument("--tokens", type=int, default=640)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--drop", type=float, default=0.08)
    parser.add_argument("--sampling", type=float, default=0.3)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--validation", type=float, default=0.0, help="share of the training questions to hold out and score")
    parser.add_argument("--output", type=Path, default=MODELS / "intent")
    args = parser.parse_args()

    seed_everything(SEED)
    log = Log()
    rng = random.Random(SEED)
    vocabulary = Vocabulary(args.start / "spm.model")
    names = intent_names()
    numbers = {name: i for i, name in enumerate(names)}
    config = architecture(vocabulary, hidden_dropout_prob=args.dropout, id2label=dict(enumerate(names)), label2id=numbers)
    fast_attention.check(config)
    fast_attention.install()
    model = DebertaV2ForSequenceClassification(config)
    model.deberta.load_state_dict(AutoModel.from_pretrained(args.start, dtype=torch.float32).state_dict())

    train = [(text, numbers[name]) for text, name in read_intents("train")]
    # Shuffled by a seed of its own: every run holds out the same questions.
    random.Random(0).shuffle(train)
    held = round(args.validation * len(train))
    validation, train = train[:held], train[held:]
    loss_of = nn.CrossEntropyLoss(label_smoothing=args.smoothing)
    optim = optimiser(model, args.rate, 0.05, fused=True)
    average = Average(model, 0.998)

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
            for group in optim.param_groups:
                group["lr"] = args.rate * rate_at(epoch + (number + 1) / len(plan), args)
            optim.step()
            average.update(model)
            total += loss.item()
            if (number + 1) % 50 == 0:
                log(f"epoch {epoch + 1} ({number + 1}/{len(plan)}) loss {total / (number + 1):.3f}")
        smooth = DebertaV2ForSequenceClassification(config)
        smooth.load_state_dict(average.state)
        save_model(smooth, vocabulary, args.output)
        log(f"epoch {epoch + 1}: loss {total / len(plan):.3f}")
        if validation:
            found = intent_scores(round_to_f16(smooth), vocabulary, validation)
            log("validation: accuracy {:.4f}, among the first three {:.4f}, macro F1 {:.4f}".format(*found))


if __name__ == "__main__":
    main()
