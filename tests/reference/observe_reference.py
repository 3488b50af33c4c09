"""What the reference computes inside: the terms of its scores, poolings, and Microsoft's decoder out of its layers."""

import torch


def in_own_type(self, hidden_states):
    """DebertaLayerNorm without its detour through f32, for the reference in f64."""
    mean = hidden_states.mean(-1, keepdim=True)
    variance = (hidden_states - mean).pow(2).mean(-1, keepdim=True)
    return self.weight * ((hidden_states - mean) / torch.sqrt(variance + self.variance_epsilon)) + self.bias


def record_terms(encoder, found):
    """Makes every layer note its score terms, [B, H, L, L] and scaled, in `found`; returns what undoes that.

    Each position term is the reference's own function with the other one switched off.
    """
    undo = []
    for number, layer in enumerate(encoder.layer):
        attention = layer.attention.self
        first = hasattr(attention, "disentangled_att_bias")
        name = "disentangled_att_bias" if first else "disentangled_attention_bias"
        attention.__dict__[name] = _noting(attention, getattr(attention, name), number, first, found)
        undo.append((attention, name))
    return lambda: [attention.__dict__.pop(name) for attention, name in undo]


def _noting(attention, bias, number, first, found):
    def wrapper(query, key, positions, table, factor):
        content = query @ key.transpose(-1, -2)
        if not first:  # v1 hands over queries that are scaled already
            content = content / torch.sqrt(torch.tensor(query.shape[-1], dtype=torch.float) * factor).to(content.dtype)
        terms = {"content_content": content}
        kinds = attention.pos_att_type
        for kind, term in (("c2p", "content_position"), ("p2c", "position_content")):
            if kind in kinds:
                attention.pos_att_type = [kind]
                terms[term] = bias(query, key, positions, table, factor)
        attention.pos_att_type = kinds
        for term, value in terms.items():
            shape = (-1, attention.num_attention_heads, *value.shape[-2:])
            found[f"scores.{term}.{number}"] = value.reshape(shape).clone()
        return bias(query, key, positions, table, factor)

    return wrapper


def check_terms(model, observed, mask):
    """The terms must add up to what gave the attention, on real tokens and up to rounding."""
    both = (mask[:, None, :, None] * mask[:, None, None, :]).bool()
    for number, layer in enumerate(model.encoder.layer):
        attention = layer.attention.self
        scores = sum(v for k, v in observed.items() if k.startswith("scores.") and k.endswith(f".{number}"))
        mixed = getattr(attention, "head_logits_proj", None)
        if mixed is not None:
            scores = mixed(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        found = torch.softmax(scores.masked_fill(~both, torch.finfo(scores.dtype).min), -1)
        if mixed is not None:
            found = attention.head_weights_proj(found.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        gap = ((found - observed[f"attentions.{number}"]) * both).abs().max()
        assert gap < (1e-10 if scores.dtype == torch.float64 else 1e-5), f"terms of layer {number} are off by {gap}"


def observe(model, inputs):
    """Hidden states, attention and score terms by the names of observed.safetensors."""
    encoder = getattr(model, model.base_model_prefix, model)
    found = {}
    undo = record_terms(encoder.encoder, found)
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True, output_attentions=True)
        undo()
        found |= {f"hidden_states.{i}": value for i, value in enumerate(out.hidden_states)}
        found |= {f"attentions.{i}": value for i, value in enumerate(out.attentions)}
        check_terms(encoder, found, inputs["attention_mask"])
    return found


def zero_masked(name, value, mask):
    """An observed value with zeros where a masked token is concerned."""
    if name.startswith("hidden_states"):
        return value * mask[:, :, None]
    return value * mask[:, None, :, None] * mask[:, None, None, :]


def pool(hidden, mask):
    """Embeddings [B, N] as sentence-transformers pools them: first token, mean and maximum of real tokens."""
    real = mask[:, :, None].to(hidden.dtype)
    pooled = {
        "cls": hidden[:, 0],
        "mean": (hidden * real).sum(1) / real.sum(1).clamp(min=1e-9),
        "max": hidden.masked_fill(real == 0, -1e9).max(1).values,
    }
    normalized = {f"{k}.normalized": torch.nn.functional.normalize(v, p=2, dim=1) for k, v in pooled.items()}
    return {f"pooled.{k}": v for k, v in (pooled | normalized).items()}


class ReplacedTokenDetection(torch.nn.Module):
    """The head of Microsoft's discriminators, on an encoder of the reference."""

    def __init__(self, encoder, activation):
        super().__init__()
        config = encoder.config
        self.config, self.deberta, self.activation = config, encoder, activation
        self.mask_predictions = torch.nn.Module()
        self.mask_predictions.LayerNorm = torch.nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mask_predictions.dense = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.mask_predictions.classifier = torch.nn.Linear(config.hidden_size, 1)

    def forward(self, **inputs):
        """The last hidden states and the logits, one per token."""
        head, hidden = self.mask_predictions, self.deberta(**inputs).last_hidden_state
        states = self.activation(head.dense(head.LayerNorm(hidden[:, :1] + hidden)))
        return {"last_hidden_state": hidden, "logits": head.classifier(states)}


def enhanced_decoder(model, positions, inputs):
    """Microsoft's fill-mask: the last layer twice over hidden[-2], queried by absolute positions; then the head.

    `positions` is the table of absolute positions, [max_position_embeddings, N].
    """
    base, mask = model.deberta, inputs["attention_mask"]
    with torch.no_grad():
        hidden = base(**inputs, output_hidden_states=True).hidden_states
        encoder, keys = base.encoder, hidden[-2]
        queries = positions[None, : keys.shape[1]] + keys
        states = _decode(encoder, keys, queries, mask)
        logits = model.lm_predictions(states, base.embeddings.word_embeddings)
    return {"last_hidden_state": hidden[-1], "logits": logits}


def _decode(encoder, keys, queries, mask):
    both = encoder.get_attention_mask(mask)
    distances = encoder.get_rel_pos(keys)
    for _ in range(2):
        layer = encoder.layer[-1]
        if hasattr(layer.attention.self, "in_proj"):
            queries = _first_layer(layer, keys, queries, both, distances, encoder.get_rel_embedding())
        else:
            queries = layer(keys, both, query_states=queries, relative_pos=distances,
                            rel_embeddings=encoder.get_rel_embedding())[0]
    return queries


def _first_layer(layer, keys, queries, both, distances, table):
    """A v1 layer with queries of its own: its code for that case cannot run on a batch, so project both and take apart."""
    attention = layer.attention.self
    project = attention.in_proj

    class Split(torch.nn.Module):
        """Queries from one input, keys and values from the other."""

        def forward(self, _):
            size = attention.attention_head_size
            shape = (*keys.shape[:-1], attention.num_attention_heads, 3 * size)
            own, others = project(queries).view(shape), project(keys).view(shape)
            return torch.cat([own[..., :size], others[..., size:]], -1).flatten(-2)

    attention.in_proj = Split()
    context = attention(keys, both, relative_pos=distances, rel_embeddings=table)[0]
    attention.in_proj = project
    output = layer.attention.output(context, queries)
    return layer.output(layer.intermediate(output), output)
