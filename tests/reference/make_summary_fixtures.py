"""Writes tests/fixtures/summaries: what tiny random encoder-decoder models of transformers write about texts, as text.

    python make_summary_fixtures.py            # everything
    python make_summary_fixtures.py NAME...    # these models alone

Tokens are compared by make_generation_fixtures.py; here it is the way from a text to the encoder's tokens, and from the
decoder's tokens to a text, with each kind of tokenizer that a decoder may have.
"""

import copy
import json
import re
import sys
import unicodedata
from collections import Counter

import torch
from fixture_files import FIXTURES, fresh_folder, generator, random_weights, require_pinned_versions, write_rows

require_pinned_versions()

from parity_case import V3  # noqa: E402  (after the check)
from pipeline_texts import SMALL, corpus  # noqa: E402
from tiny_vocabulary import build_tokenizer, train_vocabulary  # noqa: E402
from tokenizers import ByteLevelBPETokenizer  # noqa: E402
from transformers import (  # noqa: E402
    BertConfig,
    BertTokenizer,
    DebertaV2Config,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GPT2Config,
    GPT2Tokenizer,
    RobertaConfig,
)
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()

SUMMARIES = FIXTURES / "summaries"
TEXTS = [*(text for text in SMALL if text.strip()), " ".join(SMALL[:5])]
# What generation_config.json says, and what calls say otherwise.
USUAL = {"max_new_tokens": 24, "no_repeat_ngram_size": 2}
CALLS = ({}, {"num_beams": 3, "early_stopping": True}, {"num_beams": 4, "length_penalty": 2.0, "max_new_tokens": 12})
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
        "max_position_embeddings": 40, "is_decoder": True, "add_cross_attention": True}  # fmt: skip


def word_pieces(clean):
    """BERT's own kind, with or without the clean-up of spaces that its configuration used to ask for.

    Its pieces are all characters and the commonest words: what `tokenizers` trains differs from run to run.
    """
    words = Counter(re.findall(r"\w+|[^\w\s]", unicodedata.normalize("NFC", " ".join(corpus())).lower()))
    characters = sorted({character for word in words for character in word})
    common = sorted(words, key=lambda word: (-words[word], word))[:100]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "'", "s", "n", "t", *characters,
              *(f"##{character}" for character in characters if character.isalnum()), *common]  # fmt: skip
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True, clean_up_tokenization_spaces=clean)


def byte_level():
    """GPT-2's own kind."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(corpus(), vocab_size=330, min_frequency=2, show_progress=False,
                                special_tokens=["<|endoftext|>"])  # fmt: skip
    model = json.loads(trained._tokenizer.to_str())["model"]
    return GPT2Tokenizer(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]])


# The decoder's tokenizer, where it is not the encoder's, and its configuration for a number of words.
MODELS = {
    "bert": (lambda: word_pieces(True), lambda words: BertConfig(vocab_size=words, **TINY)),
    "bert_spaces": (lambda: word_pieces(False), lambda words: BertConfig(vocab_size=words, **TINY)),
    "roberta": (None, lambda words: RobertaConfig(vocab_size=words, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                                                  **TINY)),
    "gpt2": (byte_level, lambda words: GPT2Config(vocab_size=words, n_embd=16, n_layer=2, n_head=2, n_positions=40,
                                                  add_cross_attention=True, bos_token_id=0, eos_token_id=0)),
}  # fmt: skip


def ends(tokenizer):
    """The tokens that a summary begins with, ends with and is filled up with."""
    start = next(i for i in (tokenizer.cls_token_id, tokenizer.bos_token_id) if i is not None)
    end = next(i for i in (tokenizer.sep_token_id, tokenizer.eos_token_id) if i is not None)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end
    return {"decoder_start_token_id": start, "eos_token_id": end, "pad_token_id": pad}


def build(name, reads, writes):
    """The model with random weights."""
    encoder = DebertaV2Config(**{**V3, "vocab_size": len(reads), "hidden_size": 16, "num_attention_heads": 2,
                                 "intermediate_size": 24, "pad_token_id": 0})  # fmt: skip
    config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder, MODELS[name][1](len(writes)))
    config._attn_implementation = "eager"
    config.encoder._attn_implementation = config.decoder._attn_implementation = "eager"
    model = EncoderDecoderModel(config=config).eval()
    weights = random_weights(model, generator("summary", name.split("_")[0]))
    for key, bias in weights.items():
        if key.endswith("bias") and len(bias) == len(writes):
            # So that some summaries end by themselves, and some have what the clean-up of spaces is about.
            bias[ends(writes)["eos_token_id"]] += 2.5
            if name.startswith("bert"):
                bias[writes.convert_tokens_to_ids(["'", "s", "n", "t"])] += 6
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    for key, value in {**USUAL, **ends(writes)}.items():
        setattr(model.generation_config, key, value)
    return model


def write_case(name, reads):
    """One folder with a model, its tokenizers and expected.json."""
    make = MODELS[name][0]
    writes = make() if make else reads
    model = build(name, reads, writes)
    folder = fresh_folder(SUMMARIES / name)
    model.save_pretrained(folder)
    reads.save_pretrained(folder)
    if make:
        writes.save_pretrained(folder / "decoder_tokenizer")
    (folder / "model.safetensors").chmod(0o644)
    exact = copy.deepcopy(model).double()
    rows, close = [], 0
    for text in TEXTS:
        given = reads(text, return_tensors="pt", return_token_type_ids=False)
        for call in CALLS:
            with torch.no_grad():
                ids = model.generate(**given, **call)[0].tolist()
                sure = exact.generate(**given, **call)[0].tolist()
            if ids != sure:
                close += 1
                continue
            rows.append({"text": text, "options": call, "ids": ids,
                         "summary": writes.decode(ids, skip_special_tokens=True)})  # fmt: skip
    write_rows(folder / "expected.json", {"summaries": rows})
    different = len({row["summary"] for row in rows})
    ended = sum(row["ids"][-1] == model.generation_config.eos_token_id for row in rows)
    print(f"{name}: {len(rows)} summaries, {different} different, {ended} ended, {close} too close to call")


def main():
    """Writes the folders that the command line names, or all."""
    torch.manual_seed(0)
    reads = build_tokenizer(train_vocabulary())
    for name in sys.argv[1:] or MODELS:
        write_case(name, reads)


if __name__ == "__main__":
    main()
