"""Writes tests/fixtures/generation: what `transformers`' EncoderDecoderModel writes, with tiny random models.

    pip install -r requirements.txt
    python make_generation_fixtures.py            # all of them
    python make_generation_fixtures.py NAME...    # these models alone
"""

import contextlib
import json
import sys
import warnings

import torch
from fixture_files import FIXTURES, generator, require_pinned_versions, write_json, write_rows, write_tensors
from generation_cases import GENERATIONS, MODELS
from observe_reference import in_own_type
from parity_case import holes, right

require_pinned_versions()
warnings.filterwarnings("ignore")

from generation_models import doubled, random_model, save  # noqa: E402  (after the check of the versions)
from make_parity_fixtures import mask_row  # noqa: E402
from transformers import LogitsProcessor  # noqa: E402
from transformers.models.deberta.modeling_deberta import DebertaLayerNorm  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()

GENERATION = FIXTURES / "generation"
# Sequences are recorded only where scores this much off, at every step, would not change them.
NUDGE, NUDGES = 1e-4, 6
# The encoder's rows for teacher forcing, and the lengths of the decoder's.
FORCED_ROWS = (right(12), right(7), holes(12, 2, 5, 6, 9))
FORCED_LENGTHS = (8, 5, 1)
# Inputs by which a model is judged, and how much it may write about them.
SAMPLES, SAMPLE_TOKENS = (right(9),) * 8, 20


class Nudge(LogitsProcessor):
    """Moves every score a little, at random."""

    def __init__(self, gen):
        self.gen = gen

    def __call__(self, input_ids, scores):
        return scores + NUDGE * torch.randint(-1, 2, scores.shape, generator=self.gen)


