"""Writes sequences with `transformers`: takes the arguments of our example `generate` and does the same."""

import argparse
import json
import time

import torch
from safetensors.torch import load_file, save_file
from transformers import EncoderDecoderModel


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "input", "output"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("num-beams", "max-new-tokens", "repeat", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # Attention by the library's choice, which is the faster one for the decoder; DeBERTa has only one.
    model = EncoderDecoderModel.from_pretrained(arguments.model, dtype=torch.float32).eval()
    inputs = load_file(arguments.input)
    options = {"num_beams": arguments.num_beams, "max_new_tokens": arguments.max_new_tokens, "do_sample": False}
    seconds = []
    with torch.inference_mode():
        for _ in range(arguments.repeat):
            start = time.perf_counter()
            sequences = model.generate(**inputs, **options)
            seconds.append(time.perf_counter() - start)
    save_file({"sequences": sequences.contiguous()}, arguments.output)
    print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
