"""Linear layers by cuBLAS, through PyTorch."""

import torch

# Without an activation; with GELU as a second kernel; with its approximation by tanh inside of the product.
PEERS = ["cublas", "cublas-gelu", "cublaslt-gelu"]


def has(system, shape, size):
    """Only the layer that widens is followed by GELU."""
    return system == "cublas" or shape[1:] == (size.intermediate, size.hidden)


def candidates(system, shape, dtype, device):
    """(name, call) of the one way."""
    rows, outputs, inputs = shape
    generator = torch.Generator(device).manual_seed(20240602)
    x = torch.randn(rows, inputs, generator=generator, device=device).to(dtype)
    weight = (torch.randn(outputs, inputs, generator=generator, device=device) / inputs**0.5).to(dtype)
    bias = torch.randn(outputs, generator=generator, device=device).to(dtype)
    linear, gelu = torch.nn.functional.linear, torch.nn.functional.gelu
    if system == "cublas":
        yield "", lambda: linear(x, weight, bias)
    elif system == "cublas-gelu":
        yield "", lambda: gelu(linear(x, weight, bias))
    else:
        yield "", lambda: torch._addmm_activation(bias, x, weight.t(), use_gelu=True)


def tflops(shape, microseconds):
    rows, outputs, inputs = shape
    return round(2 * rows * outputs * inputs / microseconds / 1e6, 2)