def encoder_input(config, rows, gen):
    """Ids with 1 and 2 around each row, 0 on masked positions, and token types in two runs where there are any."""
    length = max(spec[1] for spec in rows)
    mask = torch.stack([mask_row(spec, length) for spec in rows])
    ids = torch.randint(4, config.vocab_size, mask.shape, generator=gen)
    for row, kept in zip(ids, mask, strict=True):
        real = kept.nonzero().flatten()
        row[real[-1]] = 2
        row[real[0]] = 1
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    if config.type_vocab_size:
        real = mask.cumsum(1)
        inputs["token_type_ids"] = (real > real[:, -1:] // 2).long() * mask
    return inputs


def decoder_input(config, start, gen):
    """Sequences of the decoder, which begin with the start token; RoBERTa's first has its padding id inside."""
    longest = max(FORCED_LENGTHS)
    mask = torch.stack([mask_row(right(length), longest) for length in FORCED_LENGTHS])
    ids = torch.randint(10, config.vocab_size, mask.shape, generator=gen)
    ids[:, 0] = start
    if config.model_type == "roberta":
        ids[0, 3] = config.pad_token_id
    filler = 0 if config.pad_token_id is None else config.pad_token_id
    return {"decoder_input_ids": torch.where(mask.bool(), ids, filler), "decoder_attention_mask": mask}


@contextlib.contextmanager
def in_double():
    """Within it, DeBERTa v1 in f64 does not round to f32 in its norms."""
    original, DebertaLayerNorm.forward = DebertaLayerNorm.forward, in_own_type
    yield
    DebertaLayerNorm.forward = original


@torch.inference_mode()
def written(model, inputs, options, nudge=None):
    """The ids that the model writes, and the scores of the sequences where there are beams."""
    more = {"logits_processor": [Nudge(nudge)]} if nudge is not None else {}
    out = model.generate(**inputs, **options, **more, return_dict_in_generate=True, output_scores=True)
    scores = getattr(out, "sequences_scores", None)
    return out.sequences.tolist(), None if scores is None else scores.tolist()


def ends_of(options, otherwise):
    """The tokens that end a sequence."""
    ends = options.get("eos_token_id", otherwise.eos_token_id)
    return set(ends if isinstance(ends, list) else [ends])


def is_rich(model):
    """Whether a model, without any constraint, writes different things, and some of them come to an end."""
    inputs = encoder_input(model.config.encoder, SAMPLES, generator("samples"))
    plain = {"num_beams": 1, "no_repeat_ngram_size": 0, "repetition_penalty": 1.0, "min_length": 0,
             "forced_eos_token_id": None, "early_stopping": False, "length_penalty": 1.0}  # fmt: skip
    found, _ = written(model, inputs, {**plain, "max_new_tokens": SAMPLE_TOKENS})
    ends, cut = ends_of({}, model.generation_config), []
    for row in found:
        stop = next((i for i, token in enumerate(row) if i > 0 and token in ends), None)
        cut.append(row if stop is None else row[: stop + 1])
    ended = [len(row) for row in cut if row[-1] in ends]
    varied = all(len(set(row)) > len(row) // 3 for row in cut)
    return varied and len(set(map(tuple, cut))) == len(cut) and 2 <= len(ended) <= 5 and min(ended) > 4


def is_steady(model, double, inputs, options, found):
    """Whether neither f64 nor slightly other scores change a token."""
    with in_double():
        exact = written(double, inputs, options)
    if exact[0] != found[0]:
        return False
    if found[1] is not None and max(abs(a - b) for a, b in zip(found[1], exact[1], strict=True)) > NUDGE / 4:
        return False
    gen = generator("nudge", str(options))
    return all(written(model, inputs, options, gen)[0] == found[0] for _ in range(NUDGES))


def is_padded(model, case, sequences):
    """Whether a sequence is shorter than others."""
    ends = ends_of(case.options, model.generation_config)
    return any(token in ends for row in sequences for token in row[1:-1])


def generation_of(model, double, case, index):
    """A line of cases.json."""
    for attempt in range(1000):
        gen = generator("generation", case.model, index, attempt)
        inputs = encoder_input(model.config.encoder, case.rows, gen)
        found = written(model, inputs, case.options)
        if case.padded and not is_padded(model, case, found[0]):
            continue
        if case.unlike and written(model, inputs, {**case.options, **case.unlike})[0] == found[0]:
            continue
        if is_steady(model, double, inputs, case.options, found):
            break
    else:
        sys.exit(f"{case.model}: no attempt at {case.covers!r} gives steady sequences")
    line = {"model": case.model, "covers": case.covers}
    line |= {name: value.tolist() for name, value in inputs.items()}
    line |= {"options": case.options, "sequences": found[0]}
    if found[1] is not None:
        line["scores"] = [float(f"{score:.8g}") for score in found[1]]
    return line


@torch.inference_mode()
def forced(model, inputs):
    """The encoder's last hidden state and the scores of words, zeros where the masks are."""
    out = model(**inputs)
    named = {
        "encoder_last_hidden_state": (out.encoder_last_hidden_state, inputs["attention_mask"]),
        "logits": (out.logits, inputs["decoder_attention_mask"]),
    }
    return {name: value * mask[..., None] for name, (value, mask) in named.items()}


def write_forced(case, model, double, folder):
    """The files of teacher forcing."""
    gen = generator("forced", case.name)
    inputs = encoder_input(model.config.encoder, FORCED_ROWS, gen)
    inputs |= decoder_input(model.config.decoder, case.generation["decoder_start_token_id"], gen)
    single = forced(model, inputs)
    with in_double():
        exact = forced(double, inputs)
    write_tensors(folder / "input.safetensors", inputs)
    write_tensors(folder / "expected.safetensors", single)
    gaps = {name: float((single[name].double() - exact[name]).abs().max()) for name in single}
    gaps = {"hidden_gap": gaps["encoder_last_hidden_state"], "logits_gap": gaps["logits"]}
    write_json(folder / "tolerance.json", gaps)
    return gaps


def write_model(case):
    """One folder and what its model writes."""
    for attempt in range(1000):
        model = random_model(case, attempt)
        if is_rich(model):
            break
    else:
        sys.exit(f"{case.name}: no attempt writes different things")
    folder = GENERATION / case.name
    loaded = save(case, model, folder)
    for name, tensor in model.state_dict().items():
        assert loaded.state_dict()[name].equal(tensor), f"{case.name}: {name} was loaded otherwise"
    double = doubled(loaded)
    gaps = write_forced(case, loaded, double, folder)
    asked = [one for one in GENERATIONS if one.model == case.name]
    lines = [generation_of(loaded, double, one, index) for index, one in enumerate(asked)]
    print(f"{case.name}: attempt {attempt}, {len(lines)} generations, {gaps}", flush=True)
    return lines


def main():
    """All of them, or the models that the arguments say."""
    GENERATION.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or [case.name for case in MODELS]
    if not set(wanted) <= {case.name for case in MODELS}:
        sys.exit(__doc__)
    path, kept = GENERATION / "cases.json", []
    if set(wanted) < {case.name for case in MODELS}:
        kept = json.loads(path.read_text(encoding="utf-8"))["generations"]
    lines = []
    for case in MODELS:
        lines += write_model(case) if case.name in wanted else [one for one in kept if one["model"] == case.name]
    models = [{"name": case.name, "covers": case.covers, "decoder": case.decoder} for case in MODELS]
    write_rows(path, {"models": models, "generations": lines})
    size = sum(f.stat().st_size for f in GENERATION.rglob("*") if f.is_file())
    beams = sum("scores" in one for one in lines)
    print(f"{GENERATION} holds {size / 1e6:.2f} MB, {len(lines)} generations, {beams} of them with beams")


if __name__ == "__main__":
    main()
