"""What the command shows while a network trains."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from torch import Tensor
from tqdm import tqdm

if TYPE_CHECKING:
    from bnn_geometry.networks.models import MLP, ConvNet
    from bnn_geometry.training.recipes import Recipe

LOSS_SECONDS = 1.0
"""The loss is read this often at most: reading it makes a GPU's queue run empty."""


class Progress:
    """A line for each epoch; on a terminal also a bar with images/s, loss and time left.

    A context manager, whose two methods are callbacks of :func:`bnn_geometry.training.loop.train`.

    Parameters
    ----------
    recipe : Recipe
    out : file, optional
        Where the lines go; standard output.
    bar : file, optional
        Where the bar goes, if that is a terminal; standard error.
    """

    def __init__(
        self, recipe: Recipe, *, out: TextIO | None = None, bar: TextIO | None = None
    ) -> None:
        self._recipe = recipe
        self._out = out or sys.stdout
        self._stream = bar or sys.stderr
        self._bar: tqdm | None = None
        self._read = 0.0

    def __enter__(self) -> Progress:
        """Nothing to open: the bar begins with the first step."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it is and go to the next line."""
        if self._bar is not None:
            self._bar.close()

    def on_step(self, step: int, steps: int, loss: Tensor) -> None:
        """Move the bar by one batch."""
        if not self._stream.isatty():
            return
        batch = self._recipe.batch_size
        if self._bar is None:  # a resumed run begins in the middle
            self._bar = tqdm(
                total=steps * batch,
                initial=(step - 1) * batch,
                unit=" images",
                unit_scale=True,
                dynamic_ncols=True,
                file=self._stream,
            )
        now = time.monotonic()
        if now - self._read >= LOSS_SECONDS:
            epoch = (step - 1) * self._recipe.epochs // steps + 1
            self._bar.set_description(f"epoch {epoch}/{self._recipe.epochs}", refresh=False)
            self._bar.set_postfix_str(f"loss {float(loss):.4f}", refresh=False)
            self._read = now
        self._bar.update(batch)

    def on_epoch_end(self, network: ConvNet | MLP, row: dict[str, float]) -> None:
        """Print the epoch's line."""
        part = "validation" if self._recipe.validation_images else "test"
        line = (
            f"epoch {row['epoch']}/{self._recipe.epochs}: loss {row['loss']:.4f}, {part} error "
            f"{row[f'{part}_error']:.2%}, {row['seconds']:.1f} s"
        )
        if self._bar is not None:
            tqdm.write(line, file=self._out)
        else:
            print(line, file=self._out, flush=True)
