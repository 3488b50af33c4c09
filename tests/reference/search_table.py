"""A model whose logits lie in a table, so that a test can rebuild it: what `make_search_fixtures.py` lets transformers search.

The logits of what follows `..., before, last` for input `i` are row `(7 i + 3 before + 5 last) % rows` of the table, where
`before` is `last` when there is but one token. Numbers of a table are multiples of 1/1024.
"""

import random

import torch
from torch import nn
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

UNIT = 1024
SPECIAL = {"-inf": -torch.inf, "inf": torch.inf, "nan": torch.nan}


def random_table(name, vocabulary, rows, spread, repeat=0.0):
    """Rows of whole numbers, in units of 1/1024: normal with this standard deviation, none twice in a row. `repeat` is
    added to the logit of the token whose number the row has, so that some successions become loops."""
    rng = random.Random(name)
    table = []
    for number in range(rows):
        row = []
        while len(row) < vocabulary:
            more = repeat if len(row) == number % vocabulary else 0.0
            logit = round((rng.gauss(0, spread) + more) * UNIT)
            if logit not in row:
                row.append(logit)
        table.append(row)
    return table


def numbers(table):
    """The table's logits, f32 [rows, vocabulary]."""
    return torch.tensor([[SPECIAL[x] if isinstance(x, str) else x / UNIT for x in row] for row in table])


class TableConfig(PretrainedConfig):
    """Of an encoder with a decoder, as that has a start token and inputs that are not part of the sequence."""

    model_type = "search_table"

    def __init__(self, vocab_size=2, **kwargs):
        super().__init__(is_encoder_decoder=True, **kwargs)
        self.vocab_size = vocab_size


class Encoder(nn.Module):
    """Hands the number of the input on."""

    main_input_name = "input_ids"

    def forward(self, input_ids, attention_mask=None, return_dict=True, **kwargs):
        return BaseModelOutput(last_hidden_state=input_ids[:, :, None].float())


class TableModel(PreTrainedModel, GenerationMixin):
    """See the top of this file. `ties` tells whether candidates of a beam search were too near to each other to be sure of
    their order."""

    config_class = TableConfig
    main_input_name = "input_ids"

    def __init__(self, table, **kwargs):
        super().__init__(TableConfig(vocab_size=table.shape[1], **kwargs))
        self.encoder, self.table, self.ties = Encoder(), table, False
        self.anything = nn.Parameter(torch.zeros(1))
        # What a file of options does not say is the library's default, not this model's.
        self.generation_config = GenerationConfig()

    def get_encoder(self, *args, **kwargs):
        return self.encoder

    def logits(self, inputs, tokens):
        """[rows, vocabulary]"""
        last, before = tokens[:, -1], tokens[:, -2 if tokens.shape[1] > 1 else -1]
        return self.table[(7 * inputs + 3 * before + 5 * last) % len(self.table)]

    def forward(self, input_ids=None, decoder_input_ids=None, encoder_outputs=None, **kwargs):
        inputs = encoder_outputs.last_hidden_state[:, 0, 0].long()
        return Seq2SeqLMOutput(logits=self.logits(inputs, decoder_input_ids)[:, None])

    def prepare_inputs_for_generation(self, tokens, encoder_outputs=None, **kwargs):
        return {"decoder_input_ids": tokens, "encoder_outputs": encoder_outputs}

    def _get_top_k_continuations(self, accumulated_log_probs, beams_to_keep, **kwargs):
        best = accumulated_log_probs.topk(min(beams_to_keep + 1, accumulated_log_probs.shape[1])).values
        apart = best[:, :-1] - best[:, 1:]
        # Those of hypotheses that are none, or banned, come last and are replaced.
        self.ties |= bool((apart[best[:, 1:] > -1e8] < 1e-5).any())
        return super()._get_top_k_continuations(
            accumulated_log_probs=accumulated_log_probs, beams_to_keep=beams_to_keep, **kwargs
        )


class Prefixes(TableModel):
    """Searches nothing, but keeps what the processors of a search make of the scores after given tokens."""

    def __init__(self, table, inputs, tokens):
        super().__init__(table)
        self.asked, self.scores = (inputs, tokens), None

    def _sample(self, input_ids, logits_processor, generation_config, **kwargs):
        inputs, tokens = self.asked
        logits = self.logits(inputs, tokens).clone()
        if generation_config.num_beams > 1:
            logits = logits.log_softmax(-1)
        self.scores = logits_processor(tokens, logits)
        return input_ids

    _beam_search = _sample


def near(table, number):
    """The table with a change too small to matter, another for each number; 0 changes nothing."""
    if number == 0:
        return table
    noise = torch.rand(table.shape, generator=torch.Generator().manual_seed(number))
    return table + (noise - 0.5) * 4e-5


def search(table, inputs, options):
    """The returned rows and their scores, if there are beams; None where there are ties."""
    model = TableModel(table)
    config = GenerationConfig(**options, return_dict_in_generate=True, output_scores=True, use_cache=False)
    found = model.generate(torch.arange(inputs)[:, None], generation_config=config)
    scores = found.get("sequences_scores")
    return None if model.ties else (found.sequences.tolist(), None if scores is None else scores.tolist())


def process(table, input, tokens, options):
    """The scores after all processors, f32 [vocabulary]."""
    model = Prefixes(table, torch.tensor([input]), torch.tensor([tokens]))
    model.generate(torch.tensor([[input]]), generation_config=GenerationConfig(**options, use_cache=False))
    return model.scores[0]
