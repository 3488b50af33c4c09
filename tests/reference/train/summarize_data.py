"""SciTLDR and what `train_summarize.py` makes of it: texts with one sentence to be picked out and written again.

Several kinds of example, from easy to real. Each begins as a list of sentences (lists of piece ids) and the number of the
one to write, so that for every target token the place in the source is known that it comes from.
"""

import json
from dataclasses import dataclass

from common import ASSETS, CLS, SEP

SOURCE = 256  # tokens of an abstract that training reads, [CLS] and [SEP] included
MIXED = 192  # of a mixture
LONGEST = 512  # of a text afterwards
TARGET = 62  # pieces of a sentence that is to be written at most
BEST = 6  # segmentations of a sentence that training draws from


def read_abstracts(split):
    """`[(sentences, summaries, scores)]`: how much of the summary each sentence holds, by the data set's own ROUGE.

    Some abstracts have fewer scores than sentences, and nothing tells which are missing: they get none.
    """
    out = []
    with open(ASSETS / "datasets" / "scitldr" / f"{split}.jsonl", encoding="utf-8") as f:
        for row in map(json.loads, f):
            sentences, summaries = ([" ".join(s.split()) for s in row[key]] for key in ("source", "target"))
            scores = row["rouge_scores"] if len(row["rouge_scores"]) == len(sentences) else None
            out.append((sentences, summaries, scores))
    return out


def source_ids(vocabulary, text, limit=LONGEST):
    return vocabulary.ids(text, limit=limit)


@dataclass
class Example:
    source: list  # [CLS] pieces [SEP]
    target: list  # pieces [SEP]
    places: list  # of each of the target's tokens in the source; -1: none


def example(sentences, chosen, limit):
    """The sentences one after the other, and the chosen one again. Its end is the source's token behind it."""
    source, begins = [CLS], []
    for ids in sentences:
        begins.append(len(source))
        source += ids
    source = source[: limit - 1] + [SEP]
    target = sentences[chosen] + [SEP]
    places = [begins[chosen] + k for k in range(len(target))]
    return Example(source, target, [place if place < len(source) else -1 for place in places])


class Examples:
    """Draws sentences of training abstracts, which of them is to be written, and how much is read; all by the generator passed."""

    def __init__(self, vocabulary, abstracts):
        self.vocabulary = vocabulary
        self.abstracts = []
        for sentences, _, scores in abstracts:
            if scores:
                self.abstracts.append(([self.segmentations(s) for s in sentences], scores))
        # The best sentence of an abstract, and those worse than its median.
        self.good, self.weak = [], []
        for pieces, scores in self.abstracts:
            ranked = sorted(range(len(scores)), key=lambda i: -scores[i])
            self.good.append(pieces[ranked[0]])
            self.weak += [pieces[i] for i in ranked[1 + len(ranked) // 2 :]]
        processor = vocabulary.processor
        self.stop, self.cue = processor.piece_to_id("."), processor.piece_to_id("▁We")
        self.first = next(i for i in range(processor.get_piece_size()) if i > 3 and not processor.is_byte(i))

    def segmentations(self, sentence):
        """The best one more often than the others."""
        processor = self.vocabulary.processor
        best = processor.encode(sentence)
        return [best] * (BEST // 2) + processor.nbest_encode_as_ids(sentence, BEST // 2)

    def noise(self, rng):
        """Sentences of pieces drawn at random; the one that begins with a certain piece is to be written."""
        sentences = []
        for _ in range(rng.randint(2, 4)):
            length = rng.randint(3, 14)
            sentences.append([rng.randrange(self.first, self.vocabulary.mask) for _ in range(length)] + [self.stop])
        chosen = rng.randrange(len(sentences))
        sentences[chosen][0] = self.cue
        return sentences, chosen, MIXED

    def lone(self, rng):
        """Any sentence by itself: there are many more of them than best ones."""
        sentences = [rng.choice(rng.choice(rng.choice(self.abstracts)[0]))]
        return (sentences, 0, MIXED) if fits(sentences, 0, MIXED) else self.lone(rng)

    def mixture(self, rng):
        """The best sentence of an abstract among weak ones of others."""
        while len(good := rng.choice(rng.choice(self.good))) > TARGET:
            pass
        sentences = [rng.choice(rng.choice(self.weak)) for _ in range(rng.randint(0, 3))]
        chosen = rng.randint(0, len(sentences))
        sentences.insert(chosen, good)
        return (sentences, chosen, MIXED) if fits(sentences, chosen, MIXED) else self.mixture(rng)

    def abstract(self, rng, kept):
        """An abstract without some of its sentences (each kept with that probability); the best of the rest is to be written."""
        pieces, scores = rng.choice(self.abstracts)
        rest = [i for i in range(len(pieces)) if rng.random() < kept]
        if not rest:
            return self.abstract(rng, kept)
        sentences = [rng.choice(pieces[i]) for i in rest]
        chosen = max(range(len(rest)), key=lambda k: scores[rest[k]])
        return (sentences, chosen, SOURCE) if fits(sentences, chosen, SOURCE) else self.abstract(rng, kept)

    def scrambled(self, sentences, rng):
        """With pieces drawn at random in place of some, which can only be copied: no sentence like this is known by heart."""
        share = rng.uniform(0.0, 0.3)
        return [
            [rng.randrange(self.first, self.vocabulary.mask) if rng.random() < share else piece for piece in ids[:-1]] + ids[-1:]
            for ids in sentences
        ]


def fits(sentences, chosen, limit):
    """Whether all of the chosen sentence is read and can be written."""
    return len(sentences[chosen]) <= TARGET and 1 + sum(map(len, sentences[: chosen + 1])) < limit
