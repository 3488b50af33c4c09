"""Where things are, and what a case is."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
OURS = TARGET / "release" / "examples"
# Models, exports and inputs: large, made once, never committed.
WORK = TARGET / "compare"
PEERS_RS = WORK / "peers-rs" / "release" / "peers"


@dataclass(frozen=True, order=True)
class Case:
    """A model and the shape of its input, written `base:8x128` or, with lengths of 8 to 128, `base:32x128-ragged`."""

    model: str
    batch: int
    length: int
    ragged: bool = False

    @classmethod
    def parse(cls, text):
        found = re.fullmatch(r"(\w+):([1-9]\d*)x([1-9]\d*)(-ragged)?", text)
        if not found:
            raise ValueError(f"expected MODEL:BATCHxLENGTH, such as base:8x128 or base:32x128-ragged, found {text!r}")
        model, batch, length, ragged = found.groups()
        return cls(model, int(batch), int(length), bool(ragged))

    @property
    def shape(self):
        return f"{self.batch}x{self.length}"

    @property
    def label(self):
        return f"{self.model}:{self.shape}{'-ragged' if self.ragged else ''}"

    @property
    def folder(self):
        return WORK / "models" / self.model

    @property
    def input(self):
        return WORK / "inputs" / f"{self.shape}{'-ragged' if self.ragged else ''}.safetensors"
