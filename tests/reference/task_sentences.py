"""The cases of the task fixtures that follow sentence-transformers: cross encoders, and embeddings of texts."""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from fixture_files import fresh_folder, write_json, write_rows
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from task_models import NUDGE, is_spread, labels, save, tiny_model
from task_texts import EMBEDDED, QUERIES
from transformers import (
    DebertaForSequenceClassification,
    DebertaModel,
    DebertaV2ForSequenceClassification,
    DebertaV2Model,
)

V2_CLASS = DebertaV2ForSequenceClassification
# Class, changes of the config, the activation saved with it, and who writes the folder: sentence-transformers,
# transformers alone, or transformers with the key of older sentence-transformers in the config.
CROSS = {
    "cross_encoder_sigmoid": (V2_CLASS, {**labels(["LABEL_0"]), "type_vocab_size": 2}, torch.nn.Sigmoid,
                              "sentence-transformers"),
    "cross_encoder_identity": (V2_CLASS, labels(["LABEL_0"]), torch.nn.Identity, "sentence-transformers"),
    "cross_encoder_older": (V2_CLASS, labels(["LABEL_0"]), torch.nn.Identity, "older"),
    "cross_encoder_three_labels": (V2_CLASS, labels(["contradiction", "entailment", "neutral"]), None, "transformers"),
    "cross_encoder_v1": (DebertaForSequenceClassification, labels(["LABEL_0"]), None, "transformers"),
}  # fmt: skip
# Class, pooling, whether embeddings are normalised, and whether the files are those of older versions.
EMBED = {
    "embed_cls": (DebertaV2Model, "cls", False, False),
    "embed_mean": (DebertaV2Model, "mean", False, False),
    "embed_max": (DebertaV2Model, "max", False, False),
    "embed_mean_normalized": (DebertaV2Model, "mean", True, False),
    "embed_cls_and_mean": (DebertaV2Model, ("cls", "mean"), True, False),
    "embed_older_mean": (DebertaV2Model, "mean", True, True),
    "embed_v1_mean": (DebertaModel, "mean", False, False),
}


def written(folder, name, model_class, changes, tokenizer, attempt):
    """A folder of transformers' own, from which sentence-transformers can load."""
    save(fresh_folder(folder), tiny_model(model_class, changes, len(tokenizer), name, attempt), tokenizer)
    return str(folder)


def unwrap(folder):
    """Files readable by all, and no model card."""
    (folder / "README.md").unlink(missing_ok=True)
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)


def predictions(encoder, pair):
    """What `predict` gives for a pair, and the ids and logits that it comes from."""
    with torch.no_grad():
        ids = encoder.preprocess([pair])["input_ids"][0].tolist()
    found = {"default": encoder.predict(pair), "identity": encoder.predict(pair, activation_fn=torch.nn.Identity()),
             "sigmoid": encoder.predict(pair, activation_fn=torch.nn.Sigmoid())}  # fmt: skip
    if encoder.num_labels > 1:
        found["softmax"] = encoder.predict(pair, apply_softmax=True)
    return {"pair": pair, "ids": ids, **{key: value.tolist() for key, value in found.items()}}


def rank_row(encoder, query, documents):
    """What `rank` gives for a query."""
    return {"query": query, "documents": documents, "all": encoder.rank(query, documents),
            "top_2": encoder.rank(query, documents, top_k=2),
            "identity": encoder.rank(query, documents, activation_fn=torch.nn.Identity())}  # fmt: skip


def check_together(encoder, rows):
    """All pairs at once must give what they give one by one."""
    together = torch.tensor(encoder.predict([row["pair"] for row in rows]))
    assert (together - torch.tensor([row["default"] for row in rows])).abs().max() < 1e-6


