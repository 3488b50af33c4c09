"""What the training scripts share: data, vocabulary files, architecture, batches, optimiser, saving."""

import csv
import json
import math
import os
import random
import re
import time
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
from safetensors.torch import load_file, save_file
from sentencepiece import sentencepiece_model_pb2 as proto
from transformers import DebertaV2Config

ROOT = Path(__file__).resolve().parents[3]
ASSETS = Path(os.environ.get("DEBERTA_ASSETS", ROOT.parent / "shared" / "assets"))
MODELS = ROOT / "models"
# Intermediate results (vocabulary, pretrained encoder): never committed.
WORK = Path(os.environ.get("DEBERTA_TRAIN_DIR", ROOT / "target" / "train"))

PAD, CLS, SEP, UNK = 0, 1, 2, 3
SPECIALS = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "mask_token": "[MASK]"}


def seed_everything(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(int(os.environ.get("DEBERTA_TRAIN_THREADS", "2")))


def train_pieces(path, pieces, threads, **source):
    """A Unigram vocabulary in the layout of DeBERTa v3, of the text in `input` or `sentence_iterator`, as the file `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spm.SentencePieceTrainer.train(
        **source,
        model_prefix=str(path.with_suffix("")),
        model_type="unigram",
        vocab_size=pieces,
        character_coverage=0.9998,
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc",
        pad_id=PAD,
        pad_piece=SPECIALS["pad_token"],
        bos_id=CLS,
        bos_piece=SPECIALS["cls_token"],
        eos_id=SEP,
        eos_piece=SPECIALS["sep_token"],
        unk_id=UNK,
        unk_piece=SPECIALS["unk_token"],
        max_sentence_length=16384,
        num_threads=threads,
        shuffle_input_sentence=False,
        minloglevel=1,
    )
    # The file records where its input lay: drop that, so that the bytes depend on the text alone.
    model = proto.ModelProto()
    model.ParseFromString(path.read_bytes())
    model.trainer_spec.ClearField("input")
    model.trainer_spec.ClearField("model_prefix")
    path.write_bytes(model.SerializeToString(deterministic=True))


# --------------------------------------------------------------------------------------------------
# Data


def read_sst2(split):
    """`[(sentence, 0 | 1)]` of the binary Stanford Sentiment Treebank, as it is written in the file."""
    with open(ASSETS / "datasets" / "sst2" / f"{split}.tsv", encoding="utf-8") as f:
        rows = csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        return [(text.strip(), int(label)) for text, label in rows]


def read_glosses():
    with open(ASSETS / "text" / "wordnet_glosses.txt", encoding="utf-8") as f:
        return [line.strip() for line in f if line.strip()]


def read_gutenberg():
    """Paragraphs of the two English books, without the lines of the project's own header."""
    out = []
    for name in ("botchan.txt", "pride_and_prejudice.txt"):
        text = (ASSETS / "text" / name).read_text(encoding="utf-8-sig")
        for paragraph in re.split(r"\n\s*\n", text):
            for chunk in re.split(r"(?<=[.!?\"])\n", paragraph) if name == "botchan.txt" else [paragraph]:
                line = " ".join(chunk.split())
                if len(line) > 20 and "gutenberg" not in line.lower():
                    out.append(line)
    return out


def read_intents(split):
    """`[(question, category)]` of banking77, each question on one line."""
    with open(ASSETS / "datasets" / "banking77" / f"{split}.csv", encoding="utf-8") as f:
        rows = csv.reader(f)
        next(rows)
        return [(" ".join(text.split()), category) for text, category in rows]


def intent_names():
    """The 77 categories in the data set's own order."""
    return json.loads((ASSETS / "datasets" / "banking77" / "categories.json").read_text(encoding="utf-8"))


def read_banking():
    """Customer questions in ordinary English, almost without names."""
    return [text for text, _ in read_intents("train")]


def detokenise(text, rng=None):
    """Undoes the treebank's spacing; with `rng` also gives the sentence natural capitals."""
    text = text.replace("-lrb-", "(").replace("-rrb-", ")")
    text = re.sub(r"``\s*|\s*''", '"', text)
    text = re.sub(r" (n't|'s|'re|'ve|'ll|'d|'m|')(?=\s|$)", r"\1", text)
    text = re.sub(r"\bca n't\b", "can't", text)
    text = re.sub(r" ([.,;:!?)%])", r"\1", text)
    text = re.sub(r"([($]) ", r"\1", text)
    text = re.sub(r"\s+", " ", text).strip()
    if rng is not None and text:
        text = re.sub(r"\bi\b(?=['\s])", "I", text)
        text = re.sub(r"([.!?] )([a-z])", lambda m: m.group(1) + m.group(2).upper(), text)
        text = text[0].upper() + text[1:]
        if text[-1].isalnum() and rng.random() < 0.7:
            text += rng.choice("...!")
    return text


# --------------------------------------------------------------------------------------------------
# Vocabulary


class Vocabulary:
    """The SentencePiece model with DeBERTa's special tokens; `[MASK]` comes after the last piece."""

    def __init__(self, path):
        self.path = Path(path)
        self.processor = spm.SentencePieceProcessor(model_file=str(path))
        self.mask = self.processor.get_piece_size()
        # A multiple of 64 rows, as the published models pad theirs.
        self.rows = -(-(self.mask + 1) // 64) * 64

    def ids(self, text, alpha=None, limit=None):
        """Piece ids with `[CLS]` and `[SEP]`; `alpha` samples a segmentation (subword regularisation)."""
        if alpha is None:
            ids = self.processor.encode(text)
        else:
            ids = self.processor.encode(text, enable_sampling=True, alpha=alpha, nbest_size=-1)
        return [CLS] + ids[: limit - 2 if limit else None] + [SEP]

    def other_ids(self, text, rng, limit=None, best=16):
        """As `ids` with `alpha`, but any of the `best` segmentations, by `rng`: SentencePiece's sampler keeps to no seed."""
        return [CLS] + rng.choice(self.processor.nbest_encode_as_ids(text, best))[: limit - 2 if limit else None] + [SEP]


def write_tokenizer_files(vocabulary, folder):
    """spm.model and a tokenizer.json that says the same: charsmap, single spaces, Unigram with byte fallback.

    The file is put together here because `DebertaV2Tokenizer` of transformers 5 drops the model's
    character map and its byte fallback; `tokenizer_class` therefore names the class that reads
    tokenizer.json as it is.
    """
    from sentencepiece import sentencepiece_model_pb2 as proto
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram

    folder.mkdir(parents=True, exist_ok=True)
    model = proto.ModelProto()
    model.ParseFromString(vocabulary.path.read_bytes())
    (folder / "spm.model").write_bytes(vocabulary.path.read_bytes())

    pieces = [(p.piece, p.score) for p in model.pieces]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=UNK, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap),
            normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")]
    )
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)

    def dump(name, value):
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    dump("special_tokens_map.json", SPECIALS)
    dump("added_tokens.json", {"[MASK]": vocabulary.mask})
    dump(
        "tokenizer_config.json",
        {
            **SPECIALS,
            "bos_token": "[CLS]",
            "eos_token": "[SEP]",
            "do_lower_case": False,
            "split_by_punct": False,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask", "token_type_ids"],
            "model_max_length": 512,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "vocab_type": "spm",
        },
    )


