"""The published runs in one table, each with the command that makes it again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bnn_geometry import paths
from bnn_geometry.training import runs
from bnn_geometry.training.recipes import RECIPES, Recipe

_OPTIONS = {"width": "--width {:g}", "epochs": "--epochs {}", "activation": "--activation {}"}


def command(recipe: Recipe, seed: int) -> str:
    """What to type to train a recipe: every field in which it differs from the one it is named for.

    >>> from bnn_geometry.training.recipes import FAST_CIFAR10
    >>> command(FAST_CIFAR10.with_(width=0.5, lr=0.001), 2)
    'bnn-geometry train cifar10-convnet --recipe fast --width 0.5 --set lr 0.001 --seed 2'
    """
    if (recipe.model, recipe.name) not in RECIPES:
        return ""  # somebody's own
    named = RECIPES[recipe.model, recipe.name].as_dict()
    changed = {k: v for k, v in recipe.as_dict().items() if named[k] != v}
    if recipe.width == 1:
        changed.pop("lr_width_power", None)  # a power of 1
    options = [
        _OPTIONS[field].format(value) if field in _OPTIONS else f"--set {field} {value}"
        for field, value in changed.items()
    ]
    words = ["bnn-geometry train", recipe.model, "--recipe", recipe.name, *options]
    return " ".join([*words, f"--seed {seed}"])


def _made_by(run: runs.Run) -> str:
    begun = run.info.get("branch_of")
    if begun is not None:  # its first weights are those of another run, which no recipe has
        return (
            f"# {len(run.history)} epochs from the state of {begun['run']} after epoch "
            f"{begun['epoch']}, at a rate of {run.recipe.lr:.3g}"
        )
    words = command(run.recipe, run.seed)
    measured = run.info.get("measured_images")
    measure = f" --measure {measured}" if measured else ""
    return f"{words}{measure} --out FOLDER" if words else ""


def published_runs(folder: Path | None = None) -> pd.DataFrame:
    """Every published run.

    Parameters
    ----------
    folder : Path, optional
        :func:`bnn_geometry.paths.runs_root` if left out.

    Returns
    -------
    DataFrame
        Index run; recipe, width, activation, epochs, seed, test_error (a fraction), hours, threads,
        precision (of a run in stretches, each one's epochs, machine and format), instructions (of
        the processor), weights (whether they come with it), command (of a run that began in the
        middle of another, a comment that says so).
    """
    paths.check_listed("runs", ".")
    rows = {}
    for path in sorted((folder or paths.runs_root()).glob("*/recipe.json")):
        run = runs.read(path.parent)
        rows[path.parent.name] = {
            "recipe": run.recipe.name,
            "width": run.recipe.width,
            "activation": run.recipe.activation,
            "epochs": len(run.history),
            "seed": run.seed,
            "test_error": run.kept["test_error"],
            "hours": run.info["seconds"] / 3600,
            "threads": run.info["threads"],
            "precision": run.computed_in,
            "instructions": run.info.get("instructions") or run.info.get("device", ""),
            "weights": bool(run.weights),
            "command": _made_by(run),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
