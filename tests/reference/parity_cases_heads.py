"""Parity cases of the heads that came later: masked language modelling in both layouts, and multiple choice."""

from parity_case import MASKED, SMALL, TINY, Case, holes, left, right


def language_cases():
    """Masked language models, each of both families where the reference has it."""
    for family in ("v1", "v2"):
        yield from legacy(family)
        yield from microsoft(family)
        yield enhanced(family)
    yield Case("masked_v2_conv", "legacy masked LM on a model with conv", {**TINY, "conv_kernel_size": 3,
               "conv_act": "gelu"}, head="masked", rows=(right(12), holes(10, 3)))
    yield Case("masked_v2_mdeberta", "vocabulary rows beyond vocab_size, the last of them [MASK]; Microsoft's layout",
               {**TINY, "legacy": False}, head="masked", extra_vocab_rows=11, rows=SMALL)
    yield Case("masked_v2_names_decide", "Microsoft's layout under a config that says nothing of it",
               {**TINY, "legacy": False}, head="masked", rows=SMALL, config_json={"legacy": None}, reload=False)
    yield Case("masked_v2_mdeberta_legacy", "vocabulary rows beyond vocab_size, the last of them [MASK]; transformers' "
               "layout", TINY, head="masked", extra_vocab_rows=11, rows=SMALL)
    yield Case("enhanced_v2_conv", "Enhanced Mask Decoder of three layers with conv, f16",
               {**TINY, "num_hidden_layers": 3, "conv_kernel_size": 3, "conv_act": "gelu", "legacy": False},
               head="masked", enhanced=True, dtype="f16", rows=(right(40), right(23)))
    yield Case("enhanced_v2_holes", "Enhanced Mask Decoder under holes, left padding and token types",
               {**TINY, "num_hidden_layers": 2, "type_vocab_size": 2, "legacy": False}, head="masked", enhanced=True,
               types=True, rows=(holes(21, 4, 5, 13), left(9), MASKED, right(16)))
    yield Case("enhanced_v2_absolute", "Microsoft's masked LM with absolute positions in the input: no second decoder",
               {**TINY, "num_hidden_layers": 2, "position_biased_input": True, "legacy": False}, head="masked",
               rows=SMALL, config_json={"architectures": ["MaskedLanguageModel"]}, reload=False)


def legacy(family):
    """`cls.predictions.*`, as transformers saves it by default."""
    name = f"masked_{family}_legacy"
    yield Case(name, "masked LM, transformers' layout, decoder tied to the word table", TINY, family=family, head="masked")
    yield Case(f"{name}_embed_proj", "masked LM whose transform leads back to the embedding size",
               {**TINY, "embedding_size": 12, "position_biased_input": True}, family=family, head="masked",
               rows=(right(13), holes(11, 4), MASKED))
    yield Case(f"{name}_stored", "masked LM with the tied decoder written out, bias and all", TINY, family=family,
               head="masked", tied_stored=True, rows=SMALL)
    yield Case(f"{name}_untied", "masked LM with a decoder of its own; cls.predictions.bias is then unused",
               {**TINY, "tie_word_embeddings": False}, family=family, head="masked", rows=SMALL)
    yield Case(f"{name}_act", "masked LM with another hidden_act and a large epsilon, bf16",
               {**TINY, "hidden_act": "relu", "layer_norm_eps": 1e-2}, family=family, head="masked", dtype="bf16",
               rows=(left(9), right(12)))


def microsoft(family):
    """`lm_predictions.lm_head.*`, as Microsoft's checkpoints have it."""
    name = f"masked_{family}_microsoft"
    yield Case(name, "masked LM, Microsoft's layout", {**TINY, "legacy": False}, family=family, head="masked")
    yield Case(f"{name}_absolute", "masked LM, Microsoft's layout with absolute positions and token types, in f16",
               {**TINY, "legacy": False, "position_biased_input": True, "type_vocab_size": 2}, family=family,
               head="masked", types=True, dtype="f16", rows=(right(20), holes(15, 2)))
    yield Case(f"{name}_sharded", "masked LM, Microsoft's layout in two shards", {**TINY, "legacy": False},
               family=family, head="masked", shards=2, rows=SMALL)


def enhanced(family):
    """The reference's own layers, run as Microsoft's decoder runs them."""
    return Case(f"enhanced_{family}", "masked LM through the Enhanced Mask Decoder",
                {"legacy": False, "max_position_embeddings": 32}, family=family, head="masked", enhanced=True,
                rows=(right(30), right(17), right(1)))


def replaced_cases():
    """Replaced-token detection, computed on the reference's encoder."""
    for family in ("v1", "v2"):
        yield Case(f"replaced_{family}", "replaced-token detection", TINY, family=family, head="replaced", reload=False,
                   rows=(right(17), right(9), right(1)))
    yield Case("replaced_v2_holes", "replaced-token detection under holes, with conv and another hidden_act, f16",
               {**TINY, "num_hidden_layers": 2, "conv_kernel_size": 3, "hidden_act": "relu"}, head="replaced",
               reload=False, dtype="f16", rows=(holes(14, 3, 4), right(11)))


def choice_cases():
    """Multiple choice, which the reference has for v2 and v3 only."""
    yield Case("choice", "multiple choice of three", head="choice", choices=3,
               rows=(right(17), right(9), right(12), right(5), right(14), right(2)))
    yield Case("choice_two_types", "multiple choice of two with token types, conv, tanh pooler, f16",
               {"type_vocab_size": 2, "conv_kernel_size": 3, "conv_act": "gelu", "pooler_hidden_act": "tanh"},
               head="choice", choices=2, types=True, dtype="f16",
               rows=(right(11), holes(12, 4), right(7), right(12)))
    yield Case("choice_one", "a single choice", TINY, head="choice", rows=SMALL)
    yield Case("choice_labels", "multiple choice beside a num_labels that it does not use", {**TINY, "num_labels": 7},
               head="choice", choices=4, rows=tuple(right(n) for n in (6, 3, 9, 8)))
