"""Execute one chapter with papermill, in a process of its own.

papermill changes the working directory of the whole process, and a kernel that dies can take its
parent's event loop with it: the build therefore runs each chapter by ``python -m
bnn_geometry.execute``, which prints its outcome as one line of JSON.
"""

from __future__ import annotations

import argparse
import ast
import json
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

from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    from nbformat import NotebookNode

KERNEL = "python3"

ENVIRONMENT = {
    "GOMP_SPINCOUNT": "10000",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
}
"""How a process that trains should be started; a value set by the user stays.

OpenMP's threads wait for each other by spinning, a millisecond at a time: as soon as another
process wants a core too (the other chapter of a build, for one) training becomes ten times as
slow. With shorter spins it hardly suffers, and alone it loses nothing. OpenBLAS, by which numpy
multiplies, waits in the same way, and the products here are too small for two threads: beside
another process one is twice as fast. glibc returns freed memory at once, and every step allocates
the same large tensors anew: a third of a narrow network's time would go into the system handing out
zeroed pages. Other libraries ignore these settings."""


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


def read_chapter(path: Path) -> NotebookNode:
    """Read a py:percent chapter (or any file jupytext reads) as a notebook for the Python kernel.

    Raises
    ------
    UserError
        If there is no such file.
    """
    import jupytext

    if not path.is_file():
        raise UserError(f"There is no chapter {path}.")
    notebook = jupytext.read(path)
    # Whatever kernel a chapter was last opened with, here it is this environment's.
    notebook.metadata["kernelspec"] = {
        "name": KERNEL,
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    return notebook


def declared_parameters(notebook: NotebookNode) -> dict[str, Any]:
    """Names and values of the cell tagged ``parameters``: plain literals.

    Raises
    ------
    UserError
        If a value is not a literal.
    """
    values: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "parameters" not in cell.metadata.get("tags", []):
            continue
        for node in ast.parse(cell.source).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                raise UserError("A parameters cell holds assignments of plain literals only.")
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError as error:
                name = node.targets[0].id
                raise UserError(f"The parameter {name} is not a plain literal.") from error
    return values


def check_parameters(notebook: NotebookNode, parameters: Mapping[str, Any], chapter: str) -> None:
    """Refuse parameters that the chapter does not declare, or of another type.

    Raises
    ------
    UserError
        With the names, or the type, that the chapter knows.
    """
    declared = declared_parameters(notebook)
    for name, value in parameters.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise UserError(f"Chapter {chapter} has no parameter {name!r}; it has: {known}.")
        expected = type(declared[name])
        fits = isinstance(value, expected) and isinstance(value, bool) == (expected is bool)
        if not fits and not (expected is float and type(value) is int):
            raise UserError(
                f"Parameter {name} of chapter {chapter} is {expected.__name__}, "
                f"as in {name} = {declared[name]!r}; {value!r} is not."
            )


def _engine_options(socket_folder: str) -> dict[str, Any]:
    # Sockets in a folder of our own: over TCP ipykernel warns at each start that it is not
    # encrypted, and two kernels with IPC in one folder would take the same names.
    from traitlets.config import Config

    if os.name != "posix":
        return {}
    config = Config()
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = str(Path(socket_folder) / "k")
    return {"config": config}


_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def _describe_failure(notebook: NotebookNode | None, what: str) -> tuple[int, str]:
    """Number of finished code cells, and 'cell 3 of 9 (`first line`): what'."""
    if notebook is None:
        return 0, what
    cells = [
        c
        for c in notebook.cells
        if c.cell_type == "code" and "injected-parameters" not in c.metadata.get("tags", [])
    ]
    reached = [i for i, c in enumerate(cells) if c.metadata.get("papermill", {}).get("start_time")]
    if not reached:
        return 0, what
    at = reached[-1]
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
    progress: bool = False,
) -> Outcome:
    """Execute a notebook with papermill and write it, whole or as far as it came, to ``output``.

    Parameters
    ----------
    notebook : NotebookNode
        From :func:`read_chapter`; left as it is.
    output : Path
        Executed ``.ipynb``.
    parameters : mapping, optional
        Injected below the cell tagged ``parameters``.
    cwd : Path
        The kernel's working directory.
    timeout : float, optional
        Seconds that one cell may take.
    progress : bool
        Show papermill's bar.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    total = sum(c.cell_type == "code" for c in notebook.cells)
    output = output.absolute()
    began = time.perf_counter()
    error = ""
    with tempfile.TemporaryDirectory(prefix="bnn-") as sockets:
        try:
            papermill.execute_notebook(
                notebook,
                str(output),
                parameters=dict(parameters or {}),
                kernel_name=KERNEL,
                language="python",
                cwd=str(cwd),
                progress_bar=progress,
                request_save_on_cell_execute=True,
                execution_timeout=timeout,
                **_engine_options(sockets),
            )
        except PapermillExecutionError as failure:
            value = _ESCAPES.sub("", failure.evalue).strip().splitlines() or [""]
            # a UserError is a sentence already
            error = value[0] if failure.ename == "UserError" else f"{failure.ename}: {value[0]}"
        except CellTimeoutError:
            error = f"it did not end within {timeout:g} s and was stopped"
        except DeadKernelError:
            error = "the kernel died (out of memory, or a crash in native code)"
    seconds = time.perf_counter() - began
    if not error:
        return Outcome(True, total, total, seconds)
    written = nbformat.read(output, as_version=4) if output.exists() else None
    done, message = _describe_failure(written, error)
    return Outcome(False, done, total, seconds, message)


@dataclass(frozen=True)
class Worker:
    """A chapter's process and the file its output goes to (a pipe that nobody reads fills up)."""

    process: subprocess.Popen[str]
    log: IO[str]

    def running(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End the process at once; its kernel follows."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def outcome(self) -> Outcome:
        """Wait for the process and read how the chapter ended."""
        self.process.wait()
        self.log.seek(0)
        lines = self.log.read().strip().splitlines()
        self.log.close()
        try:
            return Outcome(**json.loads(lines[-1]))
        except (IndexError, ValueError, TypeError):
            # the worker itself broke: its last line is all there is to tell
            last = lines[-1] if lines else f"exit code {self.process.returncode}"
            return Outcome(False, 0, 0, 0.0, f"the process that executes it ended: {last}")


def start_worker(
    chapter: Path,
    output: Path,
    *,
    parameters: Mapping[str, Any],
    cwd: Path,
    timeout: float | None,
    environment: Mapping[str, str] | None = None,
) -> Worker:
    """Execute a chapter in a new process; the last line it prints is the outcome as JSON.

    The process ends itself when its parent is gone, so that a killed build leaves nothing running.
    """
    job = {
        "chapter": str(chapter),
        "output": str(output),
        "parameters": dict(parameters),
        "cwd": str(cwd),
        "timeout": timeout,
        "parent": os.getpid(),
    }
    log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (Worker closes it)
    process = subprocess.Popen(
        [sys.executable, "-m", "bnn_geometry.execute", json.dumps(job)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        env={**ENVIRONMENT, **os.environ, **(environment or {})},
    )
    return Worker(process, log)


def _end_with_parent(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # the kernel, in turn, watches this process

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


def main(argv: list[str] | None = None) -> int:
    """Entry of the worker process: one argument, the job as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bnn_geometry.execute")
    parser.add_argument("job")
    job = json.loads(parser.parse_args(argv).job)
    _end_with_parent(job["parent"])
    chapter = Path(job["chapter"])
    try:
        notebook = read_chapter(chapter)
        outcome = execute(
            notebook,
            Path(job["output"]),
            parameters=job["parameters"],
            cwd=Path(job["cwd"]),
            timeout=job["timeout"],
        )
    except UserError as error:
        outcome = Outcome(False, 0, 0, 0.0, str(error))
    print(json.dumps(asdict(outcome)))
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    sys.exit(main())
