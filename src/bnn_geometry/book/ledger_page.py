"""The ledger on a page: a line for each claim, which opens; and the board of the first page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from bnn_geometry.book.claims import (
    FAILS,
    HOLDS,
    IN_PART,
    NOT_ESTABLISHED,
    NOT_MEASURED,
    STATED_BY,
    Claim,
)
from bnn_geometry.book.ledger import Row
from bnn_geometry.book.ledger_table import (
    format_number,
    format_value,
    rule_in_words,
    tally,
    value_in_words,
)
from bnn_geometry.book.records import Record

ICONS = {HOLDS: "✓", IN_PART: "◐", NOT_ESTABLISHED: "?", FAILS: "✗", NOT_MEASURED: "–"}
"""Beside the word, never instead of it."""

WIDTH, HEIGHT, MARGIN = 150, 20, 8
"""Of a strip, in pixels."""


def marked_up(text: str) -> str:
    """A text of ours as HTML, with w^b and n^(−1/2) as superscripts."""
    escaped = html.escape(text)
    raised = re.compile(r"\^(?:\(((?:[^()]|\([^()]*\))*)\)|(\w))")
    return raised.sub(lambda m: f"<sup>{m[1] or m[2]}</sup>", escaped)


def said_id(claim: str) -> str:
    """Of the sentence in a chapter that makes a claim."""
    return f"said-{claim}"


def row_id(claim: str) -> str:
    """Of a claim's row in the ledger."""
    return f"claim-{claim}"


def _verdict(verdict: str, expected: str = "") -> str:
    name = verdict.replace(" ", "-")
    odd = f' <span class="unexpected">expected: {html.escape(expected)}</span>' if expected else ""
    return (
        f'<span class="verdict {name}"><span aria-hidden="true">{ICONS[verdict]}</span> '
        f"{html.escape(verdict)}</span>{odd}"
    )


def strip(shown: Record, records: Sequence[Record]) -> str:
    """A value with its interval (disc, line), its null (diamond) and theory (dashes) as SVG.

    The other records are ticks below. Empty where the claim is one of yes or no. A disc is hollow
    where the images were a stand-in.
    """
    if isinstance(shown.measured, bool):
        return ""
    others = [float(entry.measured) for entry in records]
    known = [shown.null, shown.theory, *(shown.interval or ()), *others]
    values = [value for value in known if value is not None]
    low, high = min(values), max(values)
    scale = (WIDTH - 2 * MARGIN) / (high - low) if high > low else 0.0

    def x(value: float) -> str:
        at = MARGIN + (value - low) * scale if scale else WIDTH / 2
        return f"{at:.1f}"

    drawn = [f'<line class="tick" x1="{x(v)}" x2="{x(v)}" y1="15" y2="19"/>' for v in others]
    if shown.theory is not None:
        drawn.append(
            f'<line class="theory" x1="{x(shown.theory)}" x2="{x(shown.theory)}" y1="1" y2="17"/>'
        )
    if shown.interval:
        ends = [x(end) for end in shown.interval]
        drawn.append(f'<line class="interval" x1="{ends[0]}" x2="{ends[1]}" y1="9" y2="9"/>')
    if shown.null is not None:
        at = float(x(shown.null))
        drawn.append(f'<path class="null" d="M{at} 3l5 6-5 6-5-6z"/>')
    hollow = " hollow" if shown.kind == "stand-in" else ""
    drawn.append(f'<circle class="value{hollow}" cx="{x(float(shown.measured))}" cy="9" r="4"/>')
    said = html.escape(f"measured {value_in_words(shown)}")
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{said}">{"".join(drawn)}</svg>'
    )


TEXTS = ("what", "which null", "from", "images")
"""Columns of the records that hold words; the others hold numbers."""


def _record_cells(entry: Record, quantity: str) -> dict[str, str]:
    def number(value: float | None) -> str:
        return "" if value is None else format_number(value, entry.uncertainty)

    return {
        "what": marked_up(entry.note) or marked_up(quantity),
        "measured": marked_up(format_value(entry.measured, entry.uncertainty)),
        "null": number(entry.null),
        "which null": marked_up(entry.against),
        "theory": number(entry.theory),
        "from": f"<code>{html.escape(entry.run)}</code>" if entry.run else "this build",
        "images": marked_up(entry.data) or "simulation",
    }


