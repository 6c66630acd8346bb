"""Measure what each choice in the recipe `fast` is worth, on a narrow network.

Every variant changes one thing of the recipe and is trained from the same seeds on the same images;
what it is worth is the error on validation images, and the test error stands beside it. The result
goes to runs/ablations/: a table, and a JSON file with the recipe, the data and the versions.

    python tools/ablations.py --work /tmp/ablations      # half an hour on two cores

Runs are trained with `bnn-geometry train`, each on one core, as many at a time as there are cores;
a second call goes on with what is in the folder --work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from bnn_geometry import data, recipes, runs
from bnn_geometry.ablations import REFERENCE, VARIANTS, write
from bnn_geometry.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def train(variant: str, seed: int, work: Path, root: str | None) -> dict[str, object]:
    """The row of one run, which is trained unless it is there."""
    named = recipes.recipe(REFERENCE.model, REFERENCE.name).as_dict()
    wanted = REFERENCE.with_(**VARIANTS[variant]).as_dict()
    out = work / f"{list(VARIANTS).index(variant):02d}-s{seed}"
    command = [sys.executable, "-m", "bnn_geometry.cli", "train", REFERENCE.model]
    command += ["--seed", str(seed)]
    for field, value in wanted.items():
        if value != named[field]:
            command += ["--set", field, json.dumps(value).strip('"')]
    command += ["--out", str(out), "--resume", "--device", "cpu"]
    command += ["--data", root] if root else []
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"{variant}, seed {seed}: {done.stderr.strip()}")
    last = runs.read(out).history.iloc[-1]
    row = {
        "variant": variant,
        "seed": seed,
        **{f"{part}_error": last[f"{part}_error"] for part in ("train", "validation", "test")},
    }
    print(f"{variant}, seed {seed}: validation error {row['validation_error']:.2%}", flush=True)
    return row


def main(arguments: list[str] | None = None) -> int:
    """Train what is missing and write the table; 1, with a sentence, if that fails."""
    parser = argparse.ArgumentParser(description="Measure what each choice in `fast` is worth.")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "ablations")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each variant (default 2)")
    parser.add_argument("--data", help="folder with the image archives")
    options = parser.parse_args(arguments)
    try:
        images = data.load("cifar10", root=options.data)
        options.work.mkdir(parents=True, exist_ok=True)
        jobs = [(v, seed) for seed in range(1, options.seeds + 1) for v in VARIANTS]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = list(pool.map(lambda job: train(*job, options.work, options.data), jobs))
    except (UserError, OSError) as error:
        print(f"ablations: {error}", file=sys.stderr)
        return 1
    provenance = images.provenance.as_dict() | {"path": None}
    write(options.out, pd.DataFrame(rows), provenance, runs.versions())
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
