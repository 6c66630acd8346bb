"""The ledger: each claim, what the chapters noted for it, and the verdict by the claim's rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bnn_geometry.book.claims import (
    FAILS,
    HOLDS,
    IN_PART,
    KINDS,
    NOT_MEASURED,
    VERDICTS,
    Claim,
    load,
)
from bnn_geometry.book.records import Record, read_records
from bnn_geometry.errors import UserError
from bnn_geometry.paths import executed_folder


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
