"""Runs ours and the others in turn, and writes tables and charts of what was measured.

    python run.py [--what speed,cold,errors,report] [--shapes base:1x128,base:8x128] [--precision f32,int8]
                  [--systems ours,onnxruntime] [--rounds 3] [--threads 2] [--budget 1] [--out DIR]

Every result is a line of `raw.jsonl` in the output folder; a later call adds to it, and `report.md` and the charts are
made of all lines (`--what report` measures nothing more). Start with an empty folder to start anew.
"""

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import errors
import inputs
import measure
import report
import systems
from places import WORK, Case

SHAPES = [
    "base:1x16",
    "base:1x128",
    "base:1x512",
    "base:8x128",
    "base:8x512",
    "xsmall:1x128",
    "xsmall:8x128",
    "base:32x128-ragged",
]
COLD = Case("base", 1, 128)
ERRORS = [Case("base", 1, 128), Case("base", 2, 300)]
PACKAGES = ["torch", "transformers", "onnxruntime", "openvino", "nncf"]


class Results:
    """The lines of `raw.jsonl`."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "raw.jsonl"
        self.lines = []
        if self.path.exists():
            self.lines = [json.loads(line) for line in self.path.read_text().splitlines()]

    def add(self, **line):
        self.lines.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if line["kind"] != "machine":
            print(" ".join(f"{key}={value}" for key, value in line.items() if key != "kind"), flush=True)

    def next_round(self, kind):
        """Rounds are numbered on from earlier calls, so that their order goes on alternating."""
        return 1 + max((line["round"] for line in self.lines if line["kind"] == kind), default=-1)


def machine():
    """What the numbers depend on."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = {package: metadata.version(package) for package in PACKAGES}
    return {"kind": "machine", "processor": model, "cores": len(os.sched_getaffinity(0)), "versions": versions}


def turns(chosen, number):
    """Systems in turn, in every other round from the last to the first."""
    return chosen if number % 2 == 0 else chosen[::-1]


def attempt(results, kind, system, case, threads, number, action):
    """Adds what an action returns, or why it failed; whether it is worth another turn."""
    line = {
        "kind": kind,
        "system": system.name,
        "precision": system.precision,
        "model": case.model,
        "batch": case.batch,
        "seq": case.length,
        "ragged": case.ragged,
        "threads": threads,
        "round": number,
    }
    absent = systems.missing(system, case)
    if absent:
        print(f"{system.name} {system.precision} {case.label}: left out, no {absent}", file=sys.stderr)
        return False
    try:
        results.add(**line, **action())
    except measure.Failed as failure:
        results.add(**line, error=str(failure))
        return False
    return True


def speed(results, chosen, cases, arguments):
    start, hopeless = results.next_round("speed"), set()
    for number in range(start, start + arguments.rounds):
        for case in cases:
            for precision in arguments.precision:
                able = [s for s in chosen if s.precision == precision and (s, case) not in hopeless]
                for system in turns(able, number):

                    def one(system=system, case=case):
                        command = systems.timing(system, case, arguments.threads, arguments.budget)
                        done = measure.run(command, systems.environment(arguments.threads), arguments.limit)
                        found = measure.last_json(done.output)
                        figures = {key: round(found[key], 3) for key in ("median_ms", "min_ms", "runs")}
                        return figures | {"foreign": round(done.foreign, 3)}

                    if not attempt(results, "speed", system, case, arguments.threads, number, one):
                        hopeless.add((system, case))


def cold(results, chosen, arguments):
    start = results.next_round("cold")
    # One round more than is counted: it brings the files into memory.
    for number in range(start - 1, start + arguments.rounds):
        for system in turns(chosen, number):

            def one(system=system):
                command = systems.first_output(system, COLD, arguments.threads)
                done = measure.run(command, systems.environment(arguments.threads), arguments.limit)
                if done.first is None:
                    raise measure.Failed(f"expected a line `first`, found {done.output[-200:]!r}")
                figures = {"first_s": round(done.first, 3), "exit_s": round(done.seconds, 3)}
                return figures | {"peak_mb": round(done.peak_mb), "foreign": round(done.foreign, 3)}

            if number >= start:
                attempt(results, "cold", system, COLD, arguments.threads, number, one)
            elif not systems.missing(system, COLD):
                try:
                    one()
                except measure.Failed:
                    pass  # It will fail again, where it is recorded.


def numerics(results, chosen, arguments):
    number = results.next_round("errors")
    for case in ERRORS:
        expected = errors.reference(case)
        for system in chosen:

            def one(system=system, case=case, expected=expected):
                path = WORK / "output.safetensors"
                path.unlink(missing_ok=True)
                command = systems.outputs(system, case, arguments.threads, path)
                measure.run(command, systems.environment(arguments.threads), arguments.limit)
                return errors.compare(path, expected)

            attempt(results, "errors", system, case, arguments.threads, number, one)


def parse():
    def listed(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", type=listed, default=["speed"], help="some of speed, cold, errors, report")
    parser.add_argument("--shapes", type=listed, default=SHAPES, help=f"default: {','.join(SHAPES)}")
    parser.add_argument("--precision", type=listed, default=systems.PRECISIONS, help="default: f32,bf16,int8")
    parser.add_argument("--systems", type=listed, help="default: all of systems.py")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every system (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds per turn (default: 1)")
    parser.add_argument("--limit", type=float, default=120.0, help="most seconds of a process (default: 120)")
    parser.add_argument("--out", type=Path, default=WORK / "results", help="default: target/compare/results")
    arguments = parser.parse_args()
    for kind in arguments.what:
        if kind not in ("speed", "cold", "errors", "report"):
            parser.error(f"--what: expected speed, cold, errors or report, found {kind!r}")
    for precision in arguments.precision:
        if precision not in systems.PRECISIONS:
            parser.error(f"--precision: expected f32, bf16 or int8, found {precision!r}")
    if min(arguments.rounds, arguments.threads) < 1 or not min(arguments.budget, arguments.limit) > 0:
        parser.error("expected --rounds, --threads, --budget and --limit above 0")
    try:
        arguments.cases = [Case.parse(text) for text in arguments.shapes]
        arguments.chosen = systems.choose(arguments.precision, arguments.systems)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main():
    arguments = parse()
    results = Results(arguments.out)
    if arguments.what != ["report"]:
        results.add(**machine())
    for case in {*arguments.cases, COLD, *ERRORS}:
        inputs.write(case)

    def chosen(part):
        return [system for system in arguments.chosen if part in system.parts]

    if "speed" in arguments.what:
        speed(results, chosen("speed"), arguments.cases, arguments)
    # Before the errors, which load PyTorch here: a child's peak memory is at least its parent's.
    if "cold" in arguments.what:
        cold(results, chosen("cold"), arguments)
    if "errors" in arguments.what:
        numerics(results, chosen("errors"), arguments)
    for path in report.write(results.lines, arguments.out):
        print(path)


if __name__ == "__main__":
    main()
