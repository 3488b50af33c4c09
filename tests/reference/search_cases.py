"""What `make_search_fixtures.py` asks of the reference: tables of logits, and options as a `generation_config.json` has them.

Chosen by a generator that the case's number seeds, and by hand where options meet.
"""

import random

from search_table import random_table

TABLES = {
    "small": random_table("small", 12, 24, 2.0),
    "flat": random_table("flat", 16, 28, 0.7),
    "middle": random_table("middle", 24, 32, 1.5, repeat=1.0),
    "wide": random_table("wide", 40, 40, 1.5),
    "peaked": random_table("peaked", 16, 20, 4.0, repeat=2.0),
}
# Some logits are no finite numbers: token 5 never comes, token 6 sometimes not, token 7 and 8 are sometimes no numbers.
ODD = random_table("odd", 12, 24, 2.0)
for number, row in enumerate(ODD):
    row[5] = "-inf"
    if number % 3 == 0:
        row[6] = "-inf"
    if number % 5 == 0:
        row[7] = "nan"
    if number % 7 == 0:
        row[8] = "inf"
TABLES["odd"] = ODD
# No token can follow in every fourth row.
BANNED = random_table("banned", 12, 24, 2.0)
for number, row in enumerate(BANNED):
    row[3] = "-inf"
    if number % 4 == 0:
        row[:] = ["-inf"] * len(row)
TABLES["banned"] = BANNED

START = 1
SEARCHES = 360
DISTRIBUTIONS = 260


def words(rng, vocabulary, count, longest):
    """Different successions of tokens."""
    found = []
    for _ in range(rng.randint(1, count)):
        word = [rng.randrange(vocabulary) for _ in range(rng.randint(1, longest))]
        if word not in found:
            found.append(word)
    return found


