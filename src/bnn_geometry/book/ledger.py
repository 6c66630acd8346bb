"""The ledger: each claim, what the chapters noted for it, and the verdict by the claim's rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bnn_geometry.book.claims import (
    DATA_KINDS,
    FAILS,
    HOLDS,
    IN_PART,
    KINDS,
    NOT_ESTABLISHED,
    NOT_MEASURED,
    VERDICTS,
    Claim,
    load,
)
from bnn_geometry.book.records import Record, read_records
from bnn_geometry.errors import UserError
from bnn_geometry.paths import executed_folder


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes
    ----------
    verdict : str
    shown : Record or None
        The record that speaks most against the claim.
    records : tuple of Record
        All of them, the adverse ones first.
    """

    verdict: str
    shown: Record | None
    records: tuple[Record, ...]


def judge(claim: Claim, records: Iterable[Record]) -> Judgement:
    """The verdict on a claim.

    A claim holds if every record keeps its rule; it does not hold if none keeps even the weaker
    one; between the two it holds in part, and of an explanation it is not established.

    Raises
    ------
    UserError
        If the rule cannot judge what was recorded.
    """
    ranked = []
    for entry in records:
        part = claim.partial is not None and claim.partial.met(entry)
        verdict = HOLDS if claim.rule.met(entry) else IN_PART if part else FAILS
        ranked.append((-VERDICTS.index(verdict), claim.rule.margin(entry), entry))
    if not ranked:
        return Judgement(NOT_MEASURED, None, ())
    ranked.sort(key=lambda found: found[:2])
    ranks = {rank for rank, *_ in ranked}
    verdict = VERDICTS[-ranks.pop()] if len(ranks) == 1 else IN_PART
    if verdict == IN_PART and claim.kind == "explanation":
        verdict = NOT_ESTABLISHED
    sorted_records = tuple(entry for *_, entry in ranked)
    return Judgement(verdict, sorted_records[0], sorted_records)


@dataclass(frozen=True)
class Row:
    """One row of the ledger.

    Attributes
    ----------
    claim : Claim
    published : Judgement
        On what was measured on published runs.
    build : Judgement
        On what this build measured.
    preset : str
    data_kind : str or None
        Kind of this build's data; None where nothing was measured.
    """

    claim: Claim
    published: Judgement
    build: Judgement
    preset: str
    data_kind: str | None

    @property
    def best(self) -> Judgement:
        """On the best evidence there is: the published runs, else this build."""
        return self.published if self.published.records else self.build

    @property
    def verdict(self) -> str:
        """On the best evidence."""
        return self.best.verdict

    @property
    def evidence(self) -> str:
        """What the verdict rests on, in words."""
        if self.published.records:
            runs = dict.fromkeys(str(entry.run) for entry in self.published.records)
            return f"published: {', '.join(runs)}"
        return "this build" if self.build.records else ""

    @property
    def expected(self) -> dict[str, str]:
        """The verdicts expected, ``published`` and ``build``; those that are known."""
        expected = self.claim.expected
        known = {"build": expected.get(self.preset, {}).get(self.data_kind or "")}
        if self.published.records:
            known["published"] = expected.get("published")
        if not self.claim.chapter:
            known = {"build": NOT_MEASURED}
        return {which: verdict for which, verdict in known.items() if verdict}

    @property
    def unexpected(self) -> dict[str, str]:
        """Of the expected verdicts those that were not found."""
        found = {"build": self.build.verdict, "published": self.published.verdict}
        return {which: v for which, v in self.expected.items() if found[which] != v}


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
        published = judge(claim, (entry for entry in found[name] if entry.run))
        kinds = {entry.kind for entry in built} - {"none"} or {"none"}
        kind = min(kinds, key=DATA_KINDS.index) if built else None
        rows.append(Row(claim, published, judge(claim, built), preset, kind))
    return rows


def counts(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """How many rows of each kind of claim have each verdict, zeros included: kind → verdict."""
    counted = Counter((row.claim.kind, row.verdict) for row in rows)
    return {kind: {v: counted[kind, v] for v in VERDICTS} for kind in KINDS}
