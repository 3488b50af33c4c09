"""Measures processes: their own answer, their time and memory, and whether something else ran meanwhile."""

import json
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
# Cores' worth of other work from which on a measurement counts as disturbed.
DISTURBED = 0.1


class Failed(Exception):
    """A process that did not do what it was started for."""


@dataclass
class Finished:
    """What a process printed and took."""

    output: str
    # Seconds to the line that starts with `first`, if one came.
    first: float | None
    seconds: float
    # At least what this process had when it started the other.
    peak_mb: float
    # Cores kept busy by others, the hypervisor included.
    foreign: float


def _machine_seconds():
    """Seconds of all cores spent on anything: user, nice, system, interrupts, and stolen by the hypervisor."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _wait, hard, soft, stolen, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + hard + soft + stolen) / TICKS


def _own_seconds():
    own = os.times()
    return own.user + own.system


def run(command, environment, limit):
    """Runs a command to its end, or to so many seconds."""
    machine, own, start = _machine_seconds(), _own_seconds(), time.perf_counter()
    # A file, not a pipe: a system that warns at length must not wait for a reader.
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        late = threading.Timer(limit, process.kill)
        late.start()
        first, lines = None, []
        with process.stdout as stdout:
            for line in stdout:
                if first is None and line.startswith("first"):
                    first = time.perf_counter() - start
                lines.append(line)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        late.cancel()
        seconds = time.perf_counter() - start
        if process.returncode != 0 and seconds >= limit:
            raise Failed(f"not done after {limit:.0f} s")
        if process.returncode != 0:
            errors.seek(0)
            raise Failed(f"exit {process.returncode}: {errors.read().strip()[-400:]}")
    foreign = _machine_seconds() - machine - (usage.ru_utime + usage.ru_stime) - (_own_seconds() - own)
    return Finished("".join(lines), first, seconds, usage.ru_maxrss / 1024, max(0.0, foreign / seconds))


def last_json(output):
    """The last JSON line of what a process printed."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise Failed(f"expected a JSON line, found {output[-200:]!r}")
