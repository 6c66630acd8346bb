"""Execute one chapter with papermill, in a process of its own.

papermill changes the working directory of the whole process, and a kernel that dies can take its
parent's event loop with it: the build therefore runs each chapter by ``python -m
sphinx_papermill.worker``, which hands its outcome back in a file that no kernel can write to.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sphinx_papermill.chapter import KERNEL, read_notebook
from sphinx_papermill.errors import BookError
from sphinx_papermill.isolation import isolate

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class Outcome:
    """How a chapter's execution ended.

    Attributes
    ----------
    ok : bool
    cells : int
        Code cells that ran to their end.
    total : int
        Code cells of the chapter.
    seconds : float
    error : str
        Empty if ok; else one line with cell number, its first line and what went wrong.
    """

    ok: bool
    cells: int
    total: int
    seconds: float
    error: str = ""


HEADER = "SPHINX_PAPERMILL_HEADER"
"""Variable with the lists of a chapter's header as JSON: what reads may refuse what is not there,
whose change would not be seen."""

PLACES = (
    *("PYTHONPATH", "TMPDIR", "MPLCONFIGDIR"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
)
"""Variables that name folders: relative ones are meant from where the build was started."""


def _places() -> dict[str, str]:
    # the kernel stands in the book's folder
    return {
        name: os.pathsep.join(str(Path(part).absolute()) for part in value.split(os.pathsep))
        for name in PLACES
        if (value := os.environ.get(name))
    }


_LONGEST_SOCKET = 90
"""Bytes that the path of a socket may have; a system's own limit is some 104."""


def _engine_options(scratch: str) -> dict[str, Any]:
    # Sockets in a folder of our own: over TCP ipykernel warns at each start that it is not
    # encrypted, and two kernels with IPC in one folder would take the same names.
    from traitlets.config import Config

    sockets = str(Path(scratch) / "k")
    if os.name != "posix" or len(os.fsencode(sockets)) > _LONGEST_SOCKET:
        return {}
    config = Config()
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = sockets
    return {"config": config}


_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


_EXITS = (("SystemExit", ""), ("SystemExit", "0"))

_QUIT = re.compile(r"^\s*(?:quit|exit)\(", re.M)

_TOO_EARLY = "SystemExit: a chapter ends with its last cell, not before"


