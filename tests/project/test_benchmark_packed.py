"""The benchmark of packed inference: its last line, and a run that is not there."""

import json
import subprocess
import sys
from pathlib import Path

PACKED = Path(__file__).parents[2] / "benchmarks" / "packed.py"


def run(*arguments):
    return subprocess.run([sys.executable, PACKED, *arguments], capture_output=True, text=True)


def test_last_line_is_json_with_the_same_scores_and_the_times():
    done = run("--run", "cifar10-convnet-long-w0.125-s1", "--batch", "2", "--turns", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["batch_2"]
    assert found["scores_equal"]
    assert all(seconds > 0 for seconds in found["seconds"].values())


def test_a_run_that_is_not_there_is_one_sentence():
    done = run("--run", "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
