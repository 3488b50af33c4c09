"""Tiny random encoder-decoder models that write different things about different inputs, and their folders.

Import it after the check of the versions.
"""

import copy
import json

import torch
from fixture_files import fresh_folder, generator, write_json, write_tensors
from make_checkpoint_fixtures import save_legacy
from parity_case import BASES
from transformers import EncoderDecoderConfig, EncoderDecoderModel, GenerationConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

BERT = {"vocab_size": 70, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
        "max_position_embeddings": 48, "type_vocab_size": 2}  # fmt: skip
GPT2 = {"vocab_size": 70, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 48}
DECODERS = {"bert": BERT, "roberta": BERT, "gpt2": GPT2}
# What transformers 4 wrote into the encoder's and the decoder's part of a config.json, whatever the model was asked.
# Those of the decoder are read where the top level has no such key, those of the encoder never.
OLDER = {"max_length": 20, "min_length": 0, "num_beams": 1, "early_stopping": False, "length_penalty": 1.0,
         "no_repeat_ngram_size": 0, "do_sample": False, "repetition_penalty": 1.0}  # fmt: skip
OLDER_ENCODER = OLDER | {"eos_token_id": 9, "bos_token_id": 8, "length_penalty": 3.0, "min_length": 15}
OLDER_DECODER = OLDER | {"length_penalty": 0.5, "min_length": 6}

# Tables of the decoder are drawn from N(0, spread), its matrices from N(0, spread/sqrt(fan_in)). A name's first match
# says the spread.
SPREADS = {"wte.": 0.35, "wpe.": 1.2, "word_embeddings": 1.0, "position_embeddings": 1.5, "token_type_embeddings": 0.2,
           "predictions.decoder": 2.5, "lm_head.decoder": 2.5, "lm_head.weight": 2.5, "transform.dense": 2.0,
           "lm_head.dense": 2.0, "crossattention.output": 0.5, "crossattention.c_proj": 0.5, "attention.output": 0.4,
           "attn.c_proj": 0.4, "mlp.": 1.2, "intermediate.": 1.2, "output.": 1.2, "": 1.6}  # fmt: skip
# The norm in front of the scores of words.
LAST_NORMS = {
    "bert": "decoder.cls.predictions.transform.LayerNorm",
    "roberta": "decoder.lm_head.layer_norm",
    "gpt2": "decoder.transformer.ln_f",
}


def config_of(case):
    """The configuration of both parts, as fine-tunes have it."""
    encoder = CONFIG_MAPPING["deberta" if case.family == "v1" else "deberta-v2"]
    encoder = encoder(**{**BASES[case.family], "pad_token_id": 0, **case.encoder_config})
    decoder = CONFIG_MAPPING[case.decoder](**{**DECODERS[case.decoder], **case.decoder_config})
    config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id = case.generation["decoder_start_token_id"]
    config.pad_token_id = case.generation.get("pad_token_id")
    config._attn_implementation = "eager"
    return config


def random_weights(model, gen):
    """Weights at which attention is far from uniform, and a word hangs on the ones before, its place and the input."""
    weights = {}
    for name, tensor in sorted(model.state_dict().items()):
        noise = torch.randn(tensor.shape, generator=gen)
        encoder, table = name.startswith("encoder."), any(part in name for part in ("embeddings", "wte.", "wpe."))
        spread = next(value for part, value in SPREADS.items() if part in name)
        if tensor.dim() == 1 and name.endswith("weight"):
            weights[name] = 1 + 0.1 * noise
        elif name.endswith("bias"):
            weights[name] = (0.2 if encoder else 0.1) * noise
        elif table:
            weights[name] = noise if encoder else spread * noise
        else:
            # GPT-2's Conv1D has the inputs first.
            inputs = tensor.shape[0] if ".transformer.h." in name else tensor[0].numel()
            weights[name] = noise * (1.4 if encoder else spread) / inputs**0.5
    for name, source in model.all_tied_weights_keys.items():
        weights[name] = weights[source]
    return weights


@torch.inference_mode()
def centre(model, gen):
    """Sets the bias of the last norm so that no word is likely whatever was read and written."""
    found = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    ids = torch.randint(4, model.config.encoder.vocab_size, (16, 10), generator=gen)
    written = torch.randint(0, model.config.decoder.vocab_size, (16, 20), generator=gen)
    model(input_ids=ids, decoder_input_ids=written)
    hook.remove()
    model.get_parameter(f"{LAST_NORMS[model.config.decoder.model_type]}.bias").sub_(found[0].mean((0, 1)))


def random_model(case, attempt):
    """A tiny model with the options of its file."""
    model = EncoderDecoderModel(config_of(case)).eval()
    model.load_state_dict(random_weights(model, generator("generation", case.name, attempt)))
    centre(model, generator("centre", case.name, attempt))
    model.generation_config = GenerationConfig(**case.generation)
    return model


def older_tensors(model):
    """All tensors as transformers 4 saved them: tied ones under both names, and the buffer of positions."""
    tensors = dict(model.state_dict())
    for part, config in (("encoder", model.config.encoder), ("decoder.bert", model.config.decoder)):
        tensors[f"{part}.embeddings.position_ids"] = torch.arange(config.max_position_embeddings).expand(1, -1)
    return tensors


def causal_masks(config):
    """The buffers that a GPT-2 has among its weights where an older version of transformers saved it."""
    reach = config.n_positions
    for layer in range(config.n_layer):
        for part in ("attn", "crossattention"):
            name = f"decoder.transformer.h.{layer}.{part}"
            yield f"{name}.bias", torch.ones(reach, reach, dtype=torch.bool).tril().reshape(1, 1, reach, reach)
            yield f"{name}.masked_bias", torch.tensor(-1e4)


def stored_tensors(model):
    """What save_pretrained keeps: tied tensors under one name."""
    tied = model.all_tied_weights_keys
    return {name: tensor for name, tensor in model.state_dict().items() if name not in tied}


def save(case, model, folder):
    """Writes the folder, and returns the model that transformers loads from it."""
    fresh_folder(folder)
    model.save_pretrained(folder)
    if case.mask_buffers:
        write_tensors(folder / "model.safetensors", stored_tensors(model) | dict(causal_masks(model.config.decoder)))
    if case.older:
        (folder / "model.safetensors").unlink()
        (folder / "generation_config.json").unlink()
        save_legacy(older_tensors(model), folder / "pytorch_model.bin")
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        parts = {"encoder": config["encoder"] | OLDER_ENCODER, "decoder": config["decoder"] | OLDER_DECODER}
        # Nothing but the decoder's part says which id pads.
        config.pop("pad_token_id", None)
        write_json(path, config | case.generation | parts)
    for path in folder.iterdir():
        path.chmod(0o644)
    return EncoderDecoderModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def doubled(model):
    """The same model in f64."""
    return copy.deepcopy(model).double()
