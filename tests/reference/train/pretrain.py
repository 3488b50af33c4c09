"""Masked-token pretraining of the encoder that the shipped models start from.

    python pretrain.py [--epochs 1]      # -> $DEBERTA_TRAIN_DIR/encoder.safetensors
"""

import argparse
import random

import torch
import fast_attention
from safetensors.torch import save_file
from torch import nn
from transformers import DebertaV2Model

from common import (
    SEP,
    WORK,
    Average,
    Log,
    Vocabulary,
    architecture,
    batches,
    detokenise,
    optimiser,
    pad,
    read_banking,
    read_glosses,
    read_gutenberg,
    read_sst2,
    seed_everything,
    set_rate,
)
from wnut import read_wnut

SEED = 20240502
MASKED = 0.15
LIMIT = 64
GLOSSES = 50000  # of 117,659: more helps, but the whole run should stay within minutes


def sentences(rng):
    """Training text only: nothing of any dev or test file."""
    lines = rng.sample(read_glosses(), GLOSSES) + read_gutenberg() + read_banking() + [" ".join(w) for w, _ in read_wnut("train")]
    seen = set()
    # The longest phrases come first; a phrase inside one already taken adds nothing.
    for text, _ in sorted(read_sst2("train"), key=lambda row: -len(row[0])):
        words = text.split()
        if len(words) < 4 or " ".join(words[:6]) in seen:
            continue
        seen.update(" ".join(words[i : i + 6]) for i in range(len(words)))
        lines.append(text)
        lines.append(detokenise(text, rng))
    return lines


class MaskedHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden, table):
        return self.norm(nn.functional.gelu(self.dense(hidden))) @ table.T + self.bias


def mask_tokens(ids, vocabulary, generator):
    """BERT's 80/10/10 recipe; special tokens and padding are never chosen."""
    free = ids > SEP
    chosen = (torch.rand(ids.shape, generator=generator) < MASKED) & free
    roll = torch.rand(ids.shape, generator=generator)
    masked = ids.clone()
    masked[chosen & (roll < 0.8)] = vocabulary.mask
    swap = chosen & (roll >= 0.9)
    masked[swap] = torch.randint(SEP + 1, vocabulary.mask, (int(swap.sum()),), generator=generator)
    return masked, chosen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--tokens", type=int, default=2560)
    args = parser.parse_args()

    seed_everything(SEED)
    log = Log()
    rng = random.Random(SEED)
    generator = torch.Generator().manual_seed(SEED)
    vocabulary = Vocabulary(WORK / "spm.model")
    config = architecture(vocabulary, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    fast_attention.check(config)
    fast_attention.install()
    encoder, head = DebertaV2Model(config), MaskedHead(config)
    model = nn.ModuleDict({"encoder": encoder, "head": head})
    log("parameters", sum(p.numel() for p in encoder.parameters()))

    rows = [vocabulary.ids(line, limit=LIMIT) for line in sentences(rng)]
    log(len(rows), "lines", sum(map(len, rows)), "tokens")
    plan = [b for _ in range(args.epochs) for b in batches([len(r) for r in rows], args.tokens, rng)]
    optim = optimiser(model, args.rate, 0.01)
    average = Average(encoder, 0.99)
    seen, total = 0, 0.0
    model.train()
    for step, batch in enumerate(plan):
        ids = pad([rows[i] for i in batch])
        masked, chosen = mask_tokens(ids, vocabulary, generator)
        hidden = encoder(masked, attention_mask=(ids != 0).long()).last_hidden_state
        logits = head(hidden[chosen], encoder.embeddings.word_embeddings.weight)
        loss = nn.functional.cross_entropy(logits, ids[chosen])
        optim.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_rate(optim, args.rate, step + 1, len(plan))
        optim.step()
        average.update(encoder)
        seen, total = seen + 1, total + loss.item()
        if seen == 50:
            log(f"step {step + 1}/{len(plan)} loss {total / seen:.3f}")
            seen, total = 0, 0.0
    save_file({k: v.contiguous() for k, v in average.state.items()}, WORK / "encoder.safetensors")


if __name__ == "__main__":
    main()