def cross_rows(encoder):
    """The rows of both lists, or nothing when an order is too close to call."""
    rows, ranks = [], []
    for query, documents in QUERIES:
        found = [predictions(encoder, [query, document]) for document in documents]
        rows += found
        if encoder.num_labels == 1:
            # Behind a sigmoid, four NUDGEs of the logits must still be seen in f32.
            spread = is_spread([row["identity"] for row in found], 4 * NUDGE)
            if not spread or not is_spread([row["sigmoid"] for row in found], 1e-5):
                return None, None
            ranks.append(rank_row(encoder, query, documents))
    check_together(encoder, rows)
    return rows, ranks


def save_cross(encoder, source, folder, activation, writer):
    """The case's folder, as `writer` leaves it."""
    if writer == "sentence-transformers":
        encoder.tokenizer._tokenizer.no_truncation()
        encoder.tokenizer._tokenizer.no_padding()
        encoder.save_pretrained(str(folder), create_model_card=False)
        return
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if writer == "older":
        config = json.loads((folder / "config.json").read_text())
        config["sbert_ce_default_activation_function"] = f"torch.nn.modules.linear.{activation.__name__}"
        write_json(folder / "config.json", config)


def write_cross(name, folder, tokenizer):
    """The folder of a cross encoder; returns what to say of it."""
    model_class, changes, activation, writer = CROSS[name]
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "model"
        for attempt in range(200):
            written(source, name, model_class, changes, tokenizer, attempt)
            encoder = CrossEncoder(str(source), device="cpu", activation_fn=activation and activation(),
                                   local_files_only=True)  # fmt: skip
            rows, ranks = cross_rows(encoder)
            if rows is not None:
                break
        else:
            raise SystemExit(f"{name}: no attempt gives steady answers")
        save_cross(encoder, source, folder, activation, writer)
    unwrap(folder)
    loaded = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    assert cross_rows(loaded) == (rows, ranks), f"{name}: loads to something else"
    write_rows(folder / "expected.json", {"pairs": rows, "ranks": ranks})
    return f"{len(rows)} pairs, {len(ranks)} ranks, attempt {attempt}, {type(loaded.activation_fn).__name__}"


def older_files(folder, size, longest):
    """The settings as versions before the sixth wrote them, such as most of those on the hub."""
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
               for i, (path, name) in enumerate(parts)]  # fmt: skip
    write_json(folder / "modules.json", modules)
    modes = {f"pooling_mode_{mode}": mode == "mean_tokens"
             for mode in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}  # fmt: skip
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": size, **modes})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    shutil.rmtree(folder / "2_Normalize", ignore_errors=True)


def embed_rows(embedder):
    """One entry for each text; all of them together must give the same."""
    rows = []
    for text in EMBEDDED:
        ids = embedder.preprocess([text])["input_ids"][0].tolist()
        rows.append({"text": text, "ids": ids, "embedding": embedder.encode(text).tolist()})
    together = torch.tensor(embedder.encode(EMBEDDED))
    assert (together - torch.tensor([row["embedding"] for row in rows])).abs().max() < 1e-5
    return rows


def write_embed(name, folder, tokenizer):
    """The folder of a model for embeddings; returns what to say of it."""
    model_class, mode, normalized, older = EMBED[name]
    with tempfile.TemporaryDirectory() as temporary:
        source = written(Path(temporary) / "model", name, model_class, {}, tokenizer, 0)
        transformer = Transformer(source)
        size = transformer.get_embedding_dimension()
        modules = [transformer, Pooling(size, pooling_mode=mode), *([Normalize()] if normalized else [])]
        embedder = SentenceTransformer(modules=modules, device="cpu")
        embedder.save_pretrained(str(folder), create_model_card=False)
    if older:
        older_files(folder, size, 32)
        embedder.max_seq_length = 32
    unwrap(folder)
    rows = embed_rows(embedder)
    loaded = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert embed_rows(loaded) == rows, f"{name}: loads to something else"
    write_rows(folder / "expected.json", {"texts": rows})
    return f"{len(rows)} texts, at most {max(len(row['ids']) for row in rows)} tokens"
