"""Tables and charts of the lines of `raw.jsonl`."""

from statistics import median

import chart
from measure import DISTURBED
from places import Case
from systems import PRECISIONS, SYSTEMS

OURS = "ours"
DISTURBED_MARK = "~"
ORDER = {(system.name, system.precision): place for place, system in enumerate(SYSTEMS)}


class Figures:
    """Values of one kind of line by system, precision and case; the median over rounds."""

    def __init__(self, lines, kind, threads):
        self.found, self.left_out, self.failed, self.disturbed = {}, 0, {}, set()
        for line in lines:
            if line["kind"] != kind or line["threads"] != threads:
                continue
            key = (line["precision"], Case(line["model"], line["batch"], line["seq"], line["ragged"]), line["system"])
            if "error" in line:
                self.failed[key] = line["error"]
            else:
                self.found.setdefault(key, []).append(line)
        for key, turns in self.found.items():
            # Turns during which something else ran do not count where there are others.
            calm = [turn for turn in turns if turn.get("foreign", 0) <= DISTURBED]
            if calm and len(calm) < len(turns):
                self.left_out += len(turns) - len(calm)
                self.found[key] = calm
            elif not calm:
                self.disturbed.add(key)

    def value(self, precision, case, system, name):
        """The median of a value over the turns, if there are any."""
        turns = self.found.get((precision, case, system))
        return median(turn[name] for turn in turns) if turns else None

    def cases(self, precision):
        return sorted({case for found, case, _ in self.found if found == precision}, key=_case_order)

    def systems(self, precision):
        names = {system for found, _, system in self.found if found == precision}
        return sorted(names, key=lambda name: ORDER.get((name, precision), len(ORDER)))

    def turns(self):
        return sorted({len(turns) for turns in self.found.values()})


def _case_order(case):
    return case.ragged, case.model, case.batch * case.length, case.batch


def _table(head, rows):
    """A Markdown table; all columns but the first are numbers."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def milliseconds(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def best_peer(figures, precision, case):
    """The fastest system that is not ours, and its time."""
    times = [
        (figures.value(precision, case, system, "median_ms"), system)
        for system in figures.systems(precision)
        if system != OURS and (precision, case, system) in figures.found
    ]
    return min(times, default=None)


def speed_table(figures, precision):
    names = figures.systems(precision)
    rows = []
    for case in figures.cases(precision):
        times = [figures.value(precision, case, name, "median_ms") for name in names]
        ours, best = figures.value(precision, case, OURS, "median_ms"), best_peer(figures, precision, case)
        row = [case.label]
        for name, value in zip(names, times, strict=True):
            mark = DISTURBED_MARK if (precision, case, name) in figures.disturbed else ""
            text = "" if value is None else mark + milliseconds(value)
            row.append(f"**{text}**" if best and name == best[1] else text)
        row.append(f"{best[0] / ours:.2f}" if best and ours else "")
        rows.append(row)
    return _table(["shape", *names, "best peer / ours"], rows)


def cold_table(figures):
    rows = []
    for precision in PRECISIONS:
        for case in figures.cases(precision):
            for name in figures.systems(precision):
                if (precision, case, name) in figures.found:
                    first, memory = (figures.value(precision, case, name, key) for key in ("first_s", "peak_mb"))
                    mark = DISTURBED_MARK if (precision, case, name) in figures.disturbed else ""
                    rows.append([f"{name} {precision}", f"{mark}{first:.2f}", f"{memory:.0f}"])
    return _table(["system", "first output, s", "peak resident memory, MB"], rows)


def error_table(figures):
    cases = sorted({case for precision in PRECISIONS for case in figures.cases(precision)}, key=_case_order)
    rows = []
    for precision in PRECISIONS:
        for name in figures.systems(precision):
            row = [f"{name} {precision}"]
            for case in cases:
                values = [figures.value(precision, case, name, key) for key in ("mean_error", "max_error")]
                row += ["" if value is None else f"{value:.2g}" for value in values]
            rows.append(row)
    return _table(["system", *(f"{case.label} {what}" for case in cases for what in ("mean", "max"))], rows)


def _notes(figures):
    notes = []
    if figures.disturbed:
        notes.append(
            f"{DISTURBED_MARK} Other programs ran during every turn of {len(figures.disturbed)} numbers: too high."
        )
    if figures.left_out:
        notes.append(f"{figures.left_out} turns left out, during which other programs ran.")
    for (precision, case, system), error in sorted(figures.failed.items(), key=str):
        if (precision, case, system) not in figures.found:
            notes.append(f"{system} {precision} failed at {case.label}: `{' '.join(error.split())[:200]}`")
    return notes


def _paragraphs(lines, threads):
    """The report for a number of threads, and its charts as (name, SVG)."""
    speed, cold, errors = (Figures(lines, kind, threads) for kind in ("speed", "cold", "errors"))
    parts, charts = [f"## {threads} threads" if threads > 1 else "## 1 thread"], []
    for precision in PRECISIONS:
        if not speed.cases(precision):
            continue
        names, file = speed.systems(precision), f"{precision}-{threads}.svg"
        groups = [
            (case.label, [(name, speed.value(precision, case, name, "median_ms")) for name in names])
            for case in speed.cases(precision)
        ]
        charts.append((file, chart.draw(f"DeBERTa-v3 encoder, {precision}, {threads} threads", OURS, groups)))
        parts += [
            f"### Speed, {precision}: milliseconds per forward pass",
            speed_table(speed, precision),
            f"![Times of all systems in {precision}, relative to ours]({file})",
        ]
    if speed.found:
        counts = speed.turns()
        span = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        parts.append(f"Turns per number, each a fresh process: {span}. Medians; the best peer in bold.")
    if cold.found:
        parts += ["### Cold start, base:1x128, files in memory", cold_table(cold)]
    if errors.found:
        parts += ["### Absolute error of the last hidden state (values around 1) against f64", error_table(errors)]
    return parts + _notes(speed) + _notes(cold) + _notes(errors), charts


def write(lines, folder):
    """Writes `report.md` and a chart per precision and number of threads, and returns their paths."""
    machines = [line for line in lines if line["kind"] == "machine"]
    parts, charts = ["# Comparison"], []
    if machines:
        versions = ", ".join(f"{name} {version}" for name, version in machines[-1]["versions"].items())
        parts.append(f"{machines[-1]['processor']}, {machines[-1]['cores']} cores. {versions}.")
    for threads in sorted({line["threads"] for line in lines if "threads" in line}):
        more_parts, more_charts = _paragraphs(lines, threads)
        parts += more_parts
        charts += more_charts
    paths = [folder / "report.md"]
    paths[0].write_text("\n\n".join(parts) + "\n")
    for name, drawing in charts:
        paths.append(folder / name)
        paths[-1].write_text(drawing)
    return paths
