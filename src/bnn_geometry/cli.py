"""The command ``bnn-geometry``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bnn_geometry import __version__, data, paths
from bnn_geometry.book import ledger, ledger_table, presets
from bnn_geometry.errors import UserError
from bnn_geometry.studies import NAMES as STUDIES
from bnn_geometry.training.environment import ENVIRONMENT, environment
from sphinx_papermill.errors import BookError

# torch, papermill and Sphinx are imported by the commands that need them: the others start at once.


def _fetch(args: argparse.Namespace) -> None:
    for path in data.fetch(args.names or list(data.DATASETS), root=args.data):
        print(path)


def _status(args: argparse.Namespace) -> None:
    preset = presets.from_environment()
    for name in data.DATASETS:
        print(data.describe(name, root=args.data))
    if args.data_only:
        return
    import torch

    from bnn_geometry.training.hardware import resolve_precision

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"device: {name}; trains in {resolve_precision('auto', device)}")
    print(f"torch {torch.__version__}, Python {sys.version.split()[0]}, bnn-geometry {__version__}")
    print(f"preset: {preset} (set BNN_PRESET to change it)")
    for label, folder in _stores().items():
        print(f"{label}: {_size(folder)} in {folder}")


def _stores() -> dict[str, Path]:
    stores = {"decoded data": paths.cache_root() / "decoded"}
    with suppress(UserError):
        stores["executed chapters"] = paths.book_folder() / paths.STORE
    return stores


def _size(folder: Path) -> str:
    total = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return f"{total / 1e6:.1f} MB"


def _clean(args: argparse.Namespace) -> None:
    book = paths.book_folder()
    targets = [book / paths.STORE, book / "_build"]
    if args.decoded:
        targets.append(paths.cache_root() / "decoded")
    for target in targets:
        if target.exists():
            print(f"removing {target} ({_size(target)})")
            shutil.rmtree(target)


def _parse_value(text: str) -> Any:
    # as papermill's own command reads -p: numbers and booleans by their look, else text
    for literal, value in (("true", True), ("false", False)):
        if text.lower() == literal:
            return value
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _run_chapter(args: argparse.Namespace) -> None:
    from sphinx_papermill import worker
    from sphinx_papermill.chapter import check_parameters, declared_parameters, read_notebook

    book = paths.book_folder()
    name = args.chapter.removesuffix(".py")
    path = book / f"{name}.py"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in book.glob("*.py")))
        raise UserError(f"There is no chapter {name!r}; there is {known}.")
    parameters = {key: _parse_value(value) for key, value in args.parameters}
    declared = declared_parameters(read_notebook(path), name)
    if os.environ.get(paths.PRESET) and "preset" in declared:
        parameters = {"preset": presets.from_environment(), **parameters}
    output = Path(args.output or f"{name}.ipynb").absolute()
    if output.is_relative_to(book):
        raise UserError(f"{output} is inside the book: name an output elsewhere, with --output.")
    if not output.parent.is_dir():
        raise UserError(f"There is no folder {output.parent} to write {output.name} to.")
    if output.is_dir():
        raise UserError(f"{output} is a folder: name the file to write.")
    check_parameters(declared, parameters, name)
    os.environ.setdefault(paths.LIVE, str(book / paths.STORE / "live"))
    if args.data:
        os.environ[paths.DATA] = str(paths.data_root(args.data))
    outcome = worker.start(
        path,
        output,
        parameters=parameters,
        cwd=book,
        timeout=args.timeout,
        environment=environment(),
    ).outcome()
    if not outcome.ok:
        raise UserError(f"chapter {name}: {outcome.error} [{output}]")
    print(f"{output}: {outcome.cells} cells in {outcome.seconds:.1f} s")


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
        value, kind = _parse_value(text), str(kinds[key]).split(" | ")[0]
        if kind == "float" and type(value) is int:
            value = float(value)
        if type(value).__name__ != kind:
            raise UserError(f"A recipe's {key} is {kind}, and {text!r} is not.")
        changes[key] = value
    return changes


def _train(args: argparse.Namespace) -> None:
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


def _publish(args: argparse.Namespace) -> None:
    import pandas as pd

    from bnn_geometry.studies import publish
    from bnn_geometry.training import runs

    if args.images < 1:
        raise UserError(f"--images must be at least 1, not {args.images}.")
    run = runs.read(Path(args.run_folder))
    out = Path(args.out or Path("runs") / runs.name(run.recipe, run.seed))
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
    print(f"{out}: {_size(out)}")


def _probe(args: argparse.Namespace) -> None:

    from bnn_geometry import training
    from bnn_geometry.probing import dot_products, results
    from bnn_geometry.training import runs

    if args.images < 1:
        raise UserError(f"--images must be at least 1, not {args.images}.")
    out = Path(args.out) if args.out else None
    if out is not None and out.exists():  # told before the long run, not after it
        raise UserError(f"There is something at {out} already: choose another folder.")
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
    for comparison in comparisons:
        first, second = (
            text.replace("\\cdot ", "·") for text in (comparison.first, comparison.second)
        )
        print(f"{comparison.name}: {second} against {first}")
        print(dot_products.as_table(found.statistics[comparison.name]).round(3).to_string())


def _study(args: argparse.Namespace) -> None:
    from bnn_geometry import studies
    from bnn_geometry.studies import sweep

    choice = {"variants": args.variants, "seeds": args.seeds}
    study = studies.find(
        args.name, root=args.data, **{k: v for k, v in choice.items() if v is not None}
    )
    out = Path(args.out or paths.runs_root() / args.name)
    try:
        sweep.make(
            study, Path(args.work), out, add=args.add, scheduler=args.scheduler, jobs=args.jobs
        )
    except KeyboardInterrupt as interrupt:
        again = shlex.join(["bnn-geometry", *args.argv])
        raise KeyboardInterrupt(f"interrupted: `{again}` goes on.") from interrupt
    print(out)


def _claims(args: argparse.Namespace) -> None:
    preset = presets.check(args.preset) if args.preset else presets.from_environment()
    folder = paths.executed_folder(preset)
    if not any(folder.glob("*.ipynb")):
        raise UserError(
            f"Nothing has been built with preset {preset} yet: `BNN_PRESET={preset} make book` "
            "builds the book, and then the claims can be judged."
        )
    rows = ledger.ledger(preset, folder=folder)
    if args.json:
        print(json.dumps(ledger_table.as_records(rows), indent=2, ensure_ascii=False))
    else:
        print(ledger_table.as_text(rows))


def _lab(args: argparse.Namespace) -> None:
    book = paths.book_folder()
    settings = paths.cache_root() / "lab-settings"
    # A double click opens a chapter as a notebook, and nothing is asked of other hosts. The user's
    # own JupyterLab stays as it is.
    for plugin, values in {
        "docmanager-extension/plugin": {"defaultViewers": {"python": "Jupytext Notebook"}},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }.items():
        file = settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    os.environ["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
    os.environ.setdefault(paths.LIVE, str(book / paths.STORE / "live"))
    if args.data:
        os.environ[paths.DATA] = str(paths.data_root(args.data))
    command = [sys.executable, "-m", "jupyter", "lab", f"--notebook-dir={book}", *args.rest]
    os.execv(sys.executable, command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bnn-geometry",
        description="Commands around the executable book on the geometry of binary networks.",
    )
    parser.add_argument("--version", action="version", version=f"bnn-geometry {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", metavar="DIR", help="data root (default: $BNN_DATA, else cache)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Any], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=run)
        return sub

    sub = command("fetch", _fetch, "Download data sets, resuming and checking them.")
    sub.add_argument("names", nargs="*", metavar="NAME", help="cifar10, mnist (default: both)")

    sub = command("status", _status, "Say which data, device, preset and caches are in use.")
    sub.add_argument("--data-only", action="store_true", help="say only which data was found")

    sub = command("run-chapter", _run_chapter, "Run one chapter to a notebook, with parameters.")
    sub.add_argument("chapter", metavar="NAME")
    sub.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("KEY", "VALUE")
    )
    sub.add_argument("-o", "--output", metavar="FILE", help="default: NAME.ipynb here")
    sub.add_argument("--timeout", type=float, metavar="SECONDS", help="for one cell")

    sub = command("train", _train, "Train a network by a recipe and write the run to a folder.")
    sub.add_argument("model", metavar="MODEL", help="cifar10-convnet or mnist-mlp")
    sub.add_argument("--recipe", default="fast", help="original, fast (default) or long")
    sub.add_argument("--width", type=float, help="scale of every hidden layer")
    sub.add_argument("--epochs", type=int)
    sub.add_argument(
        "--activation", help="binary (default), or hardtanh or relu for a continuous counterpart"
    )
    sub.add_argument(
        "--set",
        nargs=2,
        action="append",
        default=[],
        metavar=("FIELD", "VALUE"),
        help="change another field of the recipe, such as: --set lr 0.003",
    )
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: cuda where there is one, else cpu"
    )
    sub.add_argument("--out", required=True, metavar="DIR")
    sub.add_argument(
        "--measure",
        type=int,
        default=0,
        metavar="IMAGES",
        help="measure r and the angle on this many test images after every epoch",
    )
    sub.add_argument(
        "--keep", type=int, nargs="+", default=[], metavar="EPOCH", help="keep these weights too"
    )
    sub.add_argument(
        "--resume", action="store_true", help="go on with the run in DIR that was interrupted"
    )

    sub = command(
        "publish", _publish, "Write a run with its latent weights in eight bits, and what it costs."
    )
    sub.add_argument("run_folder", metavar="RUN")
    sub.add_argument(
        "--out", metavar="DIR", help="default: runs/MODEL-RECIPE-wWIDTH-sSEED in this folder"
    )
    sub.add_argument("--images", type=int, default=500, help="to measure r on (default 500)")
    sub.add_argument(
        "--without-weights", action="store_true", help="history and measurements alone"
    )

    sub = command(
        "probe",
        _probe,
        "Measure dot products of a trained run, layer by layer. --data also takes the name of a "
        "data set, cifar10 or mnist; default: the one it was trained on.",
    )
    sub.add_argument("run_folder", metavar="RUN")
    sub.add_argument(
        "--images", type=int, default=500, help="test images (default 500; all where fewer)"
    )
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--out", metavar="DIR", help="keep all that was found in a new folder")

    sub = command("study", _study, "Run the many parts of a study and write its tables.")
    sub.add_argument("name", choices=STUDIES, metavar="NAME", help=", ".join(STUDIES))
    sub.add_argument(
        "--work", required=True, metavar="DIR", help="keeps finished parts: a second call goes on"
    )
    sub.add_argument("--out", metavar="DIR", help="of the tables (default: runs/NAME of the book)")
    sub.add_argument("--variants", nargs="+", metavar="VARIANT", help="default: all")
    sub.add_argument("--seeds", type=int, nargs="+", metavar="SEED")
    sub.add_argument("--add", action="store_true", help="keep the rows that are in --out")
    where = sub.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="of Dask, whose workers run the parts"
    )

    sub = command("claims", _claims, "Print the ledger of claims of the book that was built.")
    sub.add_argument("--preset", help="smoke, book or paper (default: $BNN_PRESET, else book)")
    sub.add_argument("--json", action="store_true")

    command("lab", _lab, "Open JupyterLab with the chapters; other options are passed on to it.")

    sub = command("clean", _clean, "Remove executed chapters and the built book.")
    sub.add_argument("--decoded", action="store_true", help="the decoded data as well")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is one sentence on standard error and code 1."""
    parser = _parser()
    args, args.rest = parser.parse_known_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    if args.rest and args.command != "lab":
        parser.error(f"unrecognized arguments: {' '.join(args.rest)}")
    # Before torch is loaded, which then reads it.
    os.environ.setdefault("GOMP_SPINCOUNT", ENVIRONMENT["GOMP_SPINCOUNT"])
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor at exit
        return 0
    except (UserError, BookError) as error:
        print(f"bnn-geometry: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"bnn-geometry: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
