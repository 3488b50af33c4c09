"""Writes tests/fixtures/hub: tiny random models in directories like those on the hub, and what must come of texts.

    python make_hub_fixtures.py            # all of them
    python make_hub_fixtures.py NAME...    # these

Each case is a directory with the files, names and formats of a published kind of checkpoint, and no others:

    deberta_v3   as Microsoft published v3: pytorch_model.bin (a zip) in f16 with every head, spm.model, few config keys
    deberta_v1   as Microsoft published v1: pytorch_model.bin in the format before the zip, vocab.json and merges.txt
    fine_tune    a classifier in shards with tokenizer.json
    mdeberta     a masked LM as transformers saves it: without absolute positions, [MASK] in added_tokens.json beyond
                 the pieces, more rows than vocab_size
    gliner       an encoder inside another model, whose other tensors are none of ours

`cases.json`: {"cases": [{"name", "covers", "heads", "format", "files", "interleaved", "enhanced", "rows", "mask",
"unused"}]}: the heads that the weights hold, and facts of the directory; `mask` is the id of [MASK].

`expected/NAME.json`: {"texts": [{"text", "pair", "ids", "type_ids"}], "tolerance": [{"hidden_gap", "logits_gap"}]}, the
gaps between f32 and f64.

`expected/NAME.safetensors`, rows of real tokens end to end in the order of the texts: `last_hidden_state` f32 [T, N];
where there is the head, `sequence` [B, labels], `token` [T, labels], `masked` [M, V], the logits of the [MASK]s alone,
and `replaced` [T, 1].

Ids of SentencePiece models are those of C++ SentencePiece between the special tokens, and the script checks that
transformers gives the same, but for texts with rare characters, for which its fast tokenizer has no bytes. Ids of v1
are those of transformers with the rules of its version 4 (see make_pipeline_fixtures.py). Hidden states and logits are
those of transformers; the Enhanced Mask Decoder and replaced-token detection run on its layers (observe_reference.py).
"""

import io
import json
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import sentencepiece
import torch
from fixture_files import FIXTURES, fresh_folder, generator, require_pinned_versions, write_json, write_rows, write_tensors
from make_checkpoint_fixtures import save_legacy
from make_parity_fixtures import random_weights
from make_pipeline_fixtures import build_byte_level, save_byte_level, train_byte_level
from observe_reference import ReplacedTokenDetection, enhanced_decoder, in_own_type
from pipeline_texts import corpus

require_pinned_versions()

import transformers  # noqa: E402  (after the check, so that a wrong version is named first)
from sentencepiece import sentencepiece_model_pb2  # noqa: E402
from tokenizers import AddedToken  # noqa: E402
from transformers import DebertaV2Tokenizer  # noqa: E402
from transformers.activations import ACT2FN  # noqa: E402
from transformers.models.deberta.modeling_deberta import DebertaLayerNorm  # noqa: E402

HUB = FIXTURES / "hub"
LEAST_MARGIN = 1e-3  # between the best two logits, so that an arg-max never hangs on rounding
TEXTS = [
    ("Anna works at Acme in [MASK].", None),
    ("The film was [MASK], but the ending was lovely!", None),
    ("[MASK] and [MASK]", None),
    ("José García moved to São Paulo,\nand nobody knew why", None),
    ("The film was slow.", "It was [MASK] fast."),
    ("", None),
    ("Zu\u0308rich ❤️ 東京", None),
]
# Characters that the corpus does not have: bytes in a SentencePiece model.
RARE = [("👍🏽 [MASK] ﬆ", None), ("Ａｃｍｅ", "Привет ①")]
GLINER = [("<<ENT>> person <<ENT>> place <<SEP>> Anna works in Berlin.", None)]
# A few of the rules of the published models' normalisation.
RULES = {"\n": " ", "\t": " ", "\u00a0": " ", "Ａ": "A", "ｃ": "c", "ｍ": "m", "ｅ": "e", "①": "1", "u\u0308": "ü"}

# The keys of Microsoft's own config.json, with small numbers.
MICROSOFT = {
    "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 16,
    "initializer_range": 0.02, "intermediate_size": 24, "max_position_embeddings": 64, "relative_attention": True,
    "layer_norm_eps": 1e-7, "max_relative_positions": -1, "position_biased_input": False, "num_attention_heads": 2,
    "num_hidden_layers": 2, "type_vocab_size": 0,
}  # fmt: skip
V1 = {"model_type": "deberta", **MICROSOFT, "pos_att_type": "c2p|p2c", "padding_idx": 0}
V3 = {"model_type": "deberta-v2", **MICROSOFT, "position_buckets": 8, "norm_rel_ebd": "layer_norm",
      "share_att_key": True, "pos_att_type": "p2c|c2p"}  # fmt: skip
