"""What a chapter hands to its page: figures with name, caption and alt text, numbers, tables."""

from __future__ import annotations

import base64
import decimal
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from bnn_geometry.book.plots.style import STYLE

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Provenance
    from bnn_geometry.training.recipes import Recipe


@dataclass(frozen=True)
class Origin:
    """What the figures of a chapter were made from, for their titles and captions.

    Attributes
    ----------
    data : Provenance, optional
        Of the images; None for a simulation.
    images : int, optional
        How many test images.
    width : float, optional
        Of the network.
    words : str
        What else there is to say, such as how much was simulated.
    preset : str
    seed : int, optional
    """

    data: Provenance | None = None
    images: int | None = None
    width: float | None = None
    words: str = ""
    preset: str = ""
    seed: int | None = None

    @property
    def title(self) -> str:
        """The images, with their number: ``200 test images of CIFAR-10``."""
        of = self.data.title if self.data else ""
        return f"{self.images:,} test images of {of}" if self.images else of

    @property
    def line(self) -> str:
        """The last line of a caption: images, width, words, preset, seed; those that there are."""
        parts = [
            self.title,
            f"width {width(self.width)}" if self.width else "",
            self.words,
            f"preset {self.preset}" if self.preset else "",
            "" if self.seed is None else f"seed {self.seed}",
        ]
        line = "; ".join(filter(None, parts))
        return f"{line[:1].upper()}{line[1:]}." if line else ""

    def but(self, **changes: object) -> Origin:
        """The same with other values, such as ``but(images=None)`` for a figure without images."""
        return replace(self, **changes)


def show(
    figure: Figure, name: str, caption: str, origin: Origin | None = None, *, alt: str
) -> None:
    """Show a figure in a notebook; in the book it becomes a numbered figure.

    Its PDF, which LaTeX draws, lies in the output's metadata: there it is no second picture.

    Parameters
    ----------
    figure : Figure
    name : str
        Label for references, such as ``fig-angles``.
    caption : str
        Markdown; says what is shown.
    origin : Origin, optional
        Of which data and how much of it: becomes the last line of the caption.
    alt : str
        What the figure shows, for a reader who cannot see it.

    Raises
    ------
    ValueError
        If one of the texts is missing.
    """
    for what, text in (("name", name), ("caption", caption), ("alt", alt)):
        if not text.strip():
            raise ValueError(f"A figure needs a {what}.")
    if origin:
        caption = f"{caption} {origin.line}".strip()
    buffer, pdf = io.StringIO(), io.BytesIO()
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    with mpl.rc_context(STYLE):  # the salt that makes the same figure the same file
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(pdf, format="pdf", metadata=undated)
    options = {
        "figure": {"name": name, "caption": caption},
        "image": {"alt": alt},
        "pdf": base64.b64encode(pdf.getvalue()).decode(),
    }
    display(
        {"image/svg+xml": buffer.getvalue(), "text/plain": f"Figure: {name}"},
        raw=True,
        metadata={"bnn_geometry": options},
    )


def span(values: pd.Series) -> dict[str, object]:
    """Lowest and highest of a series and their labels, for :func:`glue`; NaN is left out."""
    return {
        "low": values.min(),
        "high": values.max(),
        "low_at": values.idxmin(),
        "high_at": values.idxmax(),
    }


def glue(*pair: object, **values: object) -> None:
    """Name numbers or texts for the prose, where they stand as ``{glue:text}`name:format```.

    ``glue(first_layer=0.85)`` names it ``first-layer``. A mapping or a Series becomes a number for
    each of its labels: ``glue(r=span(table["r"]))`` names ``r-low``, ``r-high``, ``r-low-at`` and
    ``r-high-at``. What is neither letter nor digit becomes a hyphen. Numbers of numpy are stored as
    plain ones, which is what myst-nb can format; floats to six digits, beyond which no prose prints
    and no two processors agree; and a number that is not finite is refused.

    Parameters
    ----------
    *pair : str, value
        One name, written as the prose has it, and its value.
    **values
        Any number of them.

    Raises
    ------
    ValueError
        If a number is NaN or infinite: a page must not print it as a result.
    """
    for name, value in [pair, *values.items()] if pair else values.items():
        if isinstance(value, Mapping | pd.Series):
            for label, found in value.items():
                glue(f"{name}-{str(label).lower()}", found)
        else:
            _glue(re.sub(r"[\W_]+", "-", name), value)


def _glue(name: str, value: object) -> None:
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError(f"{name} is {value}: it cannot stand in the text.")
    if isinstance(value, float):
        value = float(f"{value:.6g}")
    mime = "application/papermill.record/"
    display(
        {mime + "text/plain": repr(value)},
        raw=True,
        metadata={"scrapbook": {"name": name, "mime_prefix": mime}},
    )


