"""Run a study's many parts: here or on a cluster, killed or not, to the same tables bit for bit.

A study is data: its parts and a function that makes the rows of one. Every finished part lies whole
in the work folder, with what decided it, and the tables are put together from there, in the parts'
order. Which process ran a part, when, and in which call, cannot be told from the result.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import joblib
import pandas as pd

from bnn_geometry import storage
from bnn_geometry.errors import UserError
from bnn_geometry.studies import tables
from bnn_geometry.studies.progress import Progress
from bnn_geometry.studies.work_folder import claimed

# Nothing here imports torch: a worker whose parts do not need it starts at once.

Rows = dict[str, pd.DataFrame]

TIMEOUT = 30
"""Seconds to wait for a scheduler, and for its first worker."""


@dataclass(frozen=True)
class Study:
    """A question that many runs answer.

    Attributes
    ----------
    name : str
    parts : dict of str to dict
        The arguments of each part, plain values, by its key: a short text that names it.
    function : callable
        Takes a part's arguments by name, and returns its rows by the name of their table. It must
        be importable, or made of what is (``functools.partial``): other processes call it.
    settings : dict
        What decides the rows, besides the parts, the data and the code; plain values.
    keys : dict of str to sequence of str
        The tables, and the columns of each that tell its parts from others.
    data : dict
        Provenance of the images.
    """

    name: str
    parts: Mapping[str, Mapping[str, Any]]
    function: Callable[..., Rows]
    settings: dict[str, Any]
    keys: Mapping[str, Sequence[str]]
    data: dict[str, Any] = field(default_factory=dict)


def run_study(
    study: Study,
    work: Path,
    *,
    scheduler: str | None = None,
    jobs: int | None = None,
    stream: TextIO | None = None,
) -> tables.Published:
    """Run the parts that are missing in a folder, and put the tables together.

    Parameters
    ----------
    study : Study
    work : Path
        Folder of the finished parts. A second call goes on with what is there.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers run the parts. One that dies loses nothing but
        its time: the scheduler gives its part to another.
    jobs : int, optional
        Without a scheduler: processes at a time, of one thread each; as many as there are cores.
    stream : file, optional
        Where progress goes; standard error.

    Raises
    ------
    UserError
        If a part cannot be made, or the folder holds one that something else decided.
    """
    work = Path(work)
    made_with = _made_with()
    with claimed(work):
        missing = [
            key
            for key in study.parts
            if not _is_done(_folder(work, key), _identity(study, key, made_with))
        ]
        if missing:
            progress = Progress(len(study.parts), len(study.parts) - len(missing), stream)
            with progress, _backend(scheduler, jobs):
                parallel = joblib.Parallel(
                    return_as="generator_unordered", batch_size=1, pre_dispatch="all"
                )
                tasks = (
                    joblib.delayed(_Task(key, study.function, dict(study.parts[key])))()
                    for key in missing
                )
                with _closed(_sentences(parallel(tasks), scheduler)) as results:
                    for done in results:
                        if done.made_with != made_with:
                            raise UserError(
                                f"A worker of {scheduler} has another package or other versions "
                                "than this process: make them the same."
                            )
                        folder = _folder(work, done.key)
                        _keep(folder, _identity(study, done.key, made_with), done)
                        progress.step(done.key, done.seconds)
        return _assembled(study, work, made_with)


def make(
    study: Study,
    work: Path,
    out: Path,
    *,
    add: bool = False,
    scheduler: str | None = None,
    jobs: int | None = None,
) -> tables.Published:
    """Run a study and write its tables to ``out``.

    Parameters
    ----------
    study, work, scheduler, jobs
        As for :func:`run_study`.
    out : Path
        Folder of the tables; those that are there give way.
    add : bool
        Keep the rows that are in ``out`` beside the new ones.

    Raises
    ------
    UserError
        As :func:`run_study` does, if something else is at ``out``, or if the rows that are there
        were made with something else.
    """
    tables.check_target(Path(out), study.name)  # told before hours of work, not after
    kept = tables.read(out) if add else None
    if kept is not None:
        tables.check_addable(
            kept, settings=study.settings, data=study.data, versions=_made_with()["versions"]
        )
    found = run_study(study, work, scheduler=scheduler, jobs=jobs)
    if kept is not None:
        found = tables.added(kept, found, study.keys)
    tables.write(out, found)
    return found


def check_choice(
    known: Iterable[str], variants: Sequence[str], seeds: Sequence[int], *, needed: str | None
) -> None:
    """Refuse variants that there are not, seeds named twice, and a choice without ``needed``.

    Raises
    ------
    UserError
        With what is wrong.
    """
    for name in variants:
        if name not in known:
            # names have commas in them
            raise UserError(
                f"There is no variant {name!r}; there is {', '.join(map(repr, known))}."
            )
    if needed is not None and needed not in variants:
        raise UserError(f"Variants are compared with the {needed}: name it among the variants.")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"A seed is named twice: {', '.join(map(str, seeds))}.")


# --- one part, wherever it runs -------------------------------------------------------------------


@dataclass(frozen=True)
class _Done:
    key: str
    rows: Rows
    seconds: float
    made_with: dict[str, Any]


@dataclass(frozen=True, eq=False)  # joblib puts tasks into sets: a hash by identity
class _Task:
    # No arguments to call it with: joblib would scatter large ones to a worker, and they would be
    # lost with it.
    key: str
    function: Callable[..., Rows]
    arguments: dict[str, Any]

    def __call__(self) -> _Done:
        began = time.monotonic()
        try:
            with _one_thread():
                rows = self.function(**self.arguments)
        except UserError as error:
            raise UserError(f"{self.key}: {error}") from None
        return _Done(self.key, rows, round(time.monotonic() - began, 2), _made_with())


@contextmanager
def _one_thread() -> Iterator[None]:
    # Sums in one order, however many cores there are.
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _made_with() -> dict[str, Any]:
    # Versions, and a hash of the package but for what makes pages.
    package = Path(__file__).resolve().parents[1]
    code = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if not name.startswith(("book/", "cli")):
            code.update(f"{name} {storage.file_hash(file)}\n".encode())
    return {"versions": storage.versions(), "code": code.hexdigest()}


# --- the work folder ------------------------------------------------------------------------------


def _folder(work: Path, key: str) -> Path:
    # a name to be read, and one that no other key has
    slug = re.sub(r"[^a-z0-9.]+", "-", key.lower()).strip("-")[:60]
    return work / f"{slug}-{storage.text_hash(key)[:8]}"


def _identity(study: Study, key: str, made_with: dict[str, Any]) -> dict[str, Any]:
    # Everything that decides a part, as JSON holds it.
    identity = {
        "study": study.name,
        "part": key,
        "arguments": dict(study.parts[key]),
        "settings": study.settings,
        "data": study.data.get("fingerprint"),
        **made_with,
    }
    return json.loads(json.dumps(identity))


def _is_done(folder: Path, identity: dict[str, Any]) -> bool:
    # Whether a part is there; one that something else decided is refused.
    if not folder.exists():
        return False
    _, found = _read_part(folder)
    for name, value in identity.items():
        if found.get(name) != value:
            raise UserError(
                f"The part in {folder} was made with other {name}: choose another folder, or "
                "remove it."
            )
    return True


def _read_part(folder: Path) -> tuple[Rows, dict[str, Any]]:
    return tables.read_tables(folder, remedy="Remove the folder: the part is made again.")


def _keep(folder: Path, identity: dict[str, Any], done: _Done) -> None:
    with storage.new_folder(folder) as new:
        rows = {name: table for name, table in done.rows.items() if len(table)}
        tables.write_tables(new, rows, identity | {"seconds": done.seconds})


def _assembled(study: Study, work: Path, made_with: dict[str, Any]) -> tables.Published:
    from bnn_geometry.training.code import commit

    parts = [_read_part(_folder(work, key)) for key in study.parts]
    return tables.Published(
        study=study.name,
        tables={
            name: pd.concat([rows[name] for rows, _ in parts if name in rows], ignore_index=True)
            for name in study.keys
            if any(name in rows for rows, _ in parts)
        },
        settings=study.settings,
        data=study.data,
        versions=made_with["versions"],
        commit=commit(),
        code=made_with["code"],
        seconds=round(sum(values["seconds"] for _, values in parts), 2),
    )


# --- here, or on a cluster ------------------------------------------------------------------------


@contextmanager
def _backend(scheduler: str | None, jobs: int | None) -> Iterator[None]:
    # Where joblib.Parallel runs what it is given.
    if scheduler is None:
        jobs = joblib.cpu_count() if jobs is None else jobs
        if jobs < 1:
            raise UserError(f"--jobs must be at least 1, not {jobs}.")
        with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            yield
        return
    if importlib.util.find_spec("distributed") is None:
        raise UserError(
            "--scheduler needs the package distributed: pip install 'bnn-geometry[cluster]'."
        )
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise UserError(f"There is no Dask scheduler at {scheduler}: {error}.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=TIMEOUT)
        except TimeoutError as error:
            raise UserError(f"The scheduler at {scheduler} has no worker: start one.") from error
        if any(threads > 1 for threads in client.nthreads().values()):
            raise UserError("Every worker must have one thread: start it with --nthreads 1.")
        with joblib.parallel_config("dask", client=client):
            yield


@contextmanager
def _closed(results: Generator[_Done, None, None]) -> Iterator[Iterable[_Done]]:
    # Whatever happens on the way, nothing is left running.
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # joblib: ask for less another time
            results.close()


def _sentences(results: Iterable[_Done], scheduler: str | None) -> Generator[_Done, None, None]:
    # What dies on the way is the machine's affair: it is told in a sentence.
    try:
        yield from results
    except Exception as error:
        died = {
            "TerminatedWorkerError": "A process died, perhaps for want of memory",
            "KilledWorker": f"Workers of {scheduler} died again and again, perhaps of one part",
            "FutureCancelledError": f"The connection to {scheduler} was lost",
        }.get(type(error).__name__)
        if died is None:
            raise
        raise UserError(f"{died}. Finished parts are kept: the same command goes on.") from error
