"""Whole encoders: embeddings and all layers, to the last hidden states."""

import torch
from model import check, load

# Differences from f32 on a processor that rounding explains; hidden states are about 1, the largest about 4.
TOLERANCE = {"f16": 0.1, "bf16": 0.5, "f32": 0.01}

# Whether calls are recorded as a graph and replayed: never (the measurement is of calls as they come), where it works,
# or always, without which the system is left out.
NEVER, IF_POSSIBLE, ALWAYS = "never", "if possible", "always"
PEERS = {
    "transformers": NEVER,
    "transformers-graph": ALWAYS,
    "transformers-compiled": IF_POSSIBLE,
    "disentangled-flash": IF_POSSIBLE,
    # It asks the device whether the mask is full, in every layer, and waits: that cannot be recorded.
    "flashdeberta": NEVER,
}


def keep_positions(model):
    """Computes relative positions once per length. Doing so copies from the host, which cannot be recorded."""
    compute, known = model.encoder.get_rel_pos, {}

    def get_rel_pos(hidden_states, query_states=None, relative_pos=None):
        length = hidden_states.shape[1]
        if length not in known:
            known[length] = compute(hidden_states, query_states, relative_pos)
        return known[length]

    model.encoder.get_rel_pos = get_rel_pos


def compile_layers(model, device):
    """Compiles the layer, once per shape for all layers: compiling the whole model takes as many times as long."""
    # One entry per shape and precision; beyond the limit it would silently run uncompiled.
    torch._dynamo.config.recompile_limit = 64
    # A dry run only follows the way: compiling for a processor takes minutes.
    backend = "inductor" if device.type == "cuda" else "eager"
    for layer in model.encoder.layer:
        layer.compile(dynamic=False, fullgraph=True, backend=backend)


def build(system, folder, dtype, device, lengths):
    """A function from ids and mask, [B, L], to hidden states, [B, L, N]."""
    if system == "flashdeberta":
        from flashdeberta import FlashDebertaV2Model

        model = FlashDebertaV2Model.from_pretrained(folder, dtype=dtype).to(device).eval()
    else:
        model = load(folder, dtype, device)
    if system in ("transformers-graph", "transformers-compiled"):
        if system == "transformers-graph" and device.type != "cuda":
            raise RuntimeError("graphs need a GPU")
        keep_positions(model)
    if system == "transformers-compiled":
        compile_layers(model, device)
    if system == "disentangled-flash":
        from disentangled_flash import DebertaV2OptimizedEncoder, optimize_deberta

        # All lengths at once: preparing one more would free the tables of the others.
        optimize_deberta(model, sequence_lengths=lengths, assume_unpadded=True)
        if not isinstance(model.encoder, DebertaV2OptimizedEncoder):
            raise RuntimeError("it left the encoder of transformers in place")

    def encode(ids, mask):
        if system == "disentangled-flash":
            model.encoder.activate_shape(ids.shape[1])
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask, return_dict=True).last_hidden_state

    return encode


def error(encode, folder, device):
    """The largest difference from f32 on a processor."""
    ids, expected = check(folder)
    hidden = encode(ids.to(device), torch.ones_like(ids).to(device))
    return (hidden.float().cpu() - expected).abs().max().item()
