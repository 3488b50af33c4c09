"""Records what Hugging Face's byte-level tokenizers do, for tests/tests/byte_level.rs.

Runs in two environments, and writes the files of the one that it runs in:

    pip install transformers==4.57.6 tokenizers==0.22.2
    python tests/reference/byte_level_fixtures.py --train TEXT --real FOLDER

    pip install transformers==5.23.0 tokenizers==0.23.3
    python tests/reference/byte_level_fixtures.py

TEXT is an English text to train a small vocabulary on (the committed files: Jane Austen's "Pride and
Prejudice", public domain), FOLDER has the vocab.json and merges.txt of microsoft/deberta-base. Written to
tests/fixtures/tokenizer/byte_level:

    vocab.json, merges.txt        the small vocabulary, in the layout of DeBERTa v1   (version 4, --train)
    transformers_N.json           the tokenizer.json that version N saves with it
    transformers_N.jsonl          what its DebertaTokenizerFast (4) or DebertaTokenizer (5) gives
    slow.jsonl                    what the slow DebertaTokenizer gives                 (version 4)
    real.jsonl                    ids and offsets with the real vocabulary             (version 4, --real)
    variants.json                 changes to a tokenizer.json                          (version 4)
    variants.jsonl                what `tokenizers` gives for each of them             (version 4)
    words.json                    hashes over the words around every code point        (version 4)

Each line of the .jsonl files is one text or pair. Offsets count characters.
"""

import argparse
import copy
import json
import random
import sys
from pathlib import Path

import tokenizers
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

PINNED = {4: ("4.57.6", "0.22.2"), 5: ("5.23.0", "0.23.3")}
OUT = Path(__file__).resolve().parent.parent / "fixtures" / "tokenizer" / "byte_level"
SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]

TEXTS = [
    "", " ", "  ", "\n", "\t", "a", " a", "a ", "Hello world", "hello   world", "Hello, World!  ",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune",
    "I'll we've they're don't 'tis she'd I'm it's IT'S you'RE 'S '' ' 's''s 'll'll",
    "runs  of   spaces    here ", "tabs\tand\t\ttabs", "lines\nof\n\ntext\r\nand \n more\n", " \n \n x \n",
    "1234567890 12 3.14 1e-5 ² Ⅷ ٣٤ ½ x2y", "snake_case kebab-case CamelCase a.b.c/d\\e",
    "日本語のテキスト。中文也可以，한국어도 됩니다", "عربي עברית हिन्दी ไทย", "naïve café Ünïcödé",
    "e\u0301 a\u0308\u0323 n\u0303o \u0301 x\u0301\u0302\u0303", "👩‍👩‍👧‍👦 family 👍🏽 🇩🇪🇫🇷 ❤️ 1️⃣", "😀😀😀", "😀 a😀b 😀",
    "\u3000wide\u3000\u3000space\u3000", "no\u00a0break\u00a0\u00a0 space", "\u2028line\u2029para\u0085next\u200bzero\ufeff",
    "\x00\x01\x02 \x1b[31m \x7f\x80\x9f", "\x1c\x1d\x1e\x1f", "ﬁ ﬂ … ™ © ® ¡ ¿ ÿ ¬ \u00ad Ġ Ċ Ã©",
    "\U0010ffff \ufffd \ue000 \U000e0001", "[MASK]", "a [MASK] b", "a[MASK]b", "a  [MASK]  b", "\u3000[MASK]\n[MASK] [MASK]",
    "[CLS] a [SEP] b [PAD] c [UNK] d", "[CLS][SEP][PAD][UNK][MASK]", "[ MASK ] [mask] [MAS K] [MASK", "x [SEP]\t[MASK]\u00a0[MASK]",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "thethethethethe", "....!!!!????,,,,", "(a) [b] {c} <d> \"e\" 'f' `g`",
    "http://example.com/?q=a%20b&c=d#e", "x" * 100 + " " + "y " * 20, "ǅ ʰ ª ᛮ 〇 ㊀ 𝟘 𝔘",
]
PAIRS = [("a", "b"), ("", ""), ("A question?", " An answer."), ("one [MASK]", "[MASK] two"), ("日本", "😀 x"), ("a " * 6, "b " * 9)]
# Length, stride, strategy, side.
CUTS = [(8, 0, "longest_first", "right"), (11, 2, "longest_first", "right"), (12, 2, "longest_first", "left"), (22, 1, "only_first", "right")]
ALPHABET = list("abct'sredlmv ETH 019²٣.,!?-_\n\t\r\u00a0\u3000\u0301é日語😀\u200d🇩ß\u00ad\x00") + [
    "[MASK]", "[SEP]", " [MASK] ", "'s", "'ll", "  ", "the ", "ing", "don't"]


