"""Tests of what needs no GPU: `python -m unittest` in this folder. Those of formulas need PyTorch and transformers."""

import importlib.util
import json
import stat
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import ours
import peers
import run
import table
import wheels
from cases import ENCODER_SHAPES, SIZES, Case, all_cases, parse_shape

TORCH = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))


def row(system, microseconds, **changes):
    line = {"system": system, "what": "attention", "dtype": "f16", "batch": 8, "seq": 512, "median_us": microseconds}
    return line | changes


class Cases(unittest.TestCase):
    def test_a_line_names_its_case(self):
        for case in all_cases("f16", [(1, 16), (8, 512)], [(1, 4096)], SIZES["base"]):
            self.assertEqual(Case.of(json.loads(json.dumps(case.fields()))), case)

    def test_lines_of_other_kinds_have_none(self):
        for line in ({"what": "header"}, {"what": "attention", "dtype": "f16", "skipped": "why"}):
            self.assertIsNone(Case.of(line))

    def test_as_many_rows_are_multiplied_once(self):
        cases = all_cases("f16", [(8, 512), (32, 128)], [], SIZES["base"])
        rows = [case.shape for case in cases if case.what == "linear"]
        self.assertEqual(rows, [(4096, 2304, 768), (4096, 768, 768), (4096, 3072, 768), (4096, 768, 3072)])

    def test_shapes_are_two_positive_numbers(self):
        self.assertEqual([parse_shape(text) for text in ENCODER_SHAPES][:2], [(1, 16), (1, 128)])
        for text in ("8", "0x1", "8x", "8x1x1", "8x-1"):
            with self.assertRaises(ValueError):
                parse_shape(text)

    def test_gelu_follows_the_layer_that_widens_alone(self):
        gelu = next(system for system in peers.SYSTEMS if system.name == "cublas-gelu")
        layers = [Case("linear", "f16", (16, *layer)) for layer in SIZES["base"].linears]
        doing = [case.shape for case in layers if peers.takes_part(gelu, case, SIZES["base"])]
        self.assertEqual(doing, [(16, 3072, 768)])


class Tables(unittest.TestCase):
    def test_cells_are_medians_and_ratios_to_ours(self):
        lines = [row("ours", 100.0), row("ours", 300.0), row("ours", 120.0), row("flashdeberta", 300.0)]
        self.assertIn("| 8x512 | 120 | 300 (2.50) |", table.draw(lines))

    def test_what_is_missing_or_off_is_said(self):
        why = {"skipped": "RuntimeError: no GPU"}
        skipped = [{"system": "torch", **Case("attention", "f16", (8, 512)).fields(), **why} for _ in range(2)]
        text = table.draw([row("ours", 90.0), row("flashdeberta", 45.0, flagged=True), *skipped])
        self.assertIn("| 8x512 | 90.0 | !45.0 (0.50) |", text)
        self.assertIn("torch, attention in f16 left out at 8x512: RuntimeError: no GPU", text)


class Ours(unittest.TestCase):
    def measure(self, kernels, forward):
        """What two scripts, as our binaries, are taken to say."""
        with tempfile.TemporaryDirectory() as folder:
            for name, script in (("gpu_bench", kernels), ("bench", forward)):
                path = Path(folder) / name
                path.write_text(f"#!/bin/sh\n{script}\n")
                path.chmod(path.stat().st_mode | stat.S_IXUSR)
            binaries = ours.Ours(Path(folder), Path("model"))
            return list(binaries.measure("f16", [(1, 16)], [(1, 48)], 0.1, lambda: 4.0))

    def test_lines_are_taken_over(self):
        attention = {"system": "ours", **Case("attention", "f16", (1, 48)).fields(), "median_us": 5.0, "runs": 9}
        forward = '{"system":"ours","precision":"f16","batch":1,"seq":16,"median_ms":1.5,"min_ms":1.25,"runs":3}'
        found = self.measure(f"echo hello; echo '{json.dumps(attention)}'", f"echo '{forward}'")
        self.assertEqual(found[0], attention)
        self.assertEqual(Case.of(found[1]), Case("forward", "f16", (1, 16)))
        self.assertEqual((found[1]["median_us"], found[1]["min_us"]), (1500.0, 1250.0))

    def test_binaries_get_what_they_understand(self):
        found = self.measure('echo "$*" >&2; exit 3', 'echo "$*" >&2; exit 3')
        reasons = [line["skipped"] for line in found]
        self.assertEqual(reasons[0], "exit 3: --shapes 1x16,1x48 --dtype f16 --seconds 0.100")
        forward = "exit 3: --model model --device cuda --precision f16 --shapes 1x16 --budget 0.100"
        self.assertEqual((found[-1]["what"], reasons[-1]), ("forward", forward))

    def test_what_a_late_binary_printed_counts(self):
        line = json.dumps({**Case("attention", "f16", (1, 48)).fields(), "median_us": 5.0})
        found = self.measure(f"echo '{line}'; exec sleep 60", "exit 0")
        self.assertEqual([line.get("median_us") for line in found], [5.0, None, None, None])
        self.assertIn("not done after 2 s", found[1]["skipped"])


