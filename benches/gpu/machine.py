"""What the numbers depend on: the GPU, its clocks, and versions."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata

PACKAGES = ["torch", "triton", "transformers", "disentangled-flash", "flashdeberta"]
STATE = {
    "clock_sm_mhz": "clocks.sm",
    "clock_memory_mhz": "clocks.mem",
    "power_w": "power.draw",
    "temperature_c": "temperature.gpu",
}
CARD = {
    "gpu": "name",
    "driver": "driver_version",
    "memory_mib": "memory.total",
    "clock_sm_most_mhz": "clocks.max.sm",
    "clock_memory_most_mhz": "clocks.max.mem",
    "power_limit_w": "power.limit",
}


def ask(fields):
    """Values that nvidia-smi gives for the first GPU; nothing where there is none."""
    command = ["nvidia-smi", f"--query-gpu={','.join(fields.values())}", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in output.splitlines()[0].split(",")]
    return dict(zip(fields, map(_number, values), strict=True))


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def _version(package, paths):
    """The version of a package, installed or unpacked."""
    found = next(iter(metadata.distributions(name=package, path=paths)), None)
    return found.version if found else None


def header(commit, paths, arguments):
    return {
        "what": "header",
        **ask(CARD | STATE),
        "processor_cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {package: _version(package, paths) for package in PACKAGES},
        "commit": commit,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "arguments": arguments,
    }


def clocks(turn):
    """Read just after a turn: clocks that fell since the one before make both sides slower."""
    return {"what": "clocks", "turn": turn, **ask(STATE)}
