"""Disentangled attention as the paper writes it: what every other implementation is compared with."""

import math
from dataclasses import dataclass

import torch
from cases import BUCKETS, MAX_POSITIONS


def log_bucket(distance, buckets=BUCKETS, most=MAX_POSITIONS):
    """`make_log_bucket_position` of transformers: near distances as they are, far ones by their logarithm."""
    middle = buckets // 2
    far = distance.abs().clamp(min=middle).double()
    logarithm = torch.log(far / middle) / math.log((most - 1) / middle)
    bucket = torch.ceil(logarithm * (middle - 1)).long() + middle
    return torch.where(distance.abs() <= middle, distance, bucket * distance.sign())


def slots(length, device):
    """The row of the position tables for query i and key j: [L, L]. The same one for both terms."""
    position = torch.arange(length, device=device)
    return (log_bucket(position[:, None] - position[None, :]) + BUCKETS).clamp(0, 2 * BUCKETS - 1)


def disentangled(query, key, value, pos_key, pos_query, slots):
    """softmax((Q Kᵀ + c2p + p2c) / √(3D)) V, where for slot = slots[i, j] the terms are

    c2p[i, j] = Q[i] · pos_key[slot] and p2c[i, j] = K[j] · pos_query[slot].

    query, key, value: [B, H, L, D]; pos_key, pos_query: [H, S, D]; slots: [L, L].
    """
    scale = math.sqrt(3 * query.shape[-1])
    index = slots.expand(*query.shape[:2], -1, -1)
    # Keys and tables are divided, not the products: in f16 those could overflow.
    scores = query @ (key / scale).transpose(-1, -2)
    scores = scores + torch.gather(query @ (pos_key / scale).transpose(-1, -2), -1, index)
    p2c = torch.gather(key @ (pos_query / scale).transpose(-1, -2), -1, index.transpose(-1, -2))
    return torch.softmax(scores + p2c.transpose(-1, -2), -1) @ value


def content_only(query, key, value):
    """Attention without position terms: what `scaled_dot_product_attention` computes."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return torch.softmax(scores, -1) @ value


@dataclass
class Inputs:
    """What attention gets; tables are given as projected."""

    # [B, L, 3, H, D], as the linear layer of query, key and value leaves them.
    fused: torch.Tensor
    # [H, S, D]
    pos_key: torch.Tensor
    pos_query: torch.Tensor

    @classmethod
    def random(cls, batch, length, heads, size, dtype, device):
        generator = torch.Generator(device).manual_seed(20240601)

        def draw(*shape):
            return torch.randn(*shape, generator=generator, device=device).to(dtype)

        tables = (draw(heads, 2 * BUCKETS, size) for _ in range(2))
        return cls(draw(batch, length, 3, heads, size), *tables)

    @property
    def views(self):
        """Query, key and value, [B, H, L, D], without a copy."""
        return self.fused.permute(2, 0, 3, 1, 4).unbind(0)

    @property
    def copies(self):
        """The same, each in memory of its own."""
        return [part.contiguous() for part in self.views]

    def exact(self, positions):
        """The result in f64."""
        query, key, value = (part.double() for part in self.views)
        if not positions:
            return content_only(query, key, value)
        tables = self.pos_key.double(), self.pos_query.double()
        return disentangled(query, key, value, *tables, slots(query.shape[2], query.device))
