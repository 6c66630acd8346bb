"""What the chapters measured for the claims, noted in the executed notebooks themselves."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_geometry.book.claims import load
from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from bnn_geometry.data.datasets import Provenance

MIME = "application/vnd.bnn-geometry.claim"


@dataclass(frozen=True)
class Record:
    """What a chapter noted; see :func:`record`."""

    claim: str
    measured: float | bool
    uncertainty: float | None = None
    theory: float | None = None
    null: float | None = None
    against: str = ""
    interval: tuple[float, float] | None = None
    preset: str = ""
    kind: str = "none"
    data: str = ""
    figure: str | None = None
    note: str = ""
    run: str | None = None


def _number(what: str, value: Any) -> float | None:
    if value is None:
        return None
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{what} is {value}: it cannot stand in the ledger.")
    return float(f"{value:.6g}")  # as display.glue: no two processors agree beyond


def _interval(
    measured: Any, uncertainty: float | None, interval: tuple[float, float] | None
) -> tuple[float, float] | None:
    if interval is None and uncertainty:
        interval = (measured - 1.96 * uncertainty, measured + 1.96 * uncertainty)
    if interval is None:
        return None
    low, high = (_number("An end of the interval", end) for end in interval)
    if not low <= measured <= high:
        raise ValueError(f"{measured} does not lie in its interval, {low} to {high}.")
    return low, high


def record(
    claim: str,
    measured: float | bool,
    *,
    uncertainty: float | None = None,
    theory: float | None = None,
    null: float | None = None,
    against: str = "",
    interval: tuple[float, float] | None = None,
    preset: str,
    data: Provenance | None = None,
    figure: str | None = None,
    note: str = "",
    run: str | None = None,
) -> None:
    """Note in this notebook what was measured for a claim; nothing of it shows on the page.

    A chapter may note one claim several times, once per layer or dimension.

    Parameters
    ----------
    claim : str
        An id of ``claims.toml``.
    measured : float or bool
        True or False where the claim is one of exact equality.
    uncertainty : float, optional
        Standard error of ``measured``; of its difference from the null, where there is one.
    theory : float, optional
        The value that theory gives for it.
    null : float, optional
        What the same measurement gives where the claim has no part in it.
    against : str, optional
        Which null that is, such as ``untrained network``.
    interval : pair of float, optional
        Where the value lies with 95 % confidence; ± 1.96 uncertainties if left out.
    preset : str
    data : Provenance, optional
        Of the images it was measured on; None for a simulation.
    figure : str, optional
        Name of the figure that shows it.
    note : str, optional
        Which layer, dimension or network this is.
    run : str, optional
        Name of the published run that this is about; it is judged apart from what this build
        measured.

    Raises
    ------
    UserError
        If there is no such claim, or its rule cannot judge what was measured.
    ValueError
        If a number is not finite, or the uncertainty is negative.
    """
    claims = load()
    if claim not in claims:
        raise UserError(
            f"There is no claim {claim!r} in claims.toml; there is {', '.join(claims)}."
        )
    # numpy's bool is neither a bool nor a number
    exact = isinstance(measured, bool) or type(measured).__name__ in ("bool_", "bool")
    entry = Record(
        claim=claim,
        measured=bool(measured) if exact else _number("What was measured", measured),
        uncertainty=_number("The uncertainty", uncertainty),
        theory=_number("The theory", theory),
        null=_number("The null", null),
        against=against,
        interval=_interval(measured, uncertainty, interval),
        preset=preset,
        kind=data.source if data else "none",
        data=data.title if data else "",
        figure=figure,
        note=note,
        run=run,
    )
    if entry.uncertainty is not None and entry.uncertainty < 0:
        raise ValueError(f"The uncertainty of {claim} is negative.")
    for rule in filter(None, (claims[claim].rule, claims[claim].partial)):
        rule.margin(entry)  # refuses what the rule cannot judge
    from IPython.display import display

    display({MIME: claim}, raw=True, metadata={"bnn_geometry": {"claim": vars(entry)}})


def record_layers(
    claim: str,
    table: DataFrame,
    *,
    null: Series | None = None,
    against: str = "",
    preset: str,
    data: Provenance | None = None,
    figure: str | None = None,
    run: str | None = None,
) -> None:
    """Note the correlation r of every layer for a claim, as :func:`record` does.

    Parameters
    ----------
    claim : str
    table : DataFrame
        Index layer; columns n (fan-in), r and, where it is known, r_se, its standard error.
    null : Series, optional
        Index layer; r of the same layer where the claim has no part in it.
    against, preset, data, figure, run
        As for :func:`record`.
    """
    for layer, row in table.iterrows():
        record(
            claim,
            row["r"],
            uncertainty=row.get("r_se"),
            null=None if null is None else null[layer],
            against=against,
            preset=preset,
            data=data,
            figure=figure,
            note=f"layer {layer}, n = {row['n']:,.0f}",
            run=run,
        )


def read_records(notebook: Path) -> list[Record]:
    """What an executed notebook noted, in its order; nothing if it is not there.

    Raises
    ------
    UserError
        If the file is not a notebook, or a note in it is not of this form.
    """
    try:
        notes = [
            note
            for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
            for output in cell.get("outputs", [])
            if (note := output.get("metadata", {}).get("bnn_geometry", {}).get("claim"))
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{notebook} is not an executed chapter: {error}") from error
    try:
        return [Record(**note) for note in notes]
    except TypeError as error:
        raise UserError(f"{notebook} was executed by another version: {error}") from error
