"""What is measured: kinds, shapes, and the sizes of the model."""

import re
from dataclasses import dataclass

PRECISIONS = ["f16", "bf16", "f32"]
ENCODER_SHAPES = ["1x16", "1x128", "1x512", "8x128", "8x512", "32x128"]
# Attention alone is measured at these too: as many tokens as 8x512, in ever longer texts.
LONG_SHAPES = ["4x1024", "2x2048", "1x4096"]

# What a dry run replaces them by.
TINY_ENCODER_SHAPES, TINY_LONG_SHAPES = ["1x16", "2x24"], ["1x48"]

# The order of the tables. `encoder` is timed on the device, `forward` from ids on the host to numbers on the host.
KINDS = ["attention", "linear", "encoder", "forward"]


@dataclass(frozen=True)
class Size:
    """The sizes of a model."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int

    @property
    def head(self):
        return self.hidden // self.heads

    @property
    def linears(self):
        """(outputs, inputs) of the linear layers of one layer, query, key and value being one."""
        up, down = (self.intermediate, self.hidden), (self.hidden, self.intermediate)
        return [(3 * self.hidden, self.hidden), (self.hidden, self.hidden), up, down]


# Heads have 64 numbers in both, which is what the kernels of all systems are written for.
SIZES = {"base": Size(768, 12, 12, 3072, 128_100), "tiny": Size(128, 2, 2, 256, 1000)}
# Of all published DeBERTa-v3 models.
BUCKETS, MAX_POSITIONS = 256, 512


@dataclass(frozen=True)
class Case:
    """One thing that several systems do: a kind, a precision, and (batch, length) or (rows, outputs, inputs)."""

    what: str
    dtype: str
    shape: tuple

    def fields(self):
        """As a line of the results says it."""
        return {"what": self.what, "dtype": self.dtype, **dict(zip(_names(self.what), self.shape, strict=True))}

    @classmethod
    def of(cls, line):
        """The case of a line, if it is of a known kind and names its shape."""
        names = _names(line.get("what"))
        if line.get("what") not in KINDS or not all(name in line for name in ("dtype", *names)):
            return None
        return cls(line["what"], line["dtype"], tuple(line[name] for name in names))

    @property
    def label(self):
        if self.what == "linear":
            rows, outputs, inputs = self.shape
            return f"{rows}: {inputs} to {outputs}"
        return "{}x{}".format(*self.shape)

    @property
    def place(self):
        """Sorts the cases of a table."""
        return (self.shape[0] * self.shape[1], self.shape) if self.what != "linear" else (self.shape[0], self.shape)


def _names(what):
    return ("rows", "outputs", "inputs") if what == "linear" else ("batch", "seq")


def parse_shape(text):
    """(batch, length) of `8x128`."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise ValueError(f"expected BATCHxLENGTH, such as 8x128, found {text!r}")
    return int(found[1]), int(found[2])


def all_cases(dtype, encoder_shapes, long_shapes, size):
    """Every case of a precision, the kinds that take little preparation first."""
    both = [*encoder_shapes, *long_shapes]
    tokens = sorted({batch * length for batch, length in both})
    return [
        *(Case("attention", dtype, shape) for shape in both),
        *(Case("linear", dtype, (rows, *layer)) for rows in tokens for layer in size.linears),
        *(Case("encoder", dtype, shape) for shape in encoder_shapes),
        *(Case("forward", dtype, shape) for shape in encoder_shapes),
    ]