LABELS = {0: "entailment", 1: "neutral", 2: "contradiction"}


class Pieces:
    """A SentencePiece model in the layout of v3, with [MASK] behind its pieces."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:
            rules = Path(folder) / "rules.tsv"
            points = lambda text: " ".join(f"{ord(c):X}" for c in text)  # noqa: E731
            rules.write_text("".join(f"{points(a)}\t{points(b)}\n" for a, b in sorted(RULES.items())))
            out = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(corpus()), model_writer=out, model_type="unigram", vocab_size=560,
                character_coverage=1.0, normalization_rule_tsv=str(rules), num_threads=1, shuffle_input_sentence=False,
                byte_fallback=True, pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2,
                eos_piece="[SEP]", unk_id=3, unk_piece="[UNK]", minloglevel=2,
            )  # fmt: skip
        proto = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
        proto.normalizer_spec.ClearField("normalization_rule_tsv")  # a path, different in each run
        self.content = proto.SerializeToString()
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=self.content)
        self.mask = len(self.processor)

    def ids(self, text):
        """The text's ids without special tokens around it; [MASK] stands for itself."""
        ids = []
        for number, part in enumerate(text.split("[MASK]")):
            ids += [self.mask] * (number > 0) + self.processor.encode(part)
        return ids

    def encode(self, text, pair):
        """ids and type ids as DeBERTa v2 and v3 have them."""
        first, second = self.ids(text), [] if pair is None else [*self.ids(pair), 2]
        return [1, *first, 2, *second], [0] * (len(first) + 2) + [1] * len(second)

    def check(self, tokenizer, texts):
        """transformers has the same ids."""
        for given in texts:
            found = tokenizer(*given)
            wanted = self.encode(*given)
            assert (found["input_ids"], found["token_type_ids"]) == wanted, (given, found, wanted)

    def tokenizer(self):
        """The tokenizer of transformers on the pieces."""
        pieces = [(self.processor.id_to_piece(i), self.processor.get_score(i)) for i in range(self.mask)]
        return DebertaV2Tokenizer(vocab=pieces, unk_id=3)


def of_tokenizer(tokenizer):
    """An `encode` out of a tokenizer of transformers."""

    def encode(*given):
        found = tokenizer(*given)
        return found["input_ids"], found["token_type_ids"]

    return encode


def as_input(encoded):
    """A padded batch."""
    length = max(len(ids) for ids, _ in encoded)
    pad = lambda row, value=0: row + [value] * (length - len(row))  # noqa: E731
    ids = torch.tensor([pad(ids) for ids, _ in encoded])
    return {"input_ids": ids, "attention_mask": torch.tensor([pad([1] * len(ids)) for ids, _ in encoded]),
            "token_type_ids": torch.tensor([pad(types) for _, types in encoded])}  # fmt: skip


def family(config):
    """How the classes of transformers begin for it."""
    return "Deberta" if config["model_type"] == "deberta" else "DebertaV2"


def build(name, config, rows, heads, attempt):
    """The reference with random weights: {part: model}, the parts sharing one encoder, and a table of positions."""
    prefix = family(config)
    config = getattr(transformers, f"{prefix}Config")(**{**config, "vocab_size": rows, "legacy": False})
    config._attn_implementation = "eager"
    gen = generator("hub", name, attempt)
    if "sequence" in heads:
        model = getattr(transformers, f"{prefix}ForSequenceClassification")(config).eval()
        model.load_state_dict(random_weights(model, gen))
        return {"sequence": model}, None
    model = getattr(transformers, f"{prefix}ForMaskedLM")(config).eval()
    model.load_state_dict(random_weights(model, gen))
    replaced = ReplacedTokenDetection(model.deberta, ACT2FN[config.hidden_act]).eval()
    head = random_weights(replaced.mask_predictions, gen)
    replaced.mask_predictions.load_state_dict(head)
    table = torch.randn(config.max_position_embeddings, config.hidden_size, generator=gen)
    return {"masked": model, "replaced": replaced}, table


