"""The Sphinx side: settings, and what happens at which event of a build.

``config-inited`` (before myst-nb: register ``.py``) → ``env-get-outdated`` (execute the stale
chapters; name the pages to read again) → ``source-read`` (hand over the executed notebook) →
``html-page-context`` and ``build-finished`` (offer it for download).
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from filelock import FileLock, Timeout
from sphinx.util import logging

from sphinx_papermill import chapter as chapters
from sphinx_papermill import imports, render, staleness
from sphinx_papermill.errors import BookError
from sphinx_papermill.isolation import can_be_made
from sphinx_papermill.schedule import Schedule
from sphinx_papermill.staleness import Sources, Store

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

LOGGER = logging.getLogger(__name__)

SUFFIXES = (".py", ".ipynb")
"""Of the files that are chapters."""

STORE = ".executed"
"""Folder of the results beside the chapters: outside ``_build``, so that ``jupyter-book clean``
does not throw away an hour of computing."""


SETTINGS: tuple[tuple[str, Any, tuple[type, ...]], ...] = (
    ("packages", [], (list, tuple)),
    ("libraries", [], (list, tuple)),
    ("parameters", {}, (dict,)),
    ("variant", "", (str,)),
    ("fingerprints", {}, (dict,)),
    ("folders", {}, (dict,)),
    ("environment", {}, (dict,)),
    ("budgets", {}, (dict,)),
    ("timeout", 900, (int, float, type(None))),
    ("jobs", 2, (int,)),
    ("render", [], (list, tuple)),
)
"""Names after ``papermill_``, defaults and kinds."""


def stop(message: str) -> NoReturn:
    """End the build with one error for each line of the message, and no traceback."""
    for line in message.splitlines():
        LOGGER.error(line)
    # jupyter-book turns an exception into a page of traceback; SystemExit passes through it.
    raise SystemExit(1)


def _function(name: str, setting: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BookError(f"{setting} names {name!r}, which cannot be loaded: {error}.") from error


def _sources(app: Sphinx) -> Sources:
    config, book = app.config, Path(app.srcdir)
    return Sources(
        book=book,
        packages=tuple(config.papermill_packages),
        libraries=tuple(config.papermill_libraries),
        fingerprints={
            kind: _function(name, "papermill_fingerprints")
            for kind, name in config.papermill_fingerprints.items()
        },
        folders={kind: book / folder for kind, folder in config.papermill_folders.items()},
        environment={name: str(value) for name, value in config.papermill_environment.items()},
    )


def _store(app: Sphinx) -> Store:
    return Store(Path(app.srcdir) / STORE, app.config.papermill_variant)


def _rendering(config: Config) -> str:
    # What is on a page depends on the result and on how it is turned into a page.
    code = ["import sphinx_papermill"]
    code += [f"import {name.partition(':')[0]}" for name in config.papermill_render]
    packages = {line.split()[1].partition(".")[0] for line in code}
    hashes = imports.code_hash("\n".join(code), packages)
    return imports.text_hash(json.dumps([config.papermill_render, hashes]))


def configure(app: Sphinx, config: Config) -> None:
    """config-inited, before myst-nb: read ``.py`` as notebooks; one build at a time."""
    for name, _, kinds in SETTINGS:  # of a text, each letter would be a package
        value = getattr(config, f"papermill_{name}")
        if not isinstance(value, kinds):
            known = " or ".join(kind.__name__ for kind in kinds)
            stop(f"papermill_{name} in the configuration is {known}, which {value!r:.60} is not.")
    config.nb_custom_formats = {
        **config.nb_custom_formats,
        ".py": ["nbformat.reads", {"as_version": 4}],
    }
    config.nb_execution_mode = "off"  # myst-nb would execute them a second time
    config.exclude_patterns = [*config.exclude_patterns, STORE]
    store = Path(app.srcdir) / STORE
    try:
        store.mkdir(exist_ok=True)
    except OSError as error:
        stop(f"Executed chapters cannot be kept in {store}: {error.strerror}.")
    for folder in map(Path, (app.outdir, app.doctreedir)):
        if not can_be_made(folder):
            stop(f"No pages can be written to {folder}: `--path-output DIR` names another place.")
    app._papermill_lock = _locked(store)  # type: ignore[attr-defined]
    _store(app).remove_partial()


def _locked(store: Path) -> FileLock:
    # Two builds would write the same pages: the second waits for the first. Held until the
    # process ends, so that it covers what jupyter-book does after Sphinx.
    lock = FileLock(store / ".lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            LOGGER.info("another build of this book is running: waiting for it …")
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        # a store that cannot be written, or a file system without locks
        reason = getattr(error, "strerror", None) or error
        LOGGER.info("do not build this book twice at once: %s cannot be locked (%s)", store, reason)
    return lock


def _read_book(
    env: BuildEnvironment, sources: Sources, parameters: Mapping[str, Any]
) -> tuple[list[chapters.Chapter], dict[str, dict[str, Any]]]:
    # All chapters in order and their inputs, by name: every mistake is told, a line for each
    # chapter, before any chapter is executed. A build of single pages needs others, too: those
    # that their chapters build on.
    found: dict[str, chapters.Chapter] = {}
    inputs: dict[str, dict[str, Any]] = {}
    wrong = []
    waiting = {name: Path(env.doc2path(name)) for name in sorted(env.found_docs, reverse=True)}
    while waiting:
        name, path = waiting.popitem()
        if path.suffix == ".md" and _has_code_cells(path):
            wrong.append(
                f"Chapter {name}: code in Markdown is not executed; "
                f"`jupytext --to py:percent {path.name}` makes a chapter of it, to take its place."
            )
        if path.suffix not in SUFFIXES:
            continue
        try:
            found[name] = chapters.load(name, path, kinds=sources.kinds, parameters=parameters)
            inputs[name] = staleness.inputs(found[name], sources)
        except BookError as error:
            wrong.append(str(error))
            continue
        for other in found[name].after:
            files = (sources.book / f"{other}{suffix}" for suffix in SUFFIXES)
            beside = next(filter(Path.is_file, files), None)
            if beside is not None and other not in {*found, *env.found_docs}:
                waiting[other] = beside
    if wrong:
        raise BookError("\n".join(wrong))
    return chapters.in_order(found), inputs


def _has_code_cells(path: Path) -> bool:
    from myst_nb.core.read import is_myst_markdown_notebook

    text = path.read_text("utf-8", errors="replace")
    return "{code-cell" in text and is_myst_markdown_notebook(text)


def execute_stale(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """env-get-outdated: execute what is stale, return the pages to read again."""
    config, store = app.config, _store(app)
    try:
        sources = _sources(app)
        book, inputs = _read_book(env, sources, config.papermill_parameters)
        rendering = _rendering(config)
        app._papermill_render = [  # type: ignore[attr-defined]
            _function(name, "papermill_render") for name in config.papermill_render
        ]
    except BookError as error:
        stop(str(error))
    schedule = Schedule(
        store,
        inputs,
        sources=sources,
        jobs=max(1, int(config.papermill_jobs)),
        timeout=config.papermill_timeout,
        budgets=config.papermill_budgets,
    )
    schedule.run(book)
    if schedule.failed:
        for name, error in schedule.failed.items():
            kept = store.failed_path(name)
            where = f" [{os.path.relpath(kept)}]" if kept.exists() else ""
            LOGGER.error("chapter %s: %s%s", name, error, where)
        raise SystemExit(1)
    keys = {
        name: f"{key} {rendering}" for name, key in schedule.keys.items() if name in env.found_docs
    }
    app._papermill_keys = keys  # type: ignore[attr-defined]
    shown: dict[str, str] = getattr(env, "papermill_keys", {})
    return [name for name, key in keys.items() if shown.get(name) != key]


def hand_over(app: Sphinx, docname: str, source: list[str]) -> None:
    """source-read: give the executed notebook in place of the chapter's text."""
    keys: dict[str, str] = getattr(app, "_papermill_keys", {})
    if docname not in keys:
        return
    page = render.as_page(json.loads(_store(app).path(docname).read_text("utf-8")))
    for function in app._papermill_render:  # type: ignore[attr-defined]
        page = function(page)
    source[0] = json.dumps(page)
    if not hasattr(app.env, "papermill_keys"):
        app.env.papermill_keys = {}  # type: ignore[attr-defined]
    app.env.papermill_keys[docname] = keys[docname]  # type: ignore[attr-defined]


def offer_download(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """html-page-context: name the executed notebook for the page's button."""
    if pagename in getattr(app, "_papermill_keys", {}):
        context["ipynb_source"] = f"{pagename}.ipynb"


def copy_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """build-finished: what the buttons offer, when Sphinx has put the chapters' own texts there."""
    if exception is not None or app.builder.format != "html":
        return
    for name in getattr(app, "_papermill_keys", {}):
        target = Path(app.outdir) / "_sources" / f"{name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_store(app).path(name), target)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register settings (README.md has a table of them) and what is done at which event."""
    for name, default, kinds in SETTINGS:
        app.add_config_value(f"papermill_{name}", default, "", types=kinds)
    app.connect("config-inited", configure, priority=100)
    app.connect("env-get-outdated", execute_stale)
    app.connect("source-read", hand_over)
    app.connect("doctree-resolved", render.typeset_numbers)
    app.connect("html-page-context", offer_download, priority=100)
    app.connect("build-finished", copy_notebooks)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
