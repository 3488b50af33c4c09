"""Parity cases of the first DeBERTa (`model_type: deberta`): interleaved projections, no buckets, talking heads."""

from parity_case import MASKED, SMALL, TINY, Case, holes, left, right


FULL = ("", "v2_keys", "c2p", "p2c", "talking_head", "holes", "sequence", "token", "sharded", "absolute_positions")


def v1(name, covers, config=None, **options):
    """A case of this family; stored in f16, to be small, unless it says otherwise or is in FULL."""
    options = {"dtype": "f32" if name in FULL else "f16", **options}
    return Case(f"v1_{name}" if name else "v1", covers, config or {}, family="v1", **options)


def v1_cases():
    """All of them."""
    for part in (terms, positions, embeddings, talking_heads, masks, shapes, storage, heads, unified):
        yield from part()


def terms():
    yield v1("", "c2p and p2c, relative positions without buckets; right padding")
    for kinds in (["c2p"], ["p2c"], []):
        yield v1("_".join(kinds) or "no_terms", f"terms {kinds}", {"pos_att_type": kinds})
    yield v1("null_terms", "pos_att_type null", {"pos_att_type": None}, config_json={"pos_att_type": None}, rows=SMALL)
    # A string is cut at `|` into entries, and each entry counts in the scale: `none` and the empty string too.
    for name, text in {"none": "none", "empty": "", "both": "c2p|p2c", "loose": " P2C | c2p ", "single": "p2c"}.items():
        yield v1(f"string_{name}", f"pos_att_type as the string {text!r}", {"pos_att_type": text},
                 config_json={"pos_att_type": text}, rows=SMALL)
    yield v1("twice_c2p", "c2p twice: one term, and a scale of three", {"pos_att_type": ["c2p", "c2p"]})
    yield v1("plain_attention", "no relative attention, library defaults",
             {"relative_attention": False, "pos_att_type": None, "position_biased_input": True})
    yield v1("plain_attention_scaled", "no relative attention, yet the terms named still scale the scores",
             {"relative_attention": False}, rows=SMALL)
    yield v1("v2_keys", "keys of v2 in the config, which this family ignores",
             {"position_buckets": 16, "share_att_key": True, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3,
              "conv_act": "gelu"}, seed="v1")


def positions():
    for length in (1, 2):
        yield v1(f"length_{length}", f"{length} tokens", rows=(right(length), right(1)))
    yield v1("span_12", "distances beyond a table of 12", {"max_relative_positions": 12})
    yield v1("span_100", "a table of more distances than positions", {"max_relative_positions": 100}, rows=SMALL)
    yield v1("length_129", "past 128, in the table", {"max_position_embeddings": 160, **TINY},
             rows=(right(129), right(128)))
    yield v1("length_300", "past 256, beyond the table", {"max_position_embeddings": 200}, rows=(right(300), right(129)))
    yield v1("length_700", "past the published 512", {"max_position_embeddings": 512, **TINY}, rows=(right(700), right(513)))
    yield v1("length_700_span_4", "almost every distance clamped", {"max_relative_positions": 4, **TINY},
             rows=(right(700),))


def embeddings():
    yield v1("absolute_positions", "absolute positions besides relative ones", {"position_biased_input": True})
    yield v1("token_types", "token types", {"type_vocab_size": 2}, types=True)
    yield v1("token_types_default", "a table of token types, none given: all 0", {"type_vocab_size": 2}, rows=SMALL)
    yield v1("token_types_ignored", "token types given, no table", types=True, rows=SMALL)
    yield v1("embed_proj", "embedding size under hidden size, with positions and types",
             {"embedding_size": 12, "position_biased_input": True, "type_vocab_size": 3}, types=True)
    yield v1("embed_proj_large", "embedding size over hidden size", {"embedding_size": 40}, rows=SMALL)


def talking_heads():
    yield v1("talking_head", "heads mixed before and after the softmax", {"talking_head": True})
    yield v1("talking_head_plain", "heads mixed, no relative attention",
             {"talking_head": True, "relative_attention": False, "position_biased_input": True})
    yield v1("talking_head_holes", "heads mixed under a mask with holes", {"talking_head": True, "pos_att_type": ["c2p"]},
             rows=(holes(17, 5, 6, 11), left(8), MASKED, right(3)))
    yield v1("talking_head_long", "heads mixed past 128", {**TINY, "talking_head": True, "max_position_embeddings": 100},
             rows=(right(150),))


def masks():
    yield v1("left_padding", "left padding: positions count by index", rows=(left(17), left(9), left(1)))
    yield v1("holes", "holes in the mask: positions count by index",
             rows=(holes(17, 5, 6, 11), holes(14, 0, 1), holes(17, 16), holes(9, 1, 3, 5, 7)))
    yield v1("fully_masked_row", "a row without any real token beside ordinary ones",
             rows=(right(11), MASKED, holes(12, 3)))
    yield v1("holes_absolute", "holes with absolute positions and token types",
             {"position_biased_input": True, "type_vocab_size": 2}, types=True, rows=(holes(17, 2, 3), left(8), right(10)))
    yield v1("many_rows", "a batch of many lengths in no order", TINY,
             rows=tuple(right(n) for n in (3, 40, 1, 25, 7, 64, 2, 33, 16, 15, 5, 48)))


