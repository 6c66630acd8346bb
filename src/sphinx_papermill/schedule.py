"""Stale chapters at work: each in a process of its own, when what it builds on is ready."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sphinx.util import logging

from sphinx_papermill import staleness, worker
from sphinx_papermill.chapter import Chapter
from sphinx_papermill.errors import BookError
from sphinx_papermill.staleness import Sources, Store

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    chapter: Chapter
    worker: worker.Worker
    output: Path
    key: str


@dataclass
class Schedule:
    """Runs stale chapters, up to ``jobs`` at once.

    Attributes
    ----------
    store : Store
    inputs : dict
        Of every chapter, from :func:`sphinx_papermill.staleness.inputs`.
    sources : Sources
        What they were taken from; the book's folder is the kernels' working directory.
    jobs : int
    timeout : float or None
        Seconds that one cell may take.
    budgets : dict
        Seconds that chapters should take, for the report.
    keys, failed : dict
        What came of the chapters: the key of the result, or why there is none.
    """

    store: Store
    inputs: Mapping[str, dict[str, Any]]
    sources: Sources
    jobs: int
    timeout: float | None
    budgets: Mapping[str, float]
    keys: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, chapters: Iterable[Chapter]) -> None:
        """Bring every chapter up to date; those that cannot be are in ``failed``."""
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
        after = {name: self.keys[name] for name in chapter.after}
        key = staleness.key_of(self.inputs[chapter.name], after)
        if self.store.key(chapter.name) == key:
            self.keys[chapter.name] = key
            LOGGER.info("%s: up to date", chapter.name)
            return None
        total = sum(c.cell_type == "code" for c in chapter.notebook.cells)
        LOGGER.info("%s: executing %d cells …", chapter.name, total)
        path = self.store.path(chapter.name)
        output = path.with_name(staleness.partial_name(path.stem, os.getpid()))
        where = f"its result cannot be kept in {path.parent}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            output.touch()  # rather now than when it has run for an hour
            output.unlink()
            where = "there is no room for temporary files: set TMPDIR to a folder that has"
            process = worker.start(
                chapter.path,
                output,
                parameters=chapter.parameters,
                cwd=self.sources.book,
                timeout=self.timeout,
                environment={
                    **self.sources.environment,
                    worker.HEADER: json.dumps(chapter.lists or {}),
                },
            )
        except OSError as error:
            self.failed[chapter.name] = f"not executed: {where} ({error.strerror or error})"
            return None
        return _Job(chapter, process, output, key)

    def _finish(self, job: _Job) -> None:
        name = job.chapter.name
        outcome = job.worker.outcome()
        error = outcome.error or self._change(job)
        if not error:
            record = {
                "key": job.key,
                "inputs": self.inputs[name],
                "variant": self.store.variant,
                "seconds": round(outcome.seconds, 1),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            }
            self.store.keep(name, job.output, record)
            self.keys[name] = job.key
            budget = self.budgets.get(name)
            against = f" (budget {budget:g} s)" if budget else ""
            LOGGER.info("%s: %d cells in %.1f s%s", name, outcome.cells, outcome.seconds, against)
            return
        self.failed[name] = error
        if job.output.exists():
            os.replace(job.output, self.store.failed_path(name))

    def _change(self, job: _Job) -> str:
        # What was read may be another than what the key is made of.
        try:
            same = staleness.inputs(job.chapter, self.sources) == self.inputs[job.chapter.name]
        except BookError as error:
            return str(error)
        return "" if same else "something that it reads was changed meanwhile: build again"
