"""Binarize a published continuous network in many ways, and fine-tune it as a binary one.

Every way of `bnn_geometry.studies.pretrained` is measured on test images, with batch norm as
trained and
refitted; and short trainings of the binary network begin at the continuous network's weights, or
anew. The result goes to runs/pretrained/: two tables, and a JSON file with settings, data and
versions.

    python tools/pretrained.py --work /tmp/pretrained      # twenty minutes on two cores

What is measured is kept in the folder --work: a second call goes on with it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bnn_geometry import data, storage, training
from bnn_geometry.errors import UserError
from bnn_geometry.networks import batch_norm
from bnn_geometry.studies import pretrained as conversions
from bnn_geometry.training import fine_tuning, runs

ROOT = Path(__file__).resolve().parents[1]
CONTINUOUS = "cifar10-convnet-fast-hardtanh-w0.5-s1"
BINARY = "cifar10-convnet-fast-w0.5-s1"
SAMPLE_SEED = 0  # which images measure and refit


class Log:
    """Rows that were measured, one line of JSON each, for a call that goes on."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        # a killed call leaves half a line at most
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        if whole and whole[0] != settings:
            raise UserError(f"{path} was begun with other settings: choose another folder.")
        self.rows = {row.pop("key"): row for row in whole[1:]}
        if not whole:
            path.write_text(json.dumps(settings) + "\n", encoding="utf-8")

    def row(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of a key, measured now unless it is there."""
        if key not in self.rows:
            row = measure()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key} | row) + "\n")
            print(
                key, *(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float)), flush=True
            )
            self.rows[key] = row
        return dict(self.rows[key])


def fine_tuned(
    start: str,
    images: int,
    lr: float,
    runs_: tuple[runs.Run, runs.Run],
    cifar10: data.Dataset,
    refit: Any,
    test: data.Split,
) -> dict[str, Any]:
    """Test error after one epoch of binary training on so many images, batch norm refitted."""
    continuous, binary = runs_
    recipe = binary.recipe.with_(epochs=1, train_images=images, lr=lr, compile="never")
    network = (
        fine_tuning.as_latents(continuous.network(), recipe)
        if start == "pretrained"
        else training.build_network(recipe, binary.seed)
    )
    before = training.evaluate(batch_norm.refit_batch_norm(network, refit), test)
    # the history's errors, with running averages that lag behind, are not wanted
    trained = training.train(
        network, replace(cifar10, test=test.sample(1, SAMPLE_SEED)), recipe, seed=binary.seed
    )
    return {
        "start": start,
        "images": images,
        "lr": lr,
        "seed": binary.seed,
        "error_before": before,
        "test_error": training.evaluate(batch_norm.refit_batch_norm(trained.network, refit), test),
        "test_images": len(test.labels),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing and write the tables; 1, with a sentence, if that fails."""
    parser = argparse.ArgumentParser(description="Binarize a published continuous network.")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is measured")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "pretrained")
    parser.add_argument("--continuous", default=CONTINUOUS, help="published run to convert")
    parser.add_argument("--binary", default=BINARY, help="published run to compare with")
    parser.add_argument("--images", type=int, default=500, help="test images (default 500)")
    parser.add_argument("--refit", type=int, default=250, help="to refit with (default 250)")
    parser.add_argument(
        "--groups",
        nargs="*",
        default=conversions.GROUPS,
        choices=conversions.GROUPS,
        metavar="NAME",
    )
    parser.add_argument("--fine-tune", type=int, nargs="*", default=[2500], metavar="IMAGES")
    parser.add_argument("--lr", type=float, nargs="*", default=[1e-3, 5e-3])
    parser.add_argument("--data", help="folder with the image archives")
    options = parser.parse_args(arguments)
    try:
        cifar10 = data.load("cifar10", root=options.data)
        continuous, binary = (
            training.published_run(n) for n in (options.continuous, options.binary)
        )
        test = cifar10.test.sample(options.images, SAMPLE_SEED)
        refit = cifar10.train.sample(options.refit, SAMPLE_SEED).images
        settings = {
            "continuous": options.continuous,
            "binary": options.binary,
            "test_images": len(test.labels),
            "refit_images": len(refit),
            "sample_seed": SAMPLE_SEED,
            "fine_tuning": binary.recipe.with_(epochs=1, compile="never").as_dict(),
            "fingerprint": cifar10.provenance.fingerprint,
        }
        options.work.mkdir(parents=True, exist_ok=True)
        log = Log(options.work / "rows.jsonl", settings)
        network = continuous.network()
        ways = [way for way in conversions.every(network) if way.group in options.groups]
        rows = []
        for activation, net, some in (
            ("binary", binary.network(), conversions.parts()[:1]),
            (continuous.recipe.activation, network, ways),
        ):
            for way in some:
                key = f"{activation}: {way.group}: {way.name}"
                row = log.row(key, lambda: conversions.measure(net, way, refit, test))  # noqa: B023
                rows.append({"activation": activation} | row)
        short = []
        for images in options.fine_tune:
            for lr in options.lr:
                for start in ("pretrained", "scratch"):
                    arguments_ = (start, images, lr, (continuous, binary), cifar10, refit, test)
                    key = f"{start}, {images} images, lr {lr:g}"
                    short.append(log.row(key, lambda: fine_tuned(*arguments_)))  # noqa: B023
    except (UserError, OSError) as error:
        print(f"pretrained: {error}", file=sys.stderr)
        return 1
    found = conversions.Published(
        pd.DataFrame(rows),
        pd.DataFrame(short, columns=list(conversions.FINE_TUNING)),
        settings,
        cifar10.provenance.as_dict() | {"path": None},
        storage.versions(),
    )
    conversions.write(options.out, found)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