def shapes():
    yield v1("head_16", "attention heads of 16", {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1})
    yield v1("head_64", "attention heads of 64, as every published model",
             {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 40, "num_hidden_layers": 1, "vocab_size": 30,
              "max_position_embeddings": 24}, rows=(right(40), right(17)))
    yield v1("odd_sizes", "sizes that no vector length divides",
             {"hidden_size": 35, "num_attention_heads": 5, "intermediate_size": 77, "vocab_size": 61},
             rows=(right(19), right(7)))
    yield v1("norm_eps", "a LayerNorm epsilon large enough to see", {"layer_norm_eps": 1e-2}, rows=SMALL)
    yield v1("three_layers", "three layers", {**TINY, "num_hidden_layers": 3})
    for act in ("gelu_new", "relu", "silu", "tanh"):
        yield v1(f"act_{act}", f"hidden_act {act}", {**TINY, "hidden_act": act}, rows=(right(9), right(5)))


def storage():
    yield v1("f16", "weights stored in f16")
    yield v1("bf16", "weights stored in bf16", dtype="bf16")
    yield v1("sharded", "three shards and their index", {**TINY, "num_hidden_layers": 2}, shards=3)
    yield v1("sharded_f16_token", "shards in f16 with a head", {**TINY, "num_labels": 3}, head="token",
             shards=2)
    yield v1("gamma_beta", "norms named gamma and beta", TINY, gamma_beta=True, rows=SMALL)
    yield v1("prefix_deberta", "a base model whose names start with `deberta.`", TINY, prefix="deberta.", rows=SMALL)
    yield v1("prefix_bert_sequence", "a head beside an encoder named `bert.`, norms named gamma and beta", TINY,
             prefix="bert.", gamma_beta=True, head="sequence", rows=SMALL)
    yield v1("ignored_tensors", "tensors of other heads, position buffers and unused position embeddings", TINY,
             extras=True, rows=SMALL)
    yield v1("more_vocab_rows", "word table with more rows than vocab_size says", TINY, extra_vocab_rows=5, rows=SMALL)
    yield v1("microsoft_config", "a config as Microsoft writes it: terms in a string, few keys", TINY, rows=SMALL,
             config_json={"pos_att_type": "c2p|p2c", "pad_token_id": None, "pooler_dropout": None, "legacy": None,
                          "pooler_hidden_act": None, "pooler_hidden_size": None, "architectures": None,
                          "transformers_version": None, "dtype": None, "bos_token_id": None, "eos_token_id": None,
                          "tie_word_embeddings": None, "layer_norm_eps": None, "padding_idx": 0})


def heads():
    yield v1("sequence", "sequence classification with the default two labels", head="sequence")
    yield v1("sequence_regression", "a single label that is a number", {"num_labels": 1, "problem_type": "regression"},
             head="sequence")
    yield v1("sequence_multi_label", "five labels of which several may hold, pooler with tanh",
             {"num_labels": 5, "problem_type": "multi_label_classification", "pooler_hidden_act": "tanh"},
             head="sequence")
    yield v1("sequence_talking", "talking heads, token types and absolute positions under a pooler",
             {"talking_head": True, "type_vocab_size": 2, "position_biased_input": True}, head="sequence", types=True)
    yield v1("token", "token classification with left padding, holes and a fully masked row", {"num_labels": 9},
             head="token", rows=(left(12), holes(17, 0, 8, 9), MASKED, right(5)))
    yield v1("question", "question answering with token types", {"type_vocab_size": 2}, head="question", types=True,
             rows=(right(33), right(17)))


def unified():
    """As Microsoft's code saves the first DeBERTa: the names of v2, and with them its key biases."""
    v1_in_v2 = {"position_buckets": -1, "share_att_key": False, "norm_rel_ebd": "none"}
    keys = {"model_type": "deberta", "pos_att_type": "p2c|c2p", "position_buckets": None, "share_att_key": None,
            "norm_rel_ebd": None, "conv_kernel_size": None}
    yield Case("v1_unified", "Microsoft's names of v1", v1_in_v2, config_json=keys, reload=False)
    yield Case("v1_unified_sequence", "a head beside Microsoft's names of v1, absolute positions and token types, f16",
               {**TINY, **v1_in_v2, "position_biased_input": True, "type_vocab_size": 2}, head="sequence", types=True,
               dtype="f16", config_json=keys, reload=False, rows=(right(60), holes(30, 4)))
    yield Case("v1_unified_no_terms", "Microsoft's names of v1 without position terms", {**TINY, **v1_in_v2,
               "pos_att_type": []}, config_json={**keys, "pos_att_type": []}, reload=False, rows=SMALL)
