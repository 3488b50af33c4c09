"""Trains the 8,000-piece Unigram vocabulary that the shipped models use (about a minute).

    python train_vocabulary.py        # -> $DEBERTA_TRAIN_DIR/spm.model
"""

import random

from faker import Faker

from common import WORK, detokenise, read_banking, read_glosses, read_gutenberg, read_sst2, train_pieces
from wnut import read_wnut

SEED = 20240501
PIECES = 8000


def corpus():
    rng = random.Random(SEED)
    lines = []
    # Each treebank phrase as it is written and as a person would write it.
    for text, _ in read_sst2("train"):
        lines.append(text)
        lines.append(detokenise(text, rng))
    lines += read_glosses()
    lines += read_gutenberg()
    lines += read_banking()
    lines += [" ".join(words) for words, _ in read_wnut("train")]
    fake = Faker(["en_US", "en_GB", "en_CA", "en_AU", "en_IN", "en_IE"], use_weighting=True)
    Faker.seed(SEED)
    for _ in range(8000):
        lines.append(f"{fake.name()} works at {fake.company()} in {fake.city()}, {fake.country()}.")
    rng.shuffle(lines)
    return lines


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / "corpus.txt"
    path.write_text("\n".join(corpus()) + "\n", encoding="utf-8")
    train_pieces(WORK / "spm.model", PIECES, threads=2, input=str(path))


if __name__ == "__main__":
    main()