def processors(rng, options, vocabulary, length):
    """Adds what changes scores, each seldom enough that most cases have two or three."""

    def maybe(share):
        return rng.random() < share

    if maybe(0.25):
        options["min_length" if maybe(0.5) else "min_new_tokens"] = rng.randint(1, length)
    if maybe(0.3):
        options["no_repeat_ngram_size"] = rng.randint(1, 4)
    if maybe(0.3):
        options["repetition_penalty"] = rng.choice([0.5, 0.8, 1.2, 1.3, 2.0])
    if maybe(0.3):
        options["bad_words_ids"] = words(rng, vocabulary, 6, 3)
        if all([word] in options["bad_words_ids"] for word in range(vocabulary)) or all(
            word in [[end] for end in ends_of(options)] for word in options["bad_words_ids"]
        ):
            options["bad_words_ids"].append([3, 4])
    if maybe(0.25):
        options["sequence_bias"] = [
            [word, rng.choice([-4.0, -1.5, -0.5, 0.75, 2.0, 5.0])] for word in words(rng, vocabulary, 6, 3)
        ]
    if maybe(0.15):
        options["forced_bos_token_id"] = rng.randrange(vocabulary)
    if maybe(0.15):
        options["forced_eos_token_id"] = rng.choice([2, 2, [2], [2, 5]])
    if maybe(0.2):
        options["suppress_tokens"] = rng.sample(range(vocabulary + 2), rng.randint(1, 3))
        forced = [options.get("forced_bos_token_id"), options.get("forced_eos_token_id")]
        for ids in forced:
            ids = ids if isinstance(ids, list) else [ids]
            options["suppress_tokens"] = [id for id in options["suppress_tokens"] if id not in ids]
    if maybe(0.2):
        options["begin_suppress_tokens"] = rng.sample(range(vocabulary + 2), rng.randint(1, 4))
    if maybe(0.2) and ends_of(options):
        options["exponential_decay_length_penalty"] = [rng.randint(0, length // 2), rng.choice([0.7, 1.1, 1.4, 2.0])]
    if maybe(0.1):
        options["remove_invalid_values"] = True
    if maybe(0.15):
        options["renormalize_logits"] = True


def ends_of(options):
    """The tokens that end a sequence."""
    ends = options.get("eos_token_id", [])
    return ends if isinstance(ends, list) else [ends]


def special_tokens(rng):
    """The start, and tokens that end and fill, or none."""
    options = {rng.choice(["decoder_start_token_id", "bos_token_id"]): START}
    ends = rng.choice([2, 2, 2, [2], [2, 5], [5, 2, 9], None])
    if ends is not None:
        options["eos_token_id"] = ends
    fill = rng.choice([0, 0, 3, 2, None])
    if fill is not None:
        options["pad_token_id"] = fill
    return options


def beams(rng, options):
    """Adds a beam search."""
    options["num_beams"] = rng.randint(2, 8)
    options["num_return_sequences"] = rng.randint(1, options["num_beams"])
    options["early_stopping"] = rng.choice([True, False, "never"])
    options["length_penalty"] = rng.choice([-1.0, 0.0, 0.6, 1.0, 2.0])


def random_search(number):
    """A case of a greedy search or one with beams."""
    rng = random.Random(f"search/{number}")
    table = rng.choice(["small", "flat", "middle", "wide", "peaked"])
    options, length = special_tokens(rng), rng.randint(1, 12)
    if rng.random() < 0.1:
        # At most as long as the library's own limit would be, or exactly.
        length = 20
    if length < 20 or rng.random() < 0.5:
        key = rng.choice(["max_new_tokens", "max_length"])
        options[key] = length + (key == "max_length")
    if number % 5:
        beams(rng, options)
    processors(rng, options, len(TABLES[table][0]), length)
    return {"table": table, "inputs": rng.randint(1, 3), "options": options}


def random_distribution(number):
    """A case of what a draw is from, after some tokens."""
    rng = random.Random(f"distribution/{number}")
    table = rng.choice(["small", "flat", "middle", "wide", "peaked"])
    vocabulary = len(TABLES[table][0])
    options = {**special_tokens(rng), "do_sample": True, "max_new_tokens": 10}

    def maybe(key, share, values):
        if rng.random() < share:
            options[key] = rng.choice(values)

    maybe("temperature", 0.5, [0.3, 0.7, 1.3, 2.5])
    maybe("top_k", 0.5, [0, 1, 2, 3, 5, 9, 100])
    maybe("top_p", 0.4, [0.0, 0.1, 0.5, 0.8, 0.9, 0.95, 1.0])
    maybe("min_p", 0.25, [0.0, 0.02, 0.1, 0.3, 1.0])
    maybe("typical_p", 0.3, [0.1, 0.5, 0.9, 0.95, 1.0])
    maybe("epsilon_cutoff", 0.25, [0.001, 0.01, 0.05, 0.3])
    maybe("eta_cutoff", 0.25, [0.001, 0.02, 0.1, 0.5])
    if rng.random() < 0.3:
        options["num_beams"] = rng.randint(2, 4)
    if rng.random() < 0.5:
        processors(rng, options, vocabulary, 10)
    new = rng.choice([0, 0, 1, 2, 3, 5, 9])
    tokens = [START] + [rng.randrange(vocabulary) for _ in range(new)]
    return {"table": table, "input": rng.randrange(3), "tokens": tokens, "options": options}


def by_hand():
    """Searches in which options meet."""
    base = {"decoder_start_token_id": START, "eos_token_id": 2, "pad_token_id": 0, "max_new_tokens": 8}
    four = {**base, "num_beams": 4, "num_return_sequences": 4}

    def case(table, inputs, *options, **more):
        merged = {**dict(pair for part in options for pair in part.items()), **more}
        return {"table": table, "inputs": inputs, "options": {k: v for k, v in merged.items() if v is not None}}

    for early in (True, False, "never"):
        for penalty in (-1.0, 0.0, 0.6, 1.0, 2.0):
            yield case("flat", 3, four, early_stopping=early, length_penalty=penalty, max_new_tokens=12)
            yield case("small", 2, four, early_stopping=early, length_penalty=penalty, num_beams=5)
    for kind in (base, four):
        # The end is bound to come, and cannot.
        yield case("flat", 2, kind, forced_eos_token_id=2, min_new_tokens=8)
        yield case("flat", 2, kind, forced_eos_token_id=2, max_new_tokens=1)
        yield case("flat", 2, kind, forced_bos_token_id=2)
        yield case("flat", 2, kind, forced_bos_token_id=2, min_new_tokens=3)
        yield case("flat", 2, kind, forced_bos_token_id=4, begin_suppress_tokens=[5, 6, 7])
        yield case("flat", 2, kind, begin_suppress_tokens=list(range(3, 16)))
        yield case("flat", 2, kind, forced_bos_token_id=4, forced_eos_token_id=2, max_new_tokens=2)
        yield case("flat", 2, kind, suppress_tokens=[2], max_new_tokens=5)
        yield case("flat", 2, kind, bad_words_ids=[[2], [3], [4, 5]])
        yield case("flat", 2, kind, bad_words_ids=[[START, 3], [START, 4], [START, 5, 6]])
        yield case("flat", 2, kind, eos_token_id=None, bad_words_ids=[[2], [3]])
        yield case("flat", 2, kind, eos_token_id=None)
        yield case("flat", 2, kind, eos_token_id=None, pad_token_id=None)
        yield case("flat", 2, kind, pad_token_id=None)
        yield case("flat", 2, kind, pad_token_id=2)
        yield case("flat", 2, kind, eos_token_id=[2, 2, 3])
        yield case("flat", 2, kind, eos_token_id=0, pad_token_id=None)
        yield case("flat", 2, kind, sequence_bias=[[[3], 2.0], [[3], -2.0], [[4, 3], 1.0], [[START, 4], 3.0]])
        yield case("flat", 2, kind, sequence_bias=[[[2], 6.0]], min_new_tokens=4)
        yield case("peaked", 2, kind, no_repeat_ngram_size=1)
        yield case("peaked", 2, kind, no_repeat_ngram_size=2, max_new_tokens=20)
        yield case("peaked", 2, kind, exponential_decay_length_penalty=[2, 1.5], max_new_tokens=20)
        yield case("peaked", 2, kind, exponential_decay_length_penalty=[0, 1.2], eos_token_id=[2, 5])
        yield case("peaked", 2, kind, exponential_decay_length_penalty=[1, 1.3], suppress_tokens=[2])
        yield case("peaked", 2, kind, max_length=3)
        yield case("peaked", 2, kind, max_new_tokens=None, max_length=6, min_length=6)
        yield case("peaked", 2, kind, max_new_tokens=None, min_length=9)
        yield case("peaked", 2, kind, min_length=3, min_new_tokens=6)
        yield case("odd", 3, kind, remove_invalid_values=True)
        yield case("odd", 3, kind, remove_invalid_values=True, renormalize_logits=True)
        yield case("banned", 3, kind, remove_invalid_values=True)
    # More of the best candidates end than there are beams.
    likely_ends = {"eos_token_id": [2, 5, 9], "sequence_bias": [[[2], 2.2], [[5], 2.0], [[9], 1.8]]}
    likely_ends |= {"early_stopping": "never", "length_penalty": 2.0}
    for table in ("small", "flat", "middle", "wide", "peaked"):
        yield case(table, 1, four, likely_ends)
        yield case(table, 1, four, likely_ends, num_beams=2, num_return_sequences=2)
    for beams in (2, 3, 6, 8):
        yield case("small", 3, four, num_beams=beams, num_return_sequences=beams, max_new_tokens=1)
        yield case("small", 3, four, num_beams=beams, num_return_sequences=1, max_new_tokens=2)
        yield case("wide", 3, four, num_beams=beams, num_return_sequences=2, eos_token_id=list(range(2, 9)))
        yield case("peaked", 3, four, num_beams=beams, num_return_sequences=2, renormalize_logits=True)


def distributions_by_hand():
    """Draws from little: what is kept at least, equal scores, nothing known of an end."""
    base = {"decoder_start_token_id": START, "eos_token_id": 2, "do_sample": True, "max_new_tokens": 10}
    for beams in (1, 3):
        for ends in (2, [2, 5, 7], None):
            for warper in (
                {"top_k": 1},
                {"top_p": 0.0},
                {"min_p": 1.0},
                {"typical_p": 0.01},
                {"epsilon_cutoff": 0.9},
                {"eta_cutoff": 0.9},
                {"top_k": 6, "top_p": 0.7, "typical_p": 0.8, "min_p": 0.1, "epsilon_cutoff": 0.02, "eta_cutoff": 0.02},
            ):
                options = {**base, **warper, "num_beams": beams}
                options["eos_token_id"] = ends
                options = {key: value for key, value in options.items() if value is not None}
                yield {"table": "small", "input": 1, "tokens": [START, 4], "options": options}
    for warper in ({"top_k": 3}, {"top_p": 0.6}, {"typical_p": 0.6}, {"min_p": 0.2}, {"eta_cutoff": 0.2}):
        options = {**base, **warper, "bad_words_ids": [[3], [4], [6], [7], [8], [9]]}
        yield {"table": "small", "input": 0, "tokens": [START, 7, 4], "options": options}
        yield {"table": "odd", "input": 0, "tokens": [START, 3], "options": {**options, "remove_invalid_values": True}}


def refused():
    """Options that make no sense. Most of them the reference refuses too, in a file or in a call."""
    base = {"decoder_start_token_id": START, "eos_token_id": 2, "max_new_tokens": 4}
    sampled = {**base, "do_sample": True}
    for kind, more in (
        (base, {"early_stopping": "sometimes"}),
        (base, {"max_new_tokens": 0}),
        (base, {"num_return_sequences": 2}),
        (base, {"num_beams": 2, "num_return_sequences": 3}),
        (base, {"num_beams": 0}),
        (base, {"num_return_sequences": 0}),
        (base, {"suppress_tokens": [2], "forced_eos_token_id": 2}),
        (base, {"suppress_tokens": [5, 2], "forced_eos_token_id": [2, 5]}),
        (base, {"suppress_tokens": [4], "forced_bos_token_id": 4}),
        (base, {"bad_words_ids": []}),
        (base, {"bad_words_ids": [[]]}),
        (base, {"bad_words_ids": [[3, -1]]}),
        (base, {"bad_words_ids": 3}),
        (base, {"bad_words_ids": [[12]]}),
        (base, {"sequence_bias": []}),
        (base, {"sequence_bias": [[[12], 1.0]]}),
        (base, {"sequence_bias": [[3, 1.0]]}),
        (base, {"repetition_penalty": 0.0}),
        (base, {"repetition_penalty": -1.0}),
        (base, {"forced_bos_token_id": 12}),
        (base, {"forced_eos_token_id": 12}),
        (base, {"forced_eos_token_id": [-1]}),
        (base, {"no_repeat_ngram_size": 2.5}),
        (base, {"min_length": -1.5}),
        (base, {"decoder_start_token_id": None}),
        (base, {"eos_token_id": None, "exponential_decay_length_penalty": [1, 1.5]}),
        (base, {"max_new_tokens": None, "max_length": 1}),
        (base, {"max_new_tokens": None, "max_length": 0}),
        (base, {"assistant_model": "x"}),
        (base, {"streamer": "x"}),
        (base, {"penalty_alpha": 0.6, "top_k": 4}),
        (base, {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}),
        (base, {"num_beams": 4, "force_words_ids": [[3]]}),
        (base, {"num_beams": 4, "constraints": ["x"]}),
        (sampled, {"temperature": 0.0}),
        (sampled, {"temperature": -1.0}),
        (sampled, {"top_k": -1}),
        (sampled, {"top_p": -0.1}),
        (sampled, {"min_p": -0.1}),
        (sampled, {"min_p": 1.1}),
        (sampled, {"typical_p": 0.0}),
        (sampled, {"typical_p": -0.5}),
        # What the reference passes over.
        (sampled, {"top_p": 1.5}),
        (sampled, {"typical_p": 1.5}),
        (sampled, {"epsilon_cutoff": 1.0}),
        (sampled, {"epsilon_cutoff": -0.1}),
        (sampled, {"eta_cutoff": 1.5}),
        (base, {"bad_words_ids": [[3], []]}),
        (base, {"eos_token_id": -1}),
    ):
        yield {key: value for key, value in {**kind, **more}.items() if value is not None}
