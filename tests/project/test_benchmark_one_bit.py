"""The benchmark of one-bit codes runs, ends with one JSON line, and its ratios are those of it."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

faiss = pytest.importorskip("faiss")


@pytest.fixture
def benchmark(monkeypatch):
    threads = faiss.omp_get_max_threads()
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("one_bit_benchmark", BENCHMARKS / "one_bit.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "one_bit_benchmark", module)
    spec.loader.exec_module(module)
    yield module
    faiss.omp_set_num_threads(threads)


def test_last_line_is_json_with_speed_size_and_recall_of_every_way(benchmark, capsys):
    arguments = ["--vectors", "400", "--dimension", "64", "--queries", "5", "--rounds", "1"]
    assert benchmark.main(arguments) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    ways = {name: row for name, row in found.items() if isinstance(row, dict) and "bytes" in row}
    assert len(ways) == 6
    exact = ways["IndexFlat"]
    assert (exact["bytes"], exact["recall_at_10"], exact["speed_over_exact"]) == (256, 1, 1)
    for row in ways.values():
        assert row["speed_over_exact"] == pytest.approx(
            row["queries_per_s"] / exact["queries_per_s"]
        )
    # packed by this package or by faiss, the bits are the same
    ours, theirs = (ways[f"signs on both sides, {who}"] for who in ("ours", "faiss"))
    assert ours["bytes"] == theirs["bytes"] == 8
    assert ours["recall_at_10"] == pytest.approx(theirs["recall_at_10"], abs=0.1)  # ties
    assert ways["corrected, ours"]["bytes"] == 12
