"""The tiny models of the parity fixtures: v2 and v3 here, the others in the modules beside this one."""

from parity_case import MASKED, TINY, Case, holes, left, right
from parity_cases_heads import choice_cases, language_cases, replaced_cases
from parity_cases_observed import observed_cases
from parity_cases_v1 import v1_cases


def attention_cases():
    yield Case("v3", "shared keys, c2p and p2c, buckets, layer-normed table; right padding")
    yield Case("length_one", "a single token", rows=(right(1), right(1)))
    yield Case("length_two", "two tokens", rows=(right(2), right(2), right(1)))
    for share in (True, False):
        kind = "shared" if share else "separate"
        if not share:
            yield Case("separate_keys", "own position projections, c2p and p2c", {"share_att_key": False})
        for terms in (["c2p"], ["p2c"], []):
            name = "_".join([kind, *(terms or ["none"])])
            yield Case(name, f"{kind} position keys, terms {terms}", {"share_att_key": share, "pos_att_type": terms})
    yield Case("plain_attention", "no relative attention and library defaults: absolute positions, no terms",
               {"relative_attention": False, "pos_att_type": None, "position_biased_input": True,
                "norm_rel_ebd": "none", "share_att_key": False, "position_buckets": -1})
    yield Case("plain_attention_scaled", "no relative attention, yet the terms named still scale the scores",
               {"relative_attention": False, "norm_rel_ebd": "none"})
    yield Case("plain_attention_unused_norm", "no relative attention, but a norm of the table that nothing uses",
               {"relative_attention": False, "pos_att_type": []})
    yield Case("no_buckets", "one slot per distance, clamped beyond the table; max_relative_positions set",
               {"position_buckets": -1, "max_relative_positions": 12, "share_att_key": False})
    yield Case("no_buckets_shared_no_norm", "one slot per distance, span from max_position_embeddings",
               {"position_buckets": 0, "max_position_embeddings": 40, "norm_rel_ebd": "none"})
    yield Case("no_rel_norm", "relative table without its LayerNorm", {"norm_rel_ebd": "none"})
    yield Case("rel_norm_list", "norm_rel_ebd of several words", {"norm_rel_ebd": "none | layer_norm"})
    yield Case("max_relative_positions", "buckets with max_relative_positions other than max_position_embeddings",
               {"max_relative_positions": 40, "max_position_embeddings": 512}, rows=(right(60), right(33)))
    yield Case("odd_buckets", "an odd number of buckets", {"position_buckets": 7, "max_position_embeddings": 20},
               rows=(right(40), right(13)))
    yield Case("norm_eps", "a LayerNorm epsilon large enough to see", {"layer_norm_eps": 1e-2})
    yield Case("three_layers", "three layers", {"num_hidden_layers": 3, "share_att_key": False})


def length_cases():
    yield Case("length_200", "past 128, distances beyond m", rows=(right(200), right(131)))
    yield Case("length_200_no_buckets", "past 128, distances beyond the table",
               {"position_buckets": -1, "share_att_key": False, "max_position_embeddings": 50},
               rows=(right(200), right(129)))
    yield Case("length_700", "past 512 with the published buckets (256, 512)",
               {"position_buckets": 256, "max_position_embeddings": 512, "hidden_size": 32, "num_attention_heads": 2},
               rows=(right(700), right(513)))
    yield Case("length_700_separate", "past 512, separate keys, a single head, a small table",
               {"share_att_key": False, "position_buckets": 32, "max_position_embeddings": 128, "hidden_size": 16,
                "num_attention_heads": 1, "intermediate_size": 16}, rows=(right(700),))
    yield Case("length_600_no_buckets", "past 512 without buckets, m = 256",
               {"position_buckets": -1, "max_position_embeddings": 256, **TINY}, rows=(right(600),))
    yield Case("hard_buckets_20_81", "distances 20 and 40 fall into other buckets in f64", {"position_buckets": 20,
               "max_position_embeddings": 81}, rows=(right(100),))
    yield Case("hard_buckets_32_1025", "distances 64 and 256 fall into other buckets in f64", {"position_buckets": 32,
               "max_position_embeddings": 1025}, rows=(right(300),))
    yield Case("hard_buckets_160_4096", "buckets of 160 with m = 4096", {"position_buckets": 160,
               "max_position_embeddings": 4096, **TINY}, rows=(right(540),))
    yield Case("many_rows", "a batch of many lengths in no order",
               rows=tuple(right(n) for n in (3, 40, 1, 25, 7, 64, 2, 33, 16, 15, 5, 48)))


