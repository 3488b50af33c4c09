"""Disentangled attention of `transformers`, several times faster on short sequences.

The library multiplies every query and key with all 2 x 256 relative positions and gathers from the
result. A sequence of L tokens has only 2L - 1 distances: with one row for each, that of its bucket,
the gather is a shift of each row by one more column than the row above: a view. That pays while
2L - 1 is not much above the number of buckets. `check` compares with the library's own function.
"""

import math

import torch
from transformers import DebertaV2Model
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention, make_log_bucket_position

LIBRARY = DisentangledSelfAttention.disentangled_attention_bias


def skew(x):
    """`[..., L, 2L-1] -> [..., L, L]`: out[i, j] = x[i, j - i + L - 1]."""
    length = x.shape[-2]
    flat = x.flatten(-2)[..., length - 1 : length - 1 + length * (2 * length - 2)]
    return flat.unflatten(-1, (length, 2 * length - 2))[..., :length]


def bias(self, query_layer, key_layer, relative_pos, rel_embeddings, scale_factor):
    length, heads, size = query_layer.shape[-2], self.num_attention_heads, self.attention_head_size
    if length < 2 or length > self.position_buckets:
        return LIBRARY(self, query_layer, key_layer, relative_pos, rel_embeddings, scale_factor)
    if length <= self.position_buckets // 2:
        # Each distance has a bucket of its own.
        window = rel_embeddings[self.pos_ebd_size - length + 1 : self.pos_ebd_size + length]
    else:
        buckets = make_log_bucket_position(torch.arange(1 - length, length), self.position_buckets, self.max_relative_positions)
        window = rel_embeddings[buckets.long() + self.pos_ebd_size]

    def against(content, table):
        # [B*H, L, D] with [2L-1, H*D] -> [B, H, L, 2L-1]
        rows = content.view(-1, heads, length, size).transpose(0, 1).reshape(heads, -1, size)
        columns = table.view(-1, heads, size).permute(1, 2, 0)
        return torch.bmm(rows, columns).view(heads, -1, length, 2 * length - 1).transpose(0, 1)

    to_position = skew(against(query_layer, self.key_proj(window.flip(0))))
    to_content = skew(against(key_layer, self.query_proj(window))).transpose(-1, -2)
    return ((to_position + to_content) / math.sqrt(size * scale_factor)).reshape(-1, length, length)


def install():
    DisentangledSelfAttention.disentangled_attention_bias = bias
    # Filling fresh memory makes uninitialised reads repeatable; there are none here and it costs a sixth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False


@torch.no_grad()
def check(config, lengths=(40,)):
    """The patched and the library's encoder agree on random weights and a padded batch of each length.

    Draws from torch's generator: other lengths give a training run other first weights.
    """
    model = DebertaV2Model(config).double().eval()
    for length in lengths:
        ids = torch.randint(4, config.vocab_size, (3, length))
        mask = torch.ones_like(ids)
        mask[1, 17:] = 0
        outputs = []
        for function in (LIBRARY, bias):
            DisentangledSelfAttention.disentangled_attention_bias = function
            outputs.append(model(ids, attention_mask=mask).last_hidden_state[mask.bool()])
        difference = (outputs[0] - outputs[1]).abs().max().item()
        if difference > 1e-5:
            raise AssertionError(f"fast attention differs from the library's by {difference}")
