"""Writes tests/fixtures/kernels/slots.json: the row of the relative table that each distance reads, up to 40,000 tokens.

A table lists where slots change, as `[distance, slot, count]`: from that distance on, `count` successive distances have
successive slots; distances up to the next entry keep the last one.
"""

import torch
from fixture_files import FIXTURES, require_pinned_versions, write_rows

require_pinned_versions()

from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position  # noqa: E402

REACH = 40_000
# (buckets, resolved max_relative_positions). Those of published models, those where steps in f64 give other slots than
# the reference's steps in f32, odd and small numbers, m that is not twice the buckets, m barely over mid + 1.
LOGARITHMIC = [
    (256, 512), (160, 4096), (512, 4096), (1000, 1500), (1024, 4096), (32, 128), (16, 64), (7, 20), (18, 65), (20, 641),
    (20, 81), (32, 1025), (48, 744), (50, 962), (128, 300), (2, 4), (256, 1024), (256, 2048), (256, 4096), (256, 8192),
    (512, 1024), (512, 2048), (128, 512), (64, 512), (64, 100), (320, 640), (255, 512), (257, 515), (3, 512), (5, 50),
    (4, 40_000), (100, 10_000), (1024, 2048), (256, 131), (40, 1000), (24, 577), (2048, 32_768), (6, 12),
]  # fmt: skip
PLAIN = [(-1, 512), (0, 12), (-1, 1), (-1, 40_000)]
# v1 cuts the table to the length of the input before it looks a distance up; (max_relative_positions, length).
CUT = [(512, 1), (512, 2), (512, 511), (512, 512), (512, 513), (512, 3000), (12, 5), (12, 40), (1, 1), (1, 9), (4, 700)]


def slots(buckets, max_position):
    """The slots of the distances from -REACH to REACH, which c2p and p2c share."""
    delta = torch.arange(-REACH, REACH + 1)
    if buckets <= 0:
        return torch.clamp(delta + max_position, 0, 2 * max_position - 1)
    bucket = make_log_bucket_position(delta, buckets, max_position).long()
    found = torch.clamp(bucket + buckets, 0, 2 * buckets - 1)
    opposite = make_log_bucket_position(-delta, buckets, max_position).long()
    assert torch.equal(found, torch.clamp(-opposite + buckets, 0, 2 * buckets - 1)), "c2p and p2c differ"
    return found


def changes(values):
    """Where slots change, in the form of the file."""
    found, last = [], None
    for index, slot in enumerate(values):
        if slot == last:
            continue
        delta = index - REACH
        if found and found[-1][0] + found[-1][2] == delta and found[-1][1] + found[-1][2] == slot:
            found[-1][2] += 1
        else:
            found.append([delta, slot, 1])
        last = slot
    return found


def check_cut_tables():
    """v1's cut of the table, and a slot counted from there, is the same row as a slot of the whole table."""
    for most, length in CUT:
        delta = torch.arange(-(length - 1), length)
        span = min(length, most)
        cut = torch.arange(2 * most)[most - span : most + span]
        c2p = cut[torch.clamp(delta + span, 0, 2 * span - 1)]
        key_to_query = -delta  # p2c is gathered with keys in the rows, at -(key - query)
        p2c = cut[torch.clamp(-key_to_query + span, 0, 2 * span - 1)]
        whole = torch.clamp(delta + most, 0, 2 * most - 1)
        assert torch.equal(c2p, whole) and torch.equal(p2c, whole), f"m = {most} cut for {length} tokens"


def main():
    """The file."""
    check_cut_tables()
    tables = [{"buckets": buckets, "max_position": most, "reach": REACH, "changes": changes(slots(buckets, most).tolist())}
              for buckets, most in LOGARITHMIC + PLAIN]  # fmt: skip
    path = FIXTURES / "kernels" / "slots.json"
    write_rows(path, {"tables": tables})
    print(f"{len(tables)} tables, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
