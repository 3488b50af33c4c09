"""Writes tests/fixtures/tasks, but for its questions: what the pipelines of transformers and what sentence-transformers
answer on tiny random models. The questions are written by make_question_fixtures.py, under another version.

    python make_task_fixtures.py            # everything
    python make_task_fixtures.py NAME...    # these cases alone
"""

import sys

from fixture_files import fresh_folder, require_pinned_versions

require_pinned_versions("requirements-tasks.txt")

import task_fill_mask  # noqa: E402  (after the check, so that a wrong version is named first)
import task_sentences  # noqa: E402
import task_zero_shot  # noqa: E402
from make_pipeline_fixtures import build_byte_level, build_tokenizer, train_byte_level, train_vocabulary  # noqa: E402
from task_models import TASKS, write_cases  # noqa: E402

CASES = {
    **{name: ("zero_shot", task_zero_shot.write_case) for name in task_zero_shot.CASES},
    **{name: ("fill_mask", task_fill_mask.write_case) for name in task_fill_mask.CASES},
    **{name: ("cross_encoder", task_sentences.write_cross) for name in task_sentences.CROSS},
    **{name: ("embed", task_sentences.write_embed) for name in task_sentences.EMBED},
}
# Whose tokenizer of v1: sentence-transformers loads its own from the folder, which is that of version 5.
V1_VERSIONS = {"zero_shot": "version 4", "fill_mask": "version 4", "cross_encoder": "version 5", "embed": "version 5"}


def main():
    """All of them, or those that the arguments say."""
    wanted = sys.argv[1:] or [*CASES]
    if not set(wanted) <= set(CASES):
        sys.exit(__doc__)
    TASKS.mkdir(parents=True, exist_ok=True)
    pieces, byte_level = train_vocabulary(), train_byte_level()
    for name in CASES:
        if name in wanted:
            version = V1_VERSIONS.get(CASES[name][0]) if "_v1" in name else None
            tokenizer = build_byte_level(version, byte_level) if version else build_tokenizer(pieces)
            print(f"{name}: {CASES[name][1](name, fresh_folder(TASKS / name), tokenizer)}", flush=True)
    write_cases([{"name": name, "task": CASES[name][0]} for name in CASES])
    size = sum(f.stat().st_size for f in TASKS.rglob("*") if f.is_file())
    print(f"{TASKS} holds {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