class Families(unittest.TestCase):
    def ask(self, worker, seconds=1):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "worker.py"
            path.write_text(worker)
            with mock.patch.multiple(peers, WORKER=path, GRACE_S=0):
                family = peers.Family("torch", {}, None, Path(folder))
                try:
                    case = Case("attention", "f16", (1, 16))
                    return [family.ask("measure", peers.SYSTEMS[0], case, seconds) for _ in range(2)]
                finally:
                    family.close()

    def test_answers_come_back(self):
        echo = "import sys\nprint('{}', flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)"
        self.assertEqual(self.ask(echo, 5)[1]["case"]["what"], "attention")

    def test_a_process_that_ends_or_hangs_says_so_to_all_who_ask(self):
        crash = "print('{}', flush=True)\ninput()\nraise SystemExit('illegal address')"
        for worker, reason in (
            (crash, "its process ended with 1: illegal address"),
            ("print('{}', flush=True)\nwhile True: input()", "its process gave no answer in 1 s"),
            ("""print('{"skipped": "no GPU"}', flush=True)\ninput()""", "no GPU"),
        ):
            self.assertEqual(self.ask(worker), [{"skipped": reason}] * 2)


class Wheels(unittest.TestCase):
    def test_plain_ones_are_unpacked_and_others_named(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a-1-py3-none-any.whl", "b-1-cp312-cp312-linux_x86_64.whl"):
                with zipfile.ZipFile(Path(folder) / name, "w") as archive:
                    archive.writestr(f"{name[0]}.py", "")
            problems = wheels.unpack(Path(folder), Path(folder) / "packages")
            self.assertEqual([path.name for path in (Path(folder) / "packages").iterdir()], ["a.py"])
            self.assertEqual(len(problems), 1)


class Time(unittest.TestCase):
    def test_a_spent_budget_ends_the_turns(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.jsonl"
            results = run.Results(path)
            arguments = mock.Mock(shapes=[(1, 16)], long_shapes=[], precision=["f16"], turns=3)
            with mock.patch("builtins.print"):
                run.Turns(arguments, [], {}, {}, mock.Mock(), results, run.Budget(-1)).all()
            results.file.close()
            self.assertEqual([json.loads(line)["what"] for line in path.read_text().splitlines()], ["stopped"])


@unittest.skipUnless(TORCH, "needs PyTorch and transformers")
class Formulas(unittest.TestCase):
    def test_buckets_are_those_of_transformers(self):
        import torch
        from reference import log_bucket
        from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

        distance = torch.arange(-5000, 5001)
        theirs = make_log_bucket_position(distance, 256, 512).long()
        self.assertTrue(torch.equal(log_bucket(distance), theirs))

    def test_attention_is_that_of_transformers(self):
        import torch
        from cases import SIZES
        from model import architecture
        from reference import disentangled, slots
        from transformers import DebertaV2Config
        from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

        torch.manual_seed(5)
        size = SIZES["tiny"]
        layer = DisentangledSelfAttention(DebertaV2Config(**architecture(size))).double().eval()
        hidden, table = torch.randn(2, 300, size.hidden).double(), torch.randn(512, size.hidden).double()

        def heads(projection, x):
            return projection(x).unflatten(-1, (size.heads, size.head)).transpose(-3, -2)

        with torch.no_grad():
            expected = layer(hidden, torch.ones(2, 1, 300, 300), rel_embeddings=table)[0]
            query, key, value = (heads(part, hidden) for part in (layer.query_proj, layer.key_proj, layer.value_proj))
            tables = heads(layer.key_proj, table), heads(layer.query_proj, table)
            found = disentangled(query, key, value, *tables, slots(300, "cpu"))
        difference = (found.transpose(1, 2).flatten(2) - expected).abs().max().item()
        self.assertLess(difference, 1e-6)


if __name__ == "__main__":
    unittest.main()
