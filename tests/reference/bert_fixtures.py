"""Records what Hugging Face's BERT tokenizers do, for tests/tests/wordpiece.rs.

    pip install tokenizers==0.23.3 transformers==5.23.0 sentencepiece==0.2.3 protobuf==7.36.2
    python tests/reference/bert_fixtures.py TEXT...

Each TEXT is a text to train small vocabularies on; the committed files were made with Jane Austen's "Pride and
Prejudice" and Natsume Soseki's "Wagahai wa neko de aru" (both public domain). Written to
tests/fixtures/tokenizer/bert:

    uncased.txt, cased.txt  the vocabularies, a token in each line
    configs.json            tokenizer.json files that lack only the vocabulary, and the name of that
    cases.jsonl             inputs, options and encodings, as in hf_cases.jsonl
    texts.jsonl             texts with ids, offsets (start, end, start, ...) and decoded texts, for the first files
    directories.json        what lies beside a vocab.txt, and what `BertTokenizer` of `transformers` makes of it
    codepoints.json         for each step of BERT's a hash over its answer to every code point

`byte_level` as the name of a vocabulary is that of tests/fixtures/tokenizer/byte_level. The script also compares
each directory's tokenizer with the older one in Python (`BertTokenizerLegacy`), and stops where they differ in other
ways than `SLOW_DIFFERS` says.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import tokenizers
import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import BertTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from hf_tokenizer_fixtures import POSTS, encode_case, hash_text, named, pre, punctuation, sequence, token, write_lines

PINNED = ("5.23.0", "0.23.3")
TOKENIZER = Path(__file__).resolve().parent.parent / "fixtures" / "tokenizer"
OUT = TOKENIZER / "bert"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)

PLAIN_TOKENS = [token(content) for content in SPECIALS]
RICH_TOKENS = PLAIN_TOKENS + [
    token("<l>", lstrip=True), token("<r>", rstrip=True), token("cat", single_word=True, special=False),
    token("New York", normalized=True, special=False), token("\u00c9t\u00e9", normalized=True, special=False),
    token("the", normalized=True, special=False, single_word=True), token("\u732b", special=False),
]

TEXTS = [
    "", " ", "\n", "a", "Hello world", "hello   world ", "It is a truth universally acknowledged, that a single man!",
    "I'll we've they're don't 'tis she'd I'm it's IT'S you'RE", "do not. can not ! n't 's ' a ' b", "U.S.A. 3.14 1,000",
    "runs  of   spaces    here ", "tabs\tand\r\nlines\u2028more\u0085next\u000bvertical\u000cfeed", "$5 + 3 = 8 ~ ^ ` | < >",
    "snake_case kebab-case CamelCase a.b.c/d\\e", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3002\u4e2d\u6587\u4e5f\u53ef\u4ee5\uff0c\ud55c\uad6d\uc5b4\ub3c4",
    "\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002", "the\u732bcat \u732b \u732b\u732b", "\U00020000\U0002b820\U0002ceb0\uf900\u3400\u9fff\ua000",
    "\u0639\u0631\u0628\u064a\u0651 \u05e2\u05d1\u05e8\u05b4\u05d9\u05ea \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22\u0e33", "na\u00efve caf\u00e9 \u00dcn\u00efc\u00f6d\u00e9 \u00c9T\u00c9",
    "e\u0301 a\u0308\u0323 n\u0303o \u0301 x\u0301\u0302\u0303", "\u1ead \u1e9b\u0323 \ufb01 \u212b \u2126 \u00bd \u2460", "\ud55c\uad6d \u1100\u1161\u11a8",
    "\u0130stanbul \u1e9e \u03a3\u03c3\u03c2 \u01c5 STRASSE stra\u00dfe", "\U0001f468\u200d\U0001f469\u200d\U0001f467 family \U0001f44d\U0001f3fd \u2764\ufe0f", "\U0001f600\U0001f600 a\U0001f600b",
    "\x00\x01\x02a\x1b[31mb\x7f\x80\x9f c\ufffdd", "\ue000\U000f0000 \ufeffx\u200by\u00adz\u2060", "\u3000wide\u3000\u3000space\u00a0no break",
    "\u201cquoted\u201d \u2014 dash\u2026 \u00bfqu\u00e9? \u00a1s\u00ed! \u00ab\u00bb \u3010\u3011 \u00a7 \u00b6 \u2043", "[MASK]", "a [MASK] b", "a[MASK]b [mask] [ MASK ]",
    "[CLS] a [SEP] b [PAD] c [UNK] d", "[CLS][SEP]  [MASK]\n", "unacknowledgedly impossibilities", "x" * 100, "x" * 101 + " y", "\u00e9" * 100 + " " + "e\u0301" * 51,
    "\u306e" * 60, "\u306e" * 101, "##ing ing# # ##", "@user #tag http://example.com/?q=a%20b&c=d#e", "thethethethe universallytruth", "\u30ab\u3099 \u304c \u304b\u3099 \uff76\uff9e",
    "\u0915\u094d\u0937\u093f \u0bb8\u0bcd\u0bb0\u0bc0 \u1737\u1734 \u0e01\u0e49", "mixed\u6df7\u5408\u0441\u043c\u0435\u0448\u0430\u043d\u043d\u044b\u0439\u03bc\u03b9\u03ba\u03c4\u03ae", "Mr. and Mrs. Bennet ' s",
]
PAIRS = [("a", "b"), ("", ""), ("A question?", " An answer."), ("one [MASK]", "\u732b two"), ("caf\u00e9", "")]
ATOMS = (
    list("abcexz.,!?'\"-_ABCEX019$+~`(#") + [" "] * 14 + ["  ", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "\u0001"]
    + ["\u00ad", "\u2028", "\ufb01", "\u2026", "e\u0301", "\u00e9", "\u0301", "a\u0323\u0307", "\u0344\u0316", "\u0130", "\u1e9e"]
    + ["\u732b", "\u543e\u8f29", "\u306f", "\u304c", "\ud55c", "\U0001f600", "\u2764\ufe0f", "\ufffd", "\x00", "\u3002", "\u201c", "##", "##s"]
    + SPECIALS + ["<l>", "<r>", "cat", "New York", "new york", "\u00c9t\u00e9", "\u00e9t\u00e9", "don't", "'s", " do not", "ing"]
)


def random_text(words, random_):
    parts = []
    for _ in range(random_.choice([0, 1, 2, 4, 8, 12])):
        parts.append(random_.choice(words) + random_.choice(["", " "]) if random_.random() < 0.5
                     else random_.choice(ATOMS))
    return "".join(parts)


def bert(clean=True, chinese=True, accents=None, lower=True):
    return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese,
            "strip_accents": accents, "lowercase": lower}


def bert_post():
    return {"type": "BertProcessing", "sep": ["[SEP]", SEP], "cls": ["[CLS]", CLS]}


def roberta_post(trim=True, space=True):
    return {"type": "RobertaProcessing", "sep": ["[SEP]", SEP], "cls": ["[CLS]", CLS], "trim_offsets": trim,
            "add_prefix_space": space}


def level(space):
    return {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": True}


def template():
    post = json.loads(json.dumps(POSTS["bert"]))
    post["special_tokens"]["[CLS]"]["ids"] = [CLS]
    post["special_tokens"]["[SEP]"]["ids"] = [SEP]
    return post


def decoder(cleanup=True, prefix="##"):
    return {"type": "WordPiece", "prefix": prefix, "cleanup": cleanup}


def configurations():
    """Name, vocabulary, file. The first `LISTED` of them are given all texts."""
    split = named("BertPreTokenizer")
    rows = [
        ("uncased", "uncased", bert(), split, PLAIN_TOKENS, bert_post(), decoder(), {}),
        ("cased", "cased", bert(lower=False), split, PLAIN_TOKENS, template(), decoder(), {}),
        ("uncased with accents", "uncased", bert(accents=False), split, PLAIN_TOKENS, bert_post(), decoder(), {}),
        ("cased without accents", "cased", bert(accents=True, lower=False), split, PLAIN_TOKENS, bert_post(),
         decoder(False), {}),
        ("unclean", "cased", bert(clean=False, lower=False), split, PLAIN_TOKENS, bert_post(), decoder(), {}),
        ("chinese in words", "uncased", bert(chinese=False), split, PLAIN_TOKENS, bert_post(), decoder(), {}),
        ("rich", "uncased", bert(), split, RICH_TOKENS, bert_post(), decoder(), {}),
        ("rich cased", "cased", bert(lower=False), split, RICH_TOKENS, template(), decoder(False), {}),
        ("nothing", "cased", bert(False, False, False, False), None, RICH_TOKENS, None, None, {}),
        ("no pre-tokenizer", "uncased", bert(), None, PLAIN_TOKENS, bert_post(), decoder(), {}),
        ("no normalizer", "cased", None, split, PLAIN_TOKENS, bert_post(), decoder(), {}),
        ("two normalizers", "uncased", sequence(named("NFKC"), bert()), pre(split), PLAIN_TOKENS, bert_post(),
         {"type": "Sequence", "decoders": [decoder(False), named("Fuse")]}, {}),
        ("white space", "cased", bert(lower=False), pre(named("WhitespaceSplit"), punctuation("Contiguous")),
         PLAIN_TOKENS, {"type": "Sequence", "processors": [bert_post()]}, decoder(), {}),
        ("roberta", "uncased", bert(), split, PLAIN_TOKENS, roberta_post(), decoder(), {}),
        ("roberta untrimmed", "uncased", bert(), split, RICH_TOKENS, roberta_post(False, False), decoder(), {}),
        ("no prefix", "uncased", bert(), split, PLAIN_TOKENS, bert_post(), decoder(True, ""),
         {"continuing_subword_prefix": ""}),
        ("half a prefix", "uncased", bert(), None, PLAIN_TOKENS, bert_post(), decoder(True, "#"),
         {"continuing_subword_prefix": "#"}),
        ("short words", "cased", bert(), split, PLAIN_TOKENS, bert_post(), decoder(),
         {"max_input_chars_per_word": 4, "unk_token": "[MASK]"}),
    ]
    for name, vocabulary, normalizer, splitter, added, post, decode, changes in rows:
        model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                 "max_input_chars_per_word": 100, "vocab": {}, **changes}
        yield name, vocabulary, {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                                 "normalizer": normalizer, "pre_tokenizer": splitter, "post_processor": post,
                                 "decoder": decode, "model": model}
    # DeBERTa v1's small vocabulary has [PAD], [CLS], [SEP], [UNK] in another order.
    for trim in (True, False):
        for space in (True, False):
            post = {**roberta_post(trim, space), "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]}
            yield f"byte-level roberta {trim} {space}", "byte_level", {
                "version": "1.0", "truncation": None, "padding": None, "added_tokens": PLAIN_TOKENS[:4],
                "normalizer": None, "pre_tokenizer": level(space), "post_processor": post, "decoder": level(space),
                "model": {"type": "BPE", "unk_token": "[UNK]", "vocab": {}, "merges": []}}


LISTED = 4


def spelt(name):
    return {"content": name, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


# What lies beside the vocab.txt: name, vocabulary, files.
DIRECTORIES = [
    ("alone", "uncased", {}),
    ("cased", "cased", {"tokenizer_config.json": {"do_lower_case": False}}),
    ("transformers 4", "uncased", {
        "tokenizer_config.json": {
            "added_tokens_decoder": {str(i): {**spelt(t), "special": True} for i, t in enumerate(SPECIALS)},
            "clean_up_tokenization_spaces": True, "cls_token": "[CLS]", "do_basic_tokenize": True,
            "do_lower_case": True, "extra_special_tokens": {}, "mask_token": "[MASK]", "model_max_length": 512,
            "never_split": None, "pad_token": "[PAD]", "sep_token": "[SEP]", "strip_accents": None,
            "tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer", "unk_token": "[UNK]"},
        "special_tokens_map.json": {"mask_token": "never read"}}),
    ("accents", "uncased", {"tokenizer_config.json": {"strip_accents": False, "tokenizer_class": "DistilBertTokenizerFast"}}),
    ("no accents", "cased", {"tokenizer_config.json": {
        "do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}}),
    ("other names", "uncased", {
        "tokenizer_config.json": {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "model_max_length": 1e30},
        "special_tokens_map.json": {"mask_token": {**spelt("<mask>"), "lstrip": True}, "cls_token": "[CLS]"}}),
    ("more tokens", "uncased", {
        "tokenizer_config.json": {"bos_token": "<bos>", "eos_token": "[SEP]",
                                  "additional_special_tokens": ["<one>", "<two>", "the"]},
        "added_tokens.json": {"[new]": 1001, "older": 1000, "<two>": 1002}}),
    ("flags", "cased", {"tokenizer_config.json": {
        "do_lower_case": False, "extra_special_tokens": ["<e>"], "mask_token": "[MASK]",
        "added_tokens_decoder": {
            "2000": {**spelt("New"), "single_word": True, "special": False},
            "1999": {**spelt("<left>"), "lstrip": True, "special": True},
            "4": {**spelt("[MASK]"), "rstrip": True, "special": False},
            "2001": {**spelt("\u00c9t\u00e9"), "normalized": True, "special": False}}}}),
    ("an empty list", "uncased", {"tokenizer_config.json": {"added_tokens_decoder": {}},
                                  "special_tokens_map.json": {"cls_token": "never read"}}),
]
MORE_TEXTS = ["<s> a </s> <mask>", "x  <mask> y", "<bos>a<one> <two> the [new] older new", "a <left> b New Newer [MASK]  c",
              "\u00c9t\u00e9 \u00e9t\u00e9 <e>", "it ' s do not . we 've", "it is n't , is it ?"]

# Texts for which the tokenizer in Python has other ids: it knows 0x100 more Chinese characters, and it composes
# characters (NFC) where accents stay. Besides, it finds added tokens that are not special in its own way.
SLOW_DIFFERS = ["\U00020000\U0002b820\U0002ceb0\uf900\u3400\u9fff\ua000", "\u30ab\u3099 \u304c \u304b\u3099 \uff76\uff9e"]


def train(texts, lower):
    """A vocabulary: the special tokens, characters, and merges of the most frequent neighbours. The library's trainer
    would decide between equals at random."""
    normalizer = normalizers.BertNormalizer(lowercase=lower)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = Counter()
    for word, count in counts.items():
        for letter in word:
            letters[letter] += count
    alphabet = sorted(sorted(letters), key=lambda letter: -letters[letter])[:150]
    vocabulary = SPECIALS + alphabet + ["##" + letter for letter in alphabet]
    words = [([word[0]] + ["##" + letter for letter in word[1:]], count) for word, count in sorted(counts.items())
             if set(word) <= set(alphabet)]
    while len(vocabulary) < 800:
        pairs = Counter()
        for pieces, count in words:
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count
        left, right = max(sorted(pairs), key=pairs.get)
        union = left + right.removeprefix("##")
        if union not in vocabulary:
            vocabulary.append(union)
        for pieces, _ in words:
            for place in reversed(range(len(pieces) - 1)):
                if pieces[place:place + 2] == [left, right]:
                    pieces[place:place + 2] = [union]
    return vocabulary


def load(name, file, vocabularies):
    """The tokenizer of a file without its vocabulary."""
    file = json.loads(json.dumps(file))
    if name == "byte_level":
        with open(TOKENIZER / "byte_level" / "vocab.json", encoding="utf-8") as vocabulary:
            file["model"]["vocab"] = json.load(vocabulary)
        with open(TOKENIZER / "byte_level" / "merges.txt", encoding="utf-8") as merges:
            lines = merges.read().split("\n")
        file["model"]["merges"] = [line for line in lines if line and not line.startswith("#version")]
    else:
        file["model"]["vocab"] = {t: i for i, t in enumerate(vocabularies[name])}
    return Tokenizer.from_str(json.dumps(file))


def rewritten(tokenizer, file):
    """Added tokens that the normalizer rewrites. Since version 0.23 `tokenizers` decodes them as rewritten, before that
    as they are written, and so does our tokenizer."""
    contents = [token["content"] for token in file["added_tokens"] if token["normalized"]]
    if tokenizer.normalizer is None:
        return set()
    return {tokenizer.token_to_id(content) for content in contents if tokenizer.normalizer.normalize_str(content) != content}


def text_case(tokenizer, text, pair):
    encoding = tokenizer.encode(text, pair)
    case = {"text": text, "ids": encoding.ids, "offsets": [place for span in encoding.offsets for place in span],
            "decoded": tokenizer.decode(encoding.ids, skip_special_tokens=False)}
    return {**case, "pair": pair} if pair is not None else case


def directory(name, vocabulary, files, vocabularies, random_, words):
    """What the fast tokenizer gives in a directory, and the texts for which the slow one gives other ids."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.joinpath("vocab.txt").write_text("".join(t + "\n" for t in vocabularies[vocabulary]), encoding="utf-8")
        for file, content in files.items():
            path.joinpath(file).write_text(json.dumps(content), encoding="utf-8")
        tokenizer = BertTokenizer.from_pretrained(folder)
        slow = BertTokenizerLegacy.from_pretrained(folder)
    added = json.loads(tokenizer._tokenizer.to_str())["added_tokens"]
    cases, differing = [], []
    for text in TEXTS + MORE_TEXTS + [random_text(words, random_) for _ in range(100)]:
        encoding = tokenizer(text, return_offsets_mapping=True)
        ids = encoding["input_ids"]
        if slow(text)["input_ids"] != ids:
            differing.append(text)
        if text in MORE_TEXTS or random_.random() < 0.05 and len(text) < 80:
            cases.append({"text": text, "ids": ids, "offsets": [list(span) for span in encoding["offset_mapping"]],
                          "decoded": [tokenizer.decode(ids, skip_special_tokens=skip) for skip in (True, False)]})
    pair = tokenizer("a cat", "the dog", padding="max_length", max_length=14)
    return {"name": name, "vocab": vocabulary, "files": files, "added_tokens": added, "cases": cases,
            "padded_pair": {"ids": pair["input_ids"], "type_ids": pair["token_type_ids"]}}, differing


