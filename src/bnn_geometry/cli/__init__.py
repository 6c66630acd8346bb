"""The command ``bnn-geometry``: what it understands. What it does stands in the modules beside."""

from __future__ import annotations

import argparse
import inspect
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bnn_geometry import __version__, paths
from bnn_geometry.cli import book, networks
from bnn_geometry.errors import UserError
from bnn_geometry.studies import NAMES as STUDIES
from bnn_geometry.training.environment import ENVIRONMENT
from sphinx_papermill.errors import BookError


def parser() -> argparse.ArgumentParser:
    """All commands and their options; a command is described by its docstring."""
    top = argparse.ArgumentParser(
        prog="bnn-geometry",
        description="Commands around the executable book on the geometry of binary networks.",
    )
    top.add_argument("--version", action="version", version=f"bnn-geometry {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", metavar="DIR", help="data root (default: $BNN_DATA, else cache)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        run: Callable[[Any], None], among: Any = commands, name: str | None = None
    ) -> argparse.ArgumentParser:
        text = inspect.getdoc(run)
        sub = among.add_parser(
            name or run.__name__.replace("_", "-"),
            help=text.splitlines()[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        sub.set_defaults(run=run)
        return sub

    sub = command(book.fetch)
    sub.add_argument("names", nargs="*", metavar="NAME", help="cifar10, mnist (default: both)")

    sub = command(book.status)
    sub.add_argument("--data-only", action="store_true", help="say only which data was found")

    sub = command(book.run_chapter)
    sub.add_argument("chapter", metavar="NAME")
    sub.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("KEY", "VALUE")
    )
    sub.add_argument("-o", "--output", metavar="FILE", help="to write (default: NAME.ipynb here)")
    sub.add_argument("--timeout", type=float, metavar="SECONDS", help="for one cell")

    sub = command(networks.train)
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
    sub.add_argument(
        "--elsewhere",
        action="store_true",
        help="with --resume: also where another machine began it, which the run's record then says",
    )

    sub = command(networks.publish)
    sub.add_argument("run_folder", metavar="RUN")
    sub.add_argument(
        "--out", metavar="DIR", help="default: runs/MODEL-RECIPE-wWIDTH-sSEED in this folder"
    )
    sub.add_argument("--images", type=int, default=500, help="to measure r on (default 500)")
    sub.add_argument(
        "--without-weights", action="store_true", help="history and measurements alone"
    )

    sub = command(networks.probe)
    sub.add_argument("run_folder", metavar="RUN")
    sub.add_argument(
        "--images", type=int, default=500, help="test images (default 500; all where fewer)"
    )
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--out", metavar="DIR", help="keep all that was found in a new folder")

    text = "Run the many parts of a study and write its tables, or train the paper's runs."
    sub = commands.add_parser("study", help=text, description=text)
    named = sub.add_subparsers(dest="name", required=True, metavar="NAME")
    for name in STUDIES:
        sub = command(networks.study, named, name)
        sub.add_argument(
            "run_folder", nargs="?", metavar="RUN", help="of geometry: what it measures"
        )
        sub.add_argument(
            "--work",
            required=True,
            metavar="DIR",
            help="keeps finished parts: a second call goes on",
        )
        sub.add_argument(
            "--out", metavar="DIR", help="of the tables (default: runs/NAME of the book)"
        )
        sub.add_argument("--images", type=int, help="of geometry: test images (default 10,000)")
        sub.add_argument(
            "--error-images", type=int, metavar="IMAGES", help="of them, for errors (default 1000)"
        )
        sub.add_argument("--variants", nargs="+", metavar="VARIANT", help="default: all")
        sub.add_argument("--seeds", type=int, nargs="+", metavar="SEED")
        sub.add_argument("--add", action="store_true", help="keep the rows that are in --out")
        where = sub.add_mutually_exclusive_group()
        where.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
        where.add_argument(
            "--scheduler", metavar="ADDRESS", help="of Dask, whose workers run the parts"
        )

    sub = command(networks.paper, named)
    sub.add_argument("--minutes", type=float, required=True, help="the budget, from this call on")
    sub.add_argument(
        "--work", required=True, metavar="DIR", help="of runs in the making: a second call goes on"
    )
    sub.add_argument("--out", metavar="DIR", help="of finished runs (default: WORK/published)")
    sub.add_argument("--shards", metavar="DIR", help="pack what is finished into tars there")
    sub.add_argument("--variants", nargs="+", metavar="VARIANT", help="default: all")
    sub.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: cuda where there is one, else cpu"
    )
    sub.add_argument(
        "--rehearse", action="store_true", help="the same with tiny networks, for a few minutes"
    )

    sub = command(book.claims)
    sub.add_argument("--preset", help="smoke, book or paper (default: $BNN_PRESET, else book)")
    sub.add_argument("--json", action="store_true")

    command(book.lab)

    sub = command(book.clean)
    sub.add_argument("--decoded", action="store_true", help="the decoded data as well")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is one sentence on standard error and code 1."""
    commands = parser()
    args, args.rest = commands.parse_known_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    if args.rest and args.command != "lab":
        commands.error(f"unrecognized arguments: {' '.join(args.rest)}")
    # Before torch is loaded, which then reads it.
    os.environ.setdefault("GOMP_SPINCOUNT", ENVIRONMENT["GOMP_SPINCOUNT"])
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without · is no reason to fail
        sys.stdout.reconfigure(errors="replace")
    try:
        paths.pin()  # what is started from here may stand elsewhere
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        _close_output()
        return 0
    except OSError as error:  # a folder without permission, a name too long, a full disk
        if error.filename is None:  # the output's own
            _close_output()
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"bnn-geometry: {where}{error.strerror or error}.", file=sys.stderr)
        return 1
    except (UserError, BookError) as error:
        print(f"bnn-geometry: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"bnn-geometry: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _close_output() -> None:
    # what could not be written is not tried again at exit
    with suppress(OSError, ValueError):  # a test's output is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
