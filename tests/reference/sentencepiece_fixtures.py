#!/usr/bin/env python3
"""Trains five small SentencePiece models and records what the C++ library does with them.

    python tests/reference/sentencepiece_fixtures.py

writes tests/fixtures/tokenizer/{unigram,bpe,char,word,suffix}.{model,jsonl}: the model, and per line a text with
its normalised form, ids, pieces, byte spans and decoded text, or ids drawn at random and their decoded text.
The training text is the licence in the repository's root, with some lines in other scripts. Between them the
models use every setting: their own normalisation rules, byte fallback, user-defined and control symbols,
white space as prefix, as suffix and kept, a denormaliser, unused pieces. Needs only sentencepiece and
protobuf (requirements.txt); the result is the same each time.
"""

import importlib.metadata
import io
import json
import random
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2, sentencepiece_pb2

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "tokenizer"
VERSION = "0.2.3"

OTHER_LINES = [
    "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.",
    "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.",
    "いろはにほへと ちりぬるを わかよたれそ つねならむ",
    "色は匂へど散りぬるを我が世誰ぞ常ならむ",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "The price is 3.14 or 1,000,000; call +1 (555) 010-9999 at 12:30.",
] * 6

# Source code points, then what they become; few enough for a small character map.
RULES = {
    "Ａ": "A", "Ｂ": "B", "Ｃ": "C", "１": "1", "２": "2", "！": "!", "\u3000": " ", "\u00a0": " ",
    "\t": " ", "\n": " ", "\u200b": "", "\u00ad": "", "\x01": "", "ﬁ": "fi", "ﬀ": "ff", "…": "...",
    "e\u0301": "é", "u\u0308": "ü", "a\u0300": "à", "¨": " \u0308", "½": "1/2", "㍻": "平成",
    "か\u3099": "が", "ｶﾞ": "ガ", "ｶ": "カ", "№": "No", "™": "TM",
}

SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u3000", "\u00a0", "\u200b", "\u2581", "\x00"]
TEXTS = [
    "", " ", "   ", "Hello, world!", "  leading and trailing  ", "tabs\tand\nnew\r\nlines",
    "Licensed under the Apache License", "naïve café", "nai\u0308ve cafe\u0301", "ﬁnal oﬀer…", "ＡＢＣ１２！",
    "日本語のテキスト", "か\u3099ｶﾞｶ", "😀😃 emoji 👩‍👩‍👧", "\u2581under\u2581score", "[MASK] and <sep><sep>x", "<s></s><unk>",
    "<0x41><0xE3>", "a" * 200, "!?" * 60, "é" * 50, "人" * 60, "a b  c   d", "㍻½№™", "\u0301\u0308", "x\u0000y", "½ of ½",
]


def code_points(text):
    return " ".join(f"{ord(character):X}" for character in text)


def train(folder, model_type, vocab_size, **options):
    rules = Path(folder) / "rules.tsv"
    rules.write_text("".join(f"{code_points(a)}\t{code_points(b)}\n" for a, b in sorted(RULES.items())))
    lines = (ROOT / "LICENSE-APACHE").read_text().splitlines() + OTHER_LINES
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line.strip() for line in lines if line.strip()]), model_writer=model,
        model_type=model_type, vocab_size=vocab_size, num_threads=1, hard_vocab_limit=False,
        normalization_rule_tsv=str(rules), minloglevel=2, **options,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    # A temporary path, which would differ from run to run.
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return proto


def with_unused_pieces(proto, every):
    normal = [piece for piece in proto.pieces if piece.type == piece.NORMAL]
    for piece in normal[::every]:
        piece.type = piece.UNUSED
    return proto


def models(folder):
    yield "unigram", train(
        folder, "unigram", 550, character_coverage=0.98, byte_fallback=True, pad_id=0, bos_id=1, eos_id=2, unk_id=3, bos_piece="[CLS]",
        eos_piece="[SEP]", pad_piece="[PAD]", unk_piece="[UNK]", user_defined_symbols=["[MASK]", "<sep>", "<sep><sep>"],
    )
    bpe = train(
        folder, "bpe", 350, remove_extra_whitespaces=False, user_defined_symbols=["[MASK]", "<sep>", "a b"],
        control_symbols=["<ctl>"], unk_surface="<?>",
    )
    yield "bpe", with_unused_pieces(bpe, 7)
    yield "char", train(folder, "char", 200, add_dummy_prefix=False, character_coverage=0.99, user_defined_symbols=["<sep>"])
    word = train(folder, "word", 300)
    word.denormalizer_spec.precompiled_charsmap = word.normalizer_spec.precompiled_charsmap
    word.denormalizer_spec.add_dummy_prefix = False
    word.denormalizer_spec.escape_whitespaces = False
    yield "word", word
    suffix = train(folder, "unigram", 400, treat_whitespace_as_suffix=True, user_defined_symbols=["<sep>"])
    yield "suffix", with_unused_pieces(suffix, 9)


def random_text(draw, pieces):
    def part():
        kind = draw.randrange(4)
        if kind == 0:
            return draw.choice(SPACES)
        if kind == 1:
            return draw.choice(list(RULES))
        if kind == 2:
            return chr(draw.choice([draw.randrange(32, 0x250), draw.randrange(0x3040, 0x3100), draw.randrange(0x1F600, 0x1F650)]))
        return draw.choice(pieces).replace("\u2581", " ")

    return "".join(part() for _ in range(draw.randrange(1, 25)))


def record(proto, draw):
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    size = processor.get_piece_size()
    pieces = [processor.id_to_piece(i) for i in range(size)]
    for text in TEXTS + [random_text(draw, pieces) for _ in range(60)]:
        encoded = sentencepiece_pb2.SentencePieceText.FromString(processor.encode(text, out_type="serialized_proto"))
        ids = [piece.id for piece in encoded.pieces]
        yield {
            "text": text, "normalized": processor.normalize(text), "ids": ids, "pieces": [piece.piece for piece in encoded.pieces],
            "spans": [[piece.begin, piece.end] for piece in encoded.pieces], "decoded": processor.decode(ids),
        }
    for _ in range(40):
        ids = [draw.choice([draw.randrange(size), draw.randrange(min(size, 300))]) for _ in range(draw.randrange(1, 9))]
        yield {"ids": ids, "decoded": processor.decode(ids)}


def main():
    found = importlib.metadata.version("sentencepiece")
    if found != VERSION:
        raise SystemExit(f"sentencepiece {VERSION} expected, found {found}")
    FIXTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, proto in models(folder):
            (FIXTURES / f"{name}.model").write_bytes(proto.SerializeToString(deterministic=True))
            with open(FIXTURES / f"{name}.jsonl", "w", encoding="utf-8") as file:
                for line in record(proto, random.Random(20250)):
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
