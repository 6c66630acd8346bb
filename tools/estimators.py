"""Train one narrow network with several straight-through estimators, and measure what it learns.

Every variant is trained from the same seeds on the same images; beside the errors, r and the angle
of every layer are measured epoch by epoch, and in the reference the difference between the binary
and the latent weights. The result goes to runs/estimators/: three tables, and a JSON file with the
recipe, the data and the versions.

    python tools/estimators.py --work FOLDER --jobs 2      # a quarter of an hour on two cores

A second call goes on with what is in the folder --work. Each run has one core, as many at a time as
there are jobs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: sums in one order on every machine

import pandas as pd

from bnn_geometry import data, storage, training
from bnn_geometry.errors import UserError
from bnn_geometry.probing import measurements
from bnn_geometry.studies import estimators as estimator_study
from bnn_geometry.studies.estimators import REFERENCE, TABLES, VARIANTS
from bnn_geometry.training import runs

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ("cifar10-convnet-fast-w0.5-s1", "mnist-mlp-fast-w0.5-s1")
"""Runs whose untrained networks are measured as they were after each epoch."""


def run(variant: str, seed: int, work: Path, root: str | None) -> dict[str, pd.DataFrame]:
    """The rows of one run, which is trained unless they are there."""
    out = work / f"{list(VARIANTS).index(variant):02d}-s{seed}"
    if not out.exists():
        tables = estimator_study.run(variant, data.load("cifar10", root=root), seed=seed)
        partial = out.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            if len(table):
                table.to_csv(partial / TABLES[name], index=False)
        partial.replace(out)
    tables = {
        name: pd.read_csv(out / file) for name, file in TABLES.items() if (out / file).exists()
    }
    error = tables["errors"]["test_error"].iloc[0]
    print(f"{variant}, seed {seed}: test error {error:.2%}", flush=True)
    return tables


def untrained(name: str, root: str | None) -> pd.DataFrame:
    """Rows of the table of layers for a published run's network before training."""
    published = training.published_run(name)
    images = data.load(published.recipe.dataset, root=root).test
    images = images.sample(estimator_study.PROBE_IMAGES, runs.MEASURED_SEED).images
    network = training.build_network(published.recipe, published.seed).eval()
    table = measurements.measure_layers(network, images).assign(epoch=0)
    table.insert(0, "seed", published.seed)
    table.insert(0, "variant", name)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Train what is missing and write the tables; 1, with a sentence, if that fails."""
    parser = argparse.ArgumentParser(description="Compare straight-through estimators.")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "estimators")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each variant (default 2)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default 1)")
    parser.add_argument("--data", help="folder with the image archives")
    options = parser.parse_args(arguments)
    seeds = range(1, options.seeds + 1)
    try:
        images = data.load("cifar10", root=options.data)
        jobs = [(v, s, options.work, options.data) for s in seeds for v in VARIANTS]
        if options.jobs > 1:
            spawn = multiprocessing.get_context("spawn")  # torch and fork do not go together
            with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
                rows = list(pool.map(run, *zip(*jobs, strict=True)))
        else:
            rows = [run(*job) for job in jobs]
        before = [untrained(name, options.data) for name in PUBLISHED]
    except (UserError, OSError) as error:
        print(f"estimators: {error}", file=sys.stderr)
        return 1
    tables = {
        name: pd.concat([row[name] for row in rows if name in row], ignore_index=True)
        for name in TABLES
    }
    tables["layers"] = pd.concat([tables["layers"], *before], ignore_index=True)
    settings = {
        "recipe": REFERENCE.as_dict(),
        "data": images.provenance.as_dict() | {"path": None},
        "test_images": estimator_study.TEST_IMAGES,
        "probe_images": estimator_study.PROBE_IMAGES,
        "versions": storage.versions(),
    }
    estimator_study.write(options.out, tables, settings)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
