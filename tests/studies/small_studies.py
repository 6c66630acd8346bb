"""Studies of plain functions, which the processes of a sweep can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bnn_geometry.errors import UserError
from bnn_geometry.studies.sweep import Study

DATA = {"title": "Noise", "fingerprint": "0"}


def draw(number: int, folder: str, end: str | None = None) -> dict[str, pd.DataFrame]:
    """Random numbers; the first call with ``end`` does not come to its end."""
    marker = Path(folder, f"{end}-{number}")
    if end is not None and not marker.exists():
        marker.touch()
        if end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if end == "interrupt":
            raise KeyboardInterrupt
        raise UserError("no more paper")
    with Path(folder, f"made-{number}").open("a") as file:
        file.write("x")
    x = np.random.default_rng(number).standard_normal(3)
    rows = {"draws": pd.DataFrame({"number": number, "x": x, "name": ["NA", "", "b"]})}
    if number == 2:
        rows["more"] = pd.DataFrame({"number": [number], "x": [np.pi * 1e-7]})
    return rows


def study(folder: Path, parts: int = 6, end: str | None = None, **settings) -> Study:
    """Its part 3 ends as told."""
    made = {f"draw {i}": {"number": i, "folder": str(folder)} for i in range(parts)}
    if end:
        made["draw 3"] |= {"end": end}
    return Study(
        name="draws",
        parts=made,
        function=draw,
        settings={"of": "normal"} | settings,
        keys={"draws": ("number",), "more": ("number",)},
        data=DATA,
    )


def threads(number: int) -> dict[str, pd.DataFrame]:
    """How many threads a part computes with."""
    return {"threads": pd.DataFrame({"number": [number], "threads": [torch.get_num_threads()]})}


def study_of_threads() -> Study:
    """Two parts."""
    return Study(
        name="threads",
        parts={f"part {i}": {"number": i} for i in range(2)},
        function=threads,
        settings={},
        keys={"threads": ("number",)},
        data=DATA,
    )