def tidy(tokenizer):
    """The same tokenizer.json without the vocabulary, which all have in common."""
    content = json.loads(tokenizer.to_str()) if hasattr(tokenizer, "to_str") else tokenizer
    content["model"]["vocab"] = {}
    content["model"]["merges"] = []
    return content


def encoding(e):
    """What is compared."""
    return {"ids": e.ids, "tokens": e.tokens, "offsets": [list(pair) for pair in e.offsets], "type_ids": e.type_ids,
            "special": e.special_tokens_mask, "words": e.word_ids}


def cases(backend, rng, count, cuts=()):
    """Texts and pairs with their encodings; some are cut in each of the ways."""
    texts = TEXTS + ["".join(rng.choices(ALPHABET, k=rng.randint(1, 30))) for _ in range(count)]
    for text in texts:
        e = backend.encode(text)
        yield {"text": text, **encoding(e), "decoded": [backend.decode(e.ids), backend.decode(e.ids, skip_special_tokens=False)]}
    for first, second in PAIRS:
        yield {"text": first, "pair": second, **encoding(backend.encode(first, second))}
    for length, stride, strategy, side in cuts:
        backend.enable_truncation(length, stride=stride, strategy=strategy, direction=side)
        for text, pair in [(TEXTS[11], None), (TEXTS[22], None), PAIRS[2], PAIRS[5]]:
            e = backend.encode(text) if pair is None else backend.encode(text, pair)
            case = {"text": text, **encoding(e), "overflowing": [encoding(window) for window in e.overflowing]}
            if pair is not None:
                case["pair"] = pair
            case["truncation"] = [length, stride, strategy, side]
            yield case
    backend.no_truncation()