def state_of(models, table, heads, dtype):
    """The tensors of the encoder and of `heads`, by the names of Microsoft's code."""
    state = OrderedDict()
    for part, model in models.items():
        if part in heads or part == "masked":
            keep = [k for k in model.state_dict() if k.startswith("deberta.") or part in heads]
            state |= {k: model.state_dict()[k] for k in keep}
    if "enhanced" in heads:
        state["deberta.embeddings.position_embeddings.weight"] = table
    return OrderedDict((k, state[k].to(dtype)) for k in sorted(state))


def narrowed(models, table, dtype):
    """The models on their weights as they are stored; returns the table likewise."""
    for model in models.values():
        model.load_state_dict({k: v.to(dtype).float() for k, v in model.state_dict().items()})
    return None if table is None else table.to(dtype).float()


def run(models, table, heads, inputs, mask_id):
    """The outputs by the names of expected/NAME.safetensors."""
    real = inputs["attention_mask"].bool()
    with torch.no_grad():
        if "sequence" in heads:
            out = models["sequence"](**inputs, output_hidden_states=True)
            rows = out.hidden_states[-1][real]
            # A token classifier has tensors of the same names, so these can be asked for one.
            return {"last_hidden_state": rows, "sequence": out.logits, "token": models["sequence"].classifier(rows)}
        model = models["masked"]
        out = model(**inputs, output_hidden_states=True)
        found = {"last_hidden_state": out.hidden_states[-1][real]}
        if "masked" in heads:
            table = None if table is None else table.to(model.dtype)
            logits = enhanced_decoder(model, table, inputs)["logits"] if "enhanced" in heads else out.logits
            found["masked"] = logits[inputs["input_ids"] == mask_id]
        if "replaced" in heads:
            found["replaced"] = models["replaced"](**inputs)["logits"][real]
    return found


def in_double(models, *arguments):
    """The same in f64 throughout."""
    original, DebertaLayerNorm.forward = DebertaLayerNorm.forward, in_own_type
    for model in models.values():
        model.double()
    found = run(models, *arguments)
    DebertaLayerNorm.forward = original
    for model in models.values():
        model.float()
    return found


def margin(outputs):
    """The least distance between the best two logits of a row."""
    best = [outputs[k].topk(2, dim=-1).values for k in ("sequence", "token", "masked") if k in outputs]
    return min((float((b[..., 0] - b[..., 1]).min()) for b in best), default=float("inf"))


def compute(name, config, rows, heads, dtype, encoded, mask_id):
    """Weights that leave every arg-max clear, as a state dict; the outputs on them, their gaps, and the models."""
    inputs = as_input(encoded)
    for attempt in range(100):
        models, table = build(name, config, rows, heads, attempt)
        table = narrowed(models, table, dtype)
        single = run(models, table, heads, inputs, mask_id)
        if margin(single) >= LEAST_MARGIN:
            break
    else:
        sys.exit(f"{name}: no attempt keeps the arg-max clear")
    double = in_double(models, table, heads, inputs, mask_id)
    gaps = {"hidden_gap": 0.0, "logits_gap": 0.0}
    for key, value in single.items():
        kind = "hidden_gap" if key == "last_hidden_state" else "logits_gap"
        gaps[kind] = max(gaps[kind], float((value.double() - double[key]).abs().max()))
    assert all(torch.isfinite(v).all() for v in single.values())
    return state_of(models, table, heads, dtype), single, gaps, inputs


def check_load(folder, config, inputs, single, what):
    """transformers loads the directory and computes the very same hidden states and logits."""
    model = getattr(transformers, family(config) + what).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        out = model.eval()(**inputs, output_hidden_states=True)
    real = inputs["attention_mask"].bool()
    assert torch.equal(out.hidden_states[-1][real], single["last_hidden_state"]), folder
    assert "logits" not in out or torch.equal(out.logits, single["sequence"]), folder


def record(name, texts, encoded, single, gaps):
    """What must come of the texts."""
    rows = [{"text": text, "pair": pair, "ids": ids, "type_ids": types}
            for (text, pair), (ids, types) in zip(texts, encoded, strict=True)]  # fmt: skip
    (HUB / "expected").mkdir(exist_ok=True)
    write_rows(HUB / "expected" / f"{name}.json", {"texts": rows, "tolerance": [gaps]})
    write_tensors(HUB / "expected" / f"{name}.safetensors", single)


