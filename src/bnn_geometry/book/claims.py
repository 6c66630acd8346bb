"""The ledger: every claim of the paper, what the chapters measured for it, and the verdict.

``book/claims.toml`` lists the claims. A chapter notes what it measured by :func:`record`; the note
lies in the executed notebook itself. :func:`ledger` reads those notebooks and judges each claim by
the rule written beside it.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_geometry.errors import UserError
from bnn_geometry.paths import book_folder, executed_folder

if TYPE_CHECKING:
    from pandas import DataFrame

    from bnn_geometry.data.datasets import Provenance

HOLDS = "holds"
IN_PART = "holds in part"
FAILS = "does not hold"
NOT_MEASURED = "not measured here"
VERDICTS = (HOLDS, IN_PART, FAILS, NOT_MEASURED)

KINDS = ("none", "stand-in", "folder", "official")
"""Kinds of data, ``none`` for a simulation; of two in one row the earlier one counts."""

STATED_BY = {"P": "the paper", "A": "its authors' code or longer version", "D": "this book"}

MIME = "application/vnd.bnn-geometry.claim"


# --- the claims -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """How a measured value becomes a verdict.

    Attributes
    ----------
    kind : str
        ``interval``: low ≤ measured ≤ high. ``ordering``: measured exceeds ``above`` by more than
        z uncertainties. ``equality``: measured lies within z uncertainties of the theory recorded
        with it. ``exact``: measured is True.
    low, high : float
        Of an interval; an end left out is open.
    above : float
        Of an ordering.
    z : float
        Of an ordering or an equality.
    """

    kind: str
    low: float = -math.inf
    high: float = math.inf
    above: float = 0.0
    z: float = 0.0

    def margin(self, record: Record) -> float:
        """How far the record is on the good side of the rule: negative on the other.

        Raises
        ------
        UserError
            If the record lacks what the rule needs.
        """
        value = record.measured
        if isinstance(value, bool) != (self.kind == "exact"):
            wanted = "True or False" if self.kind == "exact" else "a number"
            raise UserError(f"The claim {record.claim!r} is judged by {wanted}, not by {value!r}.")
        if self.kind == "exact":
            return 0.0 if value else -1.0
        if self.kind == "interval":
            return min(value - self.low, self.high - value)
        if record.uncertainty is None:
            raise UserError(
                f"The claim {record.claim!r} needs the uncertainty of what it measured."
            )
        if self.kind == "ordering":
            return value - self.above - self.z * record.uncertainty
        if record.theory is None:
            raise UserError(f"The claim {record.claim!r} needs the value that theory gives.")
        off = abs(value - record.theory)
        return self.z - off / record.uncertainty if record.uncertainty else -off

    def met(self, record: Record) -> bool:
        """Whether the record keeps the rule; a tie orders nothing."""
        margin = self.margin(record)
        return margin > 0 if self.kind == "ordering" else margin >= 0

    def __str__(self) -> str:
        """The rule in words."""
        if self.kind == "exact":
            return "equal, exactly"
        if self.kind == "interval":
            if math.isinf(self.high):
                return f"at least {self.low:g}"
            if math.isinf(self.low):
                return f"at most {self.high:g}"
            return f"between {self.low:g} and {self.high:g}"
        errors = f"{self.z:g} standard errors"
        if self.kind == "ordering":
            return f"above {self.above:g}" + (f" by more than {errors}" if self.z else "")
        return f"within {errors} of the theory"


@dataclass(frozen=True)
class Claim:
    """One row of ``claims.toml``.

    Attributes
    ----------
    id : str
    claim : str
        One sentence.
    stated_by : str
        Letters of ``STATED_BY``, with a remark where parts differ.
    where : str
        Section or figure of the paper.
    paper : str
        The value as the paper states it; empty where it states none.
    theory : str
    quantity : str
        What is measured.
    rule : Rule
    partial : Rule, optional
        A weaker rule, by which the claim holds in part.
    chapter : str
        The one that measures it; empty if none does yet.
    expected : mapping
        preset → kind of data → verdict.
    why : str
        Where the ends of an interval come from.
    """

    id: str
    claim: str
    stated_by: str
    where: str
    paper: str
    theory: str
    quantity: str
    rule: Rule
    partial: Rule | None = None
    chapter: str = ""
    expected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    why: str = ""


_RULES = {
    "interval": {"low", "high"},
    "ordering": {"above", "z"},
    "equality": {"z"},
    "exact": set(),
}


def _rule(values: Mapping[str, Any], claim: str) -> Rule:
    kind = values.get("kind")
    if kind not in _RULES or set(values) - {"kind"} - _RULES[kind]:
        raise UserError(f"The claim {claim!r} has a rule that is none: {dict(values)}.")
    if kind == "interval" and not set(values) & {"low", "high"}:
        raise UserError(f"The claim {claim!r} has an interval without ends.")
    return Rule(**values)


def load(path: Path | None = None) -> dict[str, Claim]:
    """The claims by id, in the order of the file.

    Parameters
    ----------
    path : Path, optional
        ``book/claims.toml`` if left out.

    Raises
    ------
    UserError
        If the file is not what it should be; the sentence says where.
    """
    path = path or book_folder() / "claims.toml"
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["claim"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The claims cannot be read from {path}: {error}") from error
    claims: dict[str, Claim] = {}
    for row in rows:
        name = row.get("id", "?")
        if name in claims:
            raise UserError(f"The claim {name!r} stands twice in {path}.")
        row["rule"] = _rule(row.get("rule", {}), name)
        if "partial" in row:
            row["partial"] = _rule(row["partial"], name)
        try:
            claims[name] = Claim(**row)
        except TypeError as error:
            raise UserError(f"The claim {name!r} in {path}: {error}") from error
        for by_kind in claims[name].expected.values():
            if not set(by_kind) <= set(KINDS) or not set(by_kind.values()) <= set(VERDICTS):
                raise UserError(f"The claim {name!r} expects no verdict of the list: {by_kind}.")
    return claims


# --- what the chapters measured -------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """What a chapter noted; see :func:`record`."""

    claim: str
    measured: float | bool
    uncertainty: float | None = None
    theory: float | None = None
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
    return float(f"{value:.6g}")  # as notebook.glue: no two processors agree beyond


def record(
    claim: str,
    measured: float | bool,
    *,
    uncertainty: float | None = None,
    theory: float | None = None,
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
        Standard error of ``measured``.
    theory : float, optional
        The value that theory gives for it.
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
        preset=preset,
        kind=data.source if data else "none",
        data=data.title if data else "",
        figure=figure,
        note=note,
        run=run,
    )
    if entry.uncertainty is not None and entry.uncertainty < 0:
        raise ValueError(f"The uncertainty of {claim} is negative.")
    judge(claims[claim], [entry])  # refuses what the rule cannot judge
    from IPython.display import display

    display({MIME: claim}, raw=True, metadata={"bnn_geometry": {"claim": vars(entry)}})


def record_layers(
    claim: str,
    table: DataFrame,
    *,
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
        Index layer; columns n (fan-in) and r.
    preset, data, figure, run
        As for :func:`record`.
    """
    for layer, row in table.iterrows():
        note = f"layer {layer}, n = {row['n']:,.0f}"
        record(claim, row["r"], preset=preset, data=data, figure=figure, note=note, run=run)


