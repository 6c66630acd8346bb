"""Commands around networks: train, publish, probe, study."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_geometry import data, paths
from bnn_geometry.cli.words import parse_value, size
from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    import torch

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


def _device(name: str | None) -> torch.device:
    # The one that was asked for; else a GPU where there is one.
    import torch

    device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    # With a CUDA toolkit and no GPU the compiler warns that it found one, in the middle of the bar.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device here: leave --device out, or use --device cpu.")
    return device


def train(args: argparse.Namespace) -> None:
    """Train a network by a recipe and write the run to a folder."""
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
    device = _device(args.device)
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


def paper(args: argparse.Namespace) -> None:
    """Train and publish everything that the book wants, within a budget of minutes.

    For the day when there is a GPU for half an hour. The runs, the most worth first:

      original         recipe original at full width, 500 epochs
      long             recipe long at full width, 100 epochs; where they do not fit
                       fewer, but at least 30, in one schedule
      original-narrow  recipe original at an eighth of the width, 500 epochs
      widths           binary and hard tanh at 1/8, 1/4 and 1/2 of the width, three
                       seeds each, as many epochs as long
      branch           from the middle of long, ten epochs at the rate of that moment
      continuous       hard tanh at full width, as many epochs as long

    Each kind of run is first trained and published for a few steps and timed; the
    plan of what fits is told, and made again before every run by what was measured.
    What does not fit is left out, and said. A finished run is written at once to
    OUT/NAME, in the form of the book's runs/NAME. A call that was killed or ran out of
    time goes on by the same command, from its last checkpoint; --minutes then counts
    anew. The first run of those chosen must fit, or nothing is begun.

    On CUDA the images and their augmentation live on the device, steps are played
    from a CUDA graph (bfloat16, channels last), and errors are measured in float32.

    What it needs: torch, numpy, pandas, scipy, safetensors, filelock, tqdm and
    lazy_loader (a small wheel, where it has to be carried). The images are looked for
    as ever, in --data or $BNN_DATA. An image folder, or a tar of one, takes Pillow to
    be decoded, an official archive torchvision; neither is imported where the decoded
    images lie in $BNN_CACHE/decoded and belong to the files found, by path, size and
    time. So bring the files, and where there is no Pillow the cache as well, 185 MB,
    made with the same path. A copy without its repository says in $BNN_COMMIT of which
    commit it is.

    --shards packs what is finished, before every run and at the end, into DIR/shard-1.tar
    and so on, at most eight files of at most 16 MiB, where a machine gives no more back.
    A published run lies whole in one of them. Where there is room the weights of kept
    epochs follow, in eight bits (epoch 8 and the middle). Left out are the weights in
    float32, four times as large, whose signs and angles the published ones have, and
    the checkpoints, of use on the same machine alone. `tar xf` unpacks a shard.
    """
    began = time.perf_counter()
    from bnn_geometry.studies import paper

    variants = args.variants or paper.VARIANTS
    paper.check(args.minutes, variants)
    device = _device(args.device)
    dataset = data.load("cifar10", root=args.data)
    work = Path(args.work)
    try:
        finished = paper.run_paper(
            work,
            Path(args.out or work / "published"),
            dataset,
            minutes=args.minutes,
            began=began,
            variants=variants,
            sizes=paper.REHEARSAL if args.rehearse else paper.PAPER,
            device=device,
            pack_into=Path(args.shards) if args.shards else None,
            say=partial(print, flush=True),
        )
    except KeyboardInterrupt as interrupt:
        again = shlex.join(["bnn-geometry", *args.argv])
        raise KeyboardInterrupt(f"interrupted: `{again}` goes on.") from interrupt
    print(f"finished: {', '.join(finished) or 'none'}")
