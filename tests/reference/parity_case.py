"""What a parity case is: the sequences of its input, how its weights are stored, and the tiny models cases start from."""

from dataclasses import dataclass, field

# A model like the published v3 ones, but tiny; each case says only what it changes.
V3 = {
    "vocab_size": 80,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "max_position_embeddings": 64,
    "max_relative_positions": -1,
    "relative_attention": True,
    "position_buckets": 16,
    "pos_att_type": ["p2c", "c2p"],
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
# The same for the first DeBERTa, whose config has neither buckets nor shared keys.
V1 = {k: v for k, v in V3.items() if k not in ("position_buckets", "share_att_key", "norm_rel_ebd")}
BASES = {"v1": V1, "v2": V3}
TINY = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_hidden_layers": 1, "vocab_size": 60}


def right(length):
    """`length` real tokens, then padding."""
    return ("right", length)


def left(length):
    """Padding, then `length` real tokens."""
    return ("left", length)


def holes(length, *masked):
    """`length` tokens, those at the positions `masked` left out, then padding."""
    return ("holes", length, masked)


MASKED = ("masked",)
BATCH = (right(17), right(9), right(2), right(1))
SMALL = (right(11), right(6))


@dataclass
class Case:
    """One fixture."""

    name: str
    covers: str
    config: dict = field(default_factory=dict)
    head: str = "base"  # base, sequence, token, question, choice, masked or replaced
    rows: tuple = BATCH
    family: str = "v2"  # v1 (`deberta`) or v2 (`deberta-v2`: v2, v3, mDeBERTa)
    choices: int = 1  # multiple choice: how many successive rows belong together
    dtype: str = "f32"  # how the weights are stored: f32, f16 or bf16
    shards: int = 1
    types: bool = False  # whether the input has token_type_ids
    prefix: str | None = None  # replaces `deberta.` (or nothing, for a base model) before the encoder's names
    gamma_beta: bool = False
    extras: bool = False  # tensors of other heads and buffers, to be ignored
    extra_vocab_rows: int = 0  # rows of the word table beyond what the config says
    config_json: dict | None = None  # changes of the written config.json; a value of None removes the key
    seed: str | None = None  # the case whose random numbers this one shares; its own by default
    tied_stored: bool = False  # whether a tied tensor is written under each of its names
    enhanced: bool = False  # masked LM through the Enhanced Mask Decoder
    observed: bool = False  # whether hidden states, attention and its terms are recorded
    pooled: bool = False  # whether pooled embeddings are recorded
    reload: bool = True  # whether transformers loads the written folder to the same model

    @property
    def reloads(self):
        """Whether transformers itself loads the written folder to the same model."""
        renamed = self.prefix is not None or self.gamma_beta or self.extra_vocab_rows
        return self.reload and not renamed and not self.enhanced
