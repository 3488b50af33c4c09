"""The process of one family of peers: it prepares and measures what it is asked for, a JSON line each.

    worker.py '{"model": FOLDER, "size": "base", "device": "cuda", "lengths": [16, 128]}'

A process of its own for each family: a kernel that fails, or that never ends, takes none of the others with it.
"""

import json
import os
import signal
import sys
import time

import attention
import encoder
import linear
import model
import timing
import torch
from cases import SIZES, Case

DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}
# Seconds to find out which of several launch configurations is the fastest, each.
TRIAL_S = 0.01


class Prepared:
    """A case that has run at least once: ways to do it, of which the fastest is measured."""

    def __init__(self, ways, recorded, notes):
        self.ways, self.recorded, self.notes = ways, recorded, notes
        self.replay, self.output, self.inside, self.repeats = None, None, 1, 1

    def choose(self, device, calls=None):
        """Decides how it is measured: once, and while nothing else runs on the device."""
        if len(self.ways) > 1:
            times = [timing.on_device(run, TRIAL_S, device)["min_us"] for _, run in self.ways]
            self.ways = [self.ways[times.index(min(times))]]
        name, run = self.ways[0]
        self.notes |= {"configuration": name} if name else {}
        calls = calls or timing.repeats_for(run, device)
        self.replay, self.repeats = run, calls
        self.notes["graph"] = False
        if device.type == "cuda" and self.recorded != encoder.NEVER:
            try:
                graph, self.output = timing.record(run, calls)
            except Exception as problem:  # What cannot be recorded says so in many ways.
                torch.cuda.synchronize()
                if self.recorded == encoder.ALWAYS:
                    raise
                self.notes["not_recorded"] = said(problem)
            else:
                self.replay, self.inside, self.repeats = graph.replay, calls, 1
                self.notes["graph"] = True

    def __call__(self):
        """Does it, and returns its output where there is one to read."""
        output = self.replay()
        return self.output if self.notes["graph"] else output


class Worker:
    def __init__(self, setup):
        self.folder, self.size, self.lengths = setup["model"], SIZES[setup["size"]], setup["lengths"]
        self.device = torch.device(setup["device"])
        self.prepared, self.models, self.errors = {}, {}, {}

    def prepare(self, system, case, seconds):
        if case.what == "forward":
            # The encoder again, with the ways to it and from it.
            case = Case("encoder", case.dtype, case.shape)
        if (system, case) not in self.prepared:
            self.prepared[system, case] = getattr(self, case.what)(system, case, time.monotonic() + seconds)
        return {"ready": True}

    def attention(self, system, case, end):
        dtype = DTYPES[case.dtype]
        ways = []
        try:
            for name, run in attention.candidates(system, case.shape, self.size, dtype, self.device):
                run()
                timing.synchronize(self.device)
                ways.append((name, run))
                # What has been compiled by then suffices.
                if time.monotonic() > end - 2:
                    break
        except Exception:
            # A configuration too large for the device, or one that took too long: those before it suffice.
            if not ways:
                raise
        notes = self.judge(
            system, case, attention.TOLERANCE, lambda: attention.error(system, self.size, dtype, self.device)
        )
        return Prepared(ways, encoder.IF_POSSIBLE, notes)

    def linear(self, system, case, end):
        ways = list(linear.candidates(system, case.shape, DTYPES[case.dtype], self.device))
        ways[0][1]()
        timing.synchronize(self.device)
        return Prepared(ways, encoder.IF_POSSIBLE, {})

    def encoder(self, system, case, end):
        key = system, case.dtype
        if key not in self.models:
            dtype = DTYPES[case.dtype]
            self.models[key] = encoder.build(system, self.folder, dtype, self.device, self.lengths)
        encode = self.models[key]
        ids = model.random_ids(case.shape, self.size).to(self.device)
        mask = torch.ones_like(ids)

        def run():
            return encode(ids, mask)

        run()
        timing.synchronize(self.device)
        notes = self.judge(system, case, encoder.TOLERANCE, lambda: encoder.error(encode, self.folder, self.device))
        prepared = Prepared([("", run)], encoder.PEERS[system], notes)
        prepared.ids = ids
        return prepared

    def judge(self, system, case, tolerance, measure):
        """The error of a system, measured once per kind and precision."""
        key = system, case.what, case.dtype
        if key not in self.errors:
            self.errors[key] = measure()
        # Written so that NaN is flagged too.
        notes = {"error": float(f"{self.errors[key]:.3g}")}
        return notes if self.errors[key] <= tolerance[case.dtype] else notes | {"flagged": True}

    def measure(self, system, case, seconds):
        whole = case.what in ("encoder", "forward")
        prepared = self.prepared[system, Case("encoder" if whole else case.what, case.dtype, case.shape)]
        if prepared.replay is None:
            prepared.choose(self.device, calls=1 if whole else None)
        if case.what == "forward":
            ids = prepared.ids.cpu()

            def run():
                prepared.ids.copy_(ids)
                return prepared().cpu()

            figures = timing.on_host(run, seconds, self.device)
        else:
            figures = timing.on_device(prepared, seconds, self.device, prepared.repeats, prepared.inside)
        if case.what == "linear":
            figures["tflops"] = linear.tflops(case.shape, figures["median_us"])
        return figures | prepared.notes


def said(problem):
    """An exception in a line."""
    lines = str(problem).strip().splitlines() or [""]
    return f"{type(problem).__name__}: {lines[0]}"[:300]


def late(_signal, _frame):
    raise TimeoutError("took longer than there was time")


def answer(worker, request):
    case = Case.of(request["case"])
    seconds = request["seconds"]
    try:
        if request["do"] == "measure":
            return worker.measure(request["system"], case, seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return worker.prepare(request["system"], case, seconds)
    except Exception as problem:  # noqa: BLE001  (a peer may fail in its own way; the others go on)
        return {"skipped": said(problem)}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main():
    # Libraries may print: what they do goes to the log, and answers to where they cannot.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, late)
    torch.set_grad_enabled(False)
    setup = json.loads(sys.argv[1])
    if setup["device"] == "cuda" and not torch.cuda.is_available():
        hello = {"skipped": "PyTorch finds no GPU"}
    else:
        hello = {"torch": torch.__version__, "cuda": torch.version.cuda}
    print(json.dumps(hello), file=answers)
    worker = Worker(setup)
    for line in sys.stdin:
        print(json.dumps(answer(worker, json.loads(line))), file=answers)


if __name__ == "__main__":
    main()
