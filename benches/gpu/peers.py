"""The other systems, each family in a process of its own that is asked and answers."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
# Seconds that importing PyTorch may take, and that an answer may be late before its process is given up.
START_S, GRACE_S = 120, 30


@dataclass(frozen=True)
class System:
    name: str
    # What runs in one process.
    family: str
    # The kinds of cases that it takes part in.
    kinds: tuple


WHOLE = ("encoder", "forward")
# Those that take least preparation first; what may spoil its process has one of its own.
SYSTEMS = [
    System("torch", "torch", ("attention",)),
    System("sdpa-flash", "torch", ("attention",)),
    System("sdpa-cudnn", "torch", ("attention",)),
    System("cublas", "torch", ("linear",)),
    System("cublas-gelu", "torch", ("linear",)),
    System("cublaslt-gelu", "torch", ("linear",)),
    System("transformers", "torch", WHOLE),
    System("disentangled-flash", "disentangled-flash", ("attention", *WHOLE)),
    System("flashdeberta", "flashdeberta", ("attention", *WHOLE)),
    System("transformers-graph", "transformers-graph", WHOLE),
    System("transformers-compiled", "transformers-compiled", WHOLE),
]


def takes_part(system, case, size):
    """Whether a system does a case."""
    if case.what == "linear" and system.name != "cublas":
        # GELU follows only the layer that widens.
        return system.name in ("cublas-gelu", "cublaslt-gelu") and case.shape[1:] == (size.intermediate, size.hidden)
    return case.what in system.kinds


class Family:
    """A process of `worker.py`. Every question has an answer: when the process fails, the reason why."""

    def __init__(self, name, setup, environment, folder):
        self.log, self.failed = folder / f"{name}.log", None
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, WORKER, json.dumps(setup)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        self.answers = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.failed = self._answer(START_S).get("skipped")

    def _listen(self):
        with self.process.stdout as lines:
            for line in lines:
                self.answers.put(json.loads(line))
        # The end of its output is the end of the process.
        self.answers.put(None)

    def ask(self, do, system, case, seconds):
        """`prepare` or `measure` a case: figures, or {"skipped": why}."""
        if self.failed:
            return {"skipped": self.failed}
        request = {"do": do, "system": system.name, "case": case.fields(), "seconds": seconds}
        # Where it has ended, the answer says how.
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        return self._answer(seconds + GRACE_S)

    def _answer(self, seconds):
        try:
            found = self.answers.get(timeout=seconds)
        except queue.Empty:
            self.close()
            self.failed = f"its process gave no answer in {seconds:.0f} s"
            return {"skipped": self.failed}
        if found is None:
            self.process.wait()
            last = (self.log.read_text(errors="replace").strip().splitlines() or [""])[-1]
            self.failed = f"its process ended with {self.process.returncode}: {last}"[:300]
            return {"skipped": self.failed}
        return found

    def close(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
