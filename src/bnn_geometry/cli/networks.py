"""Commands around networks: train, publish, probe, study."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
from functools import partial
from pathlib import Path
from typing import Any

from bnn_geometry import data, paths
from bnn_geometry.cli.words import parse_value, size
from bnn_geometry.errors import UserError

# torch is imported by the commands themselves: the parser, which names them, starts at once.

_OPTIONS = {
    "run_folder": "run",
    "images": "--images",
    "error_images": "--error-images",
    "variants": "--variants",
    "seeds": "--seeds",
}


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    # What the command line changes of a recipe, each value of its field's kind.
    from dataclasses import fields

    from bnn_geometry.training.recipes import Recipe

    kinds = {field.name: field.type for field in fields(Recipe)}
    changes = {"width": args.width, "epochs": args.epochs, "activation": args.activation}
    changes = {key: value for key, value in changes.items() if value is not None}
    for key, text in args.set:
        if key not in kinds or key in ("name", "model", "dataset"):
            known = ", ".join(k for k in kinds if k not in ("name", "model", "dataset"))
            raise UserError(f"A recipe has no {key!r} to set: it has {known}.")
        value, kind = parse_value(text), str(kinds[key]).split(" | ")[0]
        if kind == "float" and type(value) is int:
            value = float(value)
        if type(value).__name__ != kind:
            raise UserError(f"A recipe's {key} is {kind}, and {text!r} is not.")
        changes[key] = value
    return changes


def _new(folder: str | Path) -> Path:
    # told before the long run, not after it
    if Path(folder).exists():
        raise UserError(f"There is something at {folder} already: choose another folder.")
    return Path(folder)


def train(args: argparse.Namespace) -> None:
    """Train a network by a recipe and write the run to a folder."""
    import torch

    from bnn_geometry.probing import measurements
    from bnn_geometry.training import making, recipes, runs
    from bnn_geometry.training.progress import Progress

    recipe = recipes.recipe(args.model, args.recipe).with_(**_changes(args))
    out = Path(args.out)
    if out.exists() and not args.resume and runs.epochs_done(out) is None:
        raise UserError(f"There is something at {out} already: choose another folder.")
    try:  # before an hour of training, not after
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"No run can be written to {out}: {error.strerror}.") from error
    if args.elsewhere and not args.resume:
        raise UserError("--elsewhere goes with --resume: it says where a run may be continued.")
    recipes.check_seed(args.seed)
    if args.measure < 0:
        raise UserError(f"--measure must not be negative, as {args.measure} is.")
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    # With a CUDA toolkit and no GPU the compiler warns that it found one, in the middle of the bar.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device here: leave --device out, or use --device cpu.")
    dataset = data.load(recipe.dataset, root=args.data)
    print(f"{recipe.model}, recipe {recipe.name}, on {dataset.provenance.title}", flush=True)
    measure = None
    if args.measure:
        images = dataset.test.sample(args.measure, runs.MEASURED_SEED).images
        measure = partial(measurements.measure_layers, images=images)
    finished = runs.is_finished(out)
    if args.resume and not finished:
        done = runs.epochs_done(out)
        print(
            f"resuming after epoch {done} of {recipe.epochs}"
            if done is not None
            else f"nothing to resume in {out}: starting",
            flush=True,
        )
    try:
        with Progress(recipe) as progress:
            making.make(
                out,
                recipe,
                dataset,
                seed=args.seed,
                device=device,
                resume=args.resume,
                elsewhere=args.elsewhere,
                measure=measure,
                measured=args.measure,
                kept_epochs=args.keep,
                on_epoch_end=progress.on_epoch_end,
                on_step=progress.on_step,
            )
    except KeyboardInterrupt as interrupt:
        done = runs.epochs_done(out)
        if done is None:
            raise
        again = shlex.join(["bnn-geometry", *args.argv] + ["--resume"] * (not args.resume))
        raise KeyboardInterrupt(
            f"interrupted: `{again}` goes on after epoch {done} of {recipe.epochs}."
        ) from interrupt
    print(f"{out} is finished: there is nothing to resume" if finished else out)
    run = runs.read(out)
    if "stretches" in run.info:
        print(f"trained in stretches: {run.computed_in}")


def publish(args: argparse.Namespace) -> None:
    """Write a run with its latent weights in eight bits, and what it costs."""
    import pandas as pd

    from bnn_geometry.studies import publish
    from bnn_geometry.training import runs

    if args.images < 1:
        raise UserError(f"--images must be at least 1, not {args.images}.")
    run = runs.read(Path(args.run_folder))
    out = _new(args.out or Path("runs") / runs.name(run.recipe, run.seed))
    dataset = data.load(run.recipe.dataset, root=args.data) if not args.without_weights else None
    if dataset is not None and dataset.provenance.fingerprint != run.data["fingerprint"]:
        print(
            f"{run.data['title']}, on which the run was trained, is not here: r and the test error "
            "are not measured"
        )
        dataset = None
    made = publish.publish(
        run, out, dataset=dataset, images=args.images, weights=not args.without_weights
    )
    cost = made.info["published"]
    if "layers" in cost:
        print("latent weights in eight bits, against float32:")
        table = pd.DataFrame(cost["layers"]).set_index("layer")
        columns = {"angle_change": "angle, mean change (°)", "angle_change_max": "largest (°)"}
        print(table.rename(columns=columns).round(4).to_string())
    if "test_error" in cost:
        print(f"test error {cost['test_error']:.2%} before, {cost['test_error_rounded']:.2%} after")
    print(f"{out}: {size(out)}")


def probe(args: argparse.Namespace) -> None:
    """Measure dot products of a trained run, layer by layer.

    --data also takes the name of a data set, cifar10 or mnist; default: the one it was trained on.
    """
    from bnn_geometry import training
    from bnn_geometry.probing import dot_products, results
    from bnn_geometry.training import runs

    if args.images < 1:
        raise UserError(f"--images must be at least 1, not {args.images}.")
    out = _new(args.out) if args.out else None
    name, root = (args.data, None) if args.data in data.DATASETS else (None, args.data)
    run = runs.read(Path(args.run_folder))
    dataset = data.load(name or run.recipe.dataset, root=root)
    network = run.network()
    training.check_fit(network, dataset)
    images = dataset.test.sample(args.images, run.seed).images
    comparisons = (dot_products.WEIGHTS, dot_products.ACTIVATIONS)
    found = results.ProbeResults(
        run=run.path.resolve().name,
        of_sha256=run.info["sha256"]["weights.safetensors"],
        data=dataset.provenance,
        images=len(images),
        statistics=dot_products.probe(network, images, comparisons, progress=True),
    )
    if out is not None:
        results.write(out, found)
    if args.json:
        print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print(f"{args.run_folder} on {len(images)} test images of {dataset.provenance.title}")
    if "stretches" in run.info:
        print(f"trained in stretches: {run.computed_in}")
    for comparison in comparisons:
        first, second = (
            text.replace("\\cdot ", "·") for text in (comparison.first, comparison.second)
        )
        layers = found.statistics[comparison.name]
        if not layers:
            print(f"{comparison.name}: no layer to compare, since none has binary inputs")
            continue
        print(f"{comparison.name}: {second} against {first}")
        print(dot_products.as_table(layers).round(3).to_string())


def study(args: argparse.Namespace) -> None:
    """Run the many parts of a study and write its tables."""
    from bnn_geometry import studies
    from bnn_geometry.studies import sweep

    names = ("run_folder", "images", "error_images", "variants", "seeds")
    choice = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    wanted = {True: names[:3], False: names[3:]}[args.name == "geometry"]
    for name in choice:
        if name not in wanted:
            raise UserError(f"The study {args.name} takes no {_OPTIONS[name]}.")
    if args.name == "geometry" and args.run_folder is None:
        raise UserError("The study geometry measures a run: name its folder after `geometry`.")
    study = studies.find(args.name, root=args.data, **choice)
    out = Path(args.out or paths.runs_root() / study.name)
    try:
        sweep.make(
            study, Path(args.work), out, add=args.add, scheduler=args.scheduler, jobs=args.jobs
        )
    except KeyboardInterrupt as interrupt:
        again = shlex.join(["bnn-geometry", *args.argv])
        raise KeyboardInterrupt(f"interrupted: `{again}` goes on.") from interrupt
    print(out)
