"""Records what Hugging Face's tokenizers do, for tests/tests/hf_tokenizer.rs and deberta_tokenizer.rs.

Pinned: Python 3.11, tokenizers 0.22.2, transformers 4.57.6, sentencepiece 0.2.1, protobuf 6.

    pip install tokenizers==0.22.2 transformers==4.57.6 \
        sentencepiece==0.2.1 protobuf
    python tests/reference/hf_tokenizer_fixtures.py TEXT [OUT] [--seed N] [--texts N]

TEXT is an English text to train a small vocabulary on; the committed fixtures were made with Jane
Austen's "Pride and Prejudice" (public domain). Files written to OUT (default tests/fixtures/tokenizer):

    hf_spm.model     a small DeBERTa-like SentencePiece model with a charsmap of its own
    hf_configs.json  its vocabulary, and tokenizer.json files that lack only this vocabulary
    hf_cases.jsonl   inputs, options and the encodings of the fast tokenizers
    hf_slow.jsonl    settings, texts and the results of the slow DebertaV2Tokenizer
    hf_codepoints.json  for each normalizer and pre-tokenizer a hash over its answer to every code point
"""

import argparse
import base64
import json
import os
import random
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]

# A charsmap with what real ones have: characters that grow, shrink, vanish, keys of several characters,
# keys that begin with other keys.
CHARSMAP = {
    "\ufb01": "fi", "\u2026": "...", "\u00bd": "1/2", "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ",
    "\r": " ", "\u0001": "", "\u200b": " ", "e\u0301": "\u00e9", "a\u0308": "\u00e4", "\uff21": "A",
    "\uff22": "B", "\uff23\uff24": "CD", "\u2460": "1", "\u33ff": "gal", "A\u030a": "\u00c5",
    "\u0300": "", "\uff5e": "~", "\u1100\u1161": "\uac00", "\u00ad": "",
}

POSTS = {
    "none": None,
    "bert": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                           "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}},
    },
    # Texts in reverse order, type ids of its own, one special token that is two.
    "odd": {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 3}}, {"SpecialToken": {"id": "end", "type_id": 4}}],
        "pair": [{"Sequence": {"id": "B", "type_id": 2}}, {"SpecialToken": {"id": "end", "type_id": 5}},
                 {"Sequence": {"id": "A", "type_id": 1}}],
        "special_tokens": {"end": {"id": "end", "ids": [2, 0], "tokens": ["[SEP]", "[PAD]"]}},
    },
}

DECODERS = {
    "none": None,
    "metaspace": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
    "never": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True},
    "bytes": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
}


def regex(expression, content):
    return {"type": "Replace", "pattern": {"Regex": expression}, "content": content}


def string(text, content):
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


