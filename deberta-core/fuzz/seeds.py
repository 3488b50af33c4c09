"""Fills corpus/TARGET with the repository's fixtures, for the fuzzer to start from. Needs no package."""

import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "tests" / "fixtures"
# The fuzzer works best on small files; the whole models are no better than the others.
LARGEST = 8000


def seed(target, name, contents):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    if len(contents) <= LARGEST:
        (folder / name).write_bytes(contents)


for path in sorted(FIXTURES.glob("models/*/config.json")):
    seed("config", path.parent.name, path.read_bytes())
for path in sorted(FIXTURES.glob("**/*.index.json")):
    seed("index", path.parent.name, path.read_bytes())
for path in sorted(FIXTURES.glob("checkpoints/*/*.safetensors")):
    seed("safetensors_header", path.parent.name, path.read_bytes())
for path in sorted(FIXTURES.glob("checkpoints/*/*.bin")):
    name = f"{path.parent.name}_{path.stem}"
    seed("pickle", name, path.read_bytes())
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # The pickle alone: the target makes archives around those, with the right checksum.
            pickle = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            seed("pickle", f"{name}_alone", archive.read(pickle))
