"""Makes packages importable that the machine lacks, without a network."""

import os
import zipfile


def unpack(wheels, folder):
    """Unpacks wheels of plain Python; what a wheel needs is not looked at. Returns what went wrong."""
    problems = []
    for wheel in sorted(wheels.glob("*.whl")):
        if not wheel.name.endswith("-none-any.whl"):
            problems.append(f"{wheel.name}: expected a wheel of plain Python, -none-any.whl")
            continue
        # A folder, not the wheel on the path: Triton reads the source of its kernels, and others read their files.
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return problems


def environment(folder):
    """The environment of a process that imports from there."""
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Nothing here is to be looked for on a network.
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
