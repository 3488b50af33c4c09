"""Times how long `transformers` and ours take to write with an encoder-decoder model, in turn, and prints a table.

    python generation.py [--cases beams,greedy] [--rounds 3] [--repeat 3] [--threads 2] [--out DIR]

The model is made when it is not there. Both must write the same ids, or there is no table. What was measured is in
`generation.jsonl` and the table in `generation.md` in the output folder; both are of one call.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import measure
import systems
from places import HERE, OURS, WORK

MODEL = WORK / "models" / "generation"
# In the order of the table's columns.
SYSTEMS = ["transformers", "ours"]


@dataclass(frozen=True)
class Case:
    """How much is read and written, and by how many beams."""

    name: str
    beams: int
    batch: int = 1
    read: int = 256
    written: int = 64

    @property
    def input(self):
        return WORK / "inputs" / f"generation-{self.batch}x{self.read}.safetensors"

    @property
    def label(self):
        search = "greedy" if self.beams == 1 else f"{self.beams} beams"
        return f"{self.name}: {self.batch}x{self.read} tokens read, {self.written} written, {search}"


CASES = {case.name: case for case in (Case("beams", 4), Case("greedy", 1))}


def command(system, case, threads, repeat, output):
    """Writes `sequences` to a safetensors file and prints a JSON line with the `seconds` of each time."""
    files = ["--model", MODEL, "--input", case.input, "--output", output]
    search = ["--num-beams", case.beams, "--max-new-tokens", case.written]
    program = [OURS / "generate"] if system == "ours" else [sys.executable, HERE / "generation_worker.py"]
    return [*program, *files, *search, "--repeat", repeat, "--threads", threads]


def turn(system, case, arguments):
    """What one process measured, and what it wrote."""
    # Only here: the tests of this file need no package.
    from safetensors.numpy import load_file

    output = WORK / "outputs" / f"generation-{case.name}-{system}.safetensors"
    output.parent.mkdir(parents=True, exist_ok=True)
    # The first time in a process warms up, and does not count.
    words = command(system, case, arguments.threads, arguments.repeat + 1, output)
    done = measure.run(words, systems.environment(arguments.threads), arguments.limit)
    seconds = measure.last_json(done.output)["seconds"][1:]
    line = {"system": system, **asdict(case), "threads": arguments.threads}
    line |= {"seconds": [round(one, 4) for one in seconds], "foreign": round(done.foreign, 3)}
    return line, load_file(output)["sequences"].tolist()


def differences(case, found):
    """Where the systems wrote different ids, or the wrong number of them; nothing where they did not."""
    [first, second] = (found[system] for system in SYSTEMS)
    for row, (one, other) in enumerate(zip(first, second, strict=True)):
        if one != other:
            step = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
            return f"{case.name}: row {row} differs from token {step} on: {one} and {other}"
        if len(one) != case.written + 1:
            return f"{case.name}: expected {case.written} new tokens in row {row}, found {len(one) - 1}"
    return None


def counted(lines, case, system):
    """The median over the turns of each turn's median, and whether other programs ran during all of them."""
    mine = [line for line in lines if (line["name"], line["system"]) == (case.name, system)]
    calm = [line for line in mine if line["foreign"] <= measure.DISTURBED]
    return median(median(line["seconds"]) for line in calm or mine), not calm


def table(lines):
    """A Markdown table, a row for each case."""
    names = dict.fromkeys(line["name"] for line in lines)
    rows, any_disturbed = [], False
    for case in map(CASES.get, names):
        times, texts = {}, []
        for system in SYSTEMS:
            times[system], disturbed = counted(lines, case, system)
            any_disturbed |= disturbed
            texts.append(("~" if disturbed else "") + f"{times[system]:.3f}")
        rows.append([case.label, *texts, f"{times['transformers'] / times['ours']:.2f}"])
    head = ["case", *(f"{system}, s" for system in SYSTEMS), "transformers / ours"]
    rule = ["---"] + ["---:"] * (len(head) - 1)
    text = "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])
    return text + ("\n\n~ Other programs ran during every turn: too high." if any_disturbed else "")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help=f"default: {','.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=3, help="processes per system and case (default: 3)")
    parser.add_argument("--repeat", type=int, default=3, help="times per process that count (default: 3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--limit", type=float, default=600.0, help="most seconds of a process (default: 600)")
    parser.add_argument("--out", type=Path, default=WORK / "results", help="default: target/compare/results")
    arguments = parser.parse_args()
    arguments.cases = arguments.cases.split(",")
    for name in arguments.cases:
        if name not in CASES:
            parser.error(f"--cases: expected {' or '.join(CASES)}, found {name!r}")
    if min(arguments.rounds, arguments.repeat, arguments.threads) < 1 or not arguments.limit > 0:
        parser.error("expected --rounds, --repeat, --threads and --limit above 0")
    return arguments


def prepare(cases):
    """The model and the inputs, where they are not there; in a process of its own, whose memory is then free again."""
    if not (OURS / "generate").exists():
        sys.exit(f"no {OURS / 'generate'}: run prepare.py, or build the example `generate`")
    inputs = [f"{case.batch}x{case.read}" for case in cases]
    measure.run([sys.executable, HERE / "generation_models.py", *inputs], systems.environment(1), 1800)


def main():
    arguments = parse()
    cases = [CASES[name] for name in arguments.cases]
    prepare(cases)
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = []
    with (arguments.out / "generation.jsonl").open("w") as file:
        for number in range(arguments.rounds):
            for case in cases:
                found = {}
                for system in SYSTEMS if number % 2 == 0 else SYSTEMS[::-1]:
                    line, found[system] = turn(system, case, arguments)
                    lines.append(line | {"round": number})
                    print(json.dumps(lines[-1]), file=file, flush=True)
                    print(f"{case.name} {system}: {line['seconds']} s, others {line['foreign']}", file=sys.stderr)
                problem = differences(case, found)
                if problem:
                    sys.exit(problem)
    text = table(lines)
    (arguments.out / "generation.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