# --------------------------------------------------------------------------------------------------
# Architecture


def architecture(vocabulary, **changes):
    """DeBERTa-v3, tiny: 256 log buckets, shared position keys, layer-normed relative table, p2c and c2p."""
    settings = dict(
        vocab_size=vocabulary.rows,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=6,
        intermediate_size=768,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=512,
        max_relative_positions=-1,
        position_buckets=256,
        relative_attention=True,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        pos_att_type="p2c|c2p",
        position_biased_input=False,
        type_vocab_size=0,
        layer_norm_eps=1e-7,
        initializer_range=0.02,
        pad_token_id=PAD,
        bos_token_id=CLS,
        eos_token_id=SEP,
        pooler_dropout=0.0,
        pooler_hidden_act="gelu",
        pooler_hidden_size=192,
    )
    settings.update(changes)
    return DebertaV2Config(**settings)


# --------------------------------------------------------------------------------------------------
# Batches and optimisation


def batches(lengths, tokens, rng):
    """Index lists of similar length holding about `tokens` padded tokens each, in random order."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + rng.random() * 3)
    out, batch = [], []
    for i in order:
        if batch and (len(batch) + 1) * max(lengths[i], max(lengths[j] for j in batch[-8:])) > tokens:
            out.append(batch)
            batch = []
        batch.append(i)
    out.append(batch)
    rng.shuffle(out)
    return out


def pad(rows, value=PAD):
    width = max(len(r) for r in rows)
    return torch.tensor([r + [value] * (width - len(r)) for r in rows])


def optimiser(model, lr, weight_decay, fused=False):
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), eps=1e-6, foreach=not fused, fused=fused)


def set_rate(optim, peak, step, total, warmup=0.06):
    """Linear warm-up, then half a cosine down to nothing."""
    at = step / total
    rate = peak * (at / warmup if at < warmup else 0.5 * (1 + math.cos(math.pi * (at - warmup) / (1 - warmup))))
    for group in optim.param_groups:
        group["lr"] = rate


class Average:
    """Exponential moving average of the weights: what is evaluated and saved."""

    def __init__(self, model, decay):
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self, model):
        self.steps += 1
        # Early on the average follows closely, or it would keep the initial weights.
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for k, v in model.state_dict().items():
            self.state[k].lerp_(v, 1 - decay)


class Log:
    def __init__(self):
        self.start = time.time()

    def __call__(self, *parts):
        print(f"[{time.time() - self.start:6.0f}s]", *parts, flush=True)


# --------------------------------------------------------------------------------------------------
# Saving


def save_tensors(model, folder, tied=()):
    """model.safetensors in f16, without those that the library ties to others."""
    kept = {k: v for k, v in model.state_dict().items() if v.is_floating_point() and k not in tied}
    tensors = {k: v.detach().to(torch.float16).contiguous() for k, v in kept.items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} does not fit f16")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def save_model(model, vocabulary, folder):
    """config.json, model.safetensors in f16 and the tokenizer's files."""
    write_tokenizer_files(vocabulary, folder)
    save_tensors(model, folder)
    config = model.config.to_dict()
    for key in ("_name_or_path", "transformers_version", "torch_dtype"):
        config.pop(key, None)
    config["architectures"] = [type(model).__name__]
    config["dtype"] = "float16"
    config["pos_att_type"] = "p2c|c2p"
    config["id2label"] = {str(k): v for k, v in model.config.id2label.items()}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def round_to_f16(model):
    """What the saved file holds, back in f32."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(torch.float16).to(torch.float32))
    return model


def load_encoder(model, path):
    """Copies the pretrained encoder into `model.deberta`; the head keeps its fresh weights."""
    missing, unexpected = model.deberta.load_state_dict(load_file(path), strict=False)
    if missing or unexpected:
        raise ValueError(f"{path}: missing {missing}, unexpected {unexpected}")
