"""Commands around the book and its data."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bnn_geometry import __version__, data, paths
from bnn_geometry.book import ledger, ledger_table, presets
from bnn_geometry.cli.words import parse_value, size
from bnn_geometry.errors import UserError
from bnn_geometry.training.environment import chapter_environment

# torch and papermill are imported by the commands that need them: the others start at once.


def fetch(args: argparse.Namespace) -> None:
    """Download data sets, resuming and checking them."""
    for path in data.fetch(args.names or list(data.DATASETS), root=args.data):
        print(path)


def status(args: argparse.Namespace) -> None:
    """Say which data, device, preset and caches are in use."""
    preset = presets.from_environment()
    _check_links()
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
        print(f"{label}: {size(folder)} in {folder}")


def _check_links() -> None:
    # git without core.symlinks, and some programs that unpack, make text files of links
    try:
        book = paths.book_folder()
    except UserError:
        return
    for name in ("_config.yml", "_toc.yml"):
        file = book / name
        if (
            file.is_file()
            and file.stat().st_size < 100
            and file.read_text().strip() == f"../{name}"
        ):
            raise UserError(
                f"{file} is a text file where a link belongs, and the book cannot be built: copy "
                f"{name} from the folder above over it, or run `git config core.symlinks true` and "
                f"`git checkout book` where links can be made."
            )


def _stores() -> dict[str, Path]:
    stores = {"decoded data": paths.cache_root() / "decoded"}
    with suppress(UserError):
        stores["executed chapters"] = paths.book_folder() / paths.STORE
    return stores


def clean(args: argparse.Namespace) -> None:
    """Remove executed chapters and the built book."""
    book = paths.book_folder(around=True)
    targets = [book / paths.STORE, book / "_build"]
    for target in targets:
        if target.is_symlink():
            raise UserError(f"{target} is a link to {target.resolve()}: remove it yourself.")
    try:
        with FileLock(targets[0] / ".lock", timeout=0) if targets[0].is_dir() else nullcontext():
            for target in targets:
                if target.exists():
                    print(f"removing {target} ({size(target)})")
                    shutil.rmtree(target)
    except Timeout as error:
        raise UserError(f"A build of {book} is running: clean when it is done.") from error
    except OSError as error:
        raise UserError(f"{error.filename} cannot be removed: {error.strerror}.") from error
    if args.decoded:  # by name: BNN_CACHE may be a folder that holds other things
        folder = paths.cache_root() / "decoded"
        for name in data.DATASETS:
            for kind in ("safetensors", "lock", "part"):
                for file in folder.glob(f"{name}-*.{kind}"):
                    print(f"removing {file}")
                    file.unlink()
        with suppress(OSError):  # where something else is in it
            folder.rmdir()


def run_chapter(args: argparse.Namespace) -> None:
    """Run one chapter to a notebook, with parameters."""
    from sphinx_papermill import staleness, worker
    from sphinx_papermill.chapter import check_parameters, declared_parameters, read_notebook

    if args.timeout is not None and not (math.isfinite(args.timeout) and args.timeout > 0):
        raise UserError(f"--timeout must be a positive number of seconds, not {args.timeout:g}.")
    book = paths.book_folder()
    name = args.chapter.removesuffix(".py")
    known = sorted(p.stem for p in book.glob("*.py"))
    if name not in known:
        raise UserError(f"There is no chapter {name!r}; there is {', '.join(known)}.")
    path = book / f"{name}.py"
    parameters = {key: parse_value(value) for key, value in args.parameters}
    declared = declared_parameters(read_notebook(path), name)
    if os.environ.get(paths.PRESET) and "preset" in declared:
        parameters = {"preset": presets.from_environment(), **parameters}
    output = Path(args.output or f"{name}.ipynb").resolve()  # a link may lead into the book
    if output.is_relative_to(book.resolve()):
        raise UserError(f"{output} is inside the book: name an output elsewhere, with --output.")
    if not output.parent.is_dir():
        raise UserError(f"There is no folder {output.parent} to write {output.name} to.")
    if output.is_dir():
        raise UserError(f"{output} is a folder: name the file to write.")
    if output.exists() and not staleness.is_untouched(output):
        raise UserError(
            f"There is something at {output} already, which this command did not write or somebody "
            "changed since: name another file, with --output."
        )
    check_parameters(declared, parameters, name)
    os.environ.setdefault(paths.LIVE, str(book / paths.STORE / "live"))
    if args.data:
        os.environ[paths.DATA] = str(paths.data_root(args.data))
    partial = output.with_name(staleness.partial_name(name, os.getpid()))
    try:
        outcome = worker.start(
            path,
            partial,
            parameters=parameters,
            cwd=book,
            timeout=args.timeout,
            environment=chapter_environment(alone=parameters.get("preset") == "paper"),
        ).outcome()
        if partial.exists():
            staleness.seal(partial, book)
            partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    if not outcome.ok:
        raise UserError(f"chapter {name}: {outcome.error} [{output}]")
    print(f"{output}: {outcome.cells} cells in {outcome.seconds:.1f} s")


def claims(args: argparse.Namespace) -> None:
    """Print the ledger of claims of the book that was built."""
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


def lab(args: argparse.Namespace) -> None:
    """Open JupyterLab with the chapters; other options are passed on to it."""
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
    # as the build's kernels have it: the networks that a build trained are found again
    os.environ.update(chapter_environment(alone=presets.from_environment() == "paper"))
    if args.data:
        os.environ[paths.DATA] = str(paths.data_root(args.data))
    command = [sys.executable, "-m", "jupyter", "lab", f"--notebook-dir={book}", *args.rest]
    os.execv(sys.executable, command)
