"""Measure what each choice in the recipe `fast` is worth, on a narrow network.

Every variant changes one thing of the recipe and is trained from the same seeds on the same images;
what it is worth is the error on validation images, and the test error stands beside it. The result
goes to runs/ablations/: a table, and a JSON file with the recipe, the data and the versions.

    python tools/ablations.py --work /tmp/ablations      # half an hour on two cores

Runs are trained with `bnn-geometry train`, each on one core, as many at a time as there are cores;
a second call goes on with what is in the folder --work. With --add the rows that are there already
stay: further variants or seeds, each beside a reference that was trained on the same machine.

    python tools/ablations.py --work /tmp/more --add --seeds 3 4 \\
        --variants reference "batch norm after the signs"
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

from bnn_geometry import data, storage
from bnn_geometry.errors import UserError
from bnn_geometry.studies.ablations import REFERENCE, VARIANTS, read, write
from bnn_geometry.training import recipes, runs

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


def check(variants: list[str], seeds: list[int]) -> None:
    """Refuse variants that there are not, and seeds without a reference."""
    for name in variants:
        if name not in VARIANTS:
            raise UserError(f"There is no variant {name!r}; there is {', '.join(VARIANTS)}.")
    if "reference" not in variants:
        raise UserError("Variants are compared with the reference: name it among the variants.")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"A seed is named twice: {', '.join(map(str, seeds))}.")


def rows_to_keep(folder: Path, provenance: dict[str, object]) -> list[dict[str, object]]:
    """Rows of the table that is there, if it was made with these versions and images."""
    found = read(folder)
    if (found.reference, found.versions) != (REFERENCE, storage.versions()):
        raise UserError(f"The table in {folder} is of another reference or other versions.")
    if found.data["fingerprint"] != provenance["fingerprint"]:
        raise UserError(f"The table in {folder} is of other images: {found.data['title']}.")
    return found.table.to_dict("records")


def main(arguments: list[str] | None = None) -> int:
    """Train what is missing and write the table; 1, with a sentence, if that fails."""
    parser = argparse.ArgumentParser(description="Measure what each choice in `fast` is worth.")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "ablations")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument(
        "--variants", nargs="+", default=list(VARIANTS), metavar="NAME", help="default: all"
    )
    parser.add_argument("--add", action="store_true", help="keep the rows that are in --out")
    parser.add_argument("--data", help="folder with the image archives")
    options = parser.parse_args(arguments)
    try:
        check(options.variants, options.seeds)
        images = data.load("cifar10", root=options.data)
        provenance = images.provenance.as_dict() | {"path": None}
        kept = rows_to_keep(options.out, provenance) if options.add else []
        options.work.mkdir(parents=True, exist_ok=True)
        jobs = [(v, seed) for seed in options.seeds for v in options.variants]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = list(pool.map(lambda job: train(*job, options.work, options.data), jobs))
    except (UserError, OSError) as error:
        print(f"ablations: {error}", file=sys.stderr)
        return 1
    table = pd.DataFrame([*kept, *rows]).drop_duplicates(["variant", "seed"], keep="last")
    write(options.out, table, provenance, storage.versions())
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
