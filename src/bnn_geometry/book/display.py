"""What a chapter hands to its page: figures with name, caption and alt text, and numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from bnn_geometry.book.plots.style import STYLE
from bnn_geometry.training.recipes import Recipe


def show(figure: Figure, *, name: str, caption: str, alt: str) -> None:
    """Show a figure in a notebook; in the book it becomes a numbered figure.

    Parameters
    ----------
    figure : Figure
    name : str
        Label for references, such as ``fig-angles``.
    caption : str
        Markdown; says what is shown, of which data and how much of it.
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
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):  # the salt that makes the same figure the same file
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    options = {"figure": {"name": name, "caption": caption}, "image": {"alt": alt}}
    display(
        {"image/svg+xml": buffer.getvalue(), "text/plain": f"Figure: {name}"},
        raw=True,
        metadata={"bnn_geometry": options},
    )


def glue(name: str, value: object) -> None:
    """Name a number or text for the prose, where it stands as ``{glue:text}`name:format```.

    As myst-nb's own ``glue(..., display=False)``, but numbers of numpy are stored as plain ones,
    which is what myst-nb can format; floats to six digits, beyond which no prose prints and no two
    processors agree; and a number that is not finite is refused.

    Raises
    ------
    ValueError
        If the number is NaN or infinite: a page must not print it as a result.
    """
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