class Table:
    """A table of text for the page; see :func:`table`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def __repr__(self) -> str:
        """As aligned text."""
        return self.frame.to_string()

    def _repr_html_(self) -> str:
        # a region that the keyboard can reach and scroll where the page is narrower
        return (
            '<div class="table-scroll" tabindex="0" role="region" aria-label="Table">\n'
            f"{self.frame.to_html()}\n</div>"
        )


def table(frame: pd.DataFrame, columns: Mapping[str, str] | str = "", *, gap: str = "—") -> Table:
    """A table as a page prints it; put last in a cell.

    Floats in the given format with a minus sign, never −0; whole numbers of five digits and more
    with their thousands set apart; texts as they are.

    Parameters
    ----------
    frame : DataFrame
        Columns of several levels are named by the lowest.
    columns : mapping or str
        Column → its heading, and after a bar the format of its floats: ``"angle (°) | .2f"``, or
        ``"error (%) | .1%"`` of a fraction; columns that are not named are left out. Or one format
        for all.
    gap : str
        What stands for NaN and None.
    """

    def text(value: object, spec: str) -> str:
        if isinstance(value, str):
            return value
        if pd.isna(value):
            return gap
        if isinstance(value, bool | int | np.integer | np.bool_):
            return (f"{value:,}" if abs(value) >= 10_000 else str(value)).replace("-", "−")
        printed = f"{value:{spec}}".rstrip("%")
        return (printed if re.search("[1-9]", printed) else printed.lstrip("-")).replace("-", "−")

    headings = {name: str(name) for name in frame.columns.get_level_values(-1)}
    specs = dict.fromkeys(headings, columns)
    if not isinstance(columns, str):
        parts = {name: f"{text} | ".split(" | ")[:2] for name, text in columns.items()}
        headings = {name: heading for name, (heading, _) in parts.items()}
        specs = {name: spec for name, (_, spec) in parts.items()}
        if frame.columns.nlevels == 1:
            frame = frame[list(columns)]
        else:
            frame = frame.loc[:, frame.columns.get_level_values(-1).isin(list(columns))]
    shown = frame.astype(object)
    for i, name in enumerate(frame.columns.get_level_values(-1)):
        shown.isetitem(i, [text(value, specs[name]) for value in frame.iloc[:, i]])
    shown = shown.rename(columns=headings, level=-1 if frame.columns.nlevels > 1 else None)
    return Table(shown.rename_axis(columns=[None] * shown.columns.nlevels))


def width(value: float) -> str:
    """The width of a network as it is printed: 1/8 for 0.125.

    Raises
    ------
    ValueError
        If the number is not positive and finite.
    """
    if not 0 < value < np.inf:
        raise ValueError(f"{value} is no width: it must be positive and finite.")
    fraction = Fraction(value).limit_denominator(128)
    return str(fraction) if float(fraction) == value else f"{value:g}"


def scientific(value: float) -> str:
    """A small number as it is printed: 1.8 × 10⁻⁷, and 10⁻³ for a power of ten.

    Raises
    ------
    ValueError
        If the number is not positive and finite.
    """
    if not 0 < value < np.inf:
        raise ValueError(f"{value} is no positive number to write as a power of ten.")
    mantissa, exponent = f"{value:.1e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    exactly = value == float(f"1e{exponent}")
    return f"10{power}" if exactly else f"{mantissa} × 10{power}"


def at_least(value: float, digits: int) -> float:
    """A lower bound as it may be printed: rounded down, to so many digits after the point."""
    return _rounded(value, digits, decimal.ROUND_FLOOR)


def at_most(value: float, digits: int) -> float:
    """An upper bound as it may be printed: rounded up, to so many digits after the point."""
    return _rounded(value, digits, decimal.ROUND_CEILING)


def _rounded(value: float, digits: int, how: str) -> float:
    # in decimal, since 100 · 0.29 is less than 29; by repr, since the nearest float to 0.29 may be
    exact = decimal.Decimal(repr(float(value)))
    return float(exact.quantize(decimal.Decimal(1).scaleb(-digits), rounding=how))


def recipe_table(recipes: Mapping[str, Recipe]) -> pd.DataFrame:
    """Every constant of some recipes as printed: a column for each, a row for each setting."""

    def text(setting: str, value: object) -> str:
        if setting == "width":
            return width(value)
        if setting in ("lr", "lr_end", "norm_epsilon"):
            return scientific(value)
        if setting == "train_images" and value is None:
            return "all"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:,}" if isinstance(value, int) else str(value)

    table = pd.DataFrame(
        {name: {k: text(k, v) for k, v in r.as_dict().items()} for name, r in recipes.items()}
    )
    table.index.name = "setting"
    return table