def write_lines(path, lines):
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def train(text):
    """A small vocabulary, numbered as DeBERTa v1's is: four special tokens first, the mask last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=256 + 450, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    lines = Path(text).read_text(encoding="utf-8").splitlines(keepends=True)
    # A little of what the English text does not have, so that some tokens end inside characters.
    lines += ["日本語のテキスト 中文也可以 😀😀 👍🏽 naïve café\n"] * 200
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = SPECIALS + sorted(model["vocab"], key=model["vocab"].get) + ["[MASK]"]
    ids = {token: id for id, token in enumerate(tokens)}
    (OUT / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
    (OUT / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")


def byte_level(prefix, trim=True, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": trim, "use_regex": regex}


def token(content, **flags):
    values = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    values.update(flags)
    return dict(id=0, content=content, **values)


def variants(template):
    """Names, and what differs from the tokenizer.json of version 4: each key replaced, below `model` merged."""
    odd = [token("<l>", lstrip=True), token("<r>", rstrip=True, special=False), token("the", single_word=True, special=False),
           token("Mr", normalized=True, special=False), token("日", special=False), token("[MASK]", lstrip=True, normalized=True)]
    return {
        "prefix": {"pre_tokenizer": byte_level(True)},
        "whole": {"pre_tokenizer": byte_level(False, regex=False)},
        "whole_prefix": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [byte_level(True, regex=False)]}},
        "trim": {"post_processor": byte_level(False)},
        "trim_prefix": {"pre_tokenizer": byte_level(True),
                        "post_processor": {"type": "Sequence", "processors": [byte_level(True), template]}},
        "keep": {"post_processor": {"type": "Sequence", "processors": [template, byte_level(True, trim=False)]}},
        "bare": {"post_processor": None, "decoder": None},
        "odd_tokens": {"added_tokens": odd},
        "ignore_merges": {"model": {"ignore_merges": True}},
        "unknown": {"model": {"unk_token": "[UNK]"}, "without": ["e", "Ģ", "Ã", "Ġ"]},
        "unknown_fused": {"model": {"unk_token": "[UNK]", "fuse_unk": True}, "without": ["e", "Ģ", "Ã", "Ġ"]},
        "nfc": {"normalizer": {"type": "NFC"}},
        "lines": {"model": {"merges": "lines"}},
    }


def vary(full, change):
    """The tokenizer.json of a variant."""
    content = copy.deepcopy(full)
    change = copy.deepcopy(change)
    model = change.pop("model", {})
    without = change.pop("without", [])
    lines = model.pop("merges", None) == "lines"
    content.update(change)
    content["model"].update(model)
    content["model"]["vocab"] = {t: i for t, i in full["model"]["vocab"].items() if not any(w in t and t not in SPECIALS for w in without)}
    vocab = content["model"]["vocab"]
    merges = [pair for pair in full["model"]["merges"] if all(t in vocab for t in (*pair, "".join(pair)))]
    content["model"]["merges"] = [" ".join(pair) for pair in merges] if lines else merges
    return content


def word_hashes():
    """For each 4096 code points a hash (64-bit FNV-1a) over the lengths of the words of a text with all of them."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    hashes = []
    for start in range(0, 0x110000, 0x1000):
        points = (chr(code) for code in range(start, start + 0x1000) if not 0xD800 <= code < 0xE000)
        text = "".join(f"x{c}1{c}!{c} {c}{c}\n" for c in points)
        value = 0xCBF29CE484222325
        for _, (first, last) in splitter.pre_tokenize_str(text):
            value = (value ^ (last - first)) * 0x100000001B3 % 2**64
        hashes.append(f"{value:016x}")
    return hashes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", metavar="TEXT")
    parser.add_argument("--real", metavar="FOLDER")
    arguments = parser.parse_args()
    major = int(transformers.__version__.split(".")[0])
    found = (transformers.__version__, tokenizers.__version__)
    if PINNED.get(major) != found:
        sys.exit(f"wanted transformers and tokenizers of {list(PINNED.values())}, found {found}")
    OUT.mkdir(parents=True, exist_ok=True)
    if arguments.train:
        train(arguments.train)

    kind = transformers.DebertaTokenizerFast if major == 4 else transformers.DebertaTokenizer
    fast = kind.from_pretrained(OUT)
    backend = fast.backend_tokenizer
    full = json.loads(backend.to_str())
    (OUT / f"transformers_{major}.json").write_text(json.dumps(tidy(copy.deepcopy(full)), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    write_lines(OUT / f"transformers_{major}.jsonl", cases(backend, random.Random(1), 60 if major == 4 else 10, CUTS))
    if major != 4:
        return

    slow = transformers.DebertaTokenizer.from_pretrained(OUT)
    lines = []
    for case in TEXTS:
        ids = slow(case)["input_ids"]
        lines.append({"text": case, "ids": ids, "tokens": slow.tokenize(case), "decoded": [slow.decode(ids, skip_special_tokens=True), slow.decode(ids)]})
    for first, second in PAIRS:
        both = slow(first, second)
        lines.append({"text": first, "pair": second, "ids": both["input_ids"], "type_ids": both["token_type_ids"]})
    write_lines(OUT / "slow.jsonl", lines)

    (OUT / "words.json").write_text(json.dumps(word_hashes(), indent=0) + "\n", encoding="utf-8")
    template = full["post_processor"]
    (OUT / "variants.json").write_text(json.dumps(variants(template), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    lines = []
    for name, change in variants(template).items():
        varied = Tokenizer.from_str(json.dumps(vary(full, change)))
        keep = ("text", "pair", "ids", "offsets", "words", "decoded")
        found = list(cases(varied, random.Random(name), 12))
        lines += [{"variant": name, **{k: case[k] for k in keep if k in case}} for case in found]
    write_lines(OUT / "variants.jsonl", lines)

    if arguments.real:
        real = transformers.DebertaTokenizerFast.from_pretrained(arguments.real).backend_tokenizer
        keep = ("text", "pair", "ids", "offsets", "type_ids")
        found = cases(real, random.Random(2), 100)
        write_lines(OUT / "real.jsonl", ({k: case[k] for k in keep if k in case} for case in found))


if __name__ == "__main__":
    main()
