"""Tables of a results file.

    python table.py results/NAME.jsonl
"""

import json
import sys
from pathlib import Path
from statistics import median

from cases import KINDS, PRECISIONS, Case
from ours import NAME as OURS
from peers import SYSTEMS

ORDER = {name: place for place, name in enumerate([OURS, *(system.name for system in SYSTEMS)])}
FLAG = "!"
TITLES = {
    "attention": "attention alone",
    "linear": "linear layers, rows: inputs to outputs",
    "encoder": "whole encoder, time of the device",
    "forward": "whole forward pass, ids from and numbers to the host",
}


class Figures:
    """Medians over turns by case and system."""

    def __init__(self, lines):
        self.turns, self.flagged, self.skipped = {}, set(), {}
        for line in lines:
            case = Case.of(line)
            if "skipped" in line:
                key = line["system"], line["what"], line["dtype"], line["skipped"]
                self.skipped.setdefault(key, {})[case.label if case else "all shapes"] = None
            elif case:
                self.turns.setdefault((case, line["system"]), []).append(line["median_us"])
                if line.get("flagged"):
                    self.flagged.add((case, line["system"]))

    def value(self, case, system):
        found = self.turns.get((case, system))
        return median(found) if found else None

    def of(self, what, dtype):
        """The cases and the systems of a table."""
        keys = [key for key in self.turns if (key[0].what, key[0].dtype) == (what, dtype)]
        cases = sorted({case for case, _ in keys}, key=lambda case: case.place)
        return cases, sorted({system for _, system in keys}, key=lambda name: ORDER.get(name, len(ORDER)))


def _cell(figures, case, system):
    value, ours = figures.value(case, system), figures.value(case, OURS)
    if value is None:
        return "–"
    mark = FLAG if (case, system) in figures.flagged else ""
    ratio = f" ({value / ours:.2f})" if ours and system != OURS else ""
    return f"{mark}{microseconds(value)}{ratio}"


def microseconds(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _table(figures, what, dtype):
    cases, systems = figures.of(what, dtype)
    if not cases:
        return []
    rows = [[case.label, *(_cell(figures, case, system) for system in systems)] for case in cases]
    rule = ["---", *["---:"] * len(systems)]
    lines = ["| " + " | ".join(row) + " |" for row in [[f"{dtype}, µs", *systems], rule, *rows]]
    return [f"\n{TITLES[what]}, {dtype}:\n", *lines]


def draw(lines):
    """All tables, and what is missing from them and why."""
    figures, text = Figures(lines), []
    for header in (line for line in lines if line["what"] == "header"):
        versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items() if version)
        text += [f"{header.get('gpu', 'no GPU')}, driver {header.get('driver', '–')}; {versions}; {header['commit']}"]
    for what in KINDS:
        for dtype in PRECISIONS:
            text += _table(figures, what, dtype)
    text.append("\nMedians over turns; in brackets, how many times as long as ours.")
    if figures.flagged:
        text.append(f"{FLAG}: farther from the reference than rounding explains; its time may be of other work.")
    for (system, what, dtype, reason), labels in figures.skipped.items():
        text.append(f"{system}, {what} in {dtype} left out at {', '.join(labels)}: {reason}")
    return "\n".join(text)


if __name__ == "__main__":
    print(draw([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]))