def deberta_v3(folder, pieces, _):
    """Microsoft's v3."""
    heads, texts = ("masked", "enhanced", "replaced"), TEXTS + RARE
    config = {**V3, "vocab_size": pieces.mask + 12}
    encoded = [pieces.encode(*given) for given in texts]
    state, single, gaps, inputs = compute(
        folder.name, config, pieces.mask + 12, heads, torch.float16, encoded, pieces.mask
    )
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "vocab_type": "spm"})
    (folder / "spm.model").write_bytes(pieces.content)
    torch.save(state, folder / "pytorch_model.bin")
    check_load(folder, config, inputs, single, "Model")
    pieces.check(DebertaV2Tokenizer.from_pretrained(folder), TEXTS)
    record(folder.name, texts, encoded, single, gaps)
    return {"covers": "Microsoft's v3: zip in f16, Enhanced Mask Decoder and discriminator, spm.model",
            "heads": ["base", "masked", "replaced"], "format": "pytorch zip", "files": 1, "interleaved": False,
            "enhanced": True, "rows": pieces.mask + 12, "mask": pieces.mask, "unused": []}  # fmt: skip


def deberta_v1(folder, _, byte_level):
    """Microsoft's v1."""
    heads, texts = ("masked", "enhanced"), TEXTS + RARE
    tokenizer = build_byte_level("hub", byte_level)
    rows = len(tokenizer)
    config = {**V1, "vocab_size": rows}
    encoded = [of_tokenizer(tokenizer)(*given) for given in texts]
    mask = tokenizer.mask_token_id
    state, single, gaps, inputs = compute(folder.name, config, rows, heads, torch.float32, encoded, mask)
    assert "deberta.encoder.layer.0.attention.self.in_proj.weight" in state
    write_json(folder / "config.json", config)
    save_byte_level("hub", folder, tokenizer, byte_level, texts)
    (folder / "bpe_encoder.bin").write_bytes(b"not a file of ours\n")
    save_legacy(state, folder / "pytorch_model.bin")
    check_load(folder, config, inputs, single, "Model")
    record(folder.name, texts, encoded, single, gaps)
    return {"covers": "Microsoft's v1: the format before the zip, Enhanced Mask Decoder, vocab.json and merges.txt",
            "heads": ["base", "masked"], "format": "pytorch legacy", "files": 1, "interleaved": True, "enhanced": True,
            "rows": rows, "mask": mask, "unused": []}  # fmt: skip


