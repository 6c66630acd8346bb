"""The claims of the paper, each with the rule by which it is judged: ``book/claims.toml``."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_geometry.errors import UserError
from bnn_geometry.paths import book_folder

if TYPE_CHECKING:
    from bnn_geometry.book.records import Record

HOLDS = "holds"
IN_PART = "holds in part"
NOT_ESTABLISHED = "not established"
FAILS = "does not hold"
NOT_MEASURED = "not measured here"
VERDICTS = (HOLDS, IN_PART, NOT_ESTABLISHED, FAILS, NOT_MEASURED)

KINDS = ("identity", "theorem", "observation", "explanation")
"""Kinds of claims: true by algebra, proven, seen, and said to be the reason for what is seen. The
first two can fail only where they are stated too widely."""

DATA_KINDS = ("none", "stand-in", "folder", "official")
"""Kinds of data, ``none`` for a simulation; of two in one row the earlier one counts."""

STATED_BY = {"P": "the paper", "A": "its authors' code or longer version", "D": "this book"}


@dataclass(frozen=True)
class Rule:
    """How a measured value becomes a verdict.

    Attributes
    ----------
    kind : str
        ``interval``: low ≤ measured ≤ high. ``ordering``: measured exceeds ``above`` by more than
        z uncertainties. ``null``: measured exceeds the null recorded with it by more than z
        uncertainties of their difference. ``beyond``: the null lies below the recorded 95 %
        interval, for few seeds. ``equality``: measured lies within z uncertainties of
        the theory recorded with it, or else of the null. ``exact``: measured is True.
    low, high : float
        Of an interval; an end left out is open.
    above : float
        Of an ordering.
    z : float
        Of an ordering, a null or an equality.
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
        if self.kind == "beyond":
            if record.null is None or record.interval is None:
                raise UserError(
                    f"The claim {record.claim!r} needs the value of its null, and an interval."
                )
            return record.interval[0] - record.null
        if record.uncertainty is None:
            raise UserError(
                f"The claim {record.claim!r} needs the uncertainty of what it measured."
            )
        if self.kind == "ordering":
            return value - self.above - self.z * record.uncertainty
        if self.kind == "null":
            if record.null is None:
                raise UserError(f"The claim {record.claim!r} needs the value of its null.")
            return value - record.null - self.z * record.uncertainty
        expected = record.null if record.theory is None else record.theory
        if expected is None:
            raise UserError(
                f"The claim {record.claim!r} needs the value that theory, or a null, gives."
            )
        off = abs(value - expected)
        return self.z - off / record.uncertainty if record.uncertainty else -off

    def met(self, record: Record) -> bool:
        """Whether the record keeps the rule; a tie orders nothing."""
        margin = self.margin(record)
        return margin > 0 if self.kind in ("ordering", "null", "beyond") else margin >= 0

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
        if self.kind == "beyond":
            return "above its null, which lies outside of the 95 % interval"
        errors = f"{self.z:g} standard errors"
        if self.kind == "ordering":
            return f"above {self.above:g}" + (f" by more than {errors}" if self.z else "")
        if self.kind == "null":
            return "above its null" + (f" by more than {errors}" if self.z else "")
        return f"within {errors} of what is expected"


@dataclass(frozen=True)
class Claim:
    """One row of ``claims.toml``.

    Attributes
    ----------
    id : str
    short : str
        The claim in a few words.
    claim : str
        One sentence.
    kind : str
        Of :data:`KINDS`. Of an explanation some of whose tests fail it is said that it is *not
        established*; of any other claim that it holds in part.
    stated_by : str
        Letters of ``STATED_BY``, with a remark where parts differ.
    where : str
        Section or figure of the paper.
    quantity : str
        What is measured.
    rule : Rule
    rule_date : date
        Since when the rule is this one.
    overturn : str
        What would turn the verdict.
    paper : str
        The value as the paper states it; empty where it states none.
    theory : str
    null : str
        What is measured where the claim has no part in it.
    partial : Rule, optional
        A weaker rule, by which the claim holds in part.
    changed : str
        What changed the rule; empty for the first one.
    chapter : str
        The one that measures it; empty if none does yet.
    expected : mapping
        ``published`` → verdict on the published runs; preset → kind of data → verdict on what a
        build measures.
    why : str
        Where the ends of an interval come from.
    """

    id: str
    short: str
    claim: str
    kind: str
    stated_by: str
    where: str
    quantity: str
    rule: Rule
    rule_date: date
    overturn: str
    paper: str = ""
    theory: str = ""
    null: str = ""
    partial: Rule | None = None
    changed: str = ""
    chapter: str = ""
    expected: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


_RULES = {
    "interval": {"low", "high"},
    "ordering": {"above", "z"},
    "null": {"z"},
    "beyond": set(),
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
        _check(claims[name])
    return claims


def _check(claim: Claim) -> None:
    if claim.kind not in KINDS:
        raise UserError(f"The claim {claim.id!r} is of no kind of the list: {claim.kind!r}.")
    expected = dict(claim.expected)
    for by_kind in ({"none": expected.pop("published", HOLDS)}, *expected.values()):
        if not set(by_kind) <= set(DATA_KINDS) or not set(by_kind.values()) <= set(VERDICTS):
            raise UserError(f"The claim {claim.id!r} expects no verdict of the list: {by_kind}.")
