"""Parity cases whose inner values are recorded: hidden states, attention, the three terms of its scores, poolings."""

from parity_case import MASKED, Case, holes, left, right

ROWS = (right(13), right(7), right(1))
HOLES = (holes(13, 4, 5, 10), left(6), MASKED, right(9))


def observed_cases():
    """A model of each kind of attention."""
    def case(name, covers, config=None, rows=ROWS, **options):
        return Case(f"observed_{name}", covers, config or {}, rows=rows, observed=True, **options)

    yield case("v1", "v1: every inner value", family="v1", pooled=True)
    yield case("v1_talking", "v1 with talking heads: terms before the mixing, attention after it", {"talking_head": True},
               family="v1")
    yield case("v1_c2p", "v1 with c2p alone, distances beyond the table", {"pos_att_type": ["c2p"],
               "max_relative_positions": 5}, family="v1")
    yield case("v2_conv", "conv after the first layer", {"conv_kernel_size": 3, "conv_act": "gelu"}, pooled=True)
    yield case("v3", "shared keys", {"position_buckets": 6, "max_position_embeddings": 12})
    yield case("separate", "own position projections", {"share_att_key": False})
    yield case("c2p", "c2p alone", {"pos_att_type": ["c2p"]})
    yield case("p2c", "p2c alone, own projections", {"pos_att_type": ["p2c"], "share_att_key": False})
    yield case("none", "no position terms", {"pos_att_type": []})
    yield case("holes", "holes, left padding and a fully masked row", rows=HOLES)
    yield case("v1_talking_holes", "the same for v1 with talking heads", {"talking_head": True}, rows=HOLES, family="v1")
    yield case("head", "under a sequence head", {"num_labels": 3, "hidden_size": 32, "num_attention_heads": 2},
               head="sequence")
    yield Case("pooled_holes", "poolings under holes, first tokens real", {"num_hidden_layers": 1}, pooled=True,
               rows=(holes(13, 4, 5, 12), right(8), holes(9, 1, 2, 3), right(1)))
