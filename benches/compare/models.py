"""Models of DeBERTa-v3's shapes with random weights, and their exports for the other systems.

| file | what | who reads it |
|---|---|---|
| `config.json`, `model.safetensors` | f32 weights in Hugging Face layout | ours, PyTorch, candle |
| `int8/` | the same, its linear layers rounded by `convert --precision int8` | ours |
| `traced.onnx`, `traced.int8.onnx` | export by tracing; quantised dynamically | ONNX Runtime, OpenVINO, rten |
| `exported.onnx`, `exported.int8.onnx` | export by `torch.export` | ONNX Runtime |
| `weights8.xml` | 8-bit weights by NNCF, activations quantised when it runs | OpenVINO |
| `static8.xml` | weights and activations quantised by NNCF, calibrated on random ids | OpenVINO |
"""

import json
import logging
import subprocess
import time

import torch
from transformers import DebertaV2Config, DebertaV2Model

from inputs import END_ID, FIRST_ID
from places import OURS, WORK

SIZES = {
    "xsmall": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536},
    "small": {"hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 3072},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
NAMES = ["input_ids", "attention_mask"]


def architecture(size):
    """What the published DeBERTa-v3 models share, in one of their sizes."""
    shared = {
        "vocab_size": 128_100,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "relative_attention": True,
        "max_relative_positions": -1,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "hidden_act": "gelu",
        "pad_token_id": 0,
        "pooler_hidden_size": SIZES[size]["hidden_size"],
        "pooler_hidden_act": "gelu",
        "pooler_dropout": 0.0,
    }
    return shared | SIZES[size]


def random_model(size):
    """Weights large enough that attention is uneven, that positions matter and that every bias and norm shows."""
    generator = torch.Generator().manual_seed(20240601)
    model = DebertaV2Model(DebertaV2Config(**architecture(size))).eval()

    def draw(like, deviation):
        return deviation * torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "word_embeddings" in name:
                weights.copy_(draw(weights, 0.02))
            elif "rel_embeddings" in name:
                weights.copy_(draw(weights, 0.5))
            elif name.endswith("LayerNorm.weight"):
                weights.copy_(1 + draw(weights, 0.1))
            elif name.endswith("bias"):
                weights.copy_(draw(weights, 0.02))
            else:
                weights.copy_(draw(weights, 0.05))
    return model


class LastHiddenState(torch.nn.Module):
    """The encoder with its one output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def export_traced(model, path):
    """TorchScript tracing: every system here reads the result."""
    example = (torch.randint(FIRST_ID, END_ID, (2, 24)), torch.ones(2, 24, dtype=torch.long))
    free = {0: "batch", 1: "length"}
    torch.onnx.export(
        LastHiddenState(model),
        example,
        path,
        input_names=NAMES,
        output_names=["last_hidden_state"],
        dynamic_axes={name: free for name in [*NAMES, "last_hidden_state"]},
        opset_version=17,
        dynamo=False,
    )


def export_graph(model, path):
    """`torch.export`: a tidier graph, which not every system reads."""
    example = (torch.randint(FIRST_ID, END_ID, (2, 24)), torch.ones(2, 24, dtype=torch.long))
    free = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", min=2, max=512)}
    torch.onnx.export(
        LastHiddenState(model),
        example,
        path,
        input_names=NAMES,
        output_names=["last_hidden_state"],
        dynamic_shapes=dict.fromkeys(NAMES, free),
        dynamo=True,
        external_data=False,
    )


def quantise_onnx(source, path):
    """ONNX Runtime's dynamic int8: weights per channel, activations per tensor."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, path, per_channel=True, weight_type=QuantType.QInt8)


def openvino_weights8(source, path):
    """8-bit weights; OpenVINO quantises the activations itself while it runs."""
    import nncf
    import openvino

    model = openvino.Core().read_model(source)
    compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(compressed, path, compress_to_fp16=False)


def openvino_static8(source, path):
    """Post-training quantisation of weights and activations."""
    import nncf
    import numpy as np
    import openvino

    rng = np.random.default_rng(20240602)
    texts = [
        {"input_ids": rng.integers(FIRST_ID, END_ID, (1, 128)), "attention_mask": np.ones((1, 128), np.int64)}
        for _ in range(12)
    ]
    quantised = nncf.quantize(
        openvino.Core().read_model(source),
        nncf.Dataset(texts),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
    )
    openvino.save_model(quantised, path, compress_to_fp16=False)


def make(size):
    """Makes what is missing of a model's files; an export that fails is reported and left out."""
    folder = WORK / "models" / size
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.safetensors").exists():
        random_model(size).save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
        # Published configurations have them; the library leaves out what equals its own defaults.
        (folder / "config.json").write_text(json.dumps(config | architecture(size), indent=2) + "\n")

    def model():
        return DebertaV2Model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    exports = [
        ("traced.onnx", lambda path: export_traced(model(), path)),
        ("exported.onnx", lambda path: export_graph(model(), path)),
        ("traced.int8.onnx", lambda path: quantise_onnx(folder / "traced.onnx", path)),
        ("exported.int8.onnx", lambda path: quantise_onnx(folder / "exported.onnx", path)),
        ("weights8.xml", lambda path: openvino_weights8(folder / "traced.onnx", path)),
        ("static8.xml", lambda path: openvino_static8(folder / "traced.onnx", path)),
    ]
    for name, export in exports:
        path = folder / name
        if path.exists():
            continue
        start = time.monotonic()
        # The name keeps its ending (the writers look at it); the final name appears with the complete file.
        partial = path.with_name("partial." + name)
        try:
            export(partial)
        except Exception as error:  # noqa: BLE001  (any peer's exporter may fail in its own way; the others go on)
            logging.warning("%s: %s failed: %s: %s", size, name, type(error).__name__, str(error)[:500])
            continue
        weights = partial.with_suffix(".bin")
        if weights.exists():
            weights.rename(path.with_suffix(".bin"))
        partial.rename(path)
        print(f"{size}: {name}, {time.monotonic() - start:.0f} s", flush=True)
    if not (folder / "int8").exists():
        subprocess.run([OURS / "convert", folder, folder / "int8", "--precision", "int8"], check=True)