def embedding_cases():
    yield Case("absolute_positions", "absolute positions besides relative ones", {"position_biased_input": True})
    yield Case("token_types", "token types", {"type_vocab_size": 2}, types=True)
    yield Case("token_types_default", "a table of token types, none given: all 0", {"type_vocab_size": 2})
    yield Case("token_types_ignored", "token types given, no table", types=True)
    yield Case("embed_proj_small", "embedding size under hidden size, added to positions and types first",
               {"embedding_size": 12, "position_biased_input": True, "type_vocab_size": 2}, types=True)
    yield Case("embed_proj_large", "embedding size over hidden size", {"embedding_size": 40})
    yield Case("more_vocab_rows", "word table with more rows than vocab_size says", extra_vocab_rows=7)


def conv_cases():
    v2 = {"conv_kernel_size": 3, "conv_act": "gelu", "conv_groups": 1}
    yield Case("conv_gelu", "conv after the first layer, as the v2 xlarge models", v2)
    yield Case("conv_default_act", "conv without conv_act and conv_groups: tanh, one group", {"conv_kernel_size": 3})
    yield Case("conv_groups", "conv of two groups, kernel 5, tanh, separate keys",
               {"conv_kernel_size": 5, "conv_act": "tanh", "conv_groups": 2, "share_att_key": False})
    yield Case("conv_groups_4_relu", "conv of four groups, relu", {**v2, "conv_groups": 4, "conv_act": "relu"})
    yield Case("conv_kernel_one", "conv of kernel 1", {**v2, "conv_kernel_size": 1})
    yield Case("conv_one_layer", "conv after the only layer", {**v2, "num_hidden_layers": 1})
    yield Case("conv_padding", "conv sees zeros at holes and padding", v2,
               rows=(holes(17, 4, 5, 11), left(9), right(12), holes(15, 14), left(1)))
    yield Case("conv_kernel_over_length", "conv wider than the sequence", {**v2, "conv_kernel_size": 7},
               rows=(right(2), right(1)))
    yield Case("conv_long", "conv past 128", v2, rows=(right(180), right(150)))


def shape_cases():
    yield Case("head_16", "attention heads of 16", {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64})
    yield Case("head_24", "attention heads of 24", {"hidden_size": 48, "num_attention_heads": 2})
    yield Case("head_32", "attention heads of 32", {"hidden_size": 96, "num_attention_heads": 3}, dtype="f16",
               rows=(right(40), right(17)))
    yield Case("head_64", "attention heads of 64, as every published model",
               {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 136}, dtype="f16",
               rows=(right(70), right(33)))
    yield Case("head_64_separate", "attention heads of 64, separate keys, past 128",
               {"hidden_size": 64, "num_attention_heads": 1, "share_att_key": False, "num_hidden_layers": 1},
               rows=(right(140),))
    yield Case("odd_sizes", "sizes that no vector length divides",
               {"hidden_size": 35, "num_attention_heads": 5, "intermediate_size": 77, "vocab_size": 61},
               rows=(right(19), right(7)))
    for act in ("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python", "gelu_accurate", "gelu_10",
                "quick_gelu", "relu", "relu2", "relu6", "leaky_relu", "silu", "swish", "sigmoid", "tanh", "mish", "laplace", "linear"):
        yield Case(f"act_{act}", f"hidden_act {act}", {**TINY, "hidden_act": act}, rows=(right(9), right(5)))


def mask_cases():
    yield Case("left_padding", "left padding: positions count by index", rows=(left(17), left(9), left(1)))
    yield Case("holes", "holes in the mask: positions count by index",
               rows=(holes(17, 5, 6, 11), holes(14, 0, 1), holes(17, 16), holes(9, 1, 3, 5, 7)))
    yield Case("holes_absolute", "holes with absolute positions and token types", {"position_biased_input": True,
               "type_vocab_size": 2}, types=True, rows=(holes(17, 2, 3), left(8), right(10)))
    yield Case("fully_masked_row", "a row without any real token beside ordinary ones",
               rows=(right(11), MASKED, holes(12, 3)))
    yield Case("holes_long", "holes past 128", rows=(holes(160, *range(40, 75), 120), left(130)))


