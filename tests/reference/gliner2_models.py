"""Tiny random models of the package `gliner2` whose answers are spread over what is possible.

Import it after the check of the versions.
"""

import torch
from fixture_files import generator
from gliner2 import GLiNER2
from gliner2.configuration import ExtractorConfig
from gliner2_cases import LABELS, OPTION_TEXTS, TASK_TEXTS, TASKS
from parity_case import V3
from tiny_vocabulary import build_tokenizer
from transformers import DebertaV2Config

# The logits' mean and standard deviation over spans: some entities, and scores from 0 to 1.
MEAN, SPREAD = -3.0, 3.0
# The standard deviation of the logits of classes, around 0.
CLASS_SPREAD = 2.0
VOCABULARY = 400
LAST_SPAN_LAYER = "span_rep.span_rep_layer.out_project.3"


def new_model(case, pieces):
    """The package's model; it adds its tokens to the tokenizer."""
    given = {"model_name": "microsoft/deberta-v3-base", "max_width": 6, "attn_implementation": "eager", **case.config}
    encoder = {**V3, "vocab_size": VOCABULARY + 1, "hidden_size": 16, "num_attention_heads": 2,
               "intermediate_size": 24, "pad_token_id": 0, **case.encoder}  # fmt: skip
    tokenizer = build_tokenizer(pieces)
    config = ExtractorConfig(architecture="span", **given)
    return GLiNER2(config, encoder_config=DebertaV2Config(**encoder), tokenizer=tokenizer).eval()


def random_weights(model, gen):
    """Weights at which attention and gates are far from uniform."""
    weights = {}
    for key, tensor in sorted(model.state_dict().items()):
        noise = torch.randn(tensor.shape, generator=gen)
        if ("LayerNorm" in key or ".norm" in key) and key.endswith("weight"):
            weights[key] = 1 + 0.1 * noise
        elif "bias" in key.rsplit(".", 1)[-1] or key.endswith((".b1", ".b2")):
            weights[key] = 0.2 * noise
        elif "embedding" in key:
            weights[key] = noise
        else:
            # Of matrices for each expert the middle dimension is that of the input.
            fan = tensor.shape[1] if tensor.dim() == 3 else tensor[0].numel()
            weights[key] = noise * 1.6 / fan**0.5
    return weights


def schema_of(model, labels):
    """The schema of `extract_entities` for labels with descriptions or without."""
    given = {name: {} if text is None else {"description": text} for name, text in labels.items()}
    return model.create_schema().entities(given)


@torch.inference_mode()
def run(model, text, schema):
    """The prepared input of one text, its vectors, and the logits and counts of its schema."""
    model.processor.change_mode(is_training=False)
    batch = model.processor.collate_fn_inference([(text, schema.build())], error_policy="raise")
    words, schemas = model.processor.extract_embeddings_from_batch(model.encode_tokens(batch), batch.input_ids, batch)
    logits, counts = model._compute_direct_span_logits_batched(batch, words, schemas)
    return batch, words, schemas, logits, counts


def spans_of(model, text):
    """The vectors of the valid spans and of the labels."""
    _, words, schemas, _, _ = run(model, text, schema_of(model, LABELS))
    with torch.inference_mode():
        found = model.compute_span_rep(words[0])
        vectors = found["span_rep"].reshape(-1, model.hidden_size)[~found["span_mask"][0]]
        return vectors, model.count_embed(torch.stack(schemas[0][0][1:]), 1)[0]


def calibrate_spans(model, weights):
    """Sets the last layer of the spans so that logits have the wanted mean and spread."""
    pairs = [spans_of(model, text) for text in OPTION_TEXTS]
    spans, labels = torch.cat([spans for spans, _ in pairs]), torch.cat([labels for _, labels in pairs])
    spans = spans - weights[f"{LAST_SPAN_LAYER}.bias"]
    centre = spans.mean(0)
    scale = SPREAD / ((spans - centre) @ labels.T).std()
    weights[f"{LAST_SPAN_LAYER}.weight"] *= scale
    shift = torch.linalg.lstsq(labels, torch.full((len(labels), 1), MEAN), driver="gelsd").solution[:, 0]
    weights[f"{LAST_SPAN_LAYER}.bias"] = shift - scale * centre


@torch.inference_mode()
def calibrate_classes(model, weights):
    """Sets the last layer of classes so that logits have the wanted spread around 0."""
    logits = []
    for text in TASK_TEXTS:
        for task, labels in TASKS[:3]:
            _, _, schemas, _, _ = run(model, text, model.create_schema().classification(task, list(labels)))
            logits.append(model.classifier(torch.stack(schemas[0][0][1:]))[:, 0])
    logits = torch.cat(logits)
    scale = CLASS_SPREAD / logits.std()
    weights["classifier.2.weight"] *= scale
    weights["classifier.2.bias"] = scale * (weights["classifier.2.bias"] - logits.mean())


@torch.inference_mode()
def calibrate_counts(case, model, weights):
    """Sets the bias of the count zero: never the best, or for half the texts."""
    margins = []
    for text in OPTION_TEXTS + TASK_TEXTS:
        _, _, schemas, _, _ = run(model, text, schema_of(model, LABELS))
        counts = model.count_pred(schemas[0][0][0])
        margins.append((counts[1:].max() - counts[0]).item())
    middle = sorted(margins)[len(margins) // 2 - 1 :][:2]  # between two texts, not at one
    weights["count_pred.2.bias"][0] += sum(middle) / 2 if case.none_found else -20.0


def random_model(case, pieces, attempt):
    """A tiny model whose scores are spread over 0 to 1."""
    model = new_model(case, pieces)
    weights = random_weights(model, generator("gliner2", case.name, attempt))
    model.load_state_dict(weights)
    calibrate_spans(model, weights)
    calibrate_classes(model, weights)
    calibrate_counts(case, model, weights)
    if case.half:
        weights = {key: tensor.half().float() for key, tensor in weights.items()}
    model.load_state_dict(weights)
    return model
