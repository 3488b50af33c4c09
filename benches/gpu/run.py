"""Times our CUDA kernels and the other implementations on one GPU, in turn, and writes every figure as a JSON line.

    python run.py --bin DIR --commit HASH --output results/NAME.jsonl [--wheels DIR] [--precision f16,bf16]
                  [--budget 480] [--turns 3] [--shapes 8x128,8x512] [--long-shapes 1x4096] [--systems ours,torch]
    python run.py --dry-run

Needs no network and no Rust. Stops in time whatever happens: what was measured until then is in the file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import machine
import ours
import table
import wheels
from cases import (
    ENCODER_SHAPES,
    LONG_SHAPES,
    PRECISIONS,
    SIZES,
    TINY_ENCODER_SHAPES,
    TINY_LONG_SHAPES,
    all_cases,
    parse_shape,
)
from peers import SYSTEMS, Family, takes_part

HERE = Path(__file__).resolve().parent
# Made once, never committed.
WORK = HERE.parents[1] / "target" / "gpu-models"
# Of the budget, for starting, compiling and checking; and the most for one case.
PREPARING, CASE_S = 0.5, 90.0
# Of what is left, for timing itself; the rest is for starts and warming up. The least and most seconds per figure.
TIMING, LEAST_S, MOST_S = 0.5, 0.02, 0.25
# The length at which encoders are checked: see `model.py`.
CHECKED_LENGTH = 40


class Results:
    """The lines, printed and written as they come."""

    def __init__(self, path):
        self.lines, self.lock = [], threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w")

    def add(self, line):
        with self.lock:
            self.lines.append(line)
            text = json.dumps(line)
            print(text, flush=True)
            self.file.write(text + "\n")
            self.file.flush()


class Budget:
    def __init__(self, seconds):
        self.end, self.seconds = time.monotonic() + seconds, seconds

    def left(self):
        return self.end - time.monotonic()


def make_model(folder, size, environment):
    """The checkpoint, by a process of its own: this one needs no PyTorch."""
    command = [sys.executable, HERE / "model.py", folder, size]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"no model: {done.stderr.strip()[-2000:]}")


def prepare(systems, cases, setup, environment, folder, results, until):
    """Starts the families, all at once, and has them prepare their cases: compiling needs processors, not the GPU."""
    size = SIZES[setup["size"]]

    def family(name):
        members = [system for system in systems if system.family == name]
        process, ready = Family(name, setup, environment, folder), []
        for case in cases:
            for system in members:
                if not takes_part(system, case, size):
                    continue
                seconds = min(CASE_S, until - time.monotonic())
                if seconds < 1:
                    answer = {"skipped": "no time was left to prepare it"}
                else:
                    answer = process.ask("prepare", system, case, seconds)
                if "skipped" in answer:
                    results.add({"system": system.name, **case.fields(), **answer})
                else:
                    ready.append((system, case))
        return process, ready

    names = list(dict.fromkeys(system.family for system in systems))
    at_once = max(1, min(len(names), len(os.sched_getaffinity(0)) // 2))
    with ThreadPoolExecutor(at_once) as pool:
        done = dict(zip(names, pool.map(family, names), strict=True))
    ready = {system.name: [] for system in systems}
    for _, found in done.values():
        for system, case in found:
            ready[system.name].append(case)
    return {name: process for name, (process, _) in done.items()}, ready


class Turns:
    """Measures all systems in turn, in every other turn from the last to the first."""

    def __init__(self, arguments, systems, families, ready, mine, results, budget):
        self.arguments, self.families, self.ready, self.mine = arguments, families, ready, mine
        self.results, self.budget = results, budget
        self.order = [ours.NAME] * (mine is not None) + systems
        shapes = len(arguments.shapes), len(arguments.long_shapes)
        # Of each shape attention, four linear layers and the encoder, of some the forward pass.
        lines_of_ours = (7 * shapes[0] + 6 * shapes[1]) * len(arguments.precision) if mine else 0
        figures = arguments.turns * (lines_of_ours + sum(map(len, ready.values())))
        self.seconds = max(LEAST_S, min(MOST_S, TIMING * budget.left() / max(figures, 1)))

    def one(self, system, dtype, turn):
        if system == ours.NAME:
            shapes = self.arguments.shapes, self.arguments.long_shapes
            for row in self.mine.measure(dtype, *shapes, self.seconds, self.budget.left):
                self.results.add(row | {"turn": turn})
            return
        for case in [case for case in self.ready[system.name] if case.dtype == dtype]:
            if self.budget.left() <= 0:
                return
            answer = self.families[system.family].ask("measure", system, case, self.seconds)
            self.results.add({"system": system.name, **case.fields(), "turn": turn, **answer})
            if "skipped" in answer:
                self.ready[system.name].remove(case)

    def stop(self, turn, reason):
        self.results.add({"what": "stopped", "turn": turn, "reason": reason})

    def all(self):
        longest = 0.0
        for turn in range(self.arguments.turns):
            if self.budget.left() < longest:
                self.stop(turn, "no time was left for another turn")
                return
            start = time.monotonic()
            for dtype in self.arguments.precision:
                for system in self.order if turn % 2 == 0 else self.order[::-1]:
                    if self.budget.left() <= 0:
                        self.stop(turn, "the budget was spent")
                        return
                    self.one(system, dtype, turn)
            self.results.add(machine.clocks(turn))
            longest = max(longest, time.monotonic() - start)


def parse():
    def listed(text):
        return [part for part in text.split(",") if part]

    names = [ours.NAME, *(system.name for system in SYSTEMS)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, help="the folder of `bench` and `gpu_bench`")
    parser.add_argument("--output", type=Path, default=WORK / "results.jsonl", help="default: beside the models")
    parser.add_argument("--commit", default="unknown", help="of the binaries; written to the results")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels of what the machine lacks")
    parser.add_argument("--models", type=Path, default=WORK, help="default: target/gpu-models")
    parser.add_argument("--precision", type=listed, default=["f16", "bf16"], help="default: f16,bf16")
    parser.add_argument("--shapes", type=listed, help=f"default: {','.join(ENCODER_SHAPES)}")
    parser.add_argument("--long-shapes", type=listed, help=f"of attention alone; default: {','.join(LONG_SHAPES)}")
    parser.add_argument("--systems", type=listed, default=names, help=f"default: {','.join(names)}")
    parser.add_argument("--budget", type=float, default=480.0, help="seconds for all (default: 480)")
    parser.add_argument("--turns", type=int, default=3, help="of every system (default: 3)")
    parser.add_argument("--dry-run", action="store_true", help="follows the whole way on a processor, with tiny shapes")
    arguments = parser.parse_args()
    unknown = [*set(arguments.precision).difference(PRECISIONS), *set(arguments.systems).difference(names)]
    if unknown:
        parser.error(f"expected precisions of {','.join(PRECISIONS)} and systems of {','.join(names)}, found {unknown}")
    if arguments.turns < 1 or arguments.budget <= 0:
        parser.error("expected --turns and --budget above 0")
    if not arguments.dry_run and ours.NAME in arguments.systems and not arguments.bin:
        parser.error("expected --bin, the folder of our binaries")
    tiny = arguments.dry_run
    try:
        for name, few, many in [
            ("shapes", TINY_ENCODER_SHAPES, ENCODER_SHAPES),
            ("long_shapes", TINY_LONG_SHAPES, LONG_SHAPES),
        ]:
            given = getattr(arguments, name)
            chosen = (few if tiny else many) if given is None else given
            setattr(arguments, name, [parse_shape(text) for text in chosen])
    except ValueError as problem:
        parser.error(str(problem))
    return arguments


def main():
    arguments = parse()
    budget = Budget(arguments.budget)
    results = Results(arguments.output)
    size, device = ("tiny", "cpu") if arguments.dry_run else ("base", "cuda")
    model = arguments.models / size
    systems = [system for system in SYSTEMS if system.name in arguments.systems]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        packages = folder / "packages"
        problems = wheels.unpack(arguments.wheels, packages) if arguments.wheels else []
        # Paths are left out: results are to be read elsewhere.
        given = {name: value for name, value in vars(arguments).items() if not isinstance(value, Path | None)}
        results.add(machine.header(arguments.commit, [str(packages), *sys.path], given))
        for problem in problems:
            results.add({"what": "note", "reason": problem})
        environment = wheels.environment(packages)
        make_model(model, size, environment)
        cases = [
            case
            for dtype in arguments.precision
            for case in all_cases(dtype, arguments.shapes, arguments.long_shapes, SIZES[size])
        ]
        lengths = sorted({length for _, length in arguments.shapes} | {CHECKED_LENGTH})
        setup = {"model": str(model), "size": size, "device": device, "lengths": lengths}
        until = budget.end - (1 - PREPARING) * budget.seconds
        families, ready = prepare(systems, cases, setup, environment, folder, results, until)
        try:
            mine = ours.Ours(arguments.bin or WORK, model) if ours.NAME in arguments.systems else None
            Turns(arguments, systems, families, ready, mine, results, budget).all()
        finally:
            for process in families.values():
                process.close()
    print(table.draw(results.lines))


if __name__ == "__main__":
    main()