def storage_cases():
    yield Case("f16", "weights stored in f16", dtype="f16")
    yield Case("bf16", "weights stored in bf16", dtype="bf16")
    yield Case("sharded", "three shards and their index", {**TINY, "num_hidden_layers": 2}, shards=3)
    yield Case("sharded_bf16_token", "shards in bf16 with a head", {**TINY, "num_labels": 3}, head="token",
               dtype="bf16", shards=2)
    for name, prefix in (("deberta", "deberta."), ("bert", "bert."), ("module", "module."), ("model", "model."),
                         ("encoder", "encoder."), ("gliner", "token_rep_layer.bert_layer.model.")):
        yield Case(f"prefix_{name}", f"a base model whose names start with `{prefix}`", TINY, prefix=prefix,
                   rows=(right(9), right(4)))
    yield Case("prefix_none_sequence", "a head beside an encoder without prefix", TINY, prefix="", head="sequence",
               rows=(right(9), right(4)))
    yield Case("prefix_bert_sequence", "a head beside an encoder named `bert.`, norms named gamma and beta", TINY,
               prefix="bert.", gamma_beta=True, head="sequence", rows=(right(9), right(4)))
    yield Case("gamma_beta", "norms named gamma and beta, of the conv and of the table too",
               {**TINY, "conv_kernel_size": 3, "conv_act": "gelu"}, gamma_beta=True)
    yield Case("ignored_tensors", "tensors of other heads, position buffers and unused position embeddings", TINY,
               extras=True)
    yield Case("microsoft_config", "a config as Microsoft writes it: terms in a string, few keys",
               {**TINY, "type_vocab_size": 0}, rows=(right(12), right(9)),
               config_json={"pos_att_type": "p2c | c2p", "pad_token_id": None, "pooler_dropout": None, "legacy": None,
                            "pooler_hidden_act": None, "pooler_hidden_size": None, "architectures": None,
                            "transformers_version": None, "dtype": None, "bos_token_id": None, "eos_token_id": None,
                            "tie_word_embeddings": None, "layer_norm_eps": None})


def head_cases():
    yield Case("sequence_two_labels", "sequence classification with the default two labels", head="sequence")
    yield Case("sequence_one_label", "a single label", {"num_labels": 1}, head="sequence")
    yield Case("sequence_tanh_pooler", "pooler with tanh, three labels", {"num_labels": 3, "pooler_hidden_act": "tanh"},
               head="sequence")
    yield Case("sequence_relu_pooler", "pooler with relu, pooler_hidden_size written out, five labels",
               {"num_labels": 5, "pooler_hidden_act": "relu", "pooler_hidden_size": 24,
                "problem_type": "multi_label_classification"}, head="sequence")
    yield Case("sequence_named_labels", "labels whose order in id2label is not that of their keys as text",
               {**TINY, "id2label": {str(i): f"class {chr(75 - i)}" for i in range(11)},
                "label2id": {f"class {chr(75 - i)}": i for i in range(11)}}, head="sequence")
    yield Case("sequence_v2_pair", "conv, token types and absolute positions under a head",
               {"conv_kernel_size": 3, "conv_act": "gelu", "type_vocab_size": 2, "position_biased_input": True},
               head="sequence", types=True)
    yield Case("sequence_holes", "holes and a long row under the pooler", head="sequence",
               rows=(holes(150, *range(60, 99)), right(140), holes(20, 1)))
    yield Case("token_five_labels", "token classification", {"num_labels": 5}, head="token")
    yield Case("token_masks", "token classification with left padding, holes and a fully masked row",
               {"num_labels": 9, "share_att_key": False}, head="token",
               rows=(left(12), holes(17, 0, 8, 9), MASKED, right(5)))
    yield Case("token_f16", "token classification stored in f16", {"num_labels": 7}, head="token", dtype="f16")
    yield Case("token_long", "token classification past 512 with the published buckets",
               {**TINY, "num_labels": 5, "position_buckets": 256, "max_position_embeddings": 512}, head="token",
               rows=(right(620),))
    yield Case("question", "question answering", head="question", rows=(right(33), right(17)))
    yield Case("question_pair", "question answering with token types, weights in f16", {"type_vocab_size": 2},
               head="question", types=True, dtype="f16", rows=(right(40), right(21)))


def cases():
    """Every case; names are unique."""
    parts = (attention_cases, length_cases, embedding_cases, conv_cases, shape_cases, mask_cases, storage_cases,
             head_cases, v1_cases, language_cases, replaced_cases, choice_cases, observed_cases)
    found = [case for part in parts for case in part()]
    assert len({case.name for case in found}) == len(found), "two cases share a name"
    return found