def fine_tune(folder, pieces, _):
    """A classifier, as a version of transformers before safetensors saved large models."""
    tokenizer = pieces.tokenizer()
    rows, shards = len(tokenizer), 3
    config = {**V3, "vocab_size": rows, "architectures": ["DebertaV2ForSequenceClassification"], "pad_token_id": 0,
              "pooler_dropout": 0, "pooler_hidden_act": "gelu", "pooler_hidden_size": 16, "torch_dtype": "float32",
              "id2label": LABELS, "label2id": {v: k for k, v in LABELS.items()}}  # fmt: skip
    texts = TEXTS + RARE
    encoded = [of_tokenizer(tokenizer)(*given) for given in texts]
    state, single, gaps, inputs = compute(folder.name, config, rows, ("sequence",), torch.float32, encoded, None)
    write_json(folder / "config.json", config)
    tokenizer.save_pretrained(folder)
    names = [f"pytorch_model-{i + 1:05}-of-{shards:05}.bin" for i in range(shards)]
    places = {key: names[number * shards // len(state)] for number, key in enumerate(state)}
    for file in names:
        torch.save(OrderedDict((k, v) for k, v in state.items() if places[k] == file), folder / file)
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": places}
    write_json(folder / "pytorch_model.bin.index.json", index)
    check_load(folder, config, inputs, single, "ForSequenceClassification")
    record(folder.name, texts, encoded, single, gaps)
    return {"covers": "a fine-tuned classifier in three shards, tokenizer.json, named labels",
            "heads": ["base", "sequence", "token"], "format": "pytorch zip", "files": shards, "interleaved": False,
            "enhanced": False, "rows": rows, "mask": pieces.mask, "unused": []}  # fmt: skip


def mdeberta(folder, pieces, _):
    """The small mDeBERTa."""
    texts, rows = TEXTS + RARE, pieces.mask + 40
    config = {**V3, "vocab_size": pieces.mask, "architectures": ["DebertaV2ForMaskedLM"], "legacy": False,
              "pad_token_id": 0, "torch_dtype": "float16"}  # fmt: skip
    encoded = [pieces.encode(*given) for given in texts]
    state, single, gaps, _ = compute(folder.name, config, rows, ("masked",), torch.float16, encoded, pieces.mask)
    write_json(folder / "config.json", config)
    write_json(folder / "added_tokens.json", {"[MASK]": pieces.mask})
    special = {"bos": "[CLS]", "cls": "[CLS]", "eos": "[SEP]", "mask": "[MASK]", "pad": "[PAD]", "sep": "[SEP]",
               "unk": "[UNK]"}  # fmt: skip
    write_json(folder / "special_tokens_map.json", {f"{role}_token": token for role, token in special.items()})
    write_json(folder / "tokenizer_config.json", {
        "do_lower_case": False, **{f"{role}_token": token for role, token in special.items()}, "sp_model_kwargs": {},
        "split_by_punct": False, "tokenizer_class": "DebertaV2Tokenizer", "vocab_type": "spm",
    })  # fmt: skip
    (folder / "spm.model").write_bytes(pieces.content)
    torch.save(state, folder / "pytorch_model.bin")
    pieces.check(DebertaV2Tokenizer.from_pretrained(folder), TEXTS)
    record(folder.name, texts, encoded, single, gaps)
    return {"covers": "mDeBERTa: rows beyond vocab_size, [MASK] in added_tokens.json, no absolute positions",
            "heads": ["base", "masked"], "format": "pytorch zip", "files": 1, "interleaved": False, "enhanced": False,
            "rows": rows, "mask": pieces.mask, "unused": []}  # fmt: skip


def gliner(folder, pieces, _):
    """The encoder of a GLiNER, which has added tokens of its own and resized the table."""
    tokenizer = pieces.tokenizer()
    tokenizer.add_tokens([AddedToken(t, normalized=True) for t in ("<<ENT>>", "<<SEP>>")])
    rows, texts = len(tokenizer), TEXTS + RARE + GLINER
    config = {**V3, "vocab_size": rows}
    encoded = [of_tokenizer(tokenizer)(*given) for given in texts]
    inner, single, gaps, _ = compute(folder.name, config, rows, (), torch.float32, encoded, None)
    prefix = "token_rep_layer.bert_layer.model."
    state = OrderedDict((k.replace("deberta.", prefix, 1), v) for k, v in inner.items())
    gen = generator("hub", folder.name)
    others = {"rnn.lstm.weight_ih_l0": (32, 16), "rnn.lstm.bias_ih_l0": (32,), "prompt_rep_layer.0.weight": (24, 16),
              "prompt_rep_layer.0.bias": (24,)}  # fmt: skip
    state |= {name: torch.randn(shape, generator=gen) for name, shape in others.items()}
    write_json(folder / "config.json", config)
    write_json(folder / "gliner_config.json", {"model_name": "microsoft/deberta-v3-small", "max_len": 64,
                                               "ent_token": "<<ENT>>", "sep_token": "<<SEP>>"})  # fmt: skip
    tokenizer.save_pretrained(folder)
    torch.save(state, folder / "pytorch_model.bin")
    record(folder.name, texts, encoded, single, gaps)
    return {"covers": "the encoder inside a GLiNER, its added tokens, and tensors of other layers",
            "heads": ["base"], "format": "pytorch zip", "files": 1, "interleaved": False, "enhanced": False,
            "rows": rows, "mask": pieces.mask, "unused": sorted(others)}  # fmt: skip


CASES = (deberta_v3, deberta_v1, fine_tune, mdeberta, gliner)


def main():
    """All of them, or those that the arguments name."""
    wanted = sys.argv[1:] or [case.__name__ for case in CASES]
    if not set(wanted) <= {case.__name__ for case in CASES}:
        sys.exit(__doc__)
    file = HUB / "cases.json"
    known = {case["name"]: case for case in json.loads(file.read_text())["cases"]} if file.exists() else {}
    pieces, byte_level = Pieces(), train_byte_level()
    for case in CASES:
        name = case.__name__
        if name in wanted:
            known[name] = {"name": name, **case(fresh_folder(HUB / name), pieces, byte_level)}
            size = sum(f.stat().st_size for f in (HUB / name).iterdir())
            print(f"{name}: {size / 1e3:.0f} kB", flush=True)
    write_rows(file, {"cases": [known[case.__name__] for case in CASES if case.__name__ in known]})


if __name__ == "__main__":
    main()
