"""The ledger of claims as a table: for the page, for a terminal and for programs."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from typing import Any

from bnn_geometry.book.ledger import Row
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
    style = _style(uncertainty)
    text = f"{measured:{style}}"
    if uncertainty:
        text += f" ± {uncertainty:{style}}"
    return text.replace("-", "−")


def _style(uncertainty: float | None) -> str:
    # how to print a value and its theory, so that both show what the uncertainty leaves of them
    if not uncertainty:
        return ".3g"
    digits = 1 - math.floor(math.log10(uncertainty))
    return f".{max(0, digits)}f" if -3 < digits < 7 else ".2e"


def as_records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows as dictionaries that JSON can hold."""
    listed = []
    for row in rows:
        shown = row.shown
        published_verdict, published = row.published_verdict
        listed.append(
            {
                "id": row.claim.id,
                "claim": row.claim.claim,
                "stated_by": row.claim.stated_by,
                "paper": row.claim.paper,
                "theory": row.claim.theory,
                "theory_value": shown.theory if shown else None,
                "quantity": row.claim.quantity,
                "measured": shown.measured if shown else None,
                "uncertainty": shown.uncertainty if shown else None,
                "note": shown.note if shown else "",
                "preset": row.preset,
                "data": row.data or row.kind,
                "verdict": row.verdict,
                "expected": row.expected,
                "chapter": row.claim.chapter,
                "figure": shown.figure if shown else None,
                "published": {
                    "run": published.run,
                    "measured": published.measured,
                    "uncertainty": published.uncertainty,
                    "note": published.note,
                    "data": published.data,
                    "verdict": published_verdict,
                }
                if published
                else None,
            }
        )
    return listed


def as_text(rows: Iterable[Row]) -> str:
    """The rows as aligned lines: id, verdict, what was measured."""
    lines = []
    for row in rows:
        value = format_value(row.shown.measured, row.shown.uncertainty) if row.shown else ""
        odd = "" if row.expected in (None, row.verdict) else f"  (expected: {row.expected})"
        lines.append(f"{row.claim.id:24}{row.verdict:20}{value}{odd}".rstrip())
    return "\n".join(lines)


# column → share of the width, per cent
_COLUMNS = {
    "Claim": 22,
    "Verdict": 17,
    "This build": 22,
    "Published run": 17,
    "Theory": 13,
    "Paper": 9,
}


def _marked_up(text: str) -> str:
    # as HTML, with w^b and n^(−1/2) as superscripts
    escaped = html.escape(text)
    return re.sub(r"\^(?:\(([^()]*)\)|(\w))", lambda m: f"<sup>{m[1] or m[2]}</sup>", escaped)


def _value(shown: Record) -> str:
    theory = ""
    if shown.theory is not None:
        theory = f"; theory {shown.theory:{_style(shown.uncertainty)}}".replace("-", "−")
    return (
        f"<strong>{_marked_up(format_value(shown.measured, shown.uncertainty) + theory)}</strong>"
    )


def _link(chapter: str, shown: Record) -> str:
    anchor = f"#{shown.figure}" if shown.figure else ""
    to = "figure in" if shown.figure else "chapter"
    return f'<a href="{chapter}.html{html.escape(anchor)}">{to} {chapter}</a>'


def _weakest(records: tuple[Record, ...]) -> str:
    return f"; weakest of {len(records)}" if len(records) > 1 else ""


def _cells(row: Row) -> list[str]:
    claim, shown = row.claim, row.shown
    e = _marked_up
    build = "—"
    if shown is not None:
        of = f"{claim.quantity}, {shown.note}" if shown.note else claim.quantity
        on = f"<br>{e(row.data)}" if row.data else "<br>simulation"
        said = e(of + _weakest(row.records))
        build = f"{_value(shown)}<br>{said}{on}<br>{_link(claim.chapter, shown)}"
    published = "—"
    verdict, shown = row.published_verdict
    if shown is not None:
        said = e(f"{shown.note}{_weakest(row.published)}".lstrip("; "))
        published = (
            f"{_value(shown)}<br>{e(verdict)}<br>{said}<br>{e(shown.data)}<br>"
            f"<code>{html.escape(shown.run)}</code>"
        )
    odd = "" if row.expected in (None, row.verdict) else f"<br>expected: {e(row.expected)}"
    rule = str(claim.rule) + (f"; in part: {claim.partial}" if claim.partial else "")
    why = f"<br>({e(claim.why)})" if claim.why else ""
    stated = f"{claim.stated_by}; {claim.where}" if claim.where else claim.stated_by
    return [
        f"{e(claim.claim)}<br>Stated by {e(stated)}<br><code>{html.escape(claim.id)}</code>",
        f"<strong>{e(row.verdict)}</strong>{odd}<br>{e(rule)}{why}",
        build,
        published,
        e(claim.theory) or "—",
        e(claim.paper) or "—",
    ]


def as_html(rows: Iterable[Row]) -> str:
    """The rows as an HTML table that scrolls sideways where the page is narrower."""
    head = "".join(
        f'<th scope="col" style="width: {share}%">{name}</th>' for name, share in _COLUMNS.items()
    )
    body = "\n".join(
        f'<tr id="claim-{html.escape(row.claim.id)}" style="vertical-align: top">'
        + "".join(f'<td style="text-align: left">{cell}</td>' for cell in _cells(row))
        + "</tr>"
        for row in rows
    )
    return (
        '<div style="overflow-x: auto" tabindex="0" role="region" aria-label="Ledger of claims">'
        '<table class="table" style="min-width: 54rem">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