def code_point_hashes():
    """Every code point between two letters, a block of them at a time, through each step."""
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    steps = {key: normalizers.BertNormalizer(**{**off, key: True}) for key in off}
    steps["all"] = normalizers.BertNormalizer()
    steps["BertPreTokenizer"] = pre_tokenizers.BertPreTokenizer()
    hashes = {}
    for name, step in steps.items():
        state = 0xCBF29CE484222325
        for block in range(0, 0x110000, 0x100):
            codes = [c for c in range(max(block, 1), block + 0x100) if not 0xD800 <= c < 0xE000]
            text = "".join(f"a{chr(c)}\u0301b" for c in codes)
            if not text:
                continue
            if name == "BertPreTokenizer":
                answer = "|".join(part for part, _ in step.pre_tokenize_str(text))
            else:
                answer = step.normalize_str(text)
            state = hash_text(state, answer + "\n")
        hashes[name] = f"{state:016x}"
    return hashes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=6, help="inputs for each file")
    parser.add_argument("--longest", type=int, default=1600, help="bytes of the longest case kept")
    arguments = parser.parse_args()
    found = (transformers.__version__, tokenizers.__version__)
    if found != PINNED:
        sys.exit(f"wrong package versions: wanted {PINNED}, found {found}")
    warnings.simplefilter("ignore")
    arguments.out.mkdir(parents=True, exist_ok=True)
    random_ = random.Random(arguments.seed)
    texts = [Path(path).read_text(encoding="utf-8")[20_000:120_000] for path in arguments.texts]
    words = [word[:30] for text in texts for word in text.split()[:3000]]

    vocabularies = {name: train(texts, name == "uncased") for name in ("uncased", "cased")}
    for name, vocabulary in vocabularies.items():
        with open(arguments.out / f"{name}.txt", "w", encoding="utf-8", newline="\n") as file:
            file.writelines(t + "\n" for t in vocabulary)

    configs, cases, listed = [], [], []
    for name, vocabulary, file in configurations():
        tokenizer = load(vocabulary, file, vocabularies)
        post = file["post_processor"]
        has_post = post is not None
        if len(configs) < LISTED:
            for text, pair in [(text, None) for text in TEXTS] + PAIRS:
                listed.append({"config": len(configs), **text_case(tokenizer, text, pair)})
        for number in range(arguments.cases):
            # Our tokenizer trims before it cuts a text into windows.
            is_plain = number % 2 == 0 or file["pre_tokenizer"] == level(True) and (post or {}).get("trim_offsets")
            case = encode_case(tokenizer, has_post, words, random_, is_plain, random_text)
            if case is not None and "decoded" in case and not rewritten(tokenizer, file).isdisjoint(case["out"][0]["ids"]):
                del case["decoded"]
            if case is not None and len(json.dumps(case)) <= arguments.longest:
                cases.append({"config": len(configs), **case})
        # The windows of a pair are what RoBERTa's post-processor treats in a way of its own.
        wanted = 2 if name.startswith("roberta") else 0
        while wanted:
            case = encode_case(tokenizer, has_post, words, random_, False, random_text)
            if case and len(case["inputs"][0]) > 1 and case["specials"] and len(json.dumps(case)) <= 1600 \
                    and any("overflowing" in out for out in case.get("out", [])):
                cases.append({"config": len(configs), **case})
                wanted -= 1
        configs.append({"name": name, "vocab": vocabulary, "file": file})
    with open(arguments.out / "configs.json", "w", encoding="utf-8") as file:
        json.dump(configs, file, ensure_ascii=True, separators=(",", ":"))
    write_lines(arguments.out / "cases.jsonl", cases)
    with open(arguments.out / "texts.jsonl", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in listed)

    directories = []
    for name, vocabulary, files in DIRECTORIES:
        found, differing = directory(name, vocabulary, files, vocabularies, random_, words)
        directories.append(found)
        has_ordinary = any(not token["special"] for token in found["added_tokens"])
        unexpected = [text for text in differing if text not in SLOW_DIFFERS]
        print(f"{name}: the tokenizer in Python has other ids for {len(differing)} texts")
        if unexpected and not has_ordinary:
            sys.exit("and these are unexpected:\n" + "\n".join(map(ascii, unexpected)))
    with open(arguments.out / "directories.json", "w", encoding="utf-8", newline="\n") as file:
        file.write("[\n" + ",\n".join(json.dumps(d, ensure_ascii=False, separators=(",", ":")) for d in directories) + "\n]\n")
    with open(arguments.out / "codepoints.json", "w") as file:
        json.dump(code_point_hashes(), file, indent=1)


if __name__ == "__main__":
    main()
