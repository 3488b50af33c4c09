"""Trains the 8,000-piece Unigram vocabulary that the shipped models use (about a minute).

    python train_vocabulary.py        # -> $DEBERTA_TRAIN_DIR/spm.model
"""

import random

import sentencepiece as spm
from faker import Faker
from sentencepiece import sentencepiece_model_pb2 as proto

from common import WORK, detokenise, read_banking, read_glosses, read_gutenberg, read_sst2
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
    spm.SentencePieceTrainer.train(
        input=str(path),
        model_prefix=str(WORK / "spm"),
        model_type="unigram",
        vocab_size=PIECES,
        character_coverage=0.9998,
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        pad_piece="[PAD]",
        bos_id=1,
        bos_piece="[CLS]",
        eos_id=2,
        eos_piece="[SEP]",
        unk_id=3,
        unk_piece="[UNK]",
        max_sentence_length=16384,
        num_threads=2,
        shuffle_input_sentence=False,
        minloglevel=1,
    )
    # The file records where its input lay: drop that, so that the bytes depend on the text alone.
    model = proto.ModelProto()
    model.ParseFromString((WORK / "spm.model").read_bytes())
    model.trainer_spec.ClearField("input")
    model.trainer_spec.ClearField("model_prefix")
    (WORK / "spm.model").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
