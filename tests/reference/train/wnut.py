"""WNUT-17 with its six types mapped to the three of the shipped model."""

from common import ASSETS

# `group` (bands, teams, movements) and `corporation` are both organisations; creative works and
# products are not named by our labels and become O.
TYPES = {"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"}
FILES = {"train": "wnut17train.conll", "dev": "emerging.dev.conll", "test": "emerging.test.annotated"}


def read_wnut(split):
    """`[(words, tags)]` with tags O, B-PER, I-PER, ..."""
    sentences, words, tags = [], [], []
    with open(ASSETS / "datasets" / "wnut17" / FILES[split], encoding="utf-8") as f:
        for line in list(f) + [""]:
            word, _, tag = line.rstrip("\n").partition("\t")
            if not word.strip():
                if words:
                    sentences.append((words, tags))
                words, tags = [], []
                continue
            prefix, _, kind = tag.strip().partition("-")
            words.append(word)
            tags.append(f"{prefix}-{TYPES[kind]}" if kind in TYPES else "O")
    return sentences
