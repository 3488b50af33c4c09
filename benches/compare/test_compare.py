"""Tests of the parts that need none of the peers: `python -m unittest` in this folder."""

import json
import sys
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

import chart
import generation
import measure
import report
import systems
from places import Case


def turn(system, milliseconds, **changes):
    line = {"kind": "speed", "system": system, "precision": "f32", "model": "base", "batch": 8, "seq": 128}
    line |= {"ragged": False, "threads": 2, "round": 0, "median_ms": milliseconds, "foreign": 0.0}
    return line | changes


class Cases(unittest.TestCase):
    def test_a_label_names_its_case(self):
        for label in ("base:8x128", "xsmall:1x16", "base:32x128-ragged"):
            self.assertEqual(Case.parse(label).label, label)

    def test_other_texts_are_refused(self):
        for text in ("base", "base:8", "base:0x128", "base:8x128-", ":1x1"):
            with self.assertRaises(ValueError):
                Case.parse(text)


class Systems(unittest.TestCase):
    def test_a_converted_file_lies_in_a_folder_of_its_own(self):
        case = Case.parse("base:1x128")
        [ours, converted] = systems.choose(["int8"], ["ours", "ours-converted"])
        for system, folder in ((ours, case.folder), (converted, case.folder / "int8")):
            command = systems.first_output(system, case, 2)
            self.assertEqual(command[command.index("--model") + 1], folder)
        self.assertEqual(converted.parts, ("cold",))


class Tables(unittest.TestCase):
    def row(self, lines):
        return report.speed_table(report.Figures(lines, "speed", 2), "f32").splitlines()[2]

    def test_the_ratio_is_to_the_best_peer(self):
        lines = [turn("ours", 100.0), turn("rten", 300.0), turn("openvino", 150.0)]
        self.assertEqual(self.row(lines), "| base:8x128 | 100 | **150** | 300 | 1.50 |")

    def test_disturbed_turns_are_left_out_where_calm_ones_exist(self):
        lines = [turn("ours", 100.0), turn("ours", 900.0, foreign=0.5), turn("rten", 200.0, foreign=0.5)]
        self.assertEqual(self.row(lines), "| base:8x128 | 100 | **~200** | 2.00 |")
        self.assertEqual(report.Figures(lines, "speed", 2).left_out, 1)

    def test_failures_are_named(self):
        lines = [turn("ours", 100.0), turn("candle", 0.0, error="exit 1: no such weight")]
        with tempfile.TemporaryDirectory() as folder:
            path, _ = report.write(lines, Path(folder))
            self.assertIn("candle f32 failed at base:8x128: `exit 1: no such weight`", path.read_text())


class Generation(unittest.TestCase):
    case = generation.CASES["beams"]

    def line(self, system, *seconds, foreign=0.0):
        return {"name": "beams", "system": system, "seconds": list(seconds), "foreign": foreign}

    def test_both_systems_are_told_the_same(self):
        [theirs, ours] = (generation.command(system, self.case, 2, 4, "out") for system in generation.SYSTEMS)
        self.assertEqual(theirs[2:], ours[1:])
        self.assertEqual(ours[ours.index("--num-beams") + 1], 4)

    def test_the_ratio_is_one_of_medians(self):
        lines = [self.line("transformers", 6.0, 9.0, 7.0), self.line("ours", 2.0, 1.0, 9.0)]
        lines += [self.line("transformers", 9.0), self.line("ours", 4.0), self.line("ours", 1.0, foreign=0.5)]
        text = generation.table(lines)
        self.assertTrue(text.splitlines()[2].endswith("| 8.000 | 3.000 | 2.67 |"), text)
        self.assertNotIn("~", text)

    def test_turns_that_were_all_disturbed_are_marked(self):
        text = generation.table([self.line("transformers", 6.0), self.line("ours", 3.0, foreign=0.5)])
        self.assertTrue(text.splitlines()[2].endswith("| 6.000 | ~3.000 | 2.00 |"), text)

    def test_other_ids_are_a_difference(self):
        ids = list(range(self.case.written + 1))
        self.assertIsNone(generation.differences(self.case, {"transformers": [ids], "ours": [ids]}))
        found = generation.differences(self.case, {"transformers": [ids], "ours": [[*ids[:-1], 9]]})
        self.assertIn(f"from token {self.case.written} on", found)
        short = generation.differences(self.case, {"transformers": [ids[:9]], "ours": [ids[:9]]})
        self.assertIn("found 8", short)


class Charts(unittest.TestCase):
    def test_bars_are_as_long_as_times_relative_to_ours(self):
        drawn = chart.draw("a < b", "ours", [("base:1x16", [("ours", 20.0), ("rten", 30.0), ("torch", None)])])
        root = ElementTree.fromstring(drawn)
        bars = [e.get("d") for e in root.iter() if e.tag.endswith("path")]
        lengths = [float(d.split("H")[1].split("V")[0]) - chart.LEFT for d in bars]
        self.assertEqual(len(lengths), 2)
        self.assertAlmostEqual(lengths[1] / lengths[0], 1.5, places=2)


class Processes(unittest.TestCase):
    def test_output_first_line_and_memory_are_seen(self):
        code = "a = bytearray(80 << 20); print('first', 1, flush=True); print('{\"median_ms\": 2}')"
        done = measure.run([sys.executable, "-c", code], None, 60)
        self.assertEqual(measure.last_json(done.output), {"median_ms": 2})
        self.assertTrue(0 < done.first <= done.seconds)
        self.assertGreater(done.peak_mb, 80)

    def test_a_failing_process_is_a_failure_with_its_words(self):
        with self.assertRaisesRegex(measure.Failed, "exit 1: out of luck"):
            measure.run([sys.executable, "-c", "import sys; sys.exit('out of luck')"], None, 60)
        with self.assertRaisesRegex(measure.Failed, "not done after 1 s"):
            measure.run([sys.executable, "-c", "import time; time.sleep(60)"], None, 1)
        with self.assertRaises(measure.Failed):
            measure.last_json(json.dumps([1]))


if __name__ == "__main__":
    unittest.main()