def _refuse_quit(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
    # quit() raises nothing: the kernel ends a little later, perhaps with cells still to come
    from nbclient.exceptions import CellExecutionError

    payload = execute_reply["content"].get("payload", [])
    if any(part.get("source") == "ask_exit" for part in payload):
        raise CellExecutionError("", *_EXITS[0])


def _code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [
        c
        for c in notebook.cells
        if c.cell_type == "code" and "injected-parameters" not in c.metadata.get("tags", [])
    ]


def _raised(notebook: NotebookNode) -> str:
    # What ended an execution, as one line; empty where it came to its end. A cell that is tagged
    # raises-exception has an error as well, and is no failure.
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    for cell in cells:
        status = cell.metadata["papermill"]["status"]
        if status == "failed":
            errors = [o for o in cell.outputs if o.output_type == "error"]
            if errors and (errors[-1].ename, errors[-1].evalue) not in _EXITS:
                text = _ESCAPES.sub("", errors[-1].evalue).strip().splitlines() or [""]
                return f"{errors[-1].ename}: {text[0]}"
        if status != "completed":
            return _TOO_EARLY
    return ""


def _last_reached(notebook: NotebookNode) -> int | None:
    # index of the last code cell that was begun
    cells = _code_cells(notebook)
    reached = [i for i, c in enumerate(cells) if c.metadata.get("papermill", {}).get("start_time")]
    return reached[-1] if reached else None


def _death(notebook: NotebookNode | None) -> str:
    # After quit() the kernel may be gone before its reply is read, on a machine that is busy.
    at = None if notebook is None else _last_reached(notebook)
    if at is not None and _QUIT.search(_code_cells(notebook)[at].source):
        return _TOO_EARLY
    return "the kernel died (out of memory, or a crash in native code)"


def _describe_failure(notebook: NotebookNode | None, what: str) -> tuple[int, str]:
    """Number of finished code cells, and 'cell 3 of 9 (`first line`): what'."""
    if notebook is None:
        return 0, what
    at = _last_reached(notebook)
    if at is None:
        return 0, what
    cells = _code_cells(notebook)
    lines = [line for line in cells[at].source.splitlines() if not line.startswith("#")]
    first = next((line.strip() for line in lines if line.strip()), "")
    return at, f"cell {at + 1} of {len(cells)} (`{first[:70]}`): {what}"


def execute(
    notebook: NotebookNode,
    output: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    cwd: Path,
    timeout: float | None = None,
) -> Outcome:
    """Execute a notebook with papermill and write it, whole or as far as it came, to ``output``.

    The environment of this process is isolated from the user's settings, for good.

    Parameters
    ----------
    notebook : NotebookNode
        From :func:`sphinx_papermill.chapter.read_notebook`; left as it is.
    output : Path
        Executed ``.ipynb``.
    parameters : mapping, optional
        Injected below the cell tagged ``parameters``.
    cwd : Path
        The kernel's working directory.
    timeout : float, optional
        Seconds that one cell may take.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import remove_error_markers

    total = sum(c.cell_type == "code" for c in notebook.cells)
    output = output.absolute()
    began = time.perf_counter()
    error, died = "", False
    with tempfile.TemporaryDirectory(prefix="papermill-", ignore_cleanup_errors=True) as scratch:
        isolate(Path(scratch))
        try:
            papermill.execute_notebook(
                notebook,
                str(output).replace("{", "{{").replace("}", "}}"),  # it takes paths for formats
                parameters=dict(parameters or {}),
                kernel_name=KERNEL,
                language="python",
                cwd=str(cwd),
                progress_bar=False,
                request_save_on_cell_execute=True,
                execution_timeout=None if timeout is None else math.ceil(timeout),  # whole seconds
                on_cell_executed=_refuse_quit,
                **_engine_options(scratch),
            )
        except PapermillExecutionError:  # also for an error that a cell's tag allows
            pass
        except CellTimeoutError:
            error = f"it did not end within {timeout:g} s and was stopped"
        except DeadKernelError:
            died = True
    seconds = time.perf_counter() - began
    written = nbformat.read(output, as_version=4) if output.exists() else None
    if died:
        error = _death(written)
    if not error and not (error := _raised(written)):
        nbformat.write(remove_error_markers(written), output)
        return Outcome(True, total, total, seconds)
    done, message = _describe_failure(written, error)
    return Outcome(False, done, total, seconds, message)


@dataclass(frozen=True)
class Worker:
    """A chapter's process, and the files of its outcome and of all else that it prints."""

    process: subprocess.Popen[str]
    result: IO[str]
    log: IO[str]

    def running(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End the process at once; its kernel follows."""
        self.process.kill()
        self.process.wait()
        self.result.close()
        self.log.close()

    def outcome(self) -> Outcome:
        """Wait for the process and read how the chapter ended."""
        self.process.wait()
        with self.result, self.log:
            self.result.seek(0)
            self.log.seek(0)
            try:
                return Outcome(**json.load(self.result))
            except (ValueError, TypeError):
                # the worker itself broke: its last line is all there is to tell
                lines = self.log.read().strip().splitlines()
                last = lines[-1] if lines else f"exit code {self.process.returncode}"
                return Outcome(False, 0, 0, 0.0, f"the process that executes it ended: {last}")


def start(
    chapter: Path,
    output: Path,
    *,
    parameters: Mapping[str, Any],
    cwd: Path,
    timeout: float | None,
    environment: Mapping[str, str] | None = None,
) -> Worker:
    """Execute a chapter in a new process.

    The process ends itself when its parent is gone, so that a killed build leaves nothing running.

    Parameters
    ----------
    chapter : Path
        Text of the chapter.
    output : Path
        Executed ``.ipynb``.
    parameters, cwd, timeout
        As for :func:`execute`.
    environment : mapping, optional
        Variables set in the process, and in its kernel, besides those of this one.
    """
    job = {
        "chapter": str(chapter),
        "output": str(output),
        "parameters": dict(parameters),
        "cwd": str(cwd),
        "timeout": timeout,
        "parent": os.getpid(),
    }
    # Files without a name, which Worker closes (a pipe that nobody reads fills up).
    result, log = (
        tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        for _ in range(2)
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "sphinx_papermill.worker", json.dumps(job)],
        stdin=subprocess.DEVNULL,
        stdout=result,
        stderr=log,
        text=True,
        # of a name in another encoding, the worker then makes the same bytes
        env={**os.environ, **_places(), **(environment or {}), "PYTHONUTF8": "1"},
    )
    return Worker(process, result, log)


def _end_with_parent(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # the kernel, in turn, watches this process

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


def main(argument: str) -> int:
    """Entry of the worker process: the job as JSON. Its standard output takes the outcome."""
    # The kernel inherits standard output: it gets that for errors in its place.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as result:
        os.dup2(2, 1)
        job = json.loads(argument)
        _end_with_parent(job["parent"])
        try:
            outcome = execute(
                read_notebook(Path(job["chapter"])),
                Path(job["output"]),
                parameters=job["parameters"],
                cwd=Path(job["cwd"]),
                timeout=job["timeout"],
            )
        except BookError as error:
            outcome = Outcome(False, 0, 0, 0.0, str(error))
        json.dump(asdict(outcome), result)
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