def read_records(notebook: Path) -> list[Record]:
    """What an executed notebook noted, in its order; nothing if it is not there.

    Raises
    ------
    UserError
        If the file is not a notebook, or a note in it is not of this form.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{notebook} is not an executed chapter: {error}") from error
    notes = [
        note
        for cell in cells
        for output in cell.get("outputs", [])
        if (note := output.get("metadata", {}).get("bnn_geometry", {}).get("claim"))
    ]
    try:
        return [Record(**note) for note in notes]
    except TypeError as error:
        raise UserError(f"{notebook} was executed by another version: {error}") from error


# --- verdicts -------------------------------------------------------------------------------------


def judge(claim: Claim, records: list[Record]) -> tuple[str, Record | None]:
    """The verdict on a claim, and the record that speaks most against it.

    A claim holds if every record keeps its rule; it does not hold if none keeps even the weaker
    one; between the two it holds in part.

    Raises
    ------
    UserError
        If the rule cannot judge what was recorded.
    """
    if not records:
        return NOT_MEASURED, None
    verdicts = []
    for entry in records:
        part = claim.partial is not None and claim.partial.met(entry)
        verdicts.append(HOLDS if claim.rule.met(entry) else IN_PART if part else FAILS)
    verdict = verdicts[0] if len(set(verdicts)) == 1 else IN_PART
    ranks = [
        (-VERDICTS.index(v), claim.rule.margin(r)) for v, r in zip(verdicts, records, strict=True)
    ]
    return verdict, records[ranks.index(min(ranks))]


@dataclass(frozen=True)
class Row:
    """One row of the ledger.

    Attributes
    ----------
    claim : Claim
    verdict : str
        On what this build measured.
    shown : Record or None
        The record of this build that speaks most against the claim.
    records : tuple of Record
        All of this build's.
    preset : str
    kind : str or None
        Kind of this build's data; None where nothing was measured.
    published : tuple of Record
        What was measured on published runs.
    """

    claim: Claim
    verdict: str
    shown: Record | None
    records: tuple[Record, ...]
    preset: str
    kind: str | None
    published: tuple[Record, ...] = ()

    @property
    def published_verdict(self) -> tuple[str, Record | None]:
        """The verdict on the published runs, and what speaks most against the claim in them."""
        return judge(self.claim, list(self.published))

    @property
    def expected(self) -> str | None:
        """The verdict expected for this preset and kind of data; None where none is."""
        if not self.claim.chapter:
            return NOT_MEASURED
        return self.claim.expected.get(self.preset, {}).get(self.kind or "")

    @property
    def data(self) -> str:
        """Titles of the images, empty for a simulation."""
        return "; ".join(dict.fromkeys(r.data for r in self.records if r.data))


def ledger(
    preset: str, *, folder: Path | None = None, claims: Mapping[str, Claim] | None = None
) -> list[Row]:
    """Judge every claim by what the executed chapters noted.

    Parameters
    ----------
    preset : str
    folder : Path, optional
        Of the executed notebooks; :func:`bnn_geometry.paths.executed_folder` if left out.
    claims : mapping, optional
        :func:`load` if left out.

    Raises
    ------
    UserError
        If a chapter noted a claim that is not in the list, or that is another chapter's.
    """
    folder = folder or executed_folder(preset)
    claims = load() if claims is None else claims
    found: dict[str, list[Record]] = {name: [] for name in claims}
    for chapter in dict.fromkeys(c.chapter for c in claims.values() if c.chapter):
        for entry in read_records(folder / f"{chapter}.ipynb"):
            if entry.claim not in claims or claims[entry.claim].chapter != chapter:
                raise UserError(
                    f"Chapter {chapter} recorded {entry.claim!r}, which claims.toml does not list "
                    "as its own."
                )
            found[entry.claim].append(entry)
    rows = []
    for name, claim in claims.items():
        built = [entry for entry in found[name] if not entry.run]
        published = [entry for entry in found[name] if entry.run]
        verdict, shown = judge(claim, built)
        kinds = {entry.kind for entry in built} - {"none"} or {"none"}
        kind = min(kinds, key=KINDS.index) if built else None
        rows.append(Row(claim, verdict, shown, tuple(built), preset, kind, tuple(published)))
    return rows


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows have each verdict, zeros included."""
    counted = Counter(row.verdict for row in rows)
    return {verdict: counted[verdict] for verdict in VERDICTS}
