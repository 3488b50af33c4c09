"""Attention alone: each peer's own call for the same inputs."""

import math

import torch
from cases import BUCKETS, MAX_POSITIONS
from reference import Inputs, disentangled, slots

# A peer that reads its tables otherwise than was thought is off by about 0.3 (outputs are up to about 0.5).
TOLERANCE = {"f16": 0.01, "bf16": 0.05, "f32": 0.01}
CHECKED_SHAPE = (2, 200)


def torch_plain(inputs):
    """The formula in PyTorch's own operations; the rows of the tables are known beforehand."""
    query, key, value = inputs.copies
    index = slots(query.shape[2], query.device)
    yield "", lambda: disentangled(query, key, value, inputs.pos_key, inputs.pos_query, index)


def sdpa(backend):
    """No position terms: less work than DeBERTa's attention, and a limit for it."""

    def make(inputs):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        query, key, value = inputs.views

        def run():
            with sdpa_kernel(getattr(SDPBackend, backend)):
                return torch.nn.functional.scaled_dot_product_attention(query, key, value)

        yield "", run

    return make


def flashdeberta(inputs):
    """Takes the tables as [1, H, S, D] and the scale as a factor; products with the tables are part of the call."""
    from flashdeberta.ops.flash_attention import flash_attention_with_disentangled

    query, key, value = inputs.copies
    pos_key, pos_query = inputs.pos_key[None], inputs.pos_query[None]
    scale = 1 / math.sqrt(3 * query.shape[-1])

    def run():
        return flash_attention_with_disentangled(
            query, key, value, None, pos_key, pos_query, False, scale, BUCKETS, MAX_POSITIONS
        )

    yield "", run


def disentangled_flash(inputs):
    """The steps of `InferenceDisentangledSelfAttention.forward_prepared` after the projections.

    The kernel takes products with the tables, cut down to the slots in use, a table from distance to slot, and the
    scale times log2(e). Several launch configurations are offered: those that the package found best on an H200 for
    this length, what it would choose by itself, and its neighbours.
    """
    from disentangled_flash import kernel
    from disentangled_flash.position import SharedPositionPlanCache, pad_position_table
    from disentangled_flash.tuning import tuning_sequence_length

    query, key, value = inputs.views
    batch, heads, length, size = query.shape
    family = tuning_sequence_length(length)
    plans = SharedPositionPlanCache(
        position_buckets=BUCKETS, max_relative_positions=MAX_POSITIONS, position_embedding_size=BUCKETS
    )
    plan = plans.compact(family, query.device)
    first, count = int(plan.active_slots[0]), plan.active_slots.numel()
    pos_key, pos_query = (
        pad_position_table(table[:, first : first + count].contiguous()) for table in (inputs.pos_key, inputs.pos_query)
    )
    everywhere = torch.ones(batch, length, dtype=torch.bool, device=query.device)
    scale = math.log2(math.e) / math.sqrt(3 * size)
    launch = kernel._deberta_attention_configured_op

    for config in _configurations(query, family, count):

        def run(config=config):
            output = launch(
                query,
                key,
                value,
                kernel._head_major_scores(query, pos_key),
                kernel._head_major_scores(key, pos_query),
                plan.delta_to_local,
                everywhere,
                heads,
                length,
                family,
                pos_key.size(-2),
                family - 1,
                scale,
                False,  # no padding
                True,  # c2p
                True,  # p2c
                query.dtype == torch.bfloat16,
                query.dtype == torch.float32,
                True,  # f32 without TF32
                config.block_m,
                config.block_n,
                config.num_warps,
                config.num_stages,
            )
            return output.view(batch, length, heads, size).transpose(1, 2)

        yield f"{config.block_m}x{config.block_n}, {config.num_warps} warps, {config.num_stages} stages", run


def _configurations(query, family, slots_in_use):
    """The package's choices, most promising first; the first one always fits."""
    from disentangled_flash import tuning

    dtype = str(query.dtype).removeprefix("torch.")
    heuristic = tuning.heuristic_config(
        phase="inference",
        sequence_length=query.shape[2],
        head_dim=query.shape[3],
        dtype=dtype,
        batch_heads=query.shape[0] * query.shape[1],
        resources=tuning.DeviceResources.current(query.device),
    )
    found = [heuristic]
    for occupancy in tuning.TUNING_BATCH_HEADS:
        wanted = tuning.WorkloadKey(
            family, query.shape[3], occupancy, slots_in_use, dtype, True, True, "strict", "padded", False
        )
        # Their hardware and compiler need not be ours: a configuration is only tried, not believed.
        for profile in tuning.load_bundled_profiles():
            found += [entry.config for entry in profile.entries if entry.workload == wanted]
    found += tuning.search_neighborhood(heuristic, tuning.DEFAULT_KERNEL_CONFIGS)
    return list(dict.fromkeys(found))


# How a peer is called, and whether it has position terms.
PEERS = {
    "torch": (torch_plain, True),
    "sdpa-flash": (sdpa("FLASH_ATTENTION"), False),
    "sdpa-cudnn": (sdpa("CUDNN_ATTENTION"), False),
    "flashdeberta": (flashdeberta, True),
    "disentangled-flash": (disentangled_flash, True),
}


def candidates(system, shape, size, dtype, device):
    """(name, call) of each way in which a system can do it."""
    make, _ = PEERS[system]
    yield from make(Inputs.random(*shape, size.heads, size.head, dtype, device))


def error(system, size, dtype, device):
    """The largest difference from f64 of the first way, at a small shape."""
    make, positions = PEERS[system]
    inputs = Inputs.random(*CHECKED_SHAPE, size.heads, size.head, dtype, device)
    _, run = next(make(inputs))
    return (run().double() - inputs.exact(positions)).abs().max().item()
