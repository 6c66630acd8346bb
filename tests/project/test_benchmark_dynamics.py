"""The benchmark of the flow runs, ends with one JSON line, and sees flows that differ."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("flow_benchmark", BENCHMARKS / "dynamics.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "flow_benchmark", module)
    spec.loader.exec_module(module)
    return module


ARGUMENTS = ["--seeds", "3", "--updates", "200", "--dimensions", "5", "40"]


def test_last_line_is_json_with_both_speeds(benchmark, capsys):
    assert benchmark.main(ARGUMENTS) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    for n in ("n_5", "n_40"):
        speeds = found[n]
        assert speeds["vectorized_steps_per_s"] > 0
        expected = speeds["vectorized_steps_per_s"] / speeds["loop_steps_per_s"]
        assert speeds["ratio"] == pytest.approx(expected)
    assert found["machine"]["cores"] >= 1


def test_flows_that_differ_are_seen(benchmark, monkeypatch, capsys):
    loop = benchmark.loop

    def other(target, start, updates):
        return -loop(target, start, updates)

    other.__name__ = "loop"
    monkeypatch.setattr(benchmark, "loop", other)
    assert benchmark.main(ARGUMENTS) == 1
    assert "different places" in capsys.readouterr().err