def sequence(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


def pre(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def strip(left, right):
    return {"type": "Strip", "strip_left": left, "strip_right": right}


def metaspace(scheme="always", split=True, replacement="\u2581"):
    return {"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": split}


def punctuation(behavior):
    return {"type": "Punctuation", "behavior": behavior}


def named(name):
    return {"type": name}


def token(content, **flags):
    values = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    values.update(flags)
    return dict(id=0, content=content, **values)


PLAIN_TOKENS = [token(content) for content in SPECIALS + ["[MASK]"]]
RICH_TOKENS = PLAIN_TOKENS + [
    token("<l>", lstrip=True), token("<r>", rstrip=True), token("<b>", lstrip=True, rstrip=True),
    token("cat", single_word=True, special=False), token("New York", normalized=True, special=False),
    token("<l><r>"), token("r><"), token("Elizabeth", normalized=True, special=False),
    token("\u00c9T\u00c9", normalized=True, special=False), token("Mr", single_word=True, normalized=True),
    token(" sp ", special=False), token("s<", lstrip=True, single_word=True, special=False),
]


def configurations(charsmap):
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    spaces = regex(" {2,}", " ")
    v4 = sequence(strip(True, True), precompiled, spaces)
    v5 = sequence(regex(r"\s{2,}|[\n\r\t]", " "), named("NFC"), strip(False, True))
    albert = sequence(string("``", '"'), string("''", '"'), named("NFKD"), named("StripAccents"),
                      named("Lowercase"), precompiled, spaces)
    always = metaspace()
    rows = [
        ("v4", v4, pre(always), PLAIN_TOKENS, "bert", "metaspace", False),
        ("v4 rich", v4, pre(always), RICH_TOKENS, "bert", "metaspace", False),
        ("v4 punctuation", v4, pre(punctuation("Isolated"), always), PLAIN_TOKENS, "bert", "metaspace", True),
        ("v5", v5, pre(always), PLAIN_TOKENS, "bert", "metaspace", False),
        ("v5 rich", v5, pre(always), RICH_TOKENS, "bert", "bytes", True),
        ("albert", albert, pre(always), PLAIN_TOKENS, "bert", "metaspace", False),
        ("albert rich", albert, always, RICH_TOKENS, "odd", "bytes", True),
        ("nothing", None, None, [], "none", "none", False),
        ("nothing rich", None, None, RICH_TOKENS, "odd", "none", True),
        ("t5", sequence(precompiled, strip(False, True), regex(" {2,}", "\u2581")), metaspace("always"),
         RICH_TOKENS, "odd", "metaspace", False),
        ("first", None, metaspace("first"), RICH_TOKENS, "bert", "metaspace", True),
        ("first stripped", strip(True, False), metaspace("first"), RICH_TOKENS, "bert", "metaspace", False),
        ("first whole", precompiled, metaspace("first", False), PLAIN_TOKENS, "none", "never", True),
        ("never", None, metaspace("never"), PLAIN_TOKENS, "odd", "never", False),
        ("whole", spaces, metaspace("always", False), RICH_TOKENS, "bert", "metaspace", True),
        ("legacy", None, {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True},
         PLAIN_TOKENS, "bert", "metaspace", False),
        ("legacy without", None, {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": False,
                                  "prepend_scheme": "never"}, PLAIN_TOKENS, "bert", "never", False),
        ("underscore", string(" ", "_"), metaspace("always", True, "_"), PLAIN_TOKENS, "bert", "none", False),
        ("nmt", sequence(named("Nmt"), named("NFKC"), {"type": "Prepend", "prepend": "\u2581"},
                         string(" ", "\u2581")), None, RICH_TOKENS, "bert", "bytes", True),
        ("nfd", named("NFD"), always, RICH_TOKENS, "bert", "metaspace", True),
        ("nfkd", named("NFKD"), always, RICH_TOKENS, "none", "metaspace", True),
        ("nfkc", named("NFKC"), always, PLAIN_TOKENS, "bert", "metaspace", True),
        ("accents", sequence(named("NFD"), named("StripAccents"), named("NFC")), always, RICH_TOKENS, "bert",
         "metaspace", False),
        ("lower", named("Lowercase"), pre(named("WhitespaceSplit"), always), RICH_TOKENS, "bert", "metaspace",
         True),
        ("removal", sequence(regex("[aeiou]+", ""), named("Lowercase"), string(".", "")), always, PLAIN_TOKENS,
         "bert", "metaspace", True),
        ("empty matches", regex("x*", "-"), always, PLAIN_TOKENS, "bert", "metaspace", True),
        ("between", string("", "-"), always, PLAIN_TOKENS, "bert", "metaspace", True),
        ("lines", sequence(regex(r"$", "|"), regex(r"\w+(?:-\w+)?", "w")), None, PLAIN_TOKENS, "odd", "none",
         True),
        ("removed", None, pre(punctuation("Removed"), named("WhitespaceSplit")), RICH_TOKENS, "bert", "none",
         True),
        ("previous", None, pre(punctuation("MergedWithPrevious"), always), RICH_TOKENS, "bert", "none", False),
        ("next", None, pre(always, punctuation("MergedWithNext")), RICH_TOKENS, "bert", "none", False),
        ("contiguous", v4, pre(punctuation("Contiguous"), metaspace("first")), RICH_TOKENS, "bert", "none",
         True),
        ("default punctuation", None, {"type": "Punctuation"}, PLAIN_TOKENS, "bert", "none", True),
    ]
    for name, normalizer, pre_tokenizer, added, post, decoder, byte_fallback in rows:
        yield name, {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": POSTS[post],
            "decoder": DECODERS[decoder],
            "model": {"type": "Unigram", "unk_id": 3, "vocab": None, "byte_fallback": byte_fallback},
        }


ATOMS = (
    list("abcexz.,!?'\"-_ABCEX019$+~`(") + [" "] * 14 + ["  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000"]
    + ["\u2581", "\u200b", "\ufeff", "\u0001", "\u007f", "\u00ad", "\u2028", "\ufb01", "\u2026", "\u00bd"]
    + ["e\u0301", "\u00e9", "\u0301", "a\u0308", "a\u0323\u0307", "\u0344\u0316", "A\u030a", "\u0300"]
    + ["\uff21", "\uff22", "\uff23\uff24", "\uff23", "\u2460", "\u33ff", "\u32ff", "\u1100\u1161\u11a8"]
    + ["\uac01", "\u751f", "\u6d3b\u7684", "\u0e33", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467"]
    + ["\U0001f1e9\U0001f1ea", "\u0130", "\u1e9e", "\u03a3", "\u00c9T\u00c9", "\u00e9t\u00e9", "``", "''", "--"]
    + SPECIALS + ["[MASK]", "<l>", "<r>", "<b>", "cat", "New York", "new york", "r><", "Mr", " sp ", "s<"]
    + ["Elizabeth", "elizabeth", "\u00bf", "\u2014", "\u3002", "\u201c", "xx"]
)


def random_text(words, random_):
    count = random_.choice([0, 1, 2, 4, 8, 12, 18])
    parts = []
    for _ in range(count):
        if random_.random() < 0.5:
            parts.append(random_.choice(words) + random_.choice(["", " "]))
        else:
            parts.append(random_.choice(ATOMS))
    return "".join(parts)


def describe(encoding):
    out = {
        "ids": encoding.ids, "tokens": encoding.tokens, "type_ids": encoding.type_ids,
        "offsets": [list(span) for span in encoding.offsets], "words": encoding.word_ids,
        "special": encoding.special_tokens_mask, "attention": encoding.attention_mask,
        "sequences": encoding.sequence_ids,
    }
    if encoding.overflowing:
        # `overflowing` of an overflowing window lists the others again: one level is all there is.
        out["overflowing"] = [
            {"ids": o.ids, "type_ids": o.type_ids, "offsets": [list(span) for span in o.offsets],
             "words": o.word_ids, "sequences": o.sequence_ids, "attention": o.attention_mask}
            for o in encoding.overflowing
        ]
    return out


def encode_case(tokenizer, has_post, words, random_, plain, text=random_text):
    """One call with random options, and what came of it; None where nothing is to be learnt."""
    is_pair = random_.random() < 0.3
    batch = 1 if plain else random_.choice([1, 1, 1, 3])
    inputs = [[text(words, random_) for _ in range(2 if is_pair else 1)] for _ in range(batch)]
    case = {"inputs": inputs, "specials": plain or random_.random() < 0.8}
    tokenizer.no_truncation()
    tokenizer.no_padding()
    added = tokenizer.num_special_tokens_to_add(is_pair) if case["specials"] else 0
    try:
        if not plain and random_.random() < 0.75:
            strategy = random_.choice(["longest_first", "longest_first", "only_first", "only_second"])
            length = added + random_.choice([0, 1, 2, 3, 4, 6, 9, 14])
            stride = random_.choice([0, 0, 1, 2, 3])
            side = random_.choice(["left", "right"])
            if 0 < stride and length - added <= stride:
                return None  # sometimes accepted, where nothing needs cutting; an error here
            case["truncation"] = [length, stride, strategy, side]
            tokenizer.enable_truncation(length, stride=stride, strategy=strategy, direction=side)
        if not plain and random_.random() < 0.4:
            length = random_.choice([None, 5, 12])
            multiple = random_.choice([None, None, 4])
            side = random_.choice(["left", "right"])
            case["padding"] = [length, multiple, side]
            tokenizer.enable_padding(direction=side, pad_id=0, pad_type_id=0, pad_token="[PAD]",
                                     length=length, pad_to_multiple_of=multiple)
        encodings = tokenizer.encode_batch([tuple(i) if is_pair else i[0] for i in inputs],
                                           add_special_tokens=case["specials"])
    except BaseException as error:  # a panic is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        if str(error).startswith("tokenizer stride"):
            return None  # it counts special tokens even where none are added
        case["error"] = str(error)[:60]
        return case
    if is_pair and not has_post and any(e.overflowing for e in encodings):
        return None  # without a post-processor the reference loses the sequence ids of windows
    case["out"] = [describe(encoding) for encoding in encodings]
    if not has_post:
        # Without a post-processor the reference has no sequence ids, and answers 0 even for padding.
        for out in case["out"]:
            for encoding in [out, *out.get("overflowing", [])]:
                del encoding["sequences"]
    if plain:
        ids = encodings[0].ids
        case["decoded"] = [tokenizer.decode(ids, skip_special_tokens=skip) for skip in (True, False)]
    return case


def train(text, folder):
    """A Unigram model with DeBERTa's layout and the charsmap above."""
    rules = os.path.join(folder, "rules.tsv")
    with open(rules, "w", encoding="utf-8") as file:
        for source, target in sorted(CHARSMAP.items()):
            code = lambda s: " ".join(f"{ord(c):X}" for c in s)
            file.write(f"{code(source)}\t{code(target)}\n")
    prefix = os.path.join(folder, "hf_spm")
    sentencepiece.SentencePieceTrainer.train(
        input=text, model_prefix=prefix, vocab_size=900, model_type="unigram", byte_fallback=True,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]",
        unk_piece="[UNK]", normalization_rule_tsv=rules, character_coverage=1.0, num_threads=1,
        input_sentence_size=4000, shuffle_input_sentence=False, hard_vocab_limit=False, minloglevel=2)
    return prefix + ".model"


def hash_text(state, text):
    """64-bit FNV-1a."""
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return state


def code_point_hashes():
    """Every code point between two letters, a block of them at a time, through each step."""
    steps = {name: getattr(normalizers, name)() for name in
             ["NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Nmt"]}
    steps["space"] = normalizers.Replace(Regex(r"\s"), "_")
    steps["word"] = normalizers.Replace(Regex(r"\w"), "_")
    split = pre_tokenizers.Punctuation()
    hashes = {}
    for name in [*steps, "Punctuation"]:
        state = 0xCBF29CE484222325
        for block in range(0, 0x110000, 0x100):
            codes = [c for c in range(max(block, 1), block + 0x100) if not 0xD800 <= c < 0xE000]
            if not codes:
                continue
            text = "".join(f"a{chr(code)}\u0301b" for code in codes)
            if name == "Punctuation":
                answer = "|".join(part for part, _ in split.pre_tokenize_str(text))
            else:
                answer = steps[name].normalize_str(text)
            state = hash_text(state, answer + "\n")
        hashes[name] = f"{state:016x}"
    return hashes


def slow_cases(model, words, random_, count):
    from transformers import AddedToken, DebertaV2Tokenizer

    extra = [AddedToken("<l>", lstrip=True, special=True), AddedToken("<r>", rstrip=True, special=True),
             AddedToken("cat", single_word=True, special=False), AddedToken("New York", special=False),
             AddedToken("Elizabeth", normalized=False, special=False)]
    for lower in (False, True):
        for punctuation_ in (False, True):
            for added in ([], extra):
                with tempfile.TemporaryDirectory() as folder:
                    tokenizer = DebertaV2Tokenizer(model, do_lower_case=lower, split_by_punct=punctuation_)
                    tokenizer.add_tokens(list(added))
                    tokenizer.save_pretrained(folder)
                    with open(os.path.join(folder, "tokenizer_config.json")) as file:
                        config = json.load(file)
                    tokenizer = DebertaV2Tokenizer.from_pretrained(folder)
                    cases = []
                    for _ in range(count):
                        text = random_text(words, random_)
                        ids = tokenizer(text)["input_ids"]
                        cases.append({
                            "text": text, "ids": ids, "tokens": tokenizer.tokenize(text),
                            "decoded": [tokenizer.decode(ids, skip_special_tokens=skip)
                                        for skip in (True, False)],
                        })
                    yield {"config": config, "cases": cases}


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("out", nargs="?", default="tests/fixtures/tokenizer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=int, default=3, help="inputs for each configuration and kind")
    parser.add_argument("--longest", type=int, default=1800, help="bytes of the longest case kept")
    parser.add_argument("--charsmap", help="a SentencePiece model whose charsmap to take instead")
    arguments = parser.parse_args()
    os.makedirs(arguments.out, exist_ok=True)
    random_ = random.Random(arguments.seed)
    with open(arguments.text, encoding="utf-8") as file:
        words = file.read().split()[2000:4000]

    with tempfile.TemporaryDirectory() as folder:
        path = train(arguments.text, folder)
        with open(path, "rb") as file:
            model = proto.ModelProto.FromString(file.read())
    # Where the files lay is nobody's business, and differs from run to run.
    del model.trainer_spec.input[:]
    model.trainer_spec.ClearField("model_prefix")
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    blob = model.SerializeToString()
    model_path = os.path.join(arguments.out, "hf_spm.model")
    with open(model_path, "wb") as file:
        file.write(blob)
    vocabulary = [[piece.piece, piece.score] for piece in model.pieces]
    if arguments.charsmap:  # for longer comparisons
        with open(arguments.charsmap, "rb") as file:
            model = proto.ModelProto.FromString(file.read())
    charsmap = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()

    configs, cases = [], []
    for name, config in configurations(charsmap):
        config["model"]["vocab"] = vocabulary
        tokenizer = Tokenizer.from_str(json.dumps(config))
        config["model"]["vocab"] = None
        has_post = config["post_processor"] is not None
        for plain in (True, False):
            for _ in range(arguments.texts * (1 if plain else 3)):
                case = encode_case(tokenizer, has_post, words, random_, plain)
                if case is not None and len(json.dumps(case)) <= arguments.longest:
                    cases.append({"config": len(configs), **case})
        configs.append({"name": name, "file": config})
    with open(os.path.join(arguments.out, "hf_configs.json"), "w", encoding="utf-8") as file:
        json.dump({"vocab": vocabulary, "configs": configs}, file, ensure_ascii=True, separators=(",", ":"))
    write_lines(os.path.join(arguments.out, "hf_cases.jsonl"), cases)
    write_lines(os.path.join(arguments.out, "hf_slow.jsonl"),
                slow_cases(model_path, words, random_, arguments.texts))
    with open(os.path.join(arguments.out, "hf_codepoints.json"), "w") as file:
        json.dump(code_point_hashes(), file, indent=1)


if __name__ == "__main__":
    main()
