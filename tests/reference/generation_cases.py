"""What the generation fixtures are: the models, and what each is asked to write with which options."""

from dataclasses import dataclass, field

from parity_case import holes, left, right

# Batches of the encoder.
ONE = (right(10),)
PAIR = (right(11), right(6))
EVEN = (right(9), right(9), right(9))
LEFT = (left(7), right(10), left(4))
HOLES = (holes(12, 3, 4, 8), left(9), right(12), holes(7, 0, 5))
MANY = (right(12), right(8), right(5), right(3))


@dataclass
class Model:
    """One folder; `encoder` and `decoder` are changes of the tiny models' configurations."""

    name: str
    covers: str
    decoder: str  # model_type of the decoder
    generation: dict  # generation_config.json; of `older` keys of config.json
    family: str = "v2"  # of the encoder, as in parity_case
    encoder_config: dict = field(default_factory=dict)
    decoder_config: dict = field(default_factory=dict)
    # As older versions of transformers saved it: pytorch_model.bin, tied weights twice, no generation_config.json.
    older: bool = False
    mask_buffers: bool = False  # GPT-2's causal masks among the weights, as older versions saved them


MODELS = [
    Model("bert", "enc_to_dec_proj, beam search in generation_config.json, pad_token_id 0", "bert",
          {"bos_token_id": 1, "decoder_start_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "num_beams": 4,
           "early_stopping": True, "length_penalty": 2.0, "no_repeat_ngram_size": 3, "min_length": 4,
           "max_length": 22},
          decoder_config={"hidden_size": 32, "num_attention_heads": 4}),
    Model("bert_untied", "tie_word_embeddings false, two biases of the scores; encoder with conv and token types",
          "bert", {"decoder_start_token_id": 3, "eos_token_id": 4, "pad_token_id": 4},
          encoder_config={"conv_kernel_size": 3, "conv_act": "gelu", "type_vocab_size": 2,
                          "position_biased_input": True, "share_att_key": False, "norm_rel_ebd": "none"},
          decoder_config={"tie_word_embeddings": False, "hidden_act": "relu", "type_vocab_size": 1}),
    Model("bert_older", "pytorch_model.bin with tied tensors twice and position_ids; options in config.json", "bert",
          {"decoder_start_token_id": 1, "eos_token_id": 2, "max_length": 18, "num_beams": 3, "early_stopping": True,
           "no_repeat_ngram_size": 2},
          encoder_config={"hidden_size": 16, "num_attention_heads": 2}, decoder_config={"pad_token_id": 3}, older=True),
    Model("roberta", "pad_token_id 1, from which positions are counted", "roberta",
          {"bos_token_id": 0, "decoder_start_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "max_new_tokens": 18},
          decoder_config={"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}),
    Model("roberta_bos", "pad_token_id 7, forced_bos_token_id and forced_eos_token_id; encoder v1 with token types",
          "roberta",
          {"bos_token_id": 5, "decoder_start_token_id": 6, "eos_token_id": 6, "pad_token_id": 7,
           "forced_bos_token_id": 5, "forced_eos_token_id": 6, "max_length": 20},
          family="v1", encoder_config={"position_biased_input": True, "type_vocab_size": 2},
          decoder_config={"pad_token_id": 7, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}),
    Model("gpt2", "tied, no pad_token_id, the buffers of causal masks among the weights", "gpt2",
          {"bos_token_id": 1, "decoder_start_token_id": 1, "eos_token_id": 2}, mask_buffers=True),
    Model("gpt2_inner", "n_inner, activation_function silu, scale_attn_by_inverse_layer_idx; repetition_penalty",
          "gpt2",
          {"decoder_start_token_id": 4, "eos_token_id": 5, "pad_token_id": 5, "repetition_penalty": 1.3,
           "max_new_tokens": 16},
          encoder_config={"hidden_size": 16, "num_attention_heads": 2},
          decoder_config={"n_inner": 40, "activation_function": "silu", "scale_attn_by_inverse_layer_idx": True}),
    Model("gpt2_unscaled", "scale_attn_weights false, tie_word_embeddings false, several eos_token_id, pad_token_id 0",
          "gpt2",
          {"decoder_start_token_id": 1, "eos_token_id": [3, 9, 11], "pad_token_id": 0},
          decoder_config={"scale_attn_weights": False, "tie_word_embeddings": False, "n_embd": 16, "n_head": 2}),
]  # fmt: skip


@dataclass
class Generation:
    """What is asked of a model: a batch, and the keyword arguments of `generate`."""

    model: str
    covers: str
    rows: tuple
    options: dict = field(default_factory=dict)
    # Options, or other values for them, under which the sequences or their scores must come out otherwise.
    unlike: dict = field(default_factory=dict)
    # Whether sequences must end at different lengths, so that there is padding behind them.
    padded: bool = False


def beams(count, **options):
    """Options of a beam search."""
    return {"num_beams": count, **options}


G = Generation
GENERATIONS = [
    # bert: what its generation_config.json says, and what a call says instead
    G("bert", "options of generation_config.json", MANY, padded=True),
    G("bert", "the same alone", ONE),
    G("bert", "holes in the mask", HOLES),
    G("bert", "greedy instead of beams", PAIR, beams(1), {"num_beams": 4}),
    G("bert", "greedy, 3-grams may repeat", MANY, beams(1, no_repeat_ngram_size=0), {"no_repeat_ngram_size": 3}),
    G("bert", "early_stopping false instead of true", EVEN, {"early_stopping": False, "length_penalty": 1.0},
      {"early_stopping": True}),
    G("bert", "early_stopping never instead of true", EVEN, {"early_stopping": "never"}, {"early_stopping": True}),
    G("bert", "length_penalty 0.6 instead of 2", MANY, {"length_penalty": 0.6}, {"length_penalty": 2.0}),
    G("bert", "length_penalty 0, beams padded with eos as pad is 0", MANY, {"length_penalty": 0.0, "min_length": 0},
      {"length_penalty": 2.0}, padded=True),
    G("bert", "max_new_tokens goes before max_length of the file", PAIR, {"max_new_tokens": 9}),
    G("bert", "min_length 12", MANY, {"min_length": 12}, {"min_length": 0}),
    G("bert", "eight beams, three sequences", PAIR, beams(8, num_return_sequences=3)),
    G("bert", "greedy, padded with pad 0", MANY, beams(1, min_length=0), padded=True),
    # bert_untied: nothing but ids in the file; pad is eos
    G("bert_untied", "greedy, 20 new tokens by default", MANY, padded=True),
    G("bert_untied", "greedy, holes in the mask", HOLES),
    G("bert_untied", "four beams", MANY, beams(4), padded=True),
    G("bert_untied", "four beams, left padding", LEFT, beams(4)),
    G("bert_untied", "early_stopping true", EVEN, beams(4, early_stopping=True, max_length=24),
      {"early_stopping": False}),
    G("bert_untied", "early_stopping never, length_penalty 2", MANY,
      beams(4, early_stopping="never", length_penalty=2.0, max_length=24), {"early_stopping": False}),
    G("bert_untied", "length_penalty -1", MANY, beams(4, length_penalty=-1.0), {"length_penalty": 1.0}),
    G("bert_untied", "no_repeat_ngram_size 3", PAIR, {"no_repeat_ngram_size": 3, "max_new_tokens": 30},
      {"no_repeat_ngram_size": 0}),
    G("bert_untied", "all beams are returned", PAIR, beams(4, num_return_sequences=4)),
    G("bert_untied", "min_new_tokens 10", MANY, beams(4, min_new_tokens=10), {"min_new_tokens": None}),
    G("bert_untied", "another start token", PAIR, {"decoder_start_token_id": 30}, {"decoder_start_token_id": 3}),
    # bert_older: options from config.json
    G("bert_older", "options of config.json", MANY),
    G("bert_older", "options of config.json, holes in the mask", HOLES),
    G("bert_older", "greedy instead", PAIR, beams(1)),
    G("bert_older", "2-grams may repeat", MANY, {"no_repeat_ngram_size": 0}, {"no_repeat_ngram_size": 2}),
    G("bert_older", "early_stopping false, length_penalty 2", EVEN, {"early_stopping": False, "length_penalty": 2.0},
      {"early_stopping": True}),
    G("bert_older", "early_stopping never, length_penalty 2", EVEN,
      {"early_stopping": "never", "length_penalty": 2.0, "max_length": 24}, {"early_stopping": False}),
    G("bert_older", "max_length 24", PAIR, {"max_length": 24}),
    G("bert_older", "max_new_tokens 1", PAIR, {"max_new_tokens": 1}),
    G("bert_older", "eight beams, eight sequences", ONE, beams(8, num_return_sequences=8)),
    G("bert_older", "other ids that end", MANY, {"eos_token_id": [2, 20, 21, 22]}, {"eos_token_id": 2}, padded=True),
    # roberta: pad is 1
    G("roberta", "greedy", MANY, padded=True),
    G("roberta", "greedy, left padding", LEFT),
    G("roberta", "a written pad_token_id has a position of its own", PAIR, {"forced_bos_token_id": 1}),
    G("roberta", "the same with beams", PAIR, beams(4, forced_bos_token_id=1)),
    G("roberta", "four beams", MANY, beams(4), padded=True),
    G("roberta", "eight beams, holes in the mask", HOLES, beams(8)),
    G("roberta", "early_stopping true, length_penalty 0.6", MANY, beams(4, early_stopping=True, length_penalty=0.6),
      {"early_stopping": False}),
    G("roberta", "repetition_penalty 1.5", PAIR, {"repetition_penalty": 1.5}, {"repetition_penalty": 1.0}),
    G("roberta", "repetition_penalty 1.5 with beams", PAIR, beams(4, repetition_penalty=1.5),
      {"repetition_penalty": 1.0}),
    G("roberta", "bad_words_ids of one, two and three tokens", PAIR,
      {"bad_words_ids": [[10], [11], [12], [13], [0, 20], [0, 21], [14, 15, 16]] + [[i] for i in range(22, 40)]},
      {"bad_words_ids": None}),
    G("roberta", "bad_words_ids with beams", PAIR,
      beams(4, bad_words_ids=[[i, j] for i in range(40, 60) for j in (8, 9)] + [[i] for i in range(10, 20)]),
      {"bad_words_ids": None}),
    # roberta_bos: first and last tokens forced
    G("roberta_bos", "greedy, forced first and last token", MANY),
    G("roberta_bos", "four beams, forced first and last token", MANY, beams(4), {"num_beams": 1}),
    G("roberta_bos", "holes in the mask, two sequences", HOLES, beams(4, num_return_sequences=2)),
    G("roberta_bos", "another first token", PAIR, beams(4, forced_bos_token_id=33), {"forced_bos_token_id": 5}),
    G("roberta_bos", "other last tokens", EVEN, {"forced_eos_token_id": [30, 31], "max_length": 8},
      {"forced_eos_token_id": 6}),
    G("roberta_bos", "early_stopping never", EVEN, beams(4, early_stopping="never", length_penalty=2.0),
      {"early_stopping": True}),
    G("roberta_bos", "min_length 14", MANY, beams(4, min_length=14, length_penalty=0.6), {"min_length": 0}),
    G("roberta_bos", "no_repeat_ngram_size 3, max_length 28", PAIR, beams(4, no_repeat_ngram_size=3, max_length=28),
      {"no_repeat_ngram_size": 0}),
    G("roberta_bos", "max_length 2: nothing but the forced token", PAIR, {"max_length": 2}),
    G("roberta_bos", "pad_token_id of the call", MANY, beams(4, pad_token_id=50), padded=True),
    # gpt2: pad falls back to eos
    G("gpt2", "greedy, padded with eos", MANY, padded=True),
    G("gpt2", "greedy, left padding", LEFT),
    G("gpt2", "four beams, padded with eos", MANY, beams(4), padded=True),
    G("gpt2", "four beams, holes in the mask", HOLES, beams(4)),
    G("gpt2", "eight beams, four sequences", PAIR, beams(8, num_return_sequences=4)),
    G("gpt2", "early_stopping true, length_penalty 2", EVEN,
      beams(4, early_stopping=True, length_penalty=2.0, max_length=20), {"early_stopping": False}),
    G("gpt2", "length_penalty 0.6", MANY, beams(4, length_penalty=0.6), {"length_penalty": 1.0}),
    G("gpt2", "min_length 8, max_length 16", MANY, {"min_length": 8, "max_length": 16}, {"min_length": 0}),
    G("gpt2", "no_repeat_ngram_size 3", PAIR, {"no_repeat_ngram_size": 3, "max_new_tokens": 34},
      {"no_repeat_ngram_size": 0}),
    G("gpt2", "forced_eos_token_id of the call", EVEN, beams(4, forced_eos_token_id=2, max_new_tokens=7),
      {"forced_eos_token_id": None}),
    # gpt2_inner: repetition_penalty in the file; pad is eos
    G("gpt2_inner", "greedy", MANY, {}, {"repetition_penalty": 1.0}),
    G("gpt2_inner", "greedy without repetition_penalty", MANY, {"repetition_penalty": 1.0},
      {"repetition_penalty": 1.3}, padded=True),
    G("gpt2_inner", "four beams", MANY, beams(4), {"repetition_penalty": 1.0}),
    G("gpt2_inner", "repetition_penalty 0.8, eight beams", PAIR, beams(8, repetition_penalty=0.8),
      {"repetition_penalty": 1.0}),
    G("gpt2_inner", "holes in the mask, three sequences", HOLES, beams(4, num_return_sequences=3)),
    G("gpt2_inner", "early_stopping true", EVEN, beams(4, early_stopping=True), {"early_stopping": False}),
    G("gpt2_inner", "two beams", EVEN, beams(2, max_new_tokens=24)),
    G("gpt2_inner", "min_new_tokens 9, length_penalty 0.6", MANY, beams(4, min_new_tokens=9, length_penalty=0.6),
      {"min_new_tokens": None}),
    G("gpt2_inner", "bad_words_ids", PAIR, beams(4, bad_words_ids=[[i] for i in range(20, 40)] + [[4, 10], [4, 11]]),
      {"bad_words_ids": None}),
    # gpt2_unscaled: several tokens end a sequence; pad is 0
    G("gpt2_unscaled", "greedy, padded with 0", MANY, padded=True),
    G("gpt2_unscaled", "four beams, padded with the first eos", MANY, beams(4), padded=True),
    G("gpt2_unscaled", "eight beams, left padding, two sequences", LEFT, beams(8, num_return_sequences=2)),
    G("gpt2_unscaled", "four beams, holes in the mask", HOLES, beams(4)),
    G("gpt2_unscaled", "one eos of the call", MANY, beams(4, eos_token_id=9), {"eos_token_id": [3, 9, 11]}),
    G("gpt2_unscaled", "early_stopping true", EVEN, beams(4, early_stopping=True), {"early_stopping": False}),
    G("gpt2_unscaled", "early_stopping never, length_penalty 2", EVEN,
      beams(4, early_stopping="never", length_penalty=2.0, max_length=24), {"early_stopping": False}),
    G("gpt2_unscaled", "min_length 10", MANY, beams(4, min_length=10), {"min_length": 0}),
    G("gpt2_unscaled", "no_repeat_ngram_size 3", PAIR, beams(4, no_repeat_ngram_size=3, max_new_tokens=36,
      eos_token_id=9), {"no_repeat_ngram_size": 0}),
    G("gpt2_unscaled", "pad_token_id of the call", MANY, {"pad_token_id": 60}, padded=True),
]  # fmt: skip