def _records_table(records: Sequence[Record], quantity: str) -> str:
    rows = [_record_cells(entry, quantity) for entry in records]
    values = {name: {cells[name] for cells in rows} for name in rows[0]}
    # what is the same in every record is said once, and a column of nothing not at all
    shared = [name for name in TEXTS[1:] if len(values[name]) == 1 and len(rows) > 1]
    heads = [name for name in values if name not in shared and values[name] != {""}]
    said = [f"{name}: {rows[0][name]}" for name in shared if rows[0][name]]

    def cell(tag: str, name: str, text: str) -> str:
        kind = ' class="words"' if name in TEXTS else ""
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{kind}>{text}</{tag}>"

    head = "".join(cell("th", name, name) for name in heads)
    body = "".join(
        f"<tr>{''.join(cell('td', name, cells[name]) for name in heads)}</tr>" for cells in rows
    )
    return (
        (f'<p class="shared">In every row, {"; ".join(said)}.</p>' if said else "")
        + '<div class="table-scroll" tabindex="0" role="region" aria-label="Records">'
        f'<table class="dataframe"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _stated_by(claim: Claim) -> str:
    # "P; the constant D" is "the paper; the constant by this book"
    said = re.sub(
        r"(?<=[a-z])( [PAD]\b)|\b([PAD])\b",
        lambda m: f" by {STATED_BY[m[1][1]]}" if m[1] else STATED_BY[m[2]],
        claim.stated_by,
    )
    return said + (f"; {claim.where}" if claim.where else "")


def _fold(row: Row) -> str:
    claim, shown = row.claim, row.best.shown
    since = f"{claim.rule_date:%-d %B %Y}"
    why = f". {claim.why[0].upper()}{claim.why[1:]}" if claim.why else ""
    terms = [
        ("Stated by", _stated_by(claim)),
        ("In the paper", claim.paper),
        ("Measured", claim.quantity),
        ("Null", claim.null),
        ("Theory", claim.theory),
        ("Rule", f"{rule_in_words(row)}; since {since}{why}"),
        ("What changed it", claim.changed),
        ("±", "standard error; the line of the strip is a 95 % interval"),
        ("Rests on", row.evidence),
        ("Would be overturned by", claim.overturn),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{marked_up(text)}</dd>" for name, text in terms if text)
    links = []
    if claim.chapter:
        links.append(f'<a href="{claim.chapter}.html#{said_id(claim.id)}">where it is said</a>')
    if shown is not None and shown.figure:
        links.append(f'<a href="{claim.chapter}.html#{html.escape(shown.figure)}">its figure</a>')
    tables = _records_table(row.best.records, claim.quantity) if row.best.records else ""
    if row.best is not row.build and row.build.records:
        verdict = _verdict(row.build.verdict, row.unexpected.get("build", ""))
        tables += f"<p>This build, by the same rule: {verdict}</p>"
        tables += _records_table(row.build.records, claim.quantity)
    return (
        f"<blockquote><p>{marked_up(claim.claim)}</p></blockquote><dl>{listed}</dl>"
        f"<p>{' · '.join(links)}</p>{tables}"
    )


def as_html(rows: Iterable[Row]) -> str:
    """The ledger: a line for each claim; a click, or a key, opens what is behind it."""
    lines = []
    for row in rows:
        claim, best = row.claim, row.best
        which = "published" if row.published.records else "build"
        value, drawn = "", ""
        if best.shown is not None:
            value, drawn = marked_up(value_in_words(best.shown)), strip(best.shown, best.records)
            if isinstance(best.shown.measured, bool):
                met = sum(entry.measured is True for entry in best.records)
                value = f"{met} of {len(best.records)}" if len(best.records) > 1 else value
        lines.append(
            f'<details class="claim" id="{row_id(claim.id)}"><summary>'
            f"{_verdict(row.verdict, row.unexpected.get(which, ''))}"
            f'<span class="short">{marked_up(claim.short)}</span>'
            f'<span class="kind">{claim.kind}</span>'
            f'<span class="measured">{drawn}<span>{value}</span></span></summary>'
            f"{_fold(row)}</details>"
        )
    return "\n".join(['<div class="ledger">', *lines, "</div>"])


def board(rows: Iterable[Row]) -> str:
    """Every claim in one line with its verdict, linked to its row: for the first page."""
    rows = list(rows)
    items = "\n".join(
        f'<li>{_verdict(row.verdict)} <a href="claims.html#{row_id(row.claim.id)}">'
        f"{marked_up(row.claim.short)}</a></li>"
        for row in rows
    )
    tallies = "".join(f"<li>{html.escape(line)}</li>" for line in tally(rows))
    return (
        f'<div class="board"><ul class="verdicts">\n{items}\n</ul>\n'
        f'<ul class="tally">{tallies}</ul></div>'
    )
