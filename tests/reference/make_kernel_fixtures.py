"""Writes tests/fixtures/kernels: activations, LayerNorm and softmax by PyTorch in float64.

Every input is exactly an f32 number; the outputs are those of float64 arithmetic on it.
"""

import torch
from fixture_files import FIXTURES, generator, require_pinned_versions, write_rows

require_pinned_versions()

from transformers.activations import ACT2FN  # noqa: E402  (after the check, so that a wrong version is named first)

KERNELS = FIXTURES / "kernels"
ACTIVATIONS = [
    "gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate", "gelu_10", "quick_gelu", "relu",
    "relu2", "relu6", "leaky_relu", "silu", "swish", "sigmoid", "tanh", "mish", "laplace", "linear",
]  # fmt: skip
EXTREMES = [1e-45, 1.2e-38, 1e-20, 1e-8, 1e-4, 1e-3, 0.01, 0.03, 25.0, 40.0, 87.0, 88.8, 89.5, 104.0, 710.0, 1e4, 1e10, 1e15]


def f32_list(values):
    """The values rounded to f32, as numbers that JSON gives back exactly."""
    return torch.as_tensor(values, dtype=torch.float64).float().double().tolist()


def write_activations():
    """One list of [x, f(x)] for each name of ACT2FN."""
    grid = [i * 0.09375 for i in range(-214, 215)]
    x = torch.tensor(f32_list(sorted(grid + EXTREMES + [-e for e in EXTREMES])), dtype=torch.float64)
    tables = {name: list(zip(x.tolist(), ACT2FN[name](x).tolist(), strict=True)) for name in ACTIVATIONS}
    lines = {name: [pairs[i : i + 8] for i in range(0, len(pairs), 8)] for name, pairs in tables.items()}
    text = []
    for name, chunks in lines.items():
        rows = ",\n".join(", ".join(f"[{a!r},{b!r}]" for a, b in chunk) for chunk in chunks)
        text.append(f'"{name}": [\n{rows}\n]')
    (KERNELS / "activations.json").write_text("{\n" + ",\n".join(text) + "\n}\n")


def write_layer_norm():
    """Rows of many sizes, with means and spreads that cost naive formulas their digits."""
    samples = []
    kinds = (
        ("plain", 1e-7, 0.0, 1.0), ("offset", 1e-7, 300.0, 1.0), ("large offset", 1e-7, 1e4, 0.5),
        ("small spread", 1e-7, 0.0, 1e-4), ("large epsilon", 1e-2, 1.0, 0.1), ("constant", 1e-7, 3.0, 0.0),
    )  # fmt: skip
    for size in (1, 2, 7, 32, 100, 384):
        for kind, eps, mean, spread in kinds:
            gen = generator("layer_norm", size, kind)
            x = (mean + spread * torch.randn(size, generator=gen)).double()
            weight = (1 + 0.1 * torch.randn(size, generator=gen)).double()
            bias = (0.2 * torch.randn(size, generator=gen)).double()
            y = torch.nn.functional.layer_norm(x, (size,), weight, bias, eps)
            samples.append({"kind": kind, "eps": eps, "x": x.tolist(), "weight": weight.tolist(),
                            "bias": bias.tolist(), "y": y.tolist()})  # fmt: skip
    write_rows(KERNELS / "layer_norm.json", {"samples": samples})


def write_softmax():
    """Rows of many sizes: plain, far from zero, wide, and with entries masked by the least f32."""
    samples = []
    for size in (1, 2, 5, 17, 64, 200):
        for kind, mean, spread in (("plain", 0.0, 1.0), ("far", 5000.0, 3.0), ("wide", 0.0, 60.0), ("masked", 0.0, 2.0)):
            gen = generator("softmax", size, kind)
            x = mean + spread * torch.randn(size, generator=gen)
            if kind == "masked" and size > 1:
                x[torch.randperm(size, generator=gen)[: size // 2]] = torch.finfo(torch.float32).min
            x = x.double()
            samples.append({"kind": kind, "x": x.tolist(), "y": torch.softmax(x, 0).tolist()})
    write_rows(KERNELS / "softmax.json", {"samples": samples})


def main():
    """All three files; slots.json beside them is another script's."""
    KERNELS.mkdir(parents=True, exist_ok=True)
    write_activations()
    write_layer_norm()
    write_softmax()
    for file in sorted(KERNELS.iterdir()):
        print(f"{file.name}: {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
