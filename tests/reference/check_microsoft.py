"""Checks that `observe_reference.py` computes Microsoft's heads as Microsoft's own code does.

The fixtures `enhanced_*` and `replaced_*` are made of the layers of `transformers`; here the same code runs on the models
and outputs of Microsoft's implementation, which the repository does not carry: `python check_microsoft.py FOLDER`, with
the folder `expected/microsoft` of the reference data.
"""

import json
import sys
from pathlib import Path

import torch
from fixture_files import require_pinned_versions
from observe_reference import ReplacedTokenDetection, enhanced_decoder
from safetensors.torch import load_file

require_pinned_versions()

from transformers import DebertaV2Config, DebertaV2ForMaskedLM, DebertaV2Model  # noqa: E402


def outputs(folder):
    """What the code of the fixtures makes of one of Microsoft's models."""
    config = json.loads((folder / "config.json").read_text())
    weights, inputs = load_file(folder / "model.safetensors"), load_file(folder / "input.safetensors")
    if config.pop("model_type") == "deberta":  # Microsoft saves v1 under the names of v2
        config |= {"position_buckets": -1, "share_att_key": False}
    head = config.pop("architectures")[0]
    config = DebertaV2Config(**config, legacy=False)
    config._attn_implementation = "eager"
    positions = weights["deberta.embeddings.position_embeddings.weight"]
    if head == "MaskedLanguageModel":
        model = DebertaV2ForMaskedLM(config).eval()
    else:
        model = ReplacedTokenDetection(DebertaV2Model(config), torch.nn.functional.gelu).eval()
    missing, _ = model.load_state_dict(weights, strict=False)
    assert not missing, missing
    with torch.no_grad():
        if head != "MaskedLanguageModel":
            found = model(**inputs)
            return found | {"logits": found["logits"][..., 0]}, inputs
        if config.position_biased_input:
            found = model(**inputs, output_hidden_states=True)
            return {"last_hidden_state": found.hidden_states[-1], "logits": found.logits}, inputs
        return enhanced_decoder(model, positions, inputs), inputs


def main():
    """Compares every case on real tokens."""
    for folder in sorted(path.parent for path in Path(sys.argv[1]).glob("*/config.json")):
        found, inputs = outputs(folder)
        expected, real = load_file(folder / "expected.safetensors"), inputs["attention_mask"].bool()
        gaps = {name: float((found[name] - expected[name])[real].abs().max()) for name in expected}
        print(f"{folder.name:20} " + " ".join(f"{name} {gap:.1e}" for name, gap in gaps.items()))
        assert all(gap < 5e-5 for gap in gaps.values()), "not Microsoft's numbers"


if __name__ == "__main__":
    main()
