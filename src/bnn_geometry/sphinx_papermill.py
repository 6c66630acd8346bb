"""Sphinx extension: chapters written as ``.py`` are executed by papermill during the build.

A chapter's result is an executed notebook, kept under ``.executed/<preset>/`` beside the chapters
(outside ``_build``, so that ``jupyter-book clean`` does not throw away an hour of training). The
notebook carries the **key** of all that decided it: the chapter's text, its parameters, every
source file of the package that it can reach by import, the keys of the chapters it builds on, the
fingerprints of its data, the published runs it reads, and the versions of the libraries. A build
executes the chapters whose key has changed, those that build on them, and no others.

What a chapter builds on stands in its notebook metadata::

    # ---
    # jupyter:
    #   bnn_geometry:
    #     after: [training]        # chapters
    #     data: [cifar10]          # names that bnn_geometry.data.datasets knows
    #     runs: [cifar10-fast-w1]  # folders of runs/
    #     files: [claims.toml]     # files beside the chapter
    # ---
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from sphinx.util import logging

from bnn_geometry import data, page, sources
from bnn_geometry.book import presets
from bnn_geometry.errors import UserError
from bnn_geometry.execute import (
    Worker,
    check_parameters,
    declared_parameters,
    read_chapter,
    start_worker,
)

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

LOGGER = logging.getLogger(__name__)

SUFFIX = ".py"
STORE = ".executed"
FORMAT = 1
"""Enters every key: raise it when what is stored, or how it is executed, changes."""

LIBRARIES = [
    "numpy",
    "scipy",
    "pandas",
    "torch",
    "torchvision",
    "seaborn",
    "matplotlib",
    "scikit-image",
    "scikit-learn",
    "safetensors",
    "papermill",
    "nbclient",
    "ipykernel",
    "jupytext",
]


@dataclass(frozen=True)
class Chapter:
    """A chapter of this build.

    Attributes
    ----------
    name : str
        Its Sphinx document name.
    path : Path
    notebook : NotebookNode
        Not executed.
    after, data, runs, files : tuple of str
        What it builds on.
    parameters : dict
        Injected by this build.
    """

    name: str
    path: Path
    notebook: NotebookNode
    after: tuple[str, ...]
    data: tuple[str, ...]
    runs: tuple[str, ...]
    files: tuple[str, ...]
    parameters: dict[str, Any]

    @property
    def code(self) -> str:
        """All code cells as one source text."""
        return "\n".join(c.source for c in self.notebook.cells if c.cell_type == "code")


def _names(value: Any, key: str, chapter: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise UserError(f"Chapter {chapter}: bnn_geometry.{key} in its header must be a list.")
    return tuple(value)


def load_chapter(name: str, path: Path, preset: str) -> Chapter:
    """Read a chapter and what its header declares.

    Raises
    ------
    UserError
        If the header is not of the form shown at the top of this module.
    """
    notebook = read_chapter(path)
    declared = dict(notebook.metadata.get("bnn_geometry", {}))
    keys = ("after", "data", "runs", "files")
    lists = {key: _names(declared.pop(key, []), key, name) for key in keys}
    for file in lists["files"]:
        if not (path.parent / file).is_file():
            raise UserError(f"Chapter {name} reads {file!r}, which is not beside it.")
    if declared:
        raise UserError(
            f"Chapter {name}: unknown bnn_geometry.{next(iter(declared))} in its header."
        )
    parameters: dict[str, Any] = {}
    if declared_parameters(notebook).get("preset", preset) != preset:
        parameters["preset"] = preset
        check_parameters(notebook, parameters, name)
    return Chapter(name, path, notebook, **lists, parameters=parameters)


def in_order(chapters: Mapping[str, Chapter]) -> list[Chapter]:
    """The chapters, each after all that it builds on.

    Raises
    ------
    UserError
        If one builds on a chapter that the book does not have, or on itself.
    """
    for chapter in chapters.values():
        for other in chapter.after:
            if other not in chapters:
                raise UserError(f"Chapter {chapter.name} builds on {other!r}, which is not there.")
    try:
        order = TopologicalSorter({c.name: c.after for c in chapters.values()}).static_order()
        return [chapters[name] for name in order]
    except CycleError as error:
        raise UserError(f"Chapters build on each other: {' → '.join(error.args[1])}.") from error


def _folder_hash(folder: Path) -> str:
    if not folder.is_dir():
        raise UserError(f"There is no published run in {folder}.")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return sources.text_hash(
        "\n".join(f"{p.relative_to(folder).as_posix()} {sources.file_hash(p)}" for p in files)
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def inputs(
    chapter: Chapter, upstream: Mapping[str, str], packages: list[str], runs: Path
) -> dict[str, Any]:
    """All that decides what a chapter shows; equal inputs, equal result.

    Parameters
    ----------
    chapter : Chapter
    upstream : mapping
        Keys of the chapters it builds on, by name.
    packages : list of str
        Packages whose modules count.
    runs : Path
        Folder of the published runs.
    """
    return {
        "format": FORMAT,
        "text": sources.text_hash(chapter.path.read_text(encoding="utf-8")),
        "parameters": chapter.parameters,
        "modules": sources.code_hash(chapter.code, packages),
        "after": {name: upstream[name] for name in chapter.after},
        "data": {name: data.fingerprint(name) for name in chapter.data},
        "runs": {name: _folder_hash(runs / name) for name in chapter.runs},
        "files": {name: sources.file_hash(chapter.path.parent / name) for name in chapter.files},
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def key_of(values: Mapping[str, Any]) -> str:
    """SHA-256 over the inputs."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Store:
    """Executed notebooks of one preset, by chapter."""

    def __init__(self, root: Path, preset: str) -> None:
        self.root = root
        self.folder = root / preset

    def path(self, name: str) -> Path:
        """Where a chapter's executed notebook lies."""
        return self.folder / f"{name}.ipynb"

    def failed_path(self, name: str) -> Path:
        """Where a partly executed notebook is kept for looking at."""
        return self.folder / f"{name}.failed.ipynb"

    def key(self, name: str) -> str | None:
        """The key a chapter's result was made with; None if there is no whole result."""
        try:
            text = self.path(name).read_text(encoding="utf-8")
            return json.loads(text)["metadata"]["bnn_geometry"]["key"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, name: str, executed: Path, record: Mapping[str, Any]) -> None:
        """Move an executed notebook into the store, with its record in the metadata."""
        notebook = json.loads(executed.read_text(encoding="utf-8"))
        own = notebook["metadata"].setdefault("bnn_geometry", {})
        own.update(record)
        executed.write_text(
            json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        os.replace(executed, self.path(name))  # whole or not at all
        self.failed_path(name).unlink(missing_ok=True)


def _timeout(config: Config, preset: str) -> float | None:
    value = config.papermill_timeout
    if isinstance(value, dict):
        value = value.get(preset)
    return float(value) if value else None


def _partial_name(chapter: str, process: object) -> str:
    # of a notebook that is being executed
    return f".{chapter}.{process}.tmp.ipynb"


@dataclass(frozen=True)
class _Job:
    chapter: Chapter
    worker: Worker
    output: Path
    inputs: dict[str, Any]
    key: str


class _Schedule:
    """Runs stale chapters, up to ``jobs`` at once, each when what it builds on is ready."""

    def __init__(self, app: Sphinx, store: Store, preset: str) -> None:
        self.app = app
        self.store = store
        self.timeout = _timeout(app.config, preset)
        self.jobs = max(1, int(app.config.papermill_jobs))
        self.runs = Path(app.srcdir).resolve().parent / "runs"
        self.keys: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def run(self, chapters: list[Chapter]) -> None:
        waiting = list(chapters)
        running: list[_Job] = []
        try:
            while waiting or running:
                for chapter in list(waiting):
                    if any(name in self.failed for name in chapter.after):
                        waiting.remove(chapter)
                        self.failed[chapter.name] = "not executed: it builds on one that failed"
                    elif len(running) < self.jobs and all(n in self.keys for n in chapter.after):
                        waiting.remove(chapter)
                        job = self._start(chapter)
                        if job is not None:
                            running.append(job)
                done = [job for job in running if not job.worker.running()]
                for job in done:
                    running.remove(job)
                    self._finish(job)
                if running and not done:
                    time.sleep(0.05)
        finally:
            for job in running:
                job.worker.kill()
                job.output.unlink(missing_ok=True)

    def _start(self, chapter: Chapter) -> _Job | None:
        values = inputs(chapter, self.keys, list(self.app.config.papermill_packages), self.runs)
        key = key_of(values)
        if self.store.key(chapter.name) == key:
            self.keys[chapter.name] = key
            LOGGER.info("%s: up to date", chapter.name)
            return None
        total = sum(c.cell_type == "code" for c in chapter.notebook.cells)
        LOGGER.info("%s: executing %d cells …", chapter.name, total)
        path = self.store.path(chapter.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        output = path.with_name(_partial_name(path.stem, os.getpid()))
        worker = start_worker(
            chapter.path,
            output,
            parameters=chapter.parameters,
            cwd=Path(self.app.srcdir),
            timeout=self.timeout,
            environment={
                "BNN_LIVE": os.environ.get("BNN_LIVE") or str(self.store.root / "live"),
                "BNN_EXECUTED": str(self.store.folder),  # the ledger reads the others' results
            },
        )
        return _Job(chapter, worker, output, values, key)

    def _finish(self, job: _Job) -> None:
        name = job.chapter.name
        outcome = job.worker.outcome()
        if outcome.ok:
            record = {
                "key": job.key,
                "inputs": job.inputs,
                "preset": self.store.folder.name,
                "seconds": round(outcome.seconds, 1),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "data_sources": {n: data.locate(n).source for n in job.chapter.data},
            }
            self.store.keep(name, job.output, record)
            self.keys[name] = job.key
            budget = presets.preset(self.store.folder.name).seconds.get(name)
            against = f" (budget {budget:g} s)" if budget else ""
            LOGGER.info("%s: %d cells in %.1f s%s", name, outcome.cells, outcome.seconds, against)
            return
        self.failed[name] = outcome.error
        if job.output.exists():
            os.replace(job.output, self.store.failed_path(name))


def _preset() -> str:
    return presets.from_environment()


def _stop(message: str) -> None:
    # jupyter-book turns an exception into a page of traceback; SystemExit passes through it.
    LOGGER.error(message)
    raise SystemExit(1)


def configure(app: Sphinx, config: Config) -> None:
    """config-inited, before myst-nb: read ``.py`` as notebooks; one build at a time."""
    config.nb_custom_formats = {
        **config.nb_custom_formats,
        SUFFIX: ["nbformat.reads", {"as_version": 4}],
    }
    config.nb_execution_mode = "off"  # myst-nb would execute them a second time
    try:
        _preset()
    except UserError as error:
        _stop(str(error))
    store = Path(app.srcdir) / STORE
    try:
        store.mkdir(exist_ok=True)
    except OSError as error:
        _stop(f"Executed chapters cannot be kept in {store}: {error.strerror}.")
    # Two builds would write the same pages: the second waits for the first. Held until the
    # process ends, so that it covers what jupyter-book does after Sphinx.
    lock = FileLock(store / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        LOGGER.info("another build of this book is running: waiting for it …")
        lock.acquire()
    app._papermill_lock = lock  # type: ignore[attr-defined]
    for left in store.glob(f"*/{_partial_name('*', '*')}"):
        left.unlink()  # by a build that was killed


def execute_stale(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """env-get-outdated: execute what is stale, return the pages to read again."""
    preset = _preset()
    store = Store(Path(app.srcdir) / STORE, preset)
    chapters: dict[str, Chapter] = {}
    schedule = _Schedule(app, store, preset)
    try:
        for name in sorted(env.found_docs):
            path = Path(env.doc2path(name))
            if path.suffix == SUFFIX:
                chapters[name] = load_chapter(name, path, preset)
        schedule.run(in_order(chapters))
    except (UserError, SyntaxError) as error:
        _stop(str(error))
    if schedule.failed:
        for name, error in schedule.failed.items():
            kept = store.failed_path(name)
            where = f" [{os.path.relpath(kept)}]" if kept.exists() else ""
            LOGGER.error("chapter %s: %s%s", name, error, where)
        raise SystemExit(1)
    # What is on a page depends on the result and on how it is turned into a page.
    own = sources.file_hash(Path(page.__file__))
    keys = {name: f"{key} {own}" for name, key in schedule.keys.items()}
    app._papermill_keys = keys  # type: ignore[attr-defined]
    shown: dict[str, str] = getattr(env, "papermill_keys", {})
    return [name for name, key in keys.items() if shown.get(name) != key]


def hand_over(app: Sphinx, docname: str, source: list[str]) -> None:
    """source-read: give the executed notebook in place of the chapter's text."""
    keys: dict[str, str] = getattr(app, "_papermill_keys", {})
    if docname not in keys:
        return
    text = Store(Path(app.srcdir) / STORE, _preset()).path(docname).read_text("utf-8")
    source[0] = json.dumps(page.as_page(json.loads(text)))
    if not hasattr(app.env, "papermill_keys"):
        app.env.papermill_keys = {}  # type: ignore[attr-defined]
    app.env.papermill_keys[docname] = keys[docname]  # type: ignore[attr-defined]


def offer_download(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """html-page-context: put the executed notebook beside the page's source, for its button."""
    if pagename not in getattr(app, "_papermill_keys", {}):
        return
    target = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Store(Path(app.srcdir) / STORE, _preset()).path(pagename), target)
    context["ipynb_source"] = f"{pagename}.ipynb"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_config_value("papermill_packages", ["bnn_geometry"], "env")
    app.add_config_value("papermill_timeout", 900, "", types=(int, float, dict, type(None)))
    app.add_config_value("papermill_jobs", 2, "")
    app.connect("config-inited", configure, priority=100)
    app.connect("env-get-outdated", execute_stale)
    app.connect("source-read", hand_over)
    app.connect("doctree-resolved", page.typeset_numbers)
    app.connect("html-page-context", offer_download, priority=100)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
