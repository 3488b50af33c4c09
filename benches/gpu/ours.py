"""Our binaries: built beforehand, run as they are, their lines taken over."""

import json
import subprocess
from pathlib import Path

NAME = "ours"


class Ours:
    def __init__(self, folder, model):
        self.kernels, self.forward, self.model = folder / "gpu_bench", folder / "bench", model

    def commands(self, dtype, encoder_shapes, long_shapes, seconds):
        """(the kinds that it measures, command) of the processes that measure a precision."""

        def listed(shapes):
            return ",".join(f"{batch}x{length}" for batch, length in shapes)

        kernels = [self.kernels, "--shapes", listed([*encoder_shapes, *long_shapes])]
        kernels += ["--dtype", dtype, "--seconds", f"{seconds:.3f}"]
        forward = [self.forward, "--model", self.model, "--device", "cuda", "--precision", dtype]
        forward += ["--shapes", listed(encoder_shapes), "--budget", f"{seconds:.3f}"]
        return [(("attention", "linear", "encoder"), kernels), (("forward",), forward)]

    def measure(self, dtype, encoder_shapes, long_shapes, seconds, left):
        """The lines of a turn. `left` says how many seconds remain."""
        for kinds, command in self.commands(dtype, encoder_shapes, long_shapes, seconds):
            # A process that hangs leaves time for the others.
            output, failure = run(command, left() / 2)
            for line in output.splitlines():
                found = as_row(line, dtype)
                if found:
                    yield found
            if failure:
                yield from ({"system": NAME, "what": what, "dtype": dtype, "skipped": failure} for what in kinds)


def run(command, limit):
    """What a command printed, and why it failed if it did."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(limit, 1), check=False)
    except OSError as problem:
        return "", f"{Path(command[0]).name}: {problem.strerror}"
    except subprocess.TimeoutExpired as problem:
        # What it printed before counts. It comes as bytes, whatever was asked for.
        return (problem.stdout or b"").decode(errors="replace"), f"not done after {limit:.0f} s"
    if done.returncode != 0:
        return done.stdout, f"exit {done.returncode}: {done.stderr.strip()[-300:]}"
    return done.stdout, None


def as_row(line, dtype):
    """A line of a binary as a line of the results, or nothing."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    row = {"system": NAME, **found, "dtype": found.get("dtype", dtype)}
    if "median_ms" in row:
        # `bench` times whole forward passes, in milliseconds.
        row["what"] = "forward"
        for name in ("median", "min"):
            row[f"{name}_us"] = round(row.pop(f"{name}_ms") * 1000, 3)
    return row if "what" in row and "median_us" in row else None
