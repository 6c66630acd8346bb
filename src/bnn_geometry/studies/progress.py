"""What the command shows while the parts of a study are run."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TextIO

from tqdm import tqdm


class Progress(AbstractContextManager):
    """Parts done and time left: a bar on a terminal, a line for each part elsewhere.

    Parameters
    ----------
    parts : int
    done : int
        Of them, in earlier calls.
    stream : file, optional
        Standard error.
    """

    def __init__(self, parts: int, done: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._parts, self._done, self._before = parts, done, done
        self._began = time.monotonic()
        self._bar = tqdm(
            total=parts,
            initial=done,
            unit=" parts",
            dynamic_ncols=True,
            file=self._stream,
            smoothing=0,
            disable=not self._stream.isatty(),
        )

    def step(self, key: str, seconds: float) -> None:
        """Tell that a part is done, and how long it took where it ran."""
        self._done += 1
        self._bar.set_postfix_str(key, refresh=False)
        self._bar.update()
        if not self._bar.disable:
            return
        elapsed = time.monotonic() - self._began
        left = elapsed / (self._done - self._before) * (self._parts - self._done)
        rest = f", about {tqdm.format_interval(left)} left" if self._done < self._parts else ""
        print(
            f"{self._done} of {self._parts}: {key}, {seconds:.1f} s{rest}",
            file=self._stream,
            flush=True,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it is and go to the next line."""
        self._bar.close()
