"""Writes tests/fixtures/search: what `generate` of transformers finds where the logits lie in a table.

    python make_search_fixtures.py

`search_table.py` is the model, `search_cases.py` what is asked. Cases whose answer hangs on less than 2e-5 of a logit are
left out: a sum in another order may change them.
"""

import warnings

from fixture_files import FIXTURES, fresh_folder, require_pinned_versions, write_rows

require_pinned_versions("requirements.txt")

import transformers  # noqa: E402  (after the check, so that a wrong version is named first)
from search_cases import (  # noqa: E402
    DISTRIBUTIONS,
    SEARCHES,
    TABLES,
    by_hand,
    distributions_by_hand,
    random_distribution,
    random_search,
    refused,
)
from search_table import near, numbers, process, search  # noqa: E402

SEARCH = FIXTURES / "search"
# Of the table as it is, and of as many with a little noise.
TRIALS = 5


def answered(case):
    """A search with what it finds, or None where that is unsure."""
    table = numbers(TABLES[case["table"]])
    found = [search(near(table, number), case["inputs"], case["options"]) for number in range(TRIALS)]
    if any(answer is None or answer[0] != found[0][0] for answer in found):
        return None
    rows, scores = found[0]
    return {**case, "rows": rows} | ({"scores": [float(f"{x:.7g}") for x in scores]} if scores else {})


def processed(case):
    """A draw with its probabilities, those above 0 by their token, or None where it is unsure which they are."""
    table = numbers(TABLES[case["table"]])
    asked = case["input"], case["tokens"], case["options"]
    found = [process(near(table, number), *asked) for number in range(TRIALS)]
    if any(((scores > -1e30) != (found[0] > -1e30)).any() for scores in found):
        return None
    probabilities = found[0].double().softmax(-1)
    if probabilities.isnan().any():
        return None
    kept = [[token, float(f"{p:.8g}")] for token, p in enumerate(probabilities.tolist()) if found[0][token] > -1e30]
    return {**case, "kept": kept}


def error(options):
    """What the reference says."""
    try:
        search(numbers(TABLES["small"]), 1, options)
    except Exception as refusal:  # of any kind: it is recorded
        return type(refusal).__name__
    return None


def main():
    """All of it."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    fresh_folder(SEARCH)
    searches = [answered(case) for case in [*by_hand(), *map(random_search, range(SEARCHES))]]
    draws = [processed(case) for case in [*distributions_by_hand(), *map(random_distribution, range(DISTRIBUTIONS))]]
    refusals = [{"options": options, "error": error(options)} for options in refused()]
    tables = [{"name": name, "rows": rows} for name, rows in TABLES.items()]
    write_rows(SEARCH / "tables.json", {"tables": tables})
    for name, cases in (("searches", searches), ("distributions", draws), ("refused", refusals)):
        sure = [case for case in cases if case is not None]
        write_rows(SEARCH / f"{name}.json", {name: sure})
        print(f"{name}: {len(sure)} of {len(cases)}")
    size = sum(file.stat().st_size for file in SEARCH.iterdir())
    print(f"{SEARCH} holds {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
