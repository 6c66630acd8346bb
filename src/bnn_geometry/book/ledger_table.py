"""The ledger of claims as text: for a terminal and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from bnn_geometry.book.claims import VERDICTS
from bnn_geometry.book.ledger import Judgement, Row, counts
from bnn_geometry.book.records import Record


def format_value(measured: float | bool, uncertainty: float | None = None) -> str:
    """A measured value as text, to two digits of its uncertainty.

    >>> format_value(-0.49871, 0.0023)
    '−0.4987 ± 0.0023'
    >>> format_value(0.73219)
    '0.732'
    >>> format_value(True)
    'yes'
    """
    if isinstance(measured, bool):
        return "yes" if measured else "no"
    text = format_number(measured, uncertainty)
    return f"{text} ± {format_number(uncertainty, uncertainty)}" if uncertainty else text


def format_number(value: float, uncertainty: float | None = None) -> str:
    """A number as text, to two digits of an uncertainty: of a value, its null and its theory.

    >>> format_number(0.888123, 0.002)
    '0.8881'
    """
    style = ".3g"
    if uncertainty:
        digits = 1 - math.floor(math.log10(uncertainty))
        style = f".{max(0, digits)}f" if -3 < digits < 7 else ".2e"
    return f"{value:{style}}".replace("-", "−")


def rule_in_words(row: Row) -> str:
    """The rule of a row, with the weaker one, if there is one."""
    claim = row.claim
    return str(claim.rule) + (f"; in part: {claim.partial}" if claim.partial else "")


def as_records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows as dictionaries that JSON can hold."""

    def judgement(found: Judgement) -> dict[str, Any]:
        return {"verdict": found.verdict, "records": [vars(entry) for entry in found.records]}

    listed = []
    for row in rows:
        claim, shown = row.claim, row.best.shown
        listed.append(
            {
                "id": claim.id,
                "short": claim.short,
                "claim": claim.claim,
                "kind": claim.kind,
                "stated_by": claim.stated_by,
                "paper": claim.paper,
                "theory": claim.theory,
                "theory_value": shown.theory if shown else None,
                "quantity": claim.quantity,
                "verdict": row.verdict,
                "measured": shown.measured if shown else None,
                "null": shown.null if shown else None,
                "against": shown.against if shown else "",
                "interval": shown.interval if shown else None,
                "uncertainty": shown.uncertainty if shown else None,
                "note": shown.note if shown else "",
                "figure": shown.figure if shown else None,
                "data": shown.data if shown else "",
                "evidence": row.evidence,
                "records": [vars(entry) for entry in row.best.records],
                "build": judgement(row.build),
                "expected": row.expected,
                "rule": rule_in_words(row),
                "rule_date": claim.rule_date.isoformat(),
                "changed": claim.changed,
                "overturn": claim.overturn,
                "preset": row.preset,
                "chapter": claim.chapter,
            }
        )
    return listed


def value_in_words(shown: Record) -> str:
    """What was measured, with its null: ``0.848 ± 0.002, untrained network 0.888``."""
    text = format_value(shown.measured, shown.uncertainty)
    if shown.null is not None:
        text += f", {shown.against or 'null'} {format_number(shown.null, shown.uncertainty)}"
    return text


def as_text(rows: Iterable[Row]) -> str:
    """The rows as aligned lines, id, kind, verdict, what was measured; and the tally by kind."""
    rows = list(rows)
    lines = []
    for row in rows:
        value = value_in_words(row.best.shown) if row.best.shown else ""
        odd = "".join(f"  ({which} expected: {v})" for which, v in row.unexpected.items())
        claim = row.claim
        lines.append(f"{claim.id:24}{claim.kind:13}{row.verdict:18}{value}{odd}".rstrip())
    return "\n".join([*lines, "", *tally(rows)])


def tally(rows: Iterable[Row]) -> list[str]:
    """A line for each kind of claim: ``observations: 3 hold, 2 hold in part``."""
    plural = {"holds": "hold", "holds in part": "hold in part", "does not hold": "do not hold"}
    lines = []
    for kind, found in counts(rows).items():
        said = [
            f"{found[v]} {v if found[v] == 1 else plural.get(v, v)}" for v in VERDICTS if found[v]
        ]
        if said:
            name = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
            lines.append(f"{name}: {', '.join(said)}")
    return lines
