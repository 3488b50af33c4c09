"""Makes what generation.py needs, where it is not there: a model with random weights, and inputs.

    generation_models.py BATCHxLENGTH...

The encoder has the shape of DeBERTa-v3-base, the decoder that of the lower half of BERT-base. No token ends a sequence.
"""

import shutil
import sys

import torch
from generation import MODEL
from inputs import END_ID, FIRST_ID
from models import architecture, random_model
from places import WORK
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertLMHeadModel,
    DebertaV2Config,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GenerationConfig,
)

DECODER = {"vocab_size": 30_522, "hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12,
           "intermediate_size": 3072, "is_decoder": True, "add_cross_attention": True}  # fmt: skip
START = 101


# Tables of the decoder are drawn from N(0, spread), its matrices from N(0, spread/sqrt(fan_in)). A name's first match
# says the spread.
SPREADS = {"position_embeddings": 0.15, "word_embeddings": 0.1, "token_type_embeddings": 0.02, "transform.dense": 2.0,
           "attention.output": 0.4, "intermediate": 1.2, "output": 1.2, "": 1.6}  # fmt: skip


def random_decoder():
    """Weights at which the next word hangs on the last ones, its place and the input, and rounding changes none."""
    generator = torch.Generator().manual_seed(20240603)
    model = BertLMHeadModel(BertConfig(**DECODER)).eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            noise = torch.randn(weights.shape, generator=generator)
            spread = next(value for part, value in SPREADS.items() if part in name)
            if name.endswith("LayerNorm.weight"):
                weights.copy_(1 + 0.1 * noise)
            elif name.endswith("bias"):
                weights.copy_(0.02 * noise)
            elif "embeddings" in name:
                weights.copy_(spread * noise)
            else:
                weights.copy_(spread * noise / weights.shape[1] ** 0.5)
    return model


@torch.inference_mode()
def centre(model):
    """Sets the bias of the last norm so that no word is likely whatever was read and written."""
    generator = torch.Generator().manual_seed(20240604)
    ids = torch.randint(FIRST_ID, END_ID, (4, 64), generator=generator)
    written = torch.randint(0, DECODER["vocab_size"], (4, 64), generator=generator)
    found = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    model(input_ids=ids, decoder_input_ids=written)
    hook.remove()
    model.decoder.cls.predictions.transform.LayerNorm.bias.sub_(found[0].mean((0, 1)))


def make_model():
    """The folder, under its own name only when complete."""
    if MODEL.exists():
        return
    encoder, decoder = random_model("base"), random_decoder()
    config = EncoderDecoderConfig.from_encoder_decoder_configs(DebertaV2Config(**architecture("base")), decoder.config)
    model = EncoderDecoderModel(config=config, encoder=encoder, decoder=decoder)
    centre(model.eval())
    model.generation_config = GenerationConfig(decoder_start_token_id=START, pad_token_id=0)
    partial = MODEL.with_name("partial-generation")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    partial.rename(MODEL)


def make_input(batch, length):
    """Ids of ordinary pieces, none masked."""
    path = WORK / "inputs" / f"generation-{batch}x{length}.safetensors"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(batch * 1000 + length)
    ids = torch.randint(FIRST_ID, END_ID, (batch, length), generator=generator)
    partial = path.with_suffix(".partial")
    save_file({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, partial)
    partial.rename(path)


def main():
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    make_model()
    for shape in sys.argv[1:]:
        make_input(*map(int, shape.split("x")))


if __name__ == "__main__":
    main()
